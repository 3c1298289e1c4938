//! How a lane of a log of a space is read.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::logs::{LogKey, no_lane};
use super::space::Shared;
use super::state::{EndpointId, State, closed};
use crate::error::Result;
use crate::id::TopicName;
use crate::transport::{FromLog, LogInbox, LogStart, Position};

/// Where the reading of one lane stands.
struct Reading {
    key: LogKey,
    lane: u32,
    /// The place that is read next.
    next: u64,
    era: u64,
    /// The end was told, or need not be.
    caught_up: bool,
    /// What is read first is the first that the log ever held.
    beginning: bool,
    /// The record in front is only a mark: the end is told behind it.
    anchor: Option<u64>,
    /// Retention has taken the record at the place where it was to begin.
    trimmed: bool,
    interrupted: bool,
}

/// The reader of a lane.
pub(super) struct MemoryLogInbox {
    shared: Arc<Shared>,
    endpoint: EndpointId,
    changed: Arc<Notify>,
    reading: Reading,
}

impl State {
    /// Opens a lane for reading.
    pub(super) fn open_log(
        &mut self,
        shared: Arc<Shared>,
        of: EndpointId,
        (topic, lane): (&TopicName, u32),
        from: &LogStart,
    ) -> Result<MemoryLogInbox> {
        let cluster = self.usable(of)?.cluster.clone();
        let time = self.time_of_day(Instant::now());
        self.logs.open_log(&cluster, topic)?;
        let key = (cluster, topic.clone());
        let log = self.logs.get(&key, time).ok_or_else(closed)?;
        let lanes = log.lanes_count();
        let log = log.lanes.get(lane as usize).ok_or_else(|| no_lane(topic, lane, lanes))?;
        let (first, end) = (log.first, log.end());
        let mut anchor = None;
        let next = match from {
            LogStart::Earliest => first,
            LogStart::Last => {
                anchor = Some(end);
                end.saturating_sub(1).max(first)
            }
            LogStart::Time(time) => log.at_time(*time),
            LogStart::At(position) => u64::try_from(position.0).unwrap_or(u64::MAX).clamp(first, end),
        };
        let trimmed = matches!(from, LogStart::At(position) if position.0 < u128::from(first));
        let beginning = *from == LogStart::Earliest && first == 0 && log.era == 0;
        let (era, caught_up, interrupted) = (log.era, false, false);
        let reading = Reading { key, lane, next, era, caught_up, beginning, anchor, trimmed, interrupted };
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
        let time = self.time_of_day(Instant::now());
        let log = self.logs.get(&reading.key, time).and_then(|log| log.lanes.get(reading.lane as usize));
        let log = log.filter(|log| log.era == reading.era);
        let Some(log) = log.filter(|_| !reading.interrupted) else {
            into.push(FromLog::Interrupted);
            return Ok(true);
        };
        if std::mem::take(&mut reading.beginning) && log.first == 0 {
            into.push(FromLog::Beginning);
            return Ok(true);
        }
        if std::mem::take(&mut reading.trimmed) || reading.next < log.first {
            reading.next = reading.next.max(log.first);
            into.push(FromLog::Trimmed);
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
            into.push(FromLog::CaughtUp);
            return Ok(true);
        }
        if read > 0 {
            reading.caught_up = false;
        } else if !reading.caught_up {
            reading.caught_up = true;
            into.push(FromLog::CaughtUp);
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
