//! `cargo xtask bench`: the benchmarks, by what they measure.

mod reach;

use clap::ValueEnum;

use crate::run::{self, Result};
use crate::workspace;

/// Figures are worth something on an idle machine only: close what else is running.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    what: What,
    /// Compile in what is not by default: `rdkafka`, the reference client of the benchmark of Kafka
    #[arg(long, value_name = "F")]
    features: Option<String>,
    /// Handed to the benchmark: a filter of criterion's, or `live`, `log`, `group`, `latency`, `overload` for servers
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Encoding, decoding and routing of frames against bincode, JSON and postcard
    Codec,
    /// Publisher to subscriber over the in-memory transport
    Engine,
    /// Two processes over Zenoh, against the raw client
    Zenoh,
    /// Core and JetStream against the raw client, on a server of the benchmark's own
    Nats,
    /// Logs and groups against rskafka, and librdkafka where it is asked for, on a broker of the benchmark's own
    Kafka,
    /// Pub/sub, streams and groups against the raw client, on a server of the benchmark's own
    Redis,
}

/// What is run.
enum Target {
    /// A benchmark of a package, under criterion or on its own.
    Bench(&'static str, &'static str),
    /// A program that compares agora with a raw client.
    Contest(&'static str),
}

impl What {
    fn target(self) -> Target {
        match self {
            Self::Codec => Target::Bench("agora-core", "codec"),
            Self::Engine => Target::Bench("agora-core", "engine"),
            Self::Zenoh => Target::Bench("agora-zenoh", "zenoh"),
            Self::Kafka => Target::Contest("kafka"),
            Self::Nats => Target::Contest("nats"),
            Self::Redis => Target::Contest("redis"),
        }
    }
}

/// Runs one benchmark.
pub(crate) fn run(args: &Args) -> Result {
    let features = args.features.iter().flat_map(|features| ["--features", features]);
    let mut command = match args.what.target() {
        Target::Bench(package, bench) => {
            let mut command = run::cargo(["bench", "-p", package, "--bench", bench]);
            command.args(features);
            if !args.args.is_empty() {
                command.arg("--");
            }
            command
        }
        Target::Contest(name) => {
            let mut command = run::cargo(["run", "--quiet", "--release", "-p", "agora-bench"]);
            command.args(features).args(["--", name]);
            command
        }
    };
    command.args(&args.args);
    run::step(command)?;
    // With a filter some of the figures would be those of an earlier run.
    if args.what == What::Codec && args.args.is_empty() {
        reach::print(&workspace::target())?;
    }
    Ok(())
}
