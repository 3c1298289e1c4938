//! Looks into the logs of a run, so that the judge knows what stood in them. No node knows that.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use agora_core::id::TopicName;
use agora_core::memory::MemoryTransport;
use agora_core::transport::{FromLog, LogStart, Position, TopicSettings, TopicSpec, Transport};
use agora_core::{ErrorKind, Result};

use super::recorder::Recorder;
use crate::history::Topic;

pub(super) struct Auditor {
    transport: MemoryTransport,
    /// The place in each log that was not looked at yet.
    next: BTreeMap<Topic, u64>,
}

impl Auditor {
    pub(super) fn new(transport: MemoryTransport) -> Self {
        Self { transport, next: BTreeMap::new() }
    }

    /// Makes a log known.
    pub(super) async fn open(
        &mut self,
        topic: Topic,
        name: &TopicName,
        settings: TopicSettings,
    ) -> Result<()> {
        self.transport.open(&TopicSpec { name: name.clone(), settings }).await?;
        self.next.insert(topic, 0);
        Ok(())
    }

    /// Writes down what was appended since it last looked.
    pub(super) async fn look(&mut self, topic: Topic, name: &TopicName, recorder: &Recorder) -> Result<()> {
        let next = self.next.entry(topic).or_default();
        let mut inbox = self.transport.open_log(name, 0, LogStart::At(Position((*next).into()))).await?;
        let mut told = Vec::new();
        loop {
            inbox.recv(256, &mut told).await?;
            for one in told.drain(..) {
                match one {
                    FromLog::Record { raw, at, .. } => {
                        let at = u64::try_from(at.0).unwrap_or(u64::MAX);
                        let since = raw.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                        recorder.stored(topic, at, since.unwrap_or_default(), &raw.payload);
                        *next = at + 1;
                    }
                    FromLog::CaughtUp => return Ok(()),
                    FromLog::Interrupted => {
                        return Err(agora_core::Error::new(
                            ErrorKind::Unreachable,
                            "the audit was interrupted",
                        ));
                    }
                    FromLog::Beginning | FromLog::Trimmed => {}
                }
            }
        }
    }

    /// The log lost its end: what comes next stands there again.
    pub(super) fn rewound(&mut self, topic: Topic, lost: u64) {
        let next = self.next.entry(topic).or_default();
        *next = next.saturating_sub(lost);
    }

    /// The log begins anew.
    pub(super) fn replaced(&mut self, topic: Topic) {
        self.next.insert(topic, 0);
    }
}
