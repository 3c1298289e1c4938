//! What the conformance suite cannot see of NATS: servers that die, that refuse, that encrypt, and that are told other
//! things than they were made with.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::field_reassign_with_default, reason = "the configuration is not exhaustive")]

mod auth;
mod faults;
mod groups;
mod limits;
mod names;
mod support;
mod tls;
mod topics;
