//! What real brokers of Kafka, and the network before them, can do to a bus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod access;
mod cluster;
mod one;

use std::path::PathBuf;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults")
}
