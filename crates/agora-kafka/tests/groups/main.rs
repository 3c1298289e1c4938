//! Groups on brokers of Kafka.
#![allow(clippy::unwrap_used, reason = "a test")]

mod alone;
mod support;
