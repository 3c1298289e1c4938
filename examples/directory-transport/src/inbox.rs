//! The two readers: of a live topic, and of a log. Both look for the next file, and wait a moment where there is none.
//!
//! Neither holds anything across an `await` but its own fields, which are changed only when something is handed over:
//! that is what makes `recv` safe to cancel.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use agora_core::Result;
use agora_core::transport::{FromLog, Inbound, Inbox, Link, LogInbox, LogStart, Position, Raw};
use async_trait::async_trait;
use tokio::sync::watch;

use super::files::{Segment, Topic};
use super::{closed, failed};

/// How often a reader looks for the next file.
const POLL: Duration = Duration::from_millis(5);

/// Waits a moment, or until the transport was closed.
async fn pause(link: &mut watch::Receiver<Link>) {
    // The sender is gone when the transport was dropped: then the wait ends at once, and `is_closed` says why.
    let _ = tokio::time::timeout(POLL, link.wait_for(|link| !link.is_usable())).await;
}

fn is_closed(link: &watch::Receiver<Link>) -> bool {
    !link.borrow().is_usable() || link.has_changed().is_err()
}

/// Reads files one after the other.
struct Walk {
    topic: Topic,
    /// The file that is read, and the next message in it.
    number: u64,
    index: usize,
    segment: Option<Segment>,
}

impl Walk {
    /// The next message and its place; `None` where there is none yet.
    fn next(&mut self) -> io::Result<Option<(Position, Raw)>> {
        loop {
            if self.segment.is_none() {
                self.segment = self.topic.read(self.number)?;
            }
            let Some(segment) = &self.segment else { return Ok(None) };
            if let Some(raw) = segment.raw(self.index) {
                let at = position(self.number, self.index);
                self.index += 1;
                return Ok(Some((at, raw)));
            }
            (self.number, self.index, self.segment) = (self.number + 1, 0, None);
        }
    }
}

/// The reader of a live topic.
pub(crate) struct LiveInbox {
    walk: Walk,
    link: watch::Receiver<Link>,
}

impl LiveInbox {
    /// Begins behind the newest file.
    pub(crate) fn new(topic: Topic, link: watch::Receiver<Link>) -> io::Result<Self> {
        let (_, end) = topic.range()?;
        Ok(Self { walk: Walk { topic, number: end, index: 0, segment: None }, link })
    }

    /// What is there. Answers whether there was anything.
    fn take(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> io::Result<bool> {
        let before = into.len();
        while into.len() - before < messages_max.max(1)
            && let Some((_, raw)) = self.walk.next()?
        {
            into.push(Inbound::Message(raw));
        }
        if into.len() > before {
            return Ok(true);
        }
        // Either nobody has written the next file yet, or it has been taken away: then what follows is there.
        let (first, _) = self.walk.topic.range()?;
        let is_behind = first > self.walk.number;
        if is_behind {
            (self.walk.number, self.walk.index) = (first, 0);
            into.push(Inbound::Dropped(None));
        }
        Ok(is_behind)
    }
}

#[async_trait]
impl Inbox for LiveInbox {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        loop {
            if is_closed(&self.link) {
                return Err(closed().operation("recv"));
            }
            if self.take(messages_max, into).map_err(|source| failed("recv", source))? {
                return Ok(());
            }
            pause(&mut self.link).await;
        }
    }
}

/// The reader of a log. A log in a directory is never trimmed, so its beginning is always known.
pub(crate) struct DirectoryLogInbox {
    walk: Walk,
    link: watch::Receiver<Link>,
    /// The beginning is to be told.
    beginning: bool,
    /// The end was told, and nothing came since.
    caught_up: bool,
    /// The next record is only a mark: the end is told behind it, whatever has come since.
    mark: bool,
}

/// The place of a message: the number of its file in the upper half, its index in the lower.
fn position(number: u64, index: usize) -> Position {
    Position(u128::from(number) << 32 | index as u128)
}

impl DirectoryLogInbox {
    pub(crate) fn new(topic: Topic, link: watch::Receiver<Link>, from: &LogStart) -> io::Result<Self> {
        let (first, end) = topic.range()?;
        let mut mark = false;
        let (number, index) = match from {
            LogStart::Earliest => (first, 0),
            LogStart::Last if first == end => (end, 0),
            LogStart::Last => {
                mark = true;
                let last = topic.read(end - 1)?.map_or(0, |segment| segment.payloads.len() - 1);
                (end - 1, last)
            }
            LogStart::Time(time) => {
                let mut number = first;
                while topic.read(number)?.is_some_and(|segment| segment.time < *time) {
                    number += 1;
                }
                (number, 0)
            }
            LogStart::At(Position(at)) => {
                let number = u64::try_from(at >> 32).unwrap_or(u64::MAX);
                if number < end { (number, (at & u128::from(u32::MAX)) as usize) } else { (end, 0) }
            }
        };
        let walk = Walk { topic, number, index, segment: None };
        Ok(Self { walk, link, beginning: *from == LogStart::Earliest, caught_up: false, mark })
    }

    fn take(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> io::Result<bool> {
        let before = into.len();
        if std::mem::take(&mut self.beginning) {
            into.push(FromLog::Beginning);
        }
        for _ in 0..records_max.max(1) {
            let Some((at, raw)) = self.walk.next()? else { break };
            // A file that is made anew has another time, also under the same number.
            let since = raw.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            into.push(FromLog::Record { raw, at, stamp: since.as_micros() as u64 });
            self.caught_up = false;
            if std::mem::take(&mut self.mark) {
                self.caught_up = true;
                into.push(FromLog::CaughtUp);
                break;
            }
        }
        if into.len() == before && !self.caught_up {
            self.caught_up = true;
            into.push(FromLog::CaughtUp);
        }
        Ok(into.len() > before)
    }
}

#[async_trait]
impl LogInbox for DirectoryLogInbox {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> Result<()> {
        loop {
            if is_closed(&self.link) {
                return Err(closed().operation("recv"));
            }
            if self.take(records_max, into).map_err(|source| failed("recv", source))? {
                return Ok(());
            }
            pause(&mut self.link).await;
        }
    }
}
