//! What stood in the logs, and what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::{History, Life, LogWhat, Topic, What};
use crate::sim::Fault;

/// How a record was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// By retention.
    Trimmed,
    /// By a failover, or with the whole log.
    Rewritten,
}

/// A record of a source of this run.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) since: Duration,
    pub(super) of: Option<Life>,
    pub(super) seq: u64,
    pub(super) end: u64,
    pub(super) floor: u64,
    pub(super) lost: Option<(Duration, Lost)>,
}

impl Stored {
    pub(super) fn stood(&self, at: Duration) -> bool {
        self.since <= at && self.lost.is_none_or(|(lost, _)| lost > at)
    }
}

/// Everything that ever stood in a log, in the order in which it was appended.
pub(super) type Contents = BTreeMap<Topic, Vec<Stored>>;

pub(super) fn contents(history: &History) -> Contents {
    let mut contents = Contents::new();
    for entry in &history.entries {
        match &entry.what {
            What::Log(LogWhat::Stored { topic, since, of, seq, end, floor, .. }) => {
                let (since, of, seq, end, floor) = (*since, *of, *seq, *end, *floor);
                let stored = Stored { since, of, seq, end, floor, lost: None };
                contents.entry(*topic).or_default().push(stored);
            }
            What::Fault(Fault::Trim(topic, keep)) => {
                lose(&mut contents, *topic, entry.at, Lost::Trimmed, |standing| {
                    0..standing.saturating_sub((*keep).into())
                });
            }
            What::Fault(Fault::Rewind(topic, lost)) => {
                lose(&mut contents, *topic, entry.at, Lost::Rewritten, |standing| {
                    standing.saturating_sub((*lost).into())..standing
                });
            }
            What::Fault(Fault::Replace(topic)) => {
                lose(&mut contents, *topic, entry.at, Lost::Rewritten, |standing| 0..standing);
            }
            _ => {}
        }
    }
    contents
}

/// Some of those that stand there are lost: `which`, of so many.
fn lose(
    contents: &mut Contents,
    topic: Topic,
    at: Duration,
    how: Lost,
    which: impl FnOnce(usize) -> std::ops::Range<usize>,
) {
    let stored = contents.entry(topic).or_default();
    let standing: Vec<usize> = (0..stored.len()).filter(|n| stored[*n].lost.is_none()).collect();
    for n in standing.get(which(standing.len())).unwrap_or_default() {
        stored[*n].lost = Some((at, how));
    }
}
