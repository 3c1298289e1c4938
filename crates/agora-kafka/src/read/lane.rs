//! The reader of one lane.

use std::sync::Arc;

use agora_core::Result;

use super::hub::Inner;
use super::opened::{Opened, Piece};
use super::record::Record;
use super::slot::{Item, Slot};
use crate::error::closed;

/// What a lane has to tell.
#[derive(Debug)]
pub enum FromLane {
    /// A record.
    Record(Record),
    /// Retention was faster than the reader: these offsets are gone. Some of them may have held no record.
    Trimmed {
        /// The first.
        from: i64,
        /// The one behind the last, where the log begins now.
        until: i64,
    },
    /// The broker holds something here that cannot be read. It was told in the log of this program, and is passed by.
    Unreadable {
        /// The first offset that is passed by.
        from: i64,
        /// The one behind the last.
        until: i64,
    },
    /// All that the lane held a moment ago was told. Once at each end that is reached.
    CaughtUp,
    /// Another broker leads, or the connection was lost. The reading goes on where it stood; whether the log is the same
    /// one is for the reader to find out.
    Moved,
    /// The log ends in front of the place where the reading stands: it was rewound, or deleted and made anew. Nothing
    /// more comes.
    Rewound,
}

/// The reader of one lane. It reads ahead, as far as [`READ_AHEAD_BYTES`](super::READ_AHEAD_BYTES), and stops there
/// until it is asked again: a lane whose reader waits costs its broker nothing. Dropping it ends the reading.
pub struct Lane {
    inner: Arc<Inner>,
    slot: Arc<Slot>,
    number: u32,
    position: i64,
    /// What is read now, and whether it reaches the end.
    opened: Option<(Opened, bool)>,
    /// The end was told, and nothing after it.
    caught_up: bool,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.slot.abandon();
        self.inner.gone();
    }
}

impl Lane {
    pub(super) fn new(inner: Arc<Inner>, slot: Arc<Slot>, number: u32, from: i64) -> Self {
        Self { inner, slot, number, position: from, opened: None, caught_up: false }
    }

    /// The end was told by other means.
    pub(super) fn has_told_end(&mut self) {
        self.caught_up = true;
    }

    /// The offset behind everything that was told. Marks of transactions and what was removed by compaction are behind it
    /// too: a group that commits it stands where a Java consumer would.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Waits until there is something, then appends what is there to `into`, at most `records_max` records.
    ///
    /// # Errors
    /// `Closed` when the brokers were ended. Any other error is final too: `Unauthorized`.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLane>) -> Result<()> {
        loop {
            if self.take(records_max, into)? {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.inner.brokers().closed() => return Err(closed().operation("recv")),
                () = self.slot.bell().notified() => {}
            }
        }
    }

    /// Appends what is there to `into`, at most `records_max` records, without waiting. Returns whether there was
    /// anything. Where there was nothing, the bell rings when there is.
    ///
    /// # Errors
    /// As [`recv`](Lane::recv).
    pub fn take(&mut self, records_max: usize, into: &mut Vec<FromLane>) -> Result<bool> {
        if self.inner.brokers().is_closed() {
            return Err(closed().operation("recv"));
        }
        let (before, mut records) = (into.len(), 0);
        while records < records_max.max(1) {
            if let Some((opened, is_end)) = &mut self.opened {
                let piece = opened.next();
                self.position = self.position.max(opened.end());
                match piece {
                    Some(Piece::Record(record)) => {
                        records += 1;
                        self.caught_up = false;
                        into.push(FromLane::Record(record));
                    }
                    Some(Piece::Unreadable { from, until, why }) => {
                        self.caught_up = false;
                        tracing::error!(
                            lane = self.number,
                            from,
                            until,
                            why,
                            "records cannot be read, and are passed by"
                        );
                        into.push(FromLane::Unreadable { from, until });
                    }
                    None => {
                        if *is_end && !std::mem::replace(&mut self.caught_up, true) {
                            into.push(FromLane::CaughtUp);
                        }
                        self.opened = None;
                    }
                }
                continue;
            }
            // Looked at first: what was put in before the end is there then.
            let ended = self.slot.ended();
            let (item, is_news) = self.slot.pop();
            if is_news {
                self.inner.wake();
            }
            match item {
                Some(Item::Fetched(fetched)) => {
                    let is_end = fetched.is_end;
                    self.opened = Some((Opened::new(fetched, self.number, self.position), is_end));
                }
                Some(Item::Trimmed { from, until }) => {
                    self.position = self.position.max(until);
                    self.caught_up = false;
                    into.push(FromLane::Trimmed { from, until });
                }
                Some(Item::Moved) => into.push(FromLane::Moved),
                Some(Item::Rewound) => into.push(FromLane::Rewound),
                None => match ended {
                    Some(why) if into.len() == before => return Err(why.operation("recv")),
                    _ => break,
                },
            }
        }
        Ok(into.len() > before)
    }
}
