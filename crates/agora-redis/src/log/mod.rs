//! Logs: how a stream is read.

mod judge;
mod look;
mod read;

pub(crate) use look::{LOOK, Look};
pub(crate) use read::{Entry, open, read_of_stream};
