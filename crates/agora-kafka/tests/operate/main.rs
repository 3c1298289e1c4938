//! Cursors, and what operators ask and do, against brokers.
#![allow(clippy::unwrap_used, reason = "a test")]

mod admin;
mod cursors;
mod support;
