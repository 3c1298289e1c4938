//! `cargo xtask ci`: everything that a change must pass, in one go.
//!
//! A step that fails does not stop the others, so that one run tells everything that is wrong.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{self, Failure, Result};
use crate::summary::Summary;
use crate::{deny, features, sim, test, tidy, workspace};

/// A step: its name, what it is for, and what it does. What tests ran is added to the summary.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Summary) -> Result,
}

/// The step whose total closes the run.
const TESTS: &str = "test";

/// In this order: what is quick and often wrong comes first.
const STEPS: &[Step] = &[
    Step { name: "fmt", about: "the code is formatted", run: |_| run::step(fmt()) },
    Step { name: "lock", about: "Cargo.lock fits the manifests", run: |_| run::output(locked()).map(drop) },
    Step { name: "tidy", about: "the project's own rules hold", run: |_| tidy::run() },
    Step { name: "clippy", about: "no warning anywhere", run: |_| run::step(clippy()?) },
    Step { name: "doc", about: "the documentation builds without a warning", run: |_| run::step(doc()?) },
    Step { name: "features", about: "features stand alone and apart", run: |_| features::check() },
    Step { name: "deny", about: "licences, bans and sources of dependencies", run: |_| deny::check() },
    Step { name: "fuzz", about: "the fuzz target fits the code", run: |_| run::step(fuzz()) },
    Step { name: TESTS, about: "every test", run: tests },
    Step { name: "sim", about: "simulated clusters keep the promises", run: |_| sim::ci() },
];

/// The closing line is the total of the tests; the table above it tells of every step.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run these steps only, separated by commas
    #[arg(long, value_name = "STEP,...", value_delimiter = ',', value_parser = names())]
    only: Vec<String>,
}

/// Runs the steps, then prints the table and the total.
pub(crate) fn run(args: &Args) -> Result {
    let mut summary = Summary::default();
    let mut rows = Vec::new();
    for step in STEPS {
        if !args.only.is_empty() && !args.only.iter().any(|name| name == step.name) {
            continue;
        }
        println!("\n=== {}: {}", step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)(&mut summary);
        if let Err(failure) = &outcome {
            println!("error: {failure}");
        }
        rows.push((step, start.elapsed(), outcome));
    }
    println!("\n=== summary");
    for (step, took, outcome) in &rows {
        println!("{}", row(step, *took, outcome));
    }
    let failed: Vec<&str> =
        rows.iter().filter(|(_, _, outcome)| outcome.is_err()).map(|(step, _, _)| step.name).collect();
    // Without the tests there is no total that would mean anything.
    if rows.iter().any(|(step, _, _)| step.name == TESTS) {
        println!("\n{summary}");
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("failed: {}; one alone: `cargo xtask ci --only STEP`", failed.join(", "))))
}

fn row(step: &Step, took: Duration, outcome: &Result) -> String {
    let start = format!("{:<10} {:>6} s", step.name, took.as_secs());
    match outcome {
        Ok(()) => format!("{start}  ok"),
        Err(failure) => format!("{start}  FAILED: {failure}"),
    }
}

fn names() -> clap::builder::PossibleValuesParser {
    STEPS.iter().map(|step| step.name).collect::<Vec<_>>().into()
}

fn fmt() -> Command {
    run::cargo(["fmt", "--all", "--check"])
}

fn locked() -> Command {
    run::cargo(["metadata", "--locked", "--format-version", "1"])
}

fn clippy() -> Result<Command> {
    let mut command = run::cargo(["clippy", "--workspace", "--all-targets"]);
    command.args(workspace::every_feature()?).args(["--", "-D", "warnings"]);
    Ok(command)
}

fn doc() -> Result<Command> {
    let mut command = run::cargo(["doc", "--workspace", "--no-deps"]);
    command.args(workspace::every_feature()?).env("RUSTDOCFLAGS", "-D warnings");
    Ok(command)
}

/// A workspace of its own; to fuzz takes a nightly compiler, to see that the target still compiles does not.
fn fuzz() -> Command {
    run::cargo(["check", "--locked", "--manifest-path", "fuzz/Cargo.toml"])
}

fn tests(total: &mut Summary) -> Result {
    let (summary, outcome) = test::execute(&[]);
    *total = summary;
    outcome
}
