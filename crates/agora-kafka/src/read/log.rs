//! The reader of one lane of a log, as the engine wants it.
//!
//! What is known of a log ends when another broker leads it or the connection is lost: it may have been rewound, or made
//! anew under the same name. Then the engine opens it again and compares what it has read last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agora_core::transport::{FromLog, LogInbox, LogStart, Position};
use agora_core::{ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::hub::Hub;
use super::lane::{FromLane, Lane};
use super::record::Record;
use super::{last, offsets};
use crate::error::error;

/// How long it may take to find out where a log begins and ends.
pub(super) const OPEN_WAIT: Duration = Duration::from_secs(10);

/// The reader of one lane of a log.
pub struct LogReader {
    lane: Lane,
    /// How many lanes the log has, and had when it was opened.
    count: watch::Receiver<u32>,
    lanes: u32,
    waiting: VecDeque<FromLog>,
    /// Nothing was trimmed away from in front of the first record, which did not come yet.
    is_whole: bool,
    taken: Vec<FromLane>,
    is_over: bool,
}

impl LogReader {
    /// Opens a lane of a topic, by its name on the server.
    ///
    /// # Errors
    /// `NotFound`: there is no such topic. `Config`: it has no such lane. `Unauthorized`; `Unreachable`; `Closed`.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is opened.
    pub async fn open(hub: &Hub, topic: &str, lane: u32, from: &LogStart) -> Result<Self> {
        let (by, line) = (Instant::now() + OPEN_WAIT, hub.questions());
        let count = Box::pin(line.brokers().partitions(topic, by)).await?;
        let lanes = *count.borrow();
        let partition = i32::try_from(lane).ok().filter(|_| lane < lanes).ok_or_else(|| {
            error(ErrorKind::Config, "no such lane")
                .context("topic", topic)
                .context("lane", lane)
                .context("lanes", lanes)
        })?;
        let bounds = offsets::bounds(line, topic, partition, by).await?;
        let mut waiting = VecDeque::new();
        let next = match from {
            LogStart::Earliest => bounds.start,
            LogStart::Last => {
                let newest = Box::pin(last::last(line, topic, partition, bounds, by)).await?;
                waiting.extend(newest.map(told));
                waiting.push_back(FromLog::CaughtUp);
                bounds.end
            }
            LogStart::Time(time) => {
                let found = offsets::at_time(line, topic, partition, *time, by).await?;
                // What is not in the log yet comes behind its end.
                found.map_or(bounds.end, |found| found.max(bounds.start))
            }
            LogStart::At(position) => {
                let at = i64::try_from(position.0).unwrap_or(i64::MAX);
                if at < bounds.start {
                    waiting.push_back(FromLog::Trimmed);
                } else if at > bounds.end {
                    // An offset is given once: whoever has read one behind the next has read another log.
                    waiting.push_back(FromLog::Rewritten);
                }
                at.clamp(bounds.start, bounds.end)
            }
        };
        let bell = Arc::new(Notify::new());
        let mut lane = hub.lane_until(topic, lane, next, bounds.end, &bell);
        if *from == LogStart::Last {
            lane.has_told_end();
        }
        // Offsets are counted from 0, and never anew.
        let is_whole = *from == LogStart::Earliest && bounds.start == 0;
        Ok(Self { lane, count, lanes, waiting, is_whole, taken: Vec::new(), is_over: false })
    }

    fn translate(&mut self) {
        for one in self.taken.drain(..) {
            // Retention may have been faster than the first fetch.
            if std::mem::take(&mut self.is_whole) && matches!(one, FromLane::Record(_) | FromLane::CaughtUp) {
                self.waiting.push_back(FromLog::Beginning);
            }
            match one {
                FromLane::Record(record) => self.waiting.push_back(told(record)),
                // What cannot be read is lost to this reader too, and no loss is silent.
                FromLane::Trimmed { .. } | FromLane::Unreadable { .. } => {
                    self.waiting.push_back(FromLog::Trimmed);
                }
                FromLane::CaughtUp => self.waiting.push_back(FromLog::CaughtUp),
                FromLane::Moved | FromLane::Rewound => {
                    self.is_over = true;
                    break;
                }
            }
        }
    }
}

fn told(record: Record) -> FromLog {
    let at = Position(u128::try_from(record.offset).unwrap_or(0));
    FromLog::Record { raw: record.raw, at, stamp: record.stamp }
}

#[async_trait]
impl LogInbox for LogReader {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> Result<()> {
        loop {
            if !self.waiting.is_empty() {
                let count = self.waiting.len().min(records_max.max(1));
                into.extend(self.waiting.drain(..count));
                return Ok(());
            }
            if self.is_over {
                into.push(FromLog::Interrupted);
                return Ok(());
            }
            let lanes = self.lanes;
            tokio::select! {
                biased;
                received = self.lane.recv(records_max, &mut self.taken) => received?,
                // Lanes are never taken away: this is another log.
                Ok(_) = self.count.wait_for(|count| *count > 0 && *count < lanes) => self.is_over = true,
            }
            self.translate();
        }
    }
}
