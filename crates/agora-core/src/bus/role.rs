//! What a sender does differently on a live topic and on a log.

use bytes::Bytes;
use tokio::time::Instant;

use crate::live::{Announcement, Source};
use crate::log::Outstanding;
use crate::transport::{Durability, TopicKind};

/// The pure half of a sender.
#[derive(Debug)]
pub(crate) enum Role {
    /// It keeps what it sent, repeats it, and says where it stands.
    Live(Source),
    /// The log keeps what was sent; it says only what is still under way.
    Log(Outstanding),
}

impl Role {
    pub(crate) fn kind(&self) -> TopicKind {
        match self {
            Self::Live(_) => TopicKind::Live,
            Self::Log(_) => TopicKind::Log,
        }
    }

    /// What an accepted event has reached, where the backend accepts live events to `live`.
    pub(crate) fn durability(&self, live: Durability) -> Durability {
        match self {
            Self::Live(_) => live,
            Self::Log(_) => Durability::Stored,
        }
    }

    pub(crate) fn next(&self) -> u64 {
        match self {
            Self::Live(source) => source.next(),
            Self::Log(outstanding) => outstanding.next(),
        }
    }

    pub(crate) fn floor(&self) -> u64 {
        match self {
            Self::Live(source) => source.floor(),
            Self::Log(outstanding) => outstanding.floor(),
        }
    }

    pub(crate) fn formed(&mut self, now: Instant, frame: Bytes, records: usize, share: usize) {
        match self {
            Self::Live(source) => source.formed(now, frame, records, share),
            Self::Log(outstanding) => outstanding.formed(records),
        }
    }

    /// The frame that begins with `seq` was accepted or given up.
    pub(crate) fn settled(&mut self, seq: u64) {
        if let Self::Log(outstanding) = self {
            outstanding.settled(seq);
        }
    }

    pub(crate) fn live(&mut self) -> Option<&mut Source> {
        match self {
            Self::Live(source) => Some(source),
            Self::Log(_) => None,
        }
    }

    /// The next announcement that does not wait for further hellos.
    pub(crate) fn poll_due(&mut self) -> Option<Announcement> {
        self.live()?.poll_due()
    }

    /// The next announcement, when it is sent at once.
    pub(crate) fn poll(&mut self) -> Option<Announcement> {
        self.live()?.poll()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Live(source) => Some(source.poll_timeout()),
            Self::Log(_) => None,
        }
    }
}
