//! What a subscription hands to the application.

use std::fmt;
use std::ops::Deref;
use std::time::SystemTime;

use crate::codec::Record;
use crate::id::{SourceId, TopicName};
use crate::live::Reason;
use crate::transport::Raw;

/// One thing that a subscription has to tell.
#[derive(Clone, Debug)]
pub enum Delivery<E = Record> {
    /// An event.
    Event(Received<E>),
    /// Something is missing: what, and why.
    Gap(Gap),
    /// A message of other software on the same topic, as it is.
    Foreign(Foreign),
}

/// An event as it was received. Dereferences to the event.
#[derive(Clone, Debug)]
pub struct Received<E> {
    /// The event.
    pub event: E,
    pub(crate) topic: TopicName,
    pub(crate) lane: u32,
    pub(crate) record: Record,
}

impl<E> Received<E> {
    /// The topic it came on.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The lane it came on.
    pub fn lane(&self) -> u32 {
        self.lane
    }

    /// Who published it.
    pub fn source(&self) -> SourceId {
        self.record.source()
    }

    /// Its sequence at its source, from 1.
    pub fn seq(&self) -> u64 {
        self.record.seq()
    }

    /// When its source sent it, by the source's clock.
    pub fn time(&self) -> SystemTime {
        self.record.sent()
    }

    /// Its record: kind, version, key and encoded body.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The event alone.
    pub fn into_event(self) -> E {
        self.event
    }
}

impl<E> Deref for Received<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}

/// Events that a subscription is owed and will not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The topic.
    pub topic: TopicName,
    /// What is missing.
    pub missing: Missing,
    /// Why.
    pub reason: Reason,
}

/// What is missing. More forms may come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// Events of one source, `from` up to and not including `to`.
    Source {
        /// Whose.
        source: SourceId,
        /// On which lane.
        lane: u32,
        /// The first missing sequence. `None`: from before anything of this source was seen here.
        from: Option<u64>,
        /// The sequence after the last missing one. `None`: open-ended; the source's next event, if one comes, tells
        /// where it ends.
        to: Option<u64>,
    },
    /// Records of a log, nobody knows of whom. What follows is the oldest that the log still holds, without what was
    /// delivered before.
    Log {
        /// On which lane.
        lane: u32,
    },
    /// Nobody knows what, only since when.
    Unknown {
        /// Since when.
        since: SystemTime,
    },
}

impl Gap {
    /// How many events are missing, where that is known.
    pub fn events(&self) -> Option<u64> {
        match self.missing {
            Missing::Source { from: Some(from), to: Some(to), .. } => Some(to.saturating_sub(from)),
            _ => None,
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, missing, reason } = self;
        match missing {
            Missing::Source { source, from, to, .. } => {
                let from = from.map_or("?".into(), |n| n.to_string());
                let to = to.map_or("?".into(), |n| n.saturating_sub(1).to_string());
                write!(f, "events {from} to {to} of {source} on {topic} are missing ({})", reason.as_str())
            }
            Missing::Log { lane } => {
                write!(f, "records of lane {lane} of the log {topic} are missing ({})", reason.as_str())
            }
            Missing::Unknown { .. } => {
                write!(f, "unknown events on {topic} are missing ({})", reason.as_str())
            }
        }
    }
}

/// A message that agora did not write.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The topic.
    pub topic: TopicName,
    /// The message.
    pub raw: Raw,
    /// When it arrived here.
    pub arrived: SystemTime,
}
