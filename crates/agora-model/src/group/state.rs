//! The world of the group model, and its judge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use agora_core::group::{Action, Answer, Begin, Burial, Offsets, Origin, Policy, Record, Tracker, Verdict};
use agora_core::id::{Incarnation, NodeId, SourceId};
use agora_core::transport::{Position, Settle, Token};
use tokio::time::Instant;

use super::{Act, Call, Group};

/// The frames in the log, by their places: the first stands there twice.
const LOG: [u64; 3] = [1, 2, 1];
/// How often an event is tried: it takes one failure to try it again, and two to give it up.
const ATTEMPTS_MAX: u32 = 2;

/// Nothing here waits for long: leases end when the world says so.
fn now() -> Instant {
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

/// What is put off for a pause may be due before anything else happens. Leases and jobs last longer.
fn soon() -> Instant {
    now() + Duration::from_secs(60)
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    let long = Duration::from_secs(1_000_000);
    (policy.attempts_max, policy.lease, policy.job_timeout) = (ATTEMPTS_MAX, long, long);
    policy.backoff = (Duration::ZERO, Duration::ZERO);
    policy
}

/// One life of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    tracker: Tracker<u64>,
    running: Vec<Begin<u64>>,
    calls: Vec<Call>,
    burials: Vec<Burial<u64>>,
    /// The frames that it has done.
    done: BTreeSet<u64>,
    /// How often it began each frame.
    tries: BTreeMap<u64, u32>,
}

impl Member {
    fn new() -> Self {
        let (running, calls, burials, done, tries) = Default::default();
        Self { tracker: Tracker::new(policy()), running, calls, burials, done, tries }
    }

    /// Takes what the tracker wants done.
    fn collect(&mut self) {
        while let Some(action) = self.tracker.poll() {
            match action {
                Action::Settle(token, how) => self.calls.push((token, how)),
                Action::Bury(burial) => self.burials.push(burial),
            }
        }
    }
}

/// A record at the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Place {
    given: u32,
    held: Option<(usize, Token)>,
    acked: bool,
}

