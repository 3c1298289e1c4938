//! Groups over the in-memory transport, as an application uses them. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test")]

mod lanes;
mod support;
mod work;
