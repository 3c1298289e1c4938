//! `cargo xtask bench`: the benchmarks, by what they measure.

mod reach;

use clap::ValueEnum;

use crate::run::{self, Failure, Result};
use crate::workspace;

/// Figures are worth something on an idle machine only: close what else is running.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    what: What,
    /// Handed to criterion, such as a filter or `--save-baseline NAME`
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
}

impl What {
    /// The package and the benchmark target in it.
    fn target(self) -> (&'static str, &'static str) {
        match self {
            Self::Codec => ("agora-core", "codec"),
            Self::Engine => ("agora-core", "engine"),
            Self::Zenoh => ("agora-zenoh", "zenoh"),
        }
    }
}

/// Runs one benchmark.
pub(crate) fn run(args: &Args) -> Result {
    let (package, bench) = args.what.target();
    if !workspace::package_named(package)?.has("bench", bench) {
        return Err(Failure::new(format!("the package `{package}` has no benchmark `{bench}` yet")));
    }
    let mut command = run::cargo(["bench", "-p", package, "--bench", bench]);
    if !args.args.is_empty() {
        command.arg("--").args(&args.args);
    }
    run::step(command)?;
    // With a filter some of the figures would be those of an earlier run.
    if args.what == What::Codec && args.args.is_empty() {
        reach::print(&workspace::target())?;
    }
    Ok(())
}
