//! What a sender does differently on a live topic and on a log.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::live::{Announcement, Source};
use crate::log::Outstanding;
use crate::transport::TopicSettings;

/// The pure half of a sender.
#[derive(Debug)]
pub(crate) enum Role {
    /// It keeps what it sent, repeats it, and says where it stands.
    Repairing(Source),
    /// It says only what is still under way: the log keeps what was sent, or its readers know nothing of repair.
    Silent(Outstanding),
}

impl Role {
    pub(crate) fn new(settings: &TopicSettings, now: Instant, repair_age: Duration) -> Self {
        match settings.is_repaired() {
            true => Self::Repairing(Source::new(now, repair_age)),
            false => Self::Silent(Outstanding::default()),
        }
    }

    pub(crate) fn next(&self) -> u64 {
        match self {
            Self::Repairing(source) => source.next(),
            Self::Silent(outstanding) => outstanding.next(),
        }
    }

    pub(crate) fn floor(&self) -> u64 {
        match self {
            Self::Repairing(source) => source.floor(),
            Self::Silent(outstanding) => outstanding.floor(),
        }
    }

    pub(crate) fn formed(&mut self, now: Instant, frame: Bytes, records: usize, share: usize) {
        match self {
            Self::Repairing(source) => source.formed(now, frame, records, share),
            Self::Silent(outstanding) => outstanding.formed(records),
        }
    }

    /// The frame that begins with `seq` was accepted or given up.
    pub(crate) fn settled(&mut self, seq: u64) {
        if let Self::Silent(outstanding) = self {
            outstanding.settled(seq);
        }
    }

    pub(crate) fn source(&mut self) -> Option<&mut Source> {
        match self {
            Self::Repairing(source) => Some(source),
            Self::Silent(_) => None,
        }
    }

    /// The next announcement that does not wait for further hellos.
    pub(crate) fn poll_due(&mut self) -> Option<Announcement> {
        self.source()?.poll_due()
    }

    /// The next announcement, when it is sent at once.
    pub(crate) fn poll(&mut self) -> Option<Announcement> {
        self.source()?.poll()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Repairing(source) => Some(source.poll_timeout()),
            Self::Silent(_) => None,
        }
    }
}
