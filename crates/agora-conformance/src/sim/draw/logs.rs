//! Draws what happens to the log of a run: who publishes and reads it, and what becomes of it.

use std::time::Duration;

use super::{LEAVE_WITHIN, ms};
use crate::history::{Durable, From, Pace, Topic};
use crate::sim::fault::Fault;
use crate::sim::plan::{Act, Plan, Profile};

/// The most events that are published on the log of a run, about.
const EVENTS_MAX: u32 = 250;

/// Adds a log to a plan. It draws from a generator of its own: what else happens is the same without it.
pub(super) fn add(seed: u64, plan: &mut Plan) {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x10_65);
    let about = plan.profile == Profile::Logs;
    if plan.profile == Profile::Groups {
        plan.logs = 1;
        let (log, acts) = (Topic(plan.topics), Vec::new());
        let mut draw = Draw { rng: &mut rng, log, plan, acts };
        draw.publishes();
        let acts = draw.acts;
        plan.acts.extend(acts);
        return;
    }
    if !about && (!plan.server || plan.profile == Profile::Crowd || rng.u8(..100) < 50) {
        return;
    }
    plan.logs = 1;
    let log = Topic(plan.topics);
    let mut draw = Draw { rng: &mut rng, log, plan, acts: Vec::new() };
    draw.publishes();
    draw.readers();
    draw.faults();
    let acts = draw.acts;
    plan.acts.extend(acts);
}

struct Draw<'a> {
    rng: &'a mut fastrand::Rng,
    log: Topic,
    plan: &'a Plan,
    acts: Vec<(Duration, Act)>,
}

impl Draw<'_> {
    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.rng.u64(least * 1000..=most.max(least) * 1000))
    }

    fn sometime(&mut self) -> Duration {
        let most = u64::try_from(self.plan.heal_at.as_millis()).unwrap_or(u64::MAX);
        self.between(500, most - 500)
    }

    /// Does this node run at that time, and would it go on until then?
    fn runs(&self, node: u8, at: Duration, until: Duration) -> bool {
        let mut runs = false;
        let mut acts: Vec<_> = self.plan.acts.iter().filter(|(when, _)| *when <= until).collect();
        acts.sort_by_key(|(when, _)| *when);
        for (when, act) in acts {
            match act {
                Act::Start(n) if *n == node => runs = *when <= at,
                Act::Crash(n) | Act::Leave(n) if *n == node => runs = false,
                _ => {}
            }
        }
        runs
    }

    /// Whoever runs at the time publishes.
    fn publishes(&mut self) {
        let (mut at, mut events) = (self.between(100, 2_000), 0);
        while at < self.plan.heal_at && events < EVENTS_MAX {
            let node = self.rng.u8(..self.plan.nodes);
            let count = if self.chance(20) { self.rng.u16(4..=20) } else { self.rng.u16(1..=2) };
            let large = self.plan.memory_bytes < 64 << 20 && self.chance(20);
            let bytes = if large { self.rng.u32(20_000..200_000) } else { self.rng.u32(..100) };
            let (topic, waits) = (self.log, !self.chance(20));
            events += u32::from(count);
            self.acts.push((at, Act::Publish { node, topic, count, bytes, waits }));
            at += if self.chance(50) { self.between(1, 100) } else { self.between(100, 2_500) };
        }
    }

    /// Each life of each node may read under the name of the node; some read besides, from the beginning or live; some
    /// take the name of another over; and in the end somebody reads under every name.
    fn readers(&mut self) {
        let starts: Vec<(Duration, u8)> = self
            .plan
            .acts
            .iter()
            .filter_map(|(at, act)| match act {
                Act::Start(node) => Some((*at, *node)),
                _ => None,
            })
            .collect();
        let durable: Vec<bool> = (0..self.plan.nodes).map(|_| self.chance(60)).collect();
        for (at, node) in starts {
            let saves = if self.chance(30) { self.rng.u8(1..=7) } else { 0 };
            if durable[usize::from(node)] {
                let at = at + self.between(1, 300);
                self.read(at, node, Some(node), saves);
            }
            if self.chance(40) {
                let at = at + self.between(1, 6_000);
                self.read(at, node, None, 0);
            }
        }
        for (node, _) in (0..).zip(&durable).filter(|(_, durable)| **durable) {
            if self.chance(30) {
                let (at, by) = (self.sometime(), self.rng.u8(..self.plan.nodes));
                self.read(at, by, Some(node), 0);
            }
            // By the first node or the second, which are there at the end.
            let at = self.plan.heal_at + LEAVE_WITHIN + self.between(1_000, 5_000);
            let by = if node < 2 { node } else { self.rng.u8(..2) };
            self.read(at, by, Some(node), 0);
        }
    }

    fn read(&mut self, at: Duration, node: u8, durable: Option<u8>, saves: u8) {
        let from = if self.chance(60) { From::Earliest } else { From::Live };
        let late = at > self.plan.heal_at;
        let pace = if !late && self.chance(35) { Pace::Slow(self.between(5, 300)) } else { Pace::Prompt };
        let (topic, durable) = (self.log, durable.map(Durable));
        self.acts.push((at, Act::Read { node, topic, from, durable, saves, pace }));
    }

    fn faults(&mut self) {
        let most = match self.plan.profile {
            Profile::Logs => 4,
            Profile::Mixed | Profile::Long | Profile::Crashes | Profile::Outages => 1,
            _ => 0,
        };
        for _ in 0..self.rng.u8(0..=most) {
            let at = self.sometime();
            let fault = match self.rng.u8(..10) {
                0..=4 => Fault::Trim(self.log, self.rng.u16(..30)),
                5..=8 => Fault::Rewind(self.log, self.rng.u16(1..20)),
                _ => Fault::Replace(self.log),
            };
            self.acts.push((at, Act::Fault(fault)));
        }
        let hostile = matches!(self.plan.profile, Profile::Logs | Profile::Hostile | Profile::Mixed);
        if hostile && self.chance(40) {
            let (at, count) = (self.sometime(), self.rng.u16(1..=10));
            let fault = match self.rng.u8(..4) {
                0 => Fault::Foreign(self.log),
                1 => Fault::Replay(Topic(0), self.log, count),
                _ => Fault::Replay(self.log, self.log, count),
            };
            self.acts.push((at, Act::Fault(fault)));
        }
        // It crashes between a delivery and the save behind it.
        if self.plan.profile == Profile::Logs && self.chance(50) {
            let (node, at) = (self.rng.u8(..self.plan.nodes), self.sometime());
            let back = at + ms(self.rng.u64(10..500));
            if self.runs(node, at, back + ms(500)) {
                self.acts.extend([(at, Act::Crash(node)), (back, Act::Start(node))]);
                let at = back + self.between(1, 300);
                self.read(at, node, Some(node), 0);
            }
        }
    }
}
