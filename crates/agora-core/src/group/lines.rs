//! Events of one key, one after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::frame::Slot;

/// Who stands in front of each key, and what may begin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lines {
    /// Of each key the events that are not settled, in the order in which they came.
    lines: BTreeMap<u64, VecDeque<Slot>>,
    /// What may begin: in front of its line, or without a key.
    ready: VecDeque<Slot>,
    ready_set: BTreeSet<Slot>,
}

impl Lines {
    /// An event comes, behind those of its key. One that is not to begin only keeps its place.
    pub(super) fn join(&mut self, slot: Slot, key: Option<u64>, is_idle: bool) {
        let first = match key {
            None => true,
            Some(key) => {
                let line = self.lines.entry(key).or_default();
                line.push_back(slot);
                line.len() == 1
            }
        };
        if first && is_idle {
            self.make_ready(slot);
        }
    }

    /// An event in front may begin (again).
    pub(super) fn make_ready(&mut self, slot: Slot) {
        if self.ready_set.insert(slot) {
            self.ready.push_back(slot);
        }
    }

    /// The next event that may begin. It keeps its place in front of its key.
    pub(super) fn next(&mut self) -> Option<Slot> {
        let slot = self.ready.pop_front()?;
        self.ready_set.remove(&slot);
        Some(slot)
    }

    /// An event is settled, or no longer this member's. `is_idle` says of the one behind it whether it may begin.
    pub(super) fn leave(&mut self, slot: Slot, key: Option<u64>, is_idle: impl Fn(Slot) -> bool) {
        if self.ready_set.remove(&slot) {
            self.ready.retain(|other| *other != slot);
        }
        let Some(key) = key else { return };
        let Some(line) = self.lines.get_mut(&key) else { return };
        let was_first = line.front() == Some(&slot);
        match was_first {
            true => drop(line.pop_front()),
            false => line.retain(|other| *other != slot),
        }
        match line.front() {
            None => drop(self.lines.remove(&key)),
            Some(&next) if was_first && is_idle(next) => self.make_ready(next),
            Some(_) => {}
        }
    }

    /// The frames that stand in the line of a key, as often as they do.
    pub(super) fn frames(&self, key: u64) -> impl Iterator<Item = u64> {
        self.lines.get(&key).into_iter().flatten().map(|slot| slot.frame)
    }

    /// How many events may begin now.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }
}
