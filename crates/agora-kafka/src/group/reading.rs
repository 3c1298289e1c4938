//! The readers of a member's lanes, and what becomes of what they say.

use std::collections::BTreeMap;
use std::sync::Arc;

use agora_core::Result;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::desk::Desk;
use super::lane::Found;
use crate::read::{FromLane, Hub, Lane};

/// The most records that are taken from one reader at once: the others are read too.
const AT_ONCE_MAX: usize = 256;

/// The readers of a member's lanes.
#[derive(Default)]
pub(super) struct Readers {
    lanes: BTreeMap<u32, Reader>,
    /// A lane that ends before the place where the group stands, and in which of its times.
    beyond: Vec<(u32, u64)>,
    read: Vec<FromLane>,
}

struct Reader {
    serial: u64,
    /// It has said something.
    is_begun: bool,
    /// Nothing comes any more.
    is_over: bool,
    lane: Lane,
}

impl Readers {
    /// Reads a lane from there on.
    pub(super) fn open(
        &mut self,
        hub: &Hub,
        topic: &str,
        bell: &Arc<Notify>,
        (lane, serial, from): (u32, u64, u64),
    ) {
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let reader = hub.lane(topic, lane, from, bell);
        self.lanes.insert(lane, Reader { serial, is_begun: false, is_over: false, lane: reader });
    }

    /// Reads nothing any more.
    pub(super) fn close(&mut self) {
        self.lanes.clear();
        self.beyond.clear();
    }

    /// A lane that ends before the place where the group stands: it is to be found out where that is.
    pub(super) fn next_beyond(&mut self) -> Option<(u32, u64)> {
        self.beyond.pop()
    }

    /// Puts what there is onto the desk, so that as many records can be given out. Answers whether there was anything.
    ///
    /// # Errors
    /// The brokers do not allow it.
    pub(super) fn fill(&mut self, now: Instant, desk: &mut Desk, records_max: usize) -> Result<bool> {
        let mut is_any = false;
        for (number, reader) in &mut self.lanes {
            if reader.is_over || desk.ahead(*number, reader.serial) != Some(0) {
                continue;
            }
            let has_read = reader.lane.take(records_max.clamp(1, AT_ONCE_MAX), &mut self.read)?;
            is_any |= has_read;
            for read in self.read.drain(..) {
                let found = match read {
                    FromLane::Record(record) => Found::Record { at: place(record.offset), raw: record.raw },
                    // What cannot be read is as good as gone.
                    FromLane::Trimmed { from, until } | FromLane::Unreadable { from, until } => {
                        Found::Trimmed { from: place(from), to: place(until) }
                    }
                    FromLane::CaughtUp | FromLane::Moved => continue,
                    FromLane::Rewound => {
                        reader.is_over = true;
                        if reader.is_begun {
                            desk.interrupt();
                        } else {
                            self.beyond.push((*number, reader.serial));
                        }
                        continue;
                    }
                };
                reader.is_begun = true;
                desk.find(*number, reader.serial, found);
            }
            desk.pass(now, *number, reader.serial, place(reader.lane.position()));
        }
        Ok(is_any)
    }
}

/// An offset. None is negative.
fn place(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}
