//! What goes into the tracker, and what comes out.

use super::frame::{Origin, Slot};
use crate::transport::{Position, Settle, Token};

/// One try of one event, or one burial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// Which event.
    pub(super) slot: Slot,
    /// The how manieth of this member.
    pub(super) number: u64,
}

/// A record that the backend gave out.
#[derive(Clone, Debug)]
pub struct Record<T> {
    /// Which it is.
    pub origin: Origin,
    /// Its lane.
    pub lane: u32,
    /// Where it stands in its lane.
    pub at: Position,
    /// The right to settle it.
    pub token: Token,
    /// How often it was given out, from 1.
    pub attempt: u32,
    /// Of each of its events the key, as a number; equal keys have equal numbers.
    pub keys: Vec<Option<u64>>,
    /// What it weighs.
    pub bytes: usize,
    /// What is handed out with its events.
    pub item: T,
}

/// An event that may begin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Begin<T> {
    /// The try, for [`Tracker::handle_verdict`](super::Tracker::handle_verdict).
    pub job: JobId,
    /// The record.
    pub item: T,
    /// Which of its events.
    pub index: usize,
    /// The how manieth try it is, from 1.
    pub attempt: u32,
}

/// An event that is to be stored among the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Burial<T> {
    /// For [`Tracker::handle_buried`](super::Tracker::handle_buried).
    pub job: JobId,
    /// The record.
    pub item: T,
    /// Which of its events.
    pub index: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it is given up.
    pub reason: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action<T> {
    /// Settle at the backend, and tell [`Tracker::handle_answer`](super::Tracker::handle_answer) what came of it.
    Settle(Token, Settle),
    /// Store among the dead letters, and tell [`Tracker::handle_buried`](super::Tracker::handle_buried) what came of it.
    Bury(Burial<T>),
}

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is done.
    Done,
    /// It failed, and may succeed another time.
    Retry(String),
    /// It will never succeed.
    Reject(String),
    /// It was not decided: somebody else may try.
    Release,
}

/// What the backend said to a [`Settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Done,
    /// The right to settle is void: the record is, or will be, given out anew.
    Void,
    /// It may or may not be so. It is said again.
    Failed,
}
