//! Frame version 1: what stands on the wire, the same on every backend.
//!
//! The normative description is `docs/wire-format.md`; this module is one implementation of it. In short: a frame
//! is a header of 64 bytes whose layout never changes, extensions, and records, one for each event.
//!
//! - [`FrameBuilder`] appends events in one pass and forms a frame.
//! - [`parse`] checks bytes from the network as a whole, so that walking through a [`Frame`] cannot fail.
//! - [`body`] is the one place that knows the format of a body.
//! - [`Control`] is what nodes say to each other about themselves.
//!
//! Bytes from the network are hostile: every length is checked against what is there before anything is taken,
//! nothing is allocated that is larger than the message itself, and nothing panics.

pub mod body;
mod builder;
mod control;
mod frame;
mod head;
mod header;
mod input;
mod parse;
mod record;
mod walk;

pub use builder::{FrameBuilder, RecordParts};
pub use control::{Ask, Control, FinalHead, Heartbeat, Hello, Leave, Observer, TopicState};
pub use frame::{Frame, RecordCursor, Records};
pub use head::{Head, encode_head};
pub use header::{FrameType, HEADER_BYTES, Header, MAGIC, Stamp, VERSION};
pub use parse::{Corrupt, Parsed, Unreadable, begins_like_frame, parse};
pub(crate) use record::first_record;
pub use record::{Record, RecordRef};

#[cfg(test)]
mod tests;
