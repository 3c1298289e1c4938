//! The part of the contract that is about logs: topics that keep what is published.

use std::time::SystemTime;

use async_trait::async_trait;

use super::Raw;
use crate::error::Result;
use crate::id::TopicName;

/// A place in one lane of a log, as the backend counts: what comes later is greater. Two logs, or two lives of one log
/// that was deleted and made anew, have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u128);

/// Where the reader of a lane begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogStart {
    /// With the oldest record that the lane holds.
    Earliest,
    /// With the last record that the lane holds now, or with the first to come where it holds none. The reader takes it
    /// as a mark, and begins behind it.
    Last,
    /// With the first record that was appended at this time or later.
    Time(SystemTime),
    /// With the record at this place, or the first behind it.
    At(Position),
}

/// What a lane of a log has to tell, in the order of positions.
#[derive(Clone, Debug)]
pub enum FromLog {
    /// A record.
    Record {
        /// The message.
        raw: Raw,
        /// Where it stands.
        at: Position,
        /// What the backend itself wrote beside it when it was appended, and would write otherwise if it were appended
        /// again: the epoch of the leader, the time, an identity.
        stamp: u64,
    },
    /// The first record that follows is the first that the lane ever held. Comes in front of it, where the backend knows
    /// that nothing was trimmed away; then what is missing before it is known to be missing.
    Beginning,
    /// Records that were to come next are gone: retention was faster than this reader. What follows is the oldest
    /// record that is left. Also said first of a log that was opened [at a place](LogStart::At), where retention has
    /// taken the record there and all behind it: it is empty, and goes on.
    Trimmed,
    /// The record at the place where the log was [opened](LogStart::At) is not there, and retention has not taken it:
    /// for whoever has read one there, the log was rewound, or deleted and made anew. Said first, where the backend can
    /// tell. What follows stands behind the place all the same.
    Rewritten,
    /// All that the lane held a moment ago was told. Comes once at each end that is reached, and after the record of
    /// [`LogStart::Last`].
    CaughtUp,
    /// The connection was interrupted, and with it what is known of the log: it may have been rewound or replaced.
    /// Nothing more comes; the log is to be opened anew.
    Interrupted,
}

/// The reader of one lane of a log. Dropping it ends the reading.
#[async_trait]
pub trait LogInbox: Send {
    /// Waits until there is something, then appends what is there to `into`, at most `records_max`.
    ///
    /// # Errors
    /// `Closed` when the transport was closed; any other error is final too.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> Result<()>;
}

/// The right to save a durable cursor. A later one of the same name makes it void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// Where durable subscriptions keep their cursors. A cursor has at most
/// [`CURSOR_BYTES_MAX`](crate::limits::CURSOR_BYTES_MAX) for each lane of its topic, and the topic is a log that is there: a
/// backend may keep them with it.
#[async_trait]
pub trait CursorStore: Send + Sync {
    /// Takes the cursor of this name over: gives what was saved last, and the right to save the next one. Whoever had
    /// that right has lost it.
    ///
    /// # Errors
    /// `NotFound` where the cursors are kept with the log, and there is none; `Unreachable` while the link is down;
    /// `Closed`.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the former holder may have lost the right.
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)>;

    /// Saves a cursor. `places` says what its bytes do not say to the backend: where the reading stands, for each lane of
    /// which that is known the first record that is not done. It is for backends that show it to other software, as Kafka
    /// does with committed offsets.
    ///
    /// # Errors
    /// `Conflict` when the right was lost; `Unreachable` while the link is down; `Closed`.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the cursor may have been saved.
    async fn save(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        places: &[(u32, Position)],
    ) -> Result<()>;
}
