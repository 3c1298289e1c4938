//! How long an event takes at a thousand a second.

use std::future::Future;
use std::time::{Duration, Instant};

/// A thousand events a second.
pub(crate) const INTERVAL: Duration = Duration::from_millis(1);
/// So many of them.
pub(crate) const EVENTS: u64 = 3000;
/// The first ones meet cold caches and new connections.
const WARM_UP: usize = 300;

/// Where the times of events count from: the same for both ends, as both are in one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    /// Now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since then.
    pub(crate) fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Calls `send` a thousand times a second with the time at which it is called.
pub(crate) async fn pace<F, R>(epoch: Epoch, mut send: F)
where
    F: FnMut(u64) -> R,
    R: Future<Output = ()>,
{
    let mut tick = tokio::time::interval(INTERVAL);
    for _ in 0..EVENTS {
        tick.tick().await;
        send(epoch.nanos()).await;
    }
}

/// What the times of one run come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    /// The median.
    pub(crate) p50: Duration,
    /// One in a hundred takes longer.
    pub(crate) p99: Duration,
}

impl Latency {
    /// From nanoseconds, in the order in which they were measured.
    pub(crate) fn of(nanos: &[u64]) -> Self {
        let mut nanos = nanos[WARM_UP.min(nanos.len() / 2)..].to_vec();
        nanos.sort_unstable();
        let at = |percent: usize| Duration::from_nanos(nanos[(nanos.len() - 1) * percent / 100]);
        Self { p50: at(50), p99: at(99) }
    }
}

/// Prints a table of the medians of several runs: raw, another client where there is one, agora.
pub(crate) fn table(title: &str, raw: &[Latency], other: Option<(&str, &Vec<Latency>)>, agora: &[Latency]) {
    println!("\n### {title}: a thousand events a second, µs\n\n| | p50 | p99 |\n|---|---|---|");
    let raw = row("raw", raw);
    if let Some((name, runs)) = other {
        row(name, runs);
    }
    let ratio = row("agora", agora) / raw;
    let reached = if ratio <= 1.15 { "reached" } else { "not reached" };
    println!("\n- p50 of agora to raw: {ratio:.2}x (aim at most 1.15x, {reached})");
}

/// Prints one line of the table. Answers the median of the p50.
fn row(name: &str, runs: &[Latency]) -> f64 {
    let median = |mut values: Vec<Duration>| {
        values.sort_unstable();
        values[values.len() / 2].as_secs_f64() * 1e6
    };
    let p50 = median(runs.iter().map(|run| run.p50).collect());
    let p99 = median(runs.iter().map(|run| run.p99).collect());
    println!("| {name} | {p50:.0} | {p99:.0} |");
    p50
}
