//! `cargo xtask test`: every test of the workspace, and one total.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::run::{self, Doing, Failure, Result};
use crate::summary::Summary;
use crate::{network, services, tools, workspace};

/// So many tests of a program run at once for each processor: most of their time they wait for servers and for deadlines.
const TESTS_PER_PROCESSOR: usize = 2;
/// The variable that says it, which whoever sets it decides.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// Without arguments all tests of the workspace run in one `cargo test`, with every feature but those that are compiled
/// only where somebody asks for them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Handed to `cargo test`, such as `-p agora-core sequencer`; without any, the whole workspace is tested
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Runs the tests. The last line printed is `N passed, N failed`.
pub(crate) fn run(args: &Args) -> Result {
    let (summary, outcome) = execute(&args.args);
    println!("\n{summary}");
    outcome
}

/// Runs the tests and gives what they came to besides the verdict, for who has more to print before the last line.
pub(crate) fn execute(args: &[String]) -> (Summary, Result) {
    let mut summary = Summary::default();
    let outcome = gather(args, &mut summary);
    (summary, outcome)
}

fn gather(args: &[String], summary: &mut Summary) -> Result {
    let mut command = run::cargo(["test", "--no-fail-fast"]);
    if !args.is_empty() {
        command.arg("--all-features").args(args);
    } else {
        tools::check_all()?;
        let features = workspace::every_feature()?;
        command.arg("--workspace").args(&features);
        // A machine without servers is told so before everything is compiled, and a network of one's own leads nowhere.
        services::fetch()?;
        if network::needs_own() {
            let mut building = run::cargo(["test", "--workspace", "--no-run"]);
            building.args(&features);
            run::step(building)?;
            command = network::within_own(&command);
        }
        if std::env::var_os(TEST_THREADS).is_none() {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            command.env(TEST_THREADS, (processors * TESTS_PER_PROCESSOR).to_string());
        }
    }
    command.stdout(Stdio::piped());
    run::announce(&command);
    let mut child = command.spawn().doing("start cargo")?;
    // Test names and results come on standard output; what cargo compiles goes to standard error, past us.
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.doing("read what the tests print")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            summary.read_line(&line);
        }
    }
    let status = child.wait().doing("wait for cargo")?;
    report(summary);
    if summary.failed > 0 {
        return Err(Failure::new(format!("{} tests failed", summary.failed)));
    }
    if !status.success() {
        // Nothing is counted when a test binary crashes or does not compile: it must not look like a success.
        summary.failed += 1;
        return Err(Failure::new(format!(
            "`cargo test` failed ({status}) although no test did: something does not compile, or a test binary \
             crashed; it counts as one failure"
        )));
    }
    if summary.executed() == 0 {
        return Err(Failure::new("no test was executed"));
    }
    Ok(())
}

/// Names what was skipped and what failed once more, where it is easy to find.
fn report(summary: &Summary) {
    if !summary.skipped.is_empty() {
        println!("\nskipped:");
        summary.skipped.iter().for_each(|line| println!("  {line}"));
    }
    if !summary.failures.is_empty() {
        println!("\nfailed:");
        summary.failures.iter().for_each(|name| println!("  {name}"));
    }
}
