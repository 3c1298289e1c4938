//! What a group could not handle, as an event; and the same on its way back.

use serde::{Deserialize, Serialize};

use super::{Event, Key, Unknown};

/// An event that a group gave up, as it lies in `<topic>.<group>.dead`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The topic that it came on.
    pub topic: String,
    /// The group that gave it up.
    pub group: String,
    /// Why: the last error, in its own words, at most [`REASON_BYTES_MAX`](crate::limits::REASON_BYTES_MAX).
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The member that gave it up.
    pub given_up_by: String,
    /// When, in milliseconds since 1970 by that member's clock.
    pub given_up_ms: u64,
    /// The lane of the topic on which it stands.
    pub lane: u32,
    /// Its place in that lane, as the backend counts, in decimal.
    pub position: String,
    /// Who published it; `None` for a message of other software, and for one that cannot be read.
    pub origin: Option<LetterOrigin>,
    /// Its kind; empty where there is no origin.
    pub kind: String,
    /// The version of its kind.
    pub version: u16,
    /// Its key, or the backend's own key, where that is at most
    /// [`KEY_BYTES_MAX`](crate::limits::KEY_BYTES_MAX) long.
    pub key: Option<Vec<u8>>,
    /// Its body, or the whole message where there is no origin. `None` where it was too large to be wrapped: then it is to
    /// be found in the topic itself, as long as that keeps it.
    pub body: Option<Vec<u8>>,
}

/// Where an event that was given up came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterOrigin {
    /// The node.
    pub node: u64,
    /// Its life.
    pub incarnation: u64,
    /// The number of the event.
    pub seq: u64,
    /// When it was sent, in microseconds since 1970 by its source's clock.
    pub sent_us: u64,
}

impl Event for DeadLetter {
    const KIND: &'static str = "agora.dead_letter";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        self.key.as_deref().map(Key::from)
    }
}

/// A dead letter that was sent back to its topic, for the one group that had given it up. Others pass over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redriven {
    /// What was given up.
    pub letter: DeadLetter,
}

impl Event for Redriven {
    const KIND: &'static str = "agora.redriven";

    fn key(&self) -> Option<Key<'_>> {
        self.letter.key()
    }
}
