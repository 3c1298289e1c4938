//! One live topic at a receiving node: the sequencer, its repair timers, and the hellos that establish
//! subscriptions and wake sources that were held dead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::reason::Reason;
use super::repair::{Due, Repair};
use super::sequencer::{Ended, Handover, Seen, Sequencer, Span, SubId};
use crate::id::SourceId;
use crate::limits::{
    ASK_RANGES_MAX, ESTABLISH_RETRY, ESTABLISH_SETTLE, ESTABLISH_WAIT, HELLO_INTERVAL, TOMBSTONE_AGE,
};

/// What the receiver wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action<P> {
    /// Hand this over.
    Hand(Handover<P>),
    /// Ask the source for these ranges.
    Ask {
        /// Whom.
        source: SourceId,
        /// What, half open.
        ranges: Vec<Range<u64>>,
    },
    /// Ask every source of the stream for a head that carries this nonce.
    Hello {
        /// The nonce.
        nonce: u64,
    },
    /// From here on the subscription is owed everything.
    Established(SubId),
    /// A source was heard for the first time: the failure detector shall watch it.
    Appeared(SourceId),
    /// A source that was held dead has answered: the failure detector shall watch it again.
    Resumed(SourceId),
}

#[derive(Clone, Debug)]
struct Establishing {
    not_before: Instant,
    by: Instant,
    next_hello: Instant,
    interval: Duration,
    nonce: u64,
    expected: BTreeSet<SourceId>,
}

/// The pure half of a subscribed live topic. Values and a time go in, [`Action`]s come out.
#[derive(Clone, Debug)]
pub struct Receiver<P> {
    sequencer: Sequencer<P>,
    repair: Repair,
    rng: fastrand::Rng,
    members: usize,
    establishing: BTreeMap<SubId, Establishing>,
    /// When a suspended source may be greeted again.
    hello_after: BTreeMap<SourceId, Instant>,
    /// When an ended source may be forgotten.
    tombstones: BTreeMap<SourceId, Instant>,
    /// When it may be forgotten that sources were refused.
    refused_until: Option<Instant>,
    out: VecDeque<Action<P>>,
}

impl<P: Span> Receiver<P> {
    /// A receiver of the node `me` that holds at most `held_bytes_max` of frames that came early.
    pub fn new(me: SourceId, held_bytes_max: usize, rng: fastrand::Rng) -> Self {
        Self {
            sequencer: Sequencer::new(me, held_bytes_max),
            repair: Repair::default(),
            rng,
            members: 1,
            establishing: BTreeMap::new(),
            hello_after: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            refused_until: None,
            out: VecDeque::new(),
        }
    }

    /// The next thing to do; call until `None`.
    #[must_use]
    pub fn poll(&mut self) -> Option<Action<P>> {
        self.out.pop_front()
    }

    /// How many members there are: the more, the longer each waits before it asks.
    pub fn set_members(&mut self, members: usize) {
        self.members = members;
    }

    /// The most of frames that came early, in bytes. What is held beyond it is handed over with the next frame.
    pub fn set_held_bytes_max(&mut self, bytes: usize) {
        self.sequencer.set_held_bytes_max(bytes);
    }

    /// A subscription begins. It is established when every source in `expected` has been heard, not before
    /// `not_before` or [`ESTABLISH_SETTLE`], and after [`ESTABLISH_WAIT`] in any case.
    pub fn subscribe(
        &mut self,
        now: Instant,
        sub: SubId,
        own: bool,
        expected: BTreeSet<SourceId>,
        not_before: Instant,
    ) {
        self.sequencer.subscribe(sub, own);
        let not_before = not_before.max(now + ESTABLISH_SETTLE);
        let establishing = Establishing {
            not_before,
            by: not_before.max(now + ESTABLISH_WAIT),
            next_hello: now + ESTABLISH_RETRY,
            interval: ESTABLISH_RETRY,
            nonce: self.rng.u64(..),
            expected,
        };
        self.out.push_back(Action::Hello { nonce: establishing.nonce });
        self.establishing.insert(sub, establishing);
    }

    /// A member that publishes here has joined: subscriptions that are not yet established wait for it too.
    pub fn expect(&mut self, source: SourceId) {
        for establishing in self.establishing.values_mut() {
            establishing.expected.insert(source);
        }
    }

    /// A subscription ends. Answers whether any is left.
    pub fn unsubscribe(&mut self, sub: SubId) -> bool {
        self.establishing.remove(&sub);
        self.sequencer.unsubscribe(sub);
        self.repair.retain(|source| self.sequencer.hole(source).is_some());
        self.sequencer.has_subscriptions()
    }

    /// A frame arrived. What it was is returned for the counters.
    pub fn handle_frame(&mut self, now: Instant, source: SourceId, floor: u64, item: P) -> Seen {
        let seen = self.sequencer.frame(source, floor, item);
        self.after(now, source, seen, matches!(seen, Seen::New { late: true } | Seen::Duplicate));
        seen
    }

    /// A head arrived.
    pub fn handle_head(
        &mut self,
        now: Instant,
        source: SourceId,
        next: u64,
        floor: u64,
        fin: bool,
        nonces: &[u64],
    ) {
        let (seen, resumed) = self.sequencer.head(source, next, floor, fin, nonces);
        if resumed {
            self.tombstones.remove(&source);
            self.hello_after.remove(&source);
            self.out.push_back(Action::Resumed(source));
        }
        self.after(now, source, seen, false);
    }

    /// The failure detector's verdict on a source.
    pub fn handle_ended(&mut self, now: Instant, source: SourceId, how: Ended, publishes_here: bool) {
        self.sequencer.ended(source, how, publishes_here);
        self.repair.forget(source);
        for establishing in self.establishing.values_mut() {
            establishing.expected.remove(&source);
        }
        self.after(now, source, Seen::Ignored, false);
    }