/// The world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    members: [Member; 2],
    places: [Place; 3],
    /// Of a lane: whose it is, how far it is done, what is given next, and whether it was asked back.
    owner: usize,
    offsets: Offsets,
    next: usize,
    revoking: bool,
    tokens: u64,
    letters: BTreeSet<u64>,
    handled: BTreeSet<u64>,
    failures: u8,
    crashes: u8,
    losses: u8,
    lost_answers: u8,
    moves: u8,
    wrong: Option<String>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            members: [Member::new(), Member::new()],
            places: [Place::default(); 3],
            owner: 0,
            offsets: Offsets::new(LOG.len()),
            next: 0,
            revoking: false,
            tokens: 0,
            letters: BTreeSet::new(),
            handled: BTreeSet::new(),
            failures: 0,
            crashes: 0,
            losses: 0,
            lost_answers: 0,
            moves: 0,
            wrong: None,
        }
    }

    pub(super) fn wrong(&self) -> Option<String> {
        self.wrong.clone()
    }

    pub(super) fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }

    fn may_give(&self, model: &Group, member: usize, at: usize) -> bool {
        match model.lanes {
            true => member == self.owner && at == self.next && !self.revoking,
            false => self.places[at].held.is_none() && !self.places[at].acked,
        }
    }

    pub(super) fn actions(&self, model: &Group, actions: &mut Vec<Act>) {
        for (m, member) in self.members.iter().enumerate() {
            actions
                .extend((0..LOG.len()).filter(|at| self.may_give(model, m, *at)).map(|at| Act::Give(m, at)));
            if member.tracker.ready() > 0 {
                actions.push(Act::Begin(m));
            }
            if !member.running.is_empty() {
                actions.push(Act::Done(m));
                if self.failures < model.failures {
                    actions.push(Act::Fail(m));
                }
            }
            for call in 0..member.calls.len() {
                actions.push(Act::Answer(m, call));
                if self.lost_answers < model.lost_answers {
                    actions.push(Act::LoseAnswer(m, call));
                }
            }
            for burial in 0..member.burials.len() {
                actions.push(Act::Bury(m, burial));
                if self.losses < model.losses {
                    actions.extend([true, false].map(|stored| Act::LoseLetter(m, burial, stored)));
                }
            }
            if member.tracker.poll_timeout().is_some_and(|at| at <= soon()) {
                actions.push(Act::Due(m));
            }
            if self.crashes < model.crashes {
                actions.push(Act::Crash(m));
            }
        }
        if self.revoking {
            if self.members[self.owner].tracker.is_free(&[0]) {
                actions.push(Act::HandOver);
            }
            actions.push(Act::Lose);
        }
        if self.moves < model.moves {
            match model.lanes {
                true if !self.revoking => actions.extend([Act::Revoke, Act::Lose]),
                true => {}
                false => {
                    let held = (0..LOG.len()).filter(|at| self.places[*at].held.is_some());
                    actions.extend(held.map(Act::EndLease));
                }
            }
        }
    }

    pub(super) fn apply(&mut self, model: &Group, act: Act) {
        match act {
            Act::Give(m, at) => self.give(model, m, at),
            Act::Begin(m) => self.begin(m),
            Act::Done(m) => self.decide(m, Verdict::Done),
            Act::Fail(m) => {
                self.failures += 1;
                self.decide(m, Verdict::Retry(String::new()));
            }
            Act::Answer(m, call) => {
                let (token, how) = self.members[m].calls.remove(call);
                let answer = self.settle(model, m, token, how);
                self.members[m].tracker.handle_answer(now(), token, how, answer);
            }
            Act::LoseAnswer(m, call) => {
                self.lost_answers += 1;
                let (token, how) = self.members[m].calls.remove(call);
                self.settle(model, m, token, how);
                self.members[m].tracker.handle_answer(now(), token, how, Answer::Failed);
            }
            Act::Bury(m, burial) => self.bury(m, burial, true, true),
            Act::LoseLetter(m, burial, stored) => {
                self.losses += 1;
                self.bury(m, burial, stored, false);
            }
            Act::Due(m) => self.members[m].tracker.handle_timeout(soon()),
            Act::EndLease(at) => {
                self.moves += 1;
                self.places[at].held = None;
            }
            Act::Revoke => {
                (self.moves, self.revoking) = (self.moves + 1, true);
                self.members[self.owner].tracker.handle_revoking(&[0]);
            }
            Act::HandOver | Act::Lose => {
                self.moves += u8::from(!self.revoking);
                self.move_lane();
            }
            Act::Crash(m) => {
                self.crashes += 1;
                self.members[m] = Member::new();
                if model.lanes && self.owner == m {
                    self.move_lane();
                }
            }
        }
        self.members.iter_mut().for_each(Member::collect);
    }

    fn give(&mut self, model: &Group, m: usize, at: usize) {
        self.tokens += 1;
        let token = Token(self.tokens);
        let place = &mut self.places[at];
        (place.given, place.held) = (place.given + 1, Some((m, token)));
        let attempt = place.given;
        if model.lanes {
            self.offsets.give(at as u64);
            self.next = at + 1;
        }
        let source = SourceId { node: NodeId(1), incarnation: Incarnation(1) };
        let (origin, item) = (Origin::Frame { source, lane: 0, seq: LOG[at] }, LOG[at]);
        let (lane, at, keys, bytes) = (0, Position(at as u128), vec![Some(7)], 1);
        let record = Record { origin, lane, at, token, attempt, keys, bytes, item };
        self.members[m].tracker.handle_record(now(), record);
    }

    fn begin(&mut self, m: usize) {
        let member = &mut self.members[m];
        let Some(begin) = member.tracker.next_job(now()) else { return };
        let again = member.done.contains(&begin.item).then(|| format!("{} is handled again", begin.item));
        let tries = member.tries.entry(begin.item).or_default();
        *tries += 1;
        let often = (*tries > ATTEMPTS_MAX).then(|| format!("{} is tried too often", begin.item));
        let running = member.running.iter().any(|running| member.tracker.is_running(running.job));
        let both = running.then(|| "two of one key at the same time".to_owned());
        member.running.push(begin);
        self.blame(again.or(often).or(both));
    }

    fn decide(&mut self, m: usize, verdict: Verdict) {
        let member = &mut self.members[m];
        let begin = member.running.remove(0);
        let done = verdict == Verdict::Done;
        if member.tracker.handle_verdict(now(), begin.job, verdict) && done {
            member.done.insert(begin.item);
            self.handled.insert(begin.item);
        }
    }

    /// A call reaches the backend.
    fn settle(&mut self, model: &Group, m: usize, token: Token, how: Settle) -> Answer {
        let held = |place: &Place| place.held == Some((m, token));
        let Some(at) = self.places.iter().position(held) else { return Answer::Void };
        match how {
            Settle::Extend => {}
            Settle::Release => self.places[at].held = None,
            Settle::Ack => {
                let frame = LOG[at];
                (self.places[at].held, self.places[at].acked) = (None, true);
                if model.lanes {
                    self.offsets.ack(at as u64);
                }
                let settled = self.handled.contains(&frame) || self.letters.contains(&frame);
                self.blame(
                    (!settled).then(|| format!("{frame} is acknowledged, and neither done nor buried")),
                );
            }
        }
        Answer::Done
    }

    fn bury(&mut self, m: usize, burial: usize, stored: bool, told: bool) {
        let burial = self.members[m].burials.remove(burial);
        if stored {
            self.letters.insert(burial.item);
        }
        self.members[m].tracker.handle_buried(now(), burial.job, told);
    }

    /// The lane is the other's: what was held of it is void, and what is not done without a hole is given anew.
    fn move_lane(&mut self) {
        self.members[self.owner].tracker.handle_lost(&[0]);
        self.owner = 1 - self.owner;
        self.revoking = false;
        let committed = self.offsets.committed();
        self.offsets.begin(committed);
        self.next = usize::try_from(committed).unwrap_or(LOG.len());
        for place in &mut self.places[self.next..] {
            (place.held, place.acked) = (None, false);
        }
        self.members[self.owner].tracker.handle_assigned(&[0]);
    }

    fn blame(&mut self, wrong: Option<String>) {
        self.wrong = self.wrong.take().or(wrong);
    }

    /// Everything goes well from here on, and leases end that nobody extends: what is never settled?
    pub(super) fn unsettled_in_the_end(&self, model: &Group) -> Option<String> {
        let mut state = self.clone();
        let calm = Group { failures: 0, crashes: 0, losses: 0, lost_answers: 0, moves: 0, ..*model };
        for _ in 0..4 {
            let mut steps = 0;
            let mut actions = Vec::new();
            loop {
                actions.clear();
                state.actions(&calm, &mut actions);
                let Some(act) = actions.iter().find(|act| **act != Act::Lose).copied() else { break };
                state.apply(model, act);
                steps += 1;
                if steps > 100 {
                    return Some("it never comes to rest".into());
                }
            }
            if !model.lanes {
                state.places.iter_mut().for_each(|place| place.held = None);
            }
        }
        if state.wrong.is_some() {
            return state.wrong;
        }
        let at = state.places.iter().position(|place| !place.acked);
        at.map(|at| format!("the record at {at} is never acknowledged"))
    }
}
