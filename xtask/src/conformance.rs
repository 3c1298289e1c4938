//! `cargo xtask conformance`: the suite that every backend must pass.

use std::process::ExitCode;

use crate::run::{self, Doing, Result};

/// Knows the backends; this crate stays quick to compile.
const PACKAGE: &str = "agora-conformance-run";
const BINARY: &str = "conformance";

/// Exits with 0 where all is well, 1 where something failed, and 2 where an argument is wrong.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run on this backend only: memory, memory-lanes, memory-peers, zenoh, nats, redis, redis-cluster, valkey, kafka,
    /// kafka-cluster;
    /// by default all
    #[arg(long, value_name = "B")]
    backend: Option<String>,
    /// Run the cases whose names contain this only
    #[arg(long, value_name = "C")]
    case: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Write the report as JUnit's XML as well
    #[arg(long, value_name = "FILE")]
    junit: Option<std::path::PathBuf>,
    /// List the cases and what they assert
    #[arg(long)]
    list: bool,
}

/// Runs the program, and answers as it does.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut command = run::cargo(["run", "--quiet", "-p", PACKAGE, "--bin", BINARY, "--"]);
    for (name, value) in [("--backend", &args.backend), ("--case", &args.case)] {
        if let Some(value) = value {
            command.args([name, value]);
        }
    }
    if let Some(path) = &args.junit {
        // The program runs in the workspace's root, and the path is meant from here.
        let path = std::path::absolute(path).doing(format_args!("find {}", path.display()))?;
        command.arg("--junit").arg(path);
    }
    for (name, is_set) in [("--json", args.json), ("--list", args.list)] {
        if is_set {
            command.arg(name);
        }
    }
    // JSON is for programs: nothing else may stand beside it.
    if !args.json {
        run::announce(&command);
    }
    let status = command.status().doing(format_args!("start `{}`", run::shown(&command)))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