    /// A source that was held dead shows a sign of life elsewhere: it is greeted, so that its open gap can end.
    pub fn handle_returned(&mut self, now: Instant, source: SourceId) {
        self.greet(now, source);
    }

    /// The transport dropped what had arrived.
    pub fn handle_dropped(&mut self) {
        self.sequencer.dropped();
    }

    /// The transport's subscription was interrupted: all sources are asked where they stand.
    pub fn handle_resubscribed(&mut self) {
        let nonce = self.rng.u64(..);
        self.out.push_back(Action::Hello { nonce });
    }

    /// When to call [`Receiver::handle_timeout`]; ask again after every other call.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let establishing = self.establishing.values().map(|e| {
            let done = if self.all_heard(e) { e.not_before } else { e.by };
            done.min(e.next_hello)
        });
        let tombstones = self.tombstones.values().copied().chain(self.refused_until);
        establishing.chain(tombstones).chain(self.repair.poll_timeout()).min()
    }

    /// Does what is due at `now`. An early or repeated call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (source, due) in self.repair.handle_timeout(now) {
            match due {
                Due::Ask => {
                    let ranges = self.sequencer.holes(source, ASK_RANGES_MAX);
                    self.out.push_back(Action::Ask { source, ranges });
                }
                Due::GiveUp { below } => {
                    self.sequencer.give_up(source, below, Reason::Lost);
                    self.after(now, source, Seen::Ignored, false);
                }
            }
        }
        self.establish(now);
        while let Some(source) = self.tombstones.iter().find(|(_, at)| **at <= now).map(|(source, _)| *source)
        {
            self.tombstones.remove(&source);
            self.hello_after.remove(&source);
            self.sequencer.forget(source);
        }
        if self.refused_until.is_some_and(|at| at <= now) {
            self.refused_until = None;
            self.sequencer.forget_refusals();
        }
    }

    /// The bytes of frames that came early.
    pub fn held_bytes(&self) -> usize {
        self.sequencer.held_bytes()
    }

    /// The sequencer, to look at.
    pub fn sequencer(&self) -> &Sequencer<P> {
        &self.sequencer
    }

    /// The repair timers, to look at.
    pub fn repair(&self) -> &Repair {
        &self.repair
    }

    /// Draws from this seed on. For models, which take every choice in turn and leave none to chance.
    pub fn reseed(&mut self, seed: u64) {
        self.rng = fastrand::Rng::with_seed(seed);
    }

    /// Hashes the state as it stands at `now`: the same whenever it was reached. The state of the random numbers is
    /// left out: see [`Receiver::reseed`].
    pub fn hash_at<H: Hasher>(&self, now: Instant, state: &mut H)
    where
        P: Hash,
    {
        let until = |at: &Instant| at.saturating_duration_since(now);
        self.sequencer.hash(state);
        self.repair.hash_at(now, state);
        (self.members, &self.out).hash(state);
        for (sub, e) in &self.establishing {
            (sub, until(&e.not_before), until(&e.by), until(&e.next_hello)).hash(state);
            (e.interval, e.nonce, &e.expected).hash(state);
        }
        for (source, at) in self.hello_after.iter().filter(|(_, at)| **at > now) {
            (source, until(at)).hash(state);
        }
        for (source, at) in &self.tombstones {
            (source, until(at)).hash(state);
        }
        self.refused_until.as_ref().map(until).hash(state);
    }

    fn all_heard(&self, e: &Establishing) -> bool {
        e.expected.iter().all(|source| self.sequencer.knows(*source))
    }

    fn establish(&mut self, now: Instant) {
        let mut done = Vec::new();
        for (sub, e) in &self.establishing {
            if now >= e.by || now >= e.not_before && self.all_heard(e) {
                done.push(*sub);
            }
        }
        for sub in done {
            self.establishing.remove(&sub);
            self.sequencer.establish(sub);
            self.hand_over();
            self.out.push_back(Action::Established(sub));
        }
        for e in self.establishing.values_mut().filter(|e| now >= e.next_hello) {
            e.interval *= 2;
            e.next_hello = now + e.interval;
            self.out.push_back(Action::Hello { nonce: e.nonce });
        }
    }

    /// What follows from a change of one source: deliveries, its repair timer, its tombstone, a greeting. `answer`:
    /// it may have been the answer to another's request. A head never is.
    fn after(&mut self, now: Instant, source: SourceId, seen: Seen, answer: bool) {
        self.hand_over();
        match seen {
            Seen::First => self.out.push_back(Action::Appeared(source)),
            Seen::Suspended => self.greet(now, source),
            Seen::Refused => self.refused_until = Some(now + TOMBSTONE_AGE),
            _ => {}
        }
        let hole = self.sequencer.hole(source);
        self.repair.update(now, source, hole, answer, self.members, &mut self.rng);
        if self.sequencer.is_over(source) {
            let until = self.tombstones.entry(source).or_insert(now + TOMBSTONE_AGE);
            if seen == Seen::Suspended {
                *until = now + TOMBSTONE_AGE;
            }
        }
    }

    fn hand_over(&mut self) {
        while let Some(handover) = self.sequencer.poll() {
            self.out.push_back(Action::Hand(handover));
        }
    }

    fn greet(&mut self, now: Instant, source: SourceId) {
        if self.hello_after.get(&source).is_some_and(|after| now < *after) {
            return;
        }
        let rng = &mut self.rng;
        if let Some(nonce) = self.sequencer.wanted_nonce(source, || rng.u64(..)) {
            self.hello_after.insert(source, now + HELLO_INTERVAL);
            self.out.push_back(Action::Hello { nonce });
        }
    }
}

#[cfg(test)]
mod tests;
