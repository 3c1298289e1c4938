//! The delivery rules of log topics, as pure state machines: values and a time go in, decisions come out.
//!
//! | type | question |
//! |---|---|
//! | [`Outstanding`] | which sequences of a publishing node are still unsettled? |
//! | [`Reader`] | in what order are the records of one lane handed over, and when is something missing? |
//! | [`Cursor`] | from where does a reader go on that has read before? |
//!
//! A log keeps what is published, so nothing is asked for again: what is missing in it stays missing. The rules were
//! found by model checking; `docs/delivery.md` states them.

mod cursor;
mod outstanding;
mod reader;

pub use cursor::{Cursor, LaneCursor, Low, Mark, Print, Progress};
pub use outstanding::Outstanding;
pub use reader::{Out, Reader, Record, Then};
