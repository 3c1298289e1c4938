//! Runs what must catch a mutant.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use super::limited::{self, Ended};
use super::patch::{Command, Mutant};
use super::table::Outcome;
use super::tree::Tree;
use crate::run::{self, Failure, Result};
use crate::summary::Summary;

/// Building everything anew, dependencies included, on a slow machine.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs commands in a tree.
pub(super) struct Trial<'a> {
    tree: &'a Tree,
    limit: Duration,
}

/// What one command came to.
enum Run {
    Passed(Summary),
    /// With the name of a test that failed, where one has.
    Failed(Option<String>),
    OutOfTime,
    DoesNotBuild,
}

impl<'a> Trial<'a> {
    pub(super) fn new(tree: &'a Tree, limit: Duration) -> Self {
        Self { tree, limit }
    }

    /// Demands that every command of these mutants passes on the unmodified tree, and tests something.
    pub(super) fn baseline(&self, mutants: &[Mutant]) -> Result {
        let commands: BTreeSet<&Command> = mutants.iter().flat_map(|mutant| &mutant.caught_by).collect();
        for command in commands {
            let start = Instant::now();
            let fault = match self.run(command, "unmodified")? {
                Run::Passed(summary) if command.is_test() && summary.executed() == 0 => "executes no test",
                Run::Passed(_) => {
                    println!("  passes {:>6.1} s  {command}", start.elapsed().as_secs_f64());
                    continue;
                }
                Run::Failed(_) => "fails",
                Run::OutOfTime => "runs out of time",
                Run::DoesNotBuild => "does not build",
            };
            return Err(Failure::new(format!(
                "`{command}` {fault} on the unmodified tree, so it proves nothing: see {}",
                self.tree.log("unmodified").display()
            )));
        }
        Ok(())
    }

    /// Runs the commands of a mutant that is applied, until one catches it.
    pub(super) fn of(&self, mutant: &Mutant) -> Result<Outcome> {
        let start = Instant::now();
        for command in &mutant.caught_by {
            let log = self.tree.log(&mutant.name);
            match self.run(command, &mutant.name)? {
                Run::Passed(_) => {}
                Run::Failed(test) => {
                    let by = test.unwrap_or_else(|| command.to_string());
                    return Ok(Outcome::Caught { by, took: start.elapsed() });
                }
                Run::OutOfTime => {
                    let limit = self.limit.as_secs();
                    return Ok(Outcome::Unfit(format!(
                        "`{command}` hangs past {limit} s: {}",
                        log.display()
                    )));
                }
                Run::DoesNotBuild => {
                    return Ok(Outcome::Unfit(format!("does not compile: {}", log.display())));
                }
            }
        }
        Ok(Outcome::Survived)
    }

    fn run(&self, command: &Command, log: &str) -> Result<Run> {
        let log = self.tree.log(log);
        match limited::run(self.cargo(&command.build()), BUILD_LIMIT, &log)? {
            Ended::Itself(status) if status.success() => {}
            _ => return Ok(Run::DoesNotBuild),
        }
        let ended = limited::run(self.cargo(&command.words()), self.limit, &log)?;
        // A broken engine may print anything.
        let summary = Summary::of(&String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()));
        Ok(match ended {
            Ended::OutOfTime => Run::OutOfTime,
            Ended::Itself(status) if status.success() => Run::Passed(summary),
            Ended::Itself(_) => Run::Failed(named(&summary)),
        })
    }

    fn cargo(&self, words: &[String]) -> std::process::Command {
        let mut cargo = run::cargo(words);
        cargo.current_dir(self.tree.root());
        cargo.env("CARGO_TARGET_DIR", self.tree.build());
        // A mutant leaves variables unused: were warnings errors, it would not compile.
        cargo.env_remove("RUSTFLAGS");
        cargo
    }
}

/// The first test that failed, and how many more.
fn named(summary: &Summary) -> Option<String> {
    match summary.failures.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        [first, rest @ ..] => Some(format!("{first} and {} more", rest.len())),
    }
}
