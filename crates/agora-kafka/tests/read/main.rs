//! Reading: batches as pure values, and lanes, logs and live topics on real brokers.

#![allow(clippy::unwrap_used, reason = "a test")]

mod clients;
mod faults;
mod lanes;
mod logs;
mod made;
mod pure;
mod stage;
