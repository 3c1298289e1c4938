//! The connection and the view of the cluster against brokers that answer, die, refuse and encrypt.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::field_reassign_with_default, reason = "the configuration is not exhaustive")]

mod access;
mod calls;
mod faults;
mod support;
