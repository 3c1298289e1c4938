//! What was wrong with the network, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::sim::{Fault, Line, Place};

/// The network between two faults.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) line: Line,
    cuts: BTreeSet<(Place, Place)>,
    isolated: BTreeSet<u8>,
    paused: BTreeSet<u8>,
    pub(super) server_down: bool,
    refusing: BTreeSet<u8>,
    slow: BTreeSet<u8>,
    damaging: BTreeSet<u8>,
    /// The machine stands still.
    stalled: bool,
}

impl State {
    fn apply(&mut self, fault: &Fault) {
        let set = |set: &mut BTreeSet<u8>, node: u8, on: bool| {
            if on {
                set.insert(node)
            } else {
                set.remove(&node)
            };
        };
        match fault {
            Fault::Everywhere(line) => self.line = *line,
            Fault::Cut(from, to) => {
                self.cuts.insert((*from, *to));
            }
            Fault::Heal(a, b) => {
                self.cuts.remove(&(*a, *b));
                self.cuts.remove(&(*b, *a));
            }
            Fault::Isolate(node) => set(&mut self.isolated, *node, true),
            Fault::Rejoin(node) => set(&mut self.isolated, *node, false),
            Fault::Pause(node) => set(&mut self.paused, *node, true),
            Fault::Resume(node) => set(&mut self.paused, *node, false),
            Fault::ServerDown => self.server_down = true,
            Fault::ServerUp => self.server_down = false,
            Fault::Refuse(node, permille, _) => set(&mut self.refusing, *node, *permille > 0),
            Fault::SlowAnswer(node, ms) => set(&mut self.slow, *node, *ms > 0),
            Fault::Damage(node, permille, _) => set(&mut self.damaging, *node, *permille > 0),
            Fault::Replay(..)
            | Fault::Foreign(_)
            | Fault::Stall(_)
            | Fault::EndLeases(_)
            | Fault::Rebalance(_)
            | Fault::LoseAnswers(..)
            | Fault::Trim(..)
            | Fault::Rewind(..)
            | Fault::Replace(_) => {}
            Fault::HealAll => *self = Self::default(),
        }
    }

    fn is_cut(&self, from: Place, to: Place) -> bool {
        self.cuts.contains(&(from, to))
    }

    /// Can this node not send, or not to everyone, because of something at its own end?
    pub(super) fn is_mute(&self, node: u8) -> bool {
        self.isolated.contains(&node)
            || self.paused.contains(&node)
            || self.refusing.contains(&node)
            || self.slow.contains(&node)
            || self.is_cut(Place::Node(node), Place::Server)
    }

    /// Can this node not hear, because of something at its own end?
    pub(super) fn is_deaf(&self, node: u8) -> bool {
        self.isolated.contains(&node)
            || self.paused.contains(&node)
            || self.damaging.contains(&node)
            || self.is_cut(Place::Server, Place::Node(node))
    }

    /// Is what this node sends held back?
    pub(super) fn is_paused(&self, node: u8) -> bool {
        self.paused.contains(&node)
    }

    /// Does the machine stand still?
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Is the direct way from one to the other cut?
    pub(super) fn is_cut_between(&self, from: u8, to: u8) -> bool {
        self.is_cut(Place::Node(from), Place::Node(to))
    }

    /// Does something that one node sends reach the other, but for loss?
    pub(super) fn passes(&self, from: u8, to: u8) -> bool {
        !(self.stalled
            || self.server_down
            || self.is_mute(from)
            || self.is_deaf(to)
            || self.is_cut_between(from, to))
    }

    /// Does something that one node sends reach the other for sure?
    pub(super) fn is_perfect(&self, from: u8, to: u8) -> bool {
        self.passes(from, to) && self.line.loss == 0
    }
}

/// The network in the course of a run.
#[derive(Clone, Debug)]
pub(super) struct Net(Vec<(Duration, State)>);

impl Default for Net {
    fn default() -> Self {
        Self(vec![(Duration::ZERO, State::default())])
    }
}

impl Net {
    pub(super) fn apply(&mut self, at: Duration, fault: &Fault) {
        let mut state = self.0.last().map(|(_, state)| state.clone()).unwrap_or_default();
        if let Fault::Stall(length) = fault {
            let after = state.clone();
            state.stalled = true;
            self.0.push((at, state));
            self.0.push((at + *length, after));
            return;
        }
        state.apply(fault);
        self.0.push((at, state));
    }

    /// The states of the network from one time to another, both included.
    fn during(&self, since: Duration, until: Duration) -> impl Iterator<Item = &State> {
        let ends = self.0.iter().skip(1).map(|(at, _)| *at).chain([Duration::MAX]);
        self.0
            .iter()
            .zip(ends)
            .filter(move |((begin, _), end)| *begin <= until && *end >= since)
            .map(|((_, state), _)| state)
    }

    /// Was it so all the time?
    pub(super) fn always(&self, since: Duration, until: Duration, so: impl FnMut(&State) -> bool) -> bool {
        self.during(since, until).all(so)
    }

    /// Was it so at any time?
    pub(super) fn ever(&self, since: Duration, until: Duration, so: impl FnMut(&State) -> bool) -> bool {
        self.during(since, until).any(so)
    }

    /// The longest that a message was under way at that time.
    pub(super) fn delay_max(&self, since: Duration, until: Duration) -> Duration {
        let longest = self.during(since, until).map(|state| state.line.delay.1).max().unwrap_or_default();
        // On the way to a server and from it.
        Duration::from_millis(2 * u64::from(longest))
    }
}
