//! Publishing, on real brokers.
#![allow(clippy::unwrap_used, reason = "a test")]

mod brokers;
mod faults;
mod frames;
mod support;
mod topics;
