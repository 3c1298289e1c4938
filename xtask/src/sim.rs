//! `cargo xtask sim`: simulated clusters, from seeds.

use std::ops::Range;

use crate::run::{self, Failure, Result};
use crate::workspace;

/// The program that simulates: its options are those of this command.
const PACKAGE: &str = "agora-conformance";
const BINARY: &str = "sim";

/// Optimised, with debug assertions and overflow checks: see the workspace's `Cargo.toml`.
const PROFILE: &str = "sim";

/// The seeds that every change must pass, each of them twice.
const CI_SEEDS: Range<u64> = 0..500;

/// A seed decides everything that happens in a simulated cluster: a failing one can be run again alone.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["seed", "seeds"])))]
pub(crate) struct Args {
    /// Run this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Run the seeds from A up to, but without, B
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<Range<u64>>,
    /// Run each seed twice and demand that the two histories are equal to the byte
    #[arg(long)]
    twice: bool,
    /// Handed to the program, such as `--verbose`, which prints the history
    #[arg(last = true)]
    args: Vec<String>,
}

/// Runs the simulation.
pub(crate) fn run(args: &Args) -> Result {
    let mut words = Vec::new();
    if let Some(seed) = args.seed {
        words.extend(["--seed".to_owned(), seed.to_string()]);
    }
    if let Some(Range { start, end }) = &args.seeds {
        words.extend(["--seeds".to_owned(), format!("{start}..{end}")]);
    }
    if args.twice {
        words.push("--twice".to_owned());
    }
    words.extend(args.args.iter().cloned());
    if !workspace::package_named(PACKAGE)?.has("bin", BINARY) {
        return Err(Failure::new(format!("the package `{PACKAGE}` has no program `{BINARY}` yet")));
    }
    let mut command = run::cargo(["run", "--profile", PROFILE, "-p", PACKAGE, "--bin", BINARY, "--"]);
    command.args(words);
    run::step(command)
}

/// What `cargo xtask ci` runs.
pub(crate) fn ci() -> Result {
    run(&Args { seed: None, seeds: Some(CI_SEEDS), twice: true, args: Vec::new() })
}

/// Reads `A..B`.
fn range(text: &str) -> std::result::Result<Range<u64>, String> {
    let wrong = || format!("`{text}` is not of the form A..B, such as 0..500");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let (start, end) = (start.parse().map_err(|_| wrong())?, end.parse().map_err(|_| wrong())?);
    if start >= end {
        return Err(format!("`{text}` holds no seed: B itself is not run"));
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_seeds_is_read_whole_or_refused() {
        assert_eq!(range("3..7"), Ok(3..7));
        for wrong in ["", "3", "3..", "..7", "3..=7", "a..b", "7..7", "7..3", "-1..2"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
