//! Random schedules of one member against a naive backend: whatever happens, everything is settled in the end, nothing
//! is acknowledged that is not, and what was settled is not begun again.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::*;

const FRAMES: u64 = 6;

/// What the backend knows: who holds what, and what is done.
#[derive(Default)]
struct Backend {
    given: BTreeMap<u64, (u64, u128)>,
    attempts: BTreeMap<u128, u32>,
    acked: BTreeSet<u128>,
    last_token: u64,
}

struct World {
    rng: Rng,
    member: Member,
    backend: Backend,
    keys: BTreeMap<u64, Vec<Option<u64>>>,
    running: Vec<Begin<u64>>,
    burials: Vec<Burial<u64>>,
    settled: BTreeSet<(u64, usize)>,
    buried: BTreeSet<(u64, usize)>,
}

/// The frame that stands at a place: the last one stands there twice.
fn frame_at(at: u128) -> u64 {
    (at as u64).min(FRAMES - 1) * 10 + 1
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let keys = (0..=u128::from(FRAMES)).map(frame_at).collect::<BTreeSet<_>>();
        let keys = keys.into_iter().map(|seq| {
            let events = (0..rng.usize(1..4)).map(|_| rng.bool().then(|| rng.u64(0..3))).collect();
            (seq, events)
        });
        Self {
            keys: keys.collect(),
            member: Member::new(3),
            backend: Backend::default(),
            running: Vec::new(),
            burials: Vec::new(),
            settled: BTreeSet::new(),
            buried: BTreeSet::new(),
            rng,
        }
    }

    fn give(&mut self, at: u128) {
        if self.backend.acked.contains(&at) {
            return;
        }
        self.backend.given.retain(|_, (_, place)| *place != at);
        self.backend.last_token += 1;
        let (token, seq) = (self.backend.last_token, frame_at(at));
        let attempt = self.backend.attempts.entry(at).or_default();
        *attempt += 1;
        let attempt = *attempt;
        self.backend.given.insert(token, (seq, at));
        let keys = self.keys[&seq].clone();
        self.member.give(seq, at, token, attempt, &keys);
    }

    fn begin(&mut self) {
        let Some(begin) = self.member.tracker.next_job(self.member.now) else { return };
        let which = (begin.item, begin.index);
        assert!(!self.settled.contains(&which), "{which:?} was settled, and is begun again");
        assert!(!self.buried.contains(&which), "{which:?} was buried, and is begun again");
        let key = self.keys[&begin.item][begin.index];
        let same = |other: &Begin<u64>| key.is_some() && self.keys[&other.item][other.index] == key;
        assert!(!self.running.iter().any(same), "two events of one key at a time");
        self.running.push(begin);
    }

    fn decide(&mut self, verdict: Verdict) {
        if self.running.is_empty() {
            return;
        }
        let begin = self.running.swap_remove(self.rng.usize(..self.running.len()));
        let done = verdict == Verdict::Done;
        if self.member.verdict(&begin, verdict) && done {
            self.settled.insert((begin.item, begin.index));
        }
    }

    fn act(&mut self, healthy: bool) {
        for action in self.member.actions() {
            match action {
                Action::Bury(burial) => self.burials.push(burial),
                Action::Settle(token, how) => self.settle(token.0, how, healthy),
            }
        }
        for burial in std::mem::take(&mut self.burials) {
            let stored = healthy || self.rng.bool();
            if stored {
                self.buried.insert((burial.item, burial.index));
            }
            self.member.tracker.handle_buried(self.member.now, burial.job, stored);
        }
    }

    fn settle(&mut self, token: u64, how: Settle, healthy: bool) {
        let answer = match self.backend.given.get(&token) {
            None => Answer::Void,
            Some(_) if !healthy && self.rng.u8(..4) == 0 => Answer::Failed,
            Some(&(seq, at)) => {
                if how == Settle::Ack {
                    for index in 0..self.keys[&seq].len() {
                        let decided =
                            self.settled.contains(&(seq, index)) || self.buried.contains(&(seq, index));
                        assert!(decided, "acknowledged, and event {index} of {seq} is not settled");
                    }
                    self.backend.acked.insert(at);
                    self.backend.given.remove(&token);
                }
                // The answer may be lost on its way.
                if !healthy && self.rng.u8(..4) == 0 { Answer::Failed } else { Answer::Done }
            }
        };
        self.member.tracker.handle_answer(self.member.now, Token(token), how, answer);
    }

    fn step(&mut self) {
        match self.rng.u8(..12) {
            0..=2 => {
                let at = self.rng.u128(0..=u128::from(FRAMES));
                self.give(at);
            }
            3..=5 => self.begin(),
            6..=7 => self.decide(Verdict::Done),
            8 => self.decide(Verdict::Retry("no".into())),
            9 => match self.rng.u8(..3) {
                0 => self.decide(Verdict::Reject("never".into())),
                1 => self.decide(Verdict::Release),
                _ => {}
            },
            10 => {
                let time = Duration::from_millis(self.rng.u64(1..20_000));
                self.member.pass(time);
                // What ran too long is no longer running.
                let tracker = &self.member.tracker;
                self.running.retain(|begin| tracker.is_running(begin.job));
            }
            _ => match self.rng.u8(..8) {
                0 => self.member.tracker.handle_interrupted(),
                1 => self.member.tracker.handle_lost(&[0]),
                2 => {
                    self.member.tracker.handle_revoking(&[0]);
                    self.member.tracker.handle_lost(&[0]);
                    self.member.tracker.handle_assigned(&[0]);
                }
                _ => {}
            },
        }
        let healthy = false;
        self.act(healthy);
    }

    /// Everything works from here on: everything gets settled.
    fn drain(&mut self) {
        for round in 0.. {
            assert!(round < 200, "it does not come to an end");
            for at in 0..=u128::from(FRAMES) {
                if !self.backend.given.values().any(|(_, place)| *place == at) || round > 100 {
                    self.give(at);
                }
            }
            for _ in 0..40 {
                self.begin();
                self.act(true);
            }
            while !self.running.is_empty() {
                self.decide(Verdict::Done);
                self.begin();
                self.act(true);
            }
            self.member.pass(Duration::from_secs(5));
            self.act(true);
            if self.backend.acked.len() as u64 == FRAMES + 1 {
                return;
            }
        }
    }
}

#[test]
fn whatever_happens_everything_is_settled_once() {
    for seed in 0..3000 {
        let mut world = World::new(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..120 {
                world.step();
            }
            world.drain();
            world.member.pass(Duration::from_secs(1000));
            world.act(true);
            let tracker = &world.member.tracker;
            assert_eq!((tracker.records(), tracker.acking(), tracker.bytes()), (0, 0, 0));
            assert_eq!(world.member.tracker.poll_timeout(), None);
        }));
        assert!(result.is_ok(), "seed {seed}");
    }
}
