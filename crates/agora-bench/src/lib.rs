//! agora against the raw client of a backend: by turns, in one process, on one server, so that both meet the same
//! machine. What is measured stands in `docs/performance.md`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where something is wrong"
)]

pub mod bus;
pub mod contest;
pub mod latency;
pub mod overload;
pub mod sample;

/// How long anything may take before the benchmark ends.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// Bytes that a publisher is ahead of the reader, at most: none shall be lost for want of room, and Redis ends a
/// subscriber for which 8 MB wait for a minute, or 32 MB at all.
const AHEAD_BYTES: usize = 4 << 20;
/// What a raw client that batches puts into one message.
pub const BATCH: usize = 32;

/// Is this part to be measured? All are, unless the first argument names some of them.
pub fn wanted() -> impl Fn(&str) -> bool {
    let asked = std::env::args().nth(1);
    move |part| asked.as_ref().is_none_or(|asked| asked.split(',').any(|one| one == part))
}

/// How many events, or messages, of this size a publisher may be ahead of the reader.
pub fn ahead(bytes: usize) -> u64 {
    (AHEAD_BYTES / bytes) as u64
}

/// Does this entrant run? All do, unless the second argument is a part of some of their names.
fn enters(name: &str) -> bool {
    std::env::args().nth(2).is_none_or(|part| name.contains(&part))
}
