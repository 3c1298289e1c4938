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
pub mod sample;

/// How long anything may take before the benchmark ends.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// Events of a publisher beyond what the reader has taken, at most: none shall be lost for want of room.
pub const AHEAD: u64 = 32_768;
/// What a raw client that batches puts into one message.
pub const BATCH: usize = 32;

/// Is this part to be measured? All are, unless the first argument names some of them.
pub fn wanted() -> impl Fn(&str) -> bool {
    let asked = std::env::args().nth(1);
    move |part| asked.as_ref().is_none_or(|asked| asked.split(',').any(|one| one == part))
}
