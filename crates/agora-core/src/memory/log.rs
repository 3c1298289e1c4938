//! The logs of a space: what the server keeps, and how it is read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::queue::Parcel;
use super::space::Shared;
use super::state::{EndpointId, State, closed, named};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClusterName, TopicName};
use crate::transport::{FromLog, LogInbox, LogStart, Position, TopicKind};

/// Everything that the server of a space keeps.
#[derive(Default)]
pub(super) struct Logs {
    logs: BTreeMap<(ClusterName, TopicName), Log>,
    /// The live topics that were opened: no log can have their name.
    live: BTreeSet<(ClusterName, TopicName)>,
    /// Told of every change: a record, a fault, the end of a connection.
    pub(super) changed: Arc<Notify>,
}

#[derive(Clone)]
struct Stored {
    parcel: Parcel,
    time: SystemTime,
    era: u64,
}

/// One log, of one lane.
#[derive(Default)]
struct Log {
    /// The place of the oldest record that is left.
    first: u64,
    records: VecDeque<Stored>,
    bytes: usize,
    /// How often it was rewound or replaced.
    era: u64,
}

impl Log {
    fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    fn get(&self, at: u64) -> Option<&Stored> {
        self.records.get(usize::try_from(at.checked_sub(self.first)?).ok()?)
    }

    fn drop_oldest(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.bytes -= record.parcel.bytes();
            self.first += 1;
        }
    }
}

impl Logs {
    /// Makes a topic known.
    ///
    /// # Errors
    /// `Config` where it is known as the other kind.
    pub(super) fn open(&mut self, cluster: &ClusterName, topic: &TopicName, kind: TopicKind) -> Result<()> {
        let key = (cluster.clone(), topic.clone());
        let (is_log, is_live) = (self.logs.contains_key(&key), self.live.contains(&key));
        match kind {
            TopicKind::Log if is_live => return Err(other_kind(topic, "a log", "live")),
            TopicKind::Live if is_log => return Err(other_kind(topic, "live", "a log")),
            TopicKind::Log => drop(self.logs.entry(key).or_default()),
            TopicKind::Live => drop(self.live.insert(key)),
        }
        Ok(())
    }

    /// Are there none? Most topics are live, and a space without logs should not look for them.
    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Appends to a log. Answers whether the topic is one.
    pub(super) fn append(
        &mut self,
        cluster: &ClusterName,
        topic: &TopicName,
        parcels: &[Parcel],
        time: SystemTime,
        (records_max, bytes_max): (usize, usize),
    ) -> bool {
        let Some(log) = self.logs.get_mut(&(cluster.clone(), topic.clone())) else { return false };
        for parcel in parcels {
            log.bytes += parcel.bytes();
            log.records.push_back(Stored { parcel: parcel.clone(), time, era: log.era });
        }
        while log.records.len() > records_max || log.bytes > bytes_max && log.records.len() > 1 {
            log.drop_oldest();
        }
        self.changed.notify_waiters();
        true
    }

    /// Does something to the log of this name in every cluster. Answers to how many.
    fn change(&mut self, topic: &str, change: impl Fn(&mut Log)) -> usize {
        let of_name = self.logs.iter_mut().filter(|((_, name), _)| name.as_str() == topic);
        let count = of_name.map(|(_, log)| change(log)).count();
        self.changed.notify_waiters();
        count
    }

    /// Retention: only the last `keep` records are left.
    pub(super) fn trim(&mut self, topic: &str, keep: usize) -> usize {
        self.change(topic, |log| {
            while log.records.len() > keep {
                log.drop_oldest();
            }
        })
    }

    /// A failover to a server that was behind: the last `lost` records are gone.
    pub(super) fn rewind(&mut self, topic: &str, lost: usize) -> usize {
        self.change(topic, |log| {
            log.records.truncate(log.records.len().saturating_sub(lost));
            log.bytes = log.records.iter().map(|record| record.parcel.bytes()).sum();
            log.era += 1;
        })
    }

    /// Somebody deleted it and made it anew.
    pub(super) fn replace(&mut self, topic: &str) -> usize {
        self.change(topic, |log| *log = Log { era: log.era + 1, ..Log::default() })
    }
}

