//! Groups on brokers of Kafka.
#![allow(clippy::unwrap_used, reason = "a test")]

mod alone;
mod crew;
mod crowd;
mod faults;
mod foreign;
mod support;
mod terms;
