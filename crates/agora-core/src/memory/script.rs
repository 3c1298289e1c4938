//! What becomes of a publish, where a test wants to decide it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::network::NodeIx;

/// How a publish fails, where [`Faults::fail_publishes`](super::Faults::fail_publishes) says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFault {
    /// Nothing further was sent, and the publisher knows.
    NotStored,
    /// All was sent, but the publisher does not know.
    UnknownStored,
    /// Nothing further was sent, and the publisher does not know.
    UnknownLost,
}

/// One instruction: the next publishes of a node fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failures {
    pub(super) left: u32,
    pub(super) accepted: usize,
    pub(super) fault: PublishFault,
}

/// All instructions about publishes.
#[derive(Default)]
pub(super) struct Scripts {
    failures: BTreeMap<NodeIx, VecDeque<Failures>>,
    answers: BTreeMap<NodeIx, (Duration, Duration)>,
    /// How many of the next settlements of a node succeed without an answer.
    unanswered: BTreeMap<NodeIx, u32>,
}

impl Scripts {
    /// Adds an instruction behind those that are there.
    pub(super) fn fail(&mut self, node: NodeIx, failures: Failures) {
        if failures.left > 0 {
            self.failures.entry(node).or_default().push_back(failures);
        }
    }

    /// What becomes of the next publish of a node, if anything: how many frames are accepted, and the fault.
    pub(super) fn next_failure(&mut self, node: NodeIx) -> Option<(usize, PublishFault)> {
        let queue = self.failures.get_mut(&node)?;
        let first = queue.front_mut()?;
        let next = (first.accepted, first.fault);
        first.left -= 1;
        if first.left == 0 {
            queue.pop_front();
            if queue.is_empty() {
                self.failures.remove(&node);
            }
        }
        Some(next)
    }

    pub(super) fn set_answers(&mut self, node: NodeIx, range: (Duration, Duration)) {
        self.answers.insert(node, range);
    }

    /// Between which durations a publish of this node takes until its result is there, if not at once.
    pub(super) fn answers(&self, node: NodeIx) -> Option<(Duration, Duration)> {
        self.answers.get(&node).copied()
    }

    pub(super) fn lose_settle_answers(&mut self, node: NodeIx, times: u32) {
        let left = self.unanswered.entry(node).or_default();
        *left = left.saturating_add(times);
    }

    /// Does the answer of this settlement get lost?
    pub(super) fn loses_settle_answer(&mut self, node: NodeIx) -> bool {
        let Some(left) = self.unanswered.get_mut(&node).filter(|left| **left > 0) else { return false };
        *left -= 1;
        true
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