fn other_kind(topic: &TopicName, asked: &str, found: &str) -> Error {
    named(Error::new(ErrorKind::Config, format!("the topic is asked for as {asked}, and is {found} here")))
        .context("topic", topic)
        .help("every node must be told the same of a topic: is it live, or a log?")
}

/// Where the reading of one log stands.
struct Reading {
    key: (ClusterName, TopicName),
    /// The place that is read next.
    next: u64,
    era: u64,
    /// The end was told, or need not be.
    caught_up: bool,
    /// What is read first is the first that the log ever held.
    beginning: bool,
    /// The record in front is only a mark: the end is told behind it.
    anchor: Option<u64>,
    interrupted: bool,
}

/// The reader of a log.
pub(super) struct MemoryLogInbox {
    shared: Arc<Shared>,
    endpoint: EndpointId,
    changed: Arc<Notify>,
    reading: Reading,
}

impl State {
    /// Opens a log for reading.
    pub(super) fn open_log(
        &mut self,
        shared: Arc<Shared>,
        of: EndpointId,
        topic: &TopicName,
        from: &LogStart,
    ) -> Result<MemoryLogInbox> {
        let cluster = self.usable(of)?.cluster.clone();
        self.logs.open(&cluster, topic, TopicKind::Log)?;
        let key = (cluster, topic.clone());
        let log = self.logs.logs.get(&key).ok_or_else(closed)?;
        let (first, end) = (log.first, log.end());
        let mut anchor = None;
        let next = match from {
            LogStart::Earliest => first,
            LogStart::Last => {
                anchor = Some(end);
                end.saturating_sub(1).max(first)
            }
            LogStart::Time(time) => {
                first + log.records.iter().take_while(|record| record.time < *time).count() as u64
            }
            LogStart::At(position) => u64::try_from(position.0).unwrap_or(u64::MAX).clamp(first, end),
        };
        let beginning = *from == LogStart::Earliest && first == 0 && log.era == 0;
        let reading =
            Reading { key, next, era: log.era, caught_up: false, beginning, anchor, interrupted: false };
        let changed = self.logs.changed.clone();
        Ok(MemoryLogInbox { shared, endpoint: of, changed, reading })
    }

    /// What is there for a reader. Answers whether there was anything.
    fn read_log(
        &mut self,
        of: EndpointId,
        reading: &mut Reading,
        records_max: usize,
        into: &mut Vec<FromLog>,
    ) -> Result<bool> {
        let Some(endpoint) = self.endpoints.get(&of) else { return Err(closed().operation("recv")) };
        if self.network.why_down(endpoint.node).is_some() {
            reading.interrupted = true;
            return Ok(false);
        }
        if self.paused.contains(&endpoint.node) {
            return Ok(false);
        }
        let log = self.logs.logs.get(&reading.key).filter(|log| log.era == reading.era);
        let Some(log) = log.filter(|_| !reading.interrupted) else {
            into.push(FromLog::Interrupted);
            return Ok(true);
        };
        if std::mem::take(&mut reading.beginning) && log.first == 0 {
            into.push(FromLog::Beginning { lane: 0 });
            return Ok(true);
        }
        if reading.next < log.first {
            reading.next = log.first;
            into.push(FromLog::Trimmed { lane: 0 });
            return Ok(true);
        }
        let stop = reading.anchor.unwrap_or(u64::MAX);
        let mut read = 0;
        while read < records_max.max(1)
            && reading.next < stop
            && let Some(record) = log.get(reading.next)
        {
            let raw = record.parcel.raw(Some(record.time));
            into.push(FromLog::Record { raw, at: Position(reading.next.into()), stamp: record.era });
            reading.next += 1;
            read += 1;
        }
        if reading.anchor.is_some_and(|anchor| reading.next >= anchor) {
            reading.anchor = None;
            reading.caught_up = true;
            into.push(FromLog::CaughtUp { lane: 0 });
            return Ok(true);
        }
        if read > 0 {
            reading.caught_up = false;
        } else if !reading.caught_up {
            reading.caught_up = true;
            into.push(FromLog::CaughtUp { lane: 0 });
            return Ok(true);
        }
        Ok(read > 0)
    }
}

#[async_trait]
impl LogInbox for MemoryLogInbox {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> Result<()> {
        tokio::task::consume_budget().await;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.shared.lock().read_log(self.endpoint, &mut self.reading, records_max, into)? {
                return Ok(());
            }
            changed.await;
        }
    }
}
