//! Runs simulated clusters by their seeds, and says which break a promise.
//!
//! ```text
//! sim --seeds 0..500 --twice     many, on all processors
//! sim --seed 17 --verbose        one, with its history
//! ```

use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use agora_conformance::sim::{Report, first_difference, run_seed};

const USAGE: &str = "usage: sim (--seed N | --seeds A..B) [--twice] [--verbose] [--threads N]";

struct Options {
    seeds: Range<u64>,
    twice: bool,
    verbose: bool,
    threads: usize,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let (next, failed) = (AtomicU64::new(options.seeds.start), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= options.seeds.end {
                        return;
                    }
                    if !run(seed, &options) {
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(seed);
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.sort_unstable();
    let count = options.seeds.end - options.seeds.start;
    let _ = writeln!(
        io::stdout(),
        "{count} seeds{}, {} failed {failed:?}, {:.1} s",
        if options.twice { ", each twice" } else { "" },
        failed.len(),
        begun.elapsed().as_secs_f64()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut seeds = None;
    let (mut twice, mut verbose) = (false, false);
    let mut threads = std::thread::available_parallelism().map_or(1, usize::from);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match arg.as_str() {
            "--seed" => {
                let seed = number(&value()?)?;
                seeds = Some(seed..seed + 1);
            }
            "--seeds" => {
                let range = value()?;
                let (from, to) = range.split_once("..").ok_or(format!("{range} is no range A..B"))?;
                seeds = Some(number(from)?..number(to)?);
            }
            "--threads" => threads = usize::try_from(number(&value()?)?).unwrap_or(1).max(1),
            "--twice" => twice = true,
            "--verbose" => verbose = true,
            _ => return Err(format!("{arg} is not known")),
        }
    }
    let seeds = seeds.filter(|seeds| !seeds.is_empty()).ok_or("no seeds were given")?;
    Ok(Options { seeds, twice, verbose, threads })
}

/// Runs one seed. Answers whether all is well.
fn run(seed: u64, options: &Options) -> bool {
    let mut text = Vec::new();
    let well = match examine(seed, options, &mut text) {
        Ok(well) => well,
        Err(error) => {
            let _ = writeln!(text, "seed {seed}: {error}");
            false
        }
    };
    if !well {
        let _ = writeln!(text, "seed {seed} FAILED; again with: cargo xtask sim --seed {seed}");
    }
    // Written at once, so that the lines of two threads do not mix.
    let _ = io::stdout().lock().write_all(&text);
    well
}

fn examine(seed: u64, options: &Options, out: &mut Vec<u8>) -> Result<bool, Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let report: Report = run_seed(seed)?;
    if options.verbose {
        out.write_all(report.history.to_text().as_bytes())?;
    }
    let mut well = report.findings.is_empty();
    if options.verbose || !well {
        let took = begun.elapsed();
        writeln!(out, "{}; {} entries, {took:.1?}", report.plan, report.history.entries.len())?;
    }
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    if options.twice {
        let (once, again) = (report.history.to_text(), run_seed(seed)?.history.to_text());
        if let Some((line, a, b)) = first_difference(&once, &again) {
            writeln!(out, "seed {seed} does not repeat: line {line}\n  once:  {a}\n  again: {b}")?;
            well = false;
        }
    }
    Ok(well)
}
