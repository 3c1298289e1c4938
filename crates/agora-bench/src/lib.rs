//! agora against the raw client of a backend: by turns, in one process, on one server, so that both meet the same
//! machine. What is measured stands in `docs/performance.md`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where something is wrong"
)]

mod backend;
mod bus;
mod contest;
mod kafka;
mod latency;
mod nats;
mod overload;
mod redis;
mod sample;

/// How long anything may take before the benchmark ends.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// Bytes that a publisher is ahead of the reader, at most: none shall be lost for want of room, and Redis ends a
/// subscriber for which 8 MB wait for a minute, or 32 MB at all.
const AHEAD_BYTES: usize = 4 << 20;

/// Measures what the arguments name: the backend, then some of the parts, else all, then a part of the names of the
/// entrants, else all.
///
/// # Panics
/// Where something is wrong, with what it is.
pub async fn run() {
    match std::env::args().nth(1).as_deref() {
        Some("kafka") => backend::measure(&kafka::Kafka::start().await).await,
        Some("nats") => backend::measure(&nats::Nats::start().await).await,
        Some("redis") => backend::measure(&redis::Redis::start().await).await,
        other => panic!("`kafka`, `nats` or `redis`, and not {other:?}"),
    }
}

/// Is this part to be measured?
fn wanted(part: &str) -> bool {
    std::env::args().nth(2).is_none_or(|asked| asked.split(',').any(|one| one == part))
}

/// Does this entrant run?
fn enters(name: &str) -> bool {
    std::env::args().nth(3).is_none_or(|part| name.contains(&part))
}

/// So many events, or a few of them where the build is not optimised: what is run then is to be seen to work.
fn scaled(events: u64) -> u64 {
    if cfg!(debug_assertions) { events / 50 } else { events }
}

/// How many events, or messages, of this size a publisher may be ahead of the reader.
fn ahead(bytes: usize) -> u64 {
    (AHEAD_BYTES / bytes) as u64
}

/// A name that nobody used before.
fn name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NAMES: AtomicU64 = AtomicU64::new(0);
    format!("raw-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}
