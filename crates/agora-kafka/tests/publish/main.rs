//! Publishing, on real brokers.
#![allow(clippy::unwrap_used, reason = "a test")]

mod brokers;
mod faults;
mod support;
mod topics;
