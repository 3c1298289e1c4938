//! Draws a plan from a seed.

mod groups;
mod logs;

use std::time::Duration;

use super::fault::{Damage, Fault, Line, Place, Refusal};
use super::plan::{Act, Plan, Profile};
use crate::history::{Pace, Topic};

/// The most events that are published in a run, about: a seed must not take seconds.
const EVENTS_MAX: u32 = 500;
/// How long a node takes to leave, at most; only then may it come back.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_secs(4);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// By how much everything takes longer in a long run.
const STRETCH: u32 = 40;
/// What the transport holds for a reader, where that is not what matters.
const INBOX_MESSAGES: usize = 65_536;

/// The plan of a seed with a given profile.
pub(super) fn plan(seed: u64, profile: Profile) -> Plan {
    let mut rng = fastrand::Rng::with_seed(seed);
    let crowd = profile == Profile::Crowd;
    let heal_at = ms(rng.u64(12_000..25_000));
    let probe_at = heal_at + ms(20_000);
    let tiny = profile == Profile::Overload || profile == Profile::Mixed && rng.u8(..4) == 0;
    let mut plan = Plan {
        seed,
        profile,
        nodes: match crowd {
            true if rng.u8(..10) < 3 => rng.u8(40..=100),
            true => rng.u8(10..=40),
            false => rng.u8(2..=7),
        },
        topics: if crowd || matches!(profile, Profile::Logs | Profile::Groups) { 1 } else { rng.u8(1..=3) },
        logs: 0,
        group: None,
        server: matches!(profile, Profile::Refusals | Profile::Logs | Profile::Groups) || rng.bool(),
        hints: rng.bool(),
        memory_bytes: if tiny { 8 << 20 } else { 64 << 20 },
        inbox_messages_max: if tiny && rng.bool() { rng.usize(4..64) } else { INBOX_MESSAGES },
        publish_timeout: ms(if rng.bool() { 30_000 } else { rng.u64(1_000..6_000) }),
        acts: Vec::new(),
        heal_at,
        probe_at,
        end_at: probe_at + ms(if crowd { 10_000 } else { 40_000 }),
    };
    let mut draw = Draw { rng: &mut rng, plan: &mut plan, events: 0, slow_given: false };
    for node in 0..draw.plan.nodes {
        draw.lives(node);
    }
    draw.faults();
    logs::add(seed, &mut plan);
    groups::add(seed, &mut plan);
    if profile == Profile::Long {
        stretch(&mut plan);
    }
    plan.acts.sort_by_key(|(at, _)| *at);
    plan
}

/// Lets the activity take longer, and leaves what follows as it is.
fn stretch(plan: &mut Plan) {
    let (activity, factor) = (plan.heal_at, STRETCH - 1);
    let times = plan.acts.iter_mut().map(|(at, _)| at);
    for at in times.chain([&mut plan.heal_at, &mut plan.probe_at, &mut plan.end_at]) {
        *at += (*at).min(activity) * factor;
    }
}

struct Draw<'a> {
    rng: &'a mut fastrand::Rng,
    plan: &'a mut Plan,
    events: u32,
    slow_given: bool,
}

impl Draw<'_> {
    fn act(&mut self, at: Duration, act: Act) {
        self.plan.acts.push((at, act));
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn between(&mut self, least: u64, most: u64) -> Duration {
        // To the microsecond, so that steps do not fall together by the grid.
        Duration::from_micros(self.rng.u64(least * 1000..=most.max(least) * 1000))
    }

    /// A time during the activity.
    fn sometime(&mut self) -> Duration {
        let most = u64::try_from(self.plan.heal_at.as_millis()).unwrap_or(u64::MAX);
        self.between(500, most)
    }

    fn node(&mut self) -> u8 {
        self.rng.u8(..self.plan.nodes)
    }

    fn topic(&mut self) -> Topic {
        Topic(self.rng.u8(..self.plan.topics))
    }

    /// The lives of a node, each with what it does.
    fn lives(&mut self, node: u8) {
        let (crash, leave) = match self.plan.profile {
            Profile::Crashes => (60, 0),
            Profile::Churn => (0, 60),
            Profile::Mixed | Profile::Logs | Profile::Groups => (30, 20),
            Profile::Crowd => (20, 20),
            Profile::Cuts | Profile::Outages | Profile::Long => (20, 10),
            Profile::Calm => (0, 30),
            _ => (0, 10),
        };
        let late = self.chance(25);
        let mut at = if late { self.between(2_000, 9_000) } else { self.between(0, 300) };
        loop {
            let heal_at = self.plan.heal_at;
            let (crashes, leaves) = (self.chance(crash), self.chance(leave));
            let end = at + self.between(500, 9_000);
            let ends = (crashes || leaves) && end < heal_at;
            self.life(node, at, if ends { end } else { self.plan.probe_at });
            if !ends {
                return;
            }
            let away = if crashes {
                self.act(end, Act::Crash(node));
                if self.chance(50) { self.between(20, 1_500) } else { self.between(1_500, 12_000) }
            } else {
                self.act(end, Act::Leave(node));
                LEAVE_WITHIN + self.between(500, 6_000)
            };
            // Two of them are there at the end, so that somebody can be heard.
            if node > 1 && self.chance(30) {
                return;
            }
            at = end + away;
        }
    }

    fn life(&mut self, node: u8, start: Duration, end: Duration) {
        self.act(start, Act::Start(node));
        let crowd = self.plan.profile == Profile::Crowd;
        let busy = end.min(self.plan.heal_at);
        if !crowd || self.chance(10) {
            self.subscriptions(node, start, busy);
        }
        if crowd && !self.chance(10) {
            return;
        }
        for topic in (0..self.plan.topics).map(Topic) {
            if self.chance(70) {
                self.publishes(node, topic, start, busy);
            }
        }
        if self.chance(50) {
            let at = start + self.between(500, 8_000);
            if at < end {
                self.act(at, Act::Flush(node));
            }
        }
    }

    fn subscriptions(&mut self, node: u8, start: Duration, end: Duration) {
        let count = self.rng.u8(1..=3);
        for _ in 0..count {
            let at =
                if self.chance(70) { start + self.between(0, 50) } else { start + self.between(50, 9_000) };
            let first = self.topic();
            let mut topics = vec![first];
            if self.chance(40) {
                let second = self.topic();
                if second != first {
                    topics.push(second);
                }
            }
            let own = self.chance(25);
            let pace = self.pace();
            if at >= end {
                continue;
            }
            self.act(at, Act::Subscribe { node, topics, own, pace });
            let until = at + self.between(100, 12_000);
            if self.chance(15) && until < end {
                self.act(until, Act::Unsubscribe(node));
            }
        }
    }

    /// One slow reader in a run, more where that is what it is about.
    fn pace(&mut self) -> Pace {
        let overload = self.plan.profile == Profile::Overload;
        let slow = if overload { self.chance(40) } else { !self.slow_given && self.chance(15) };
        self.slow_given |= slow;
        if slow { Pace::Slow(self.between(20, 400)) } else { Pace::Prompt }
    }

    /// Bursts and silences.
    fn publishes(&mut self, node: u8, topic: Topic, start: Duration, end: Duration) {
        let large = self.plan.memory_bytes < 64 << 20;
        let mut at = start + self.between(0, 2_000);
        while at < end && self.events < EVENTS_MAX {
            let count = match self.rng.u8(..10) {
                0 => self.rng.u16(10..=60),
                1..=3 => self.rng.u16(2..=10),
                _ => 1,
            };
            let bytes = match self.rng.u8(..20) {
                0..=5 if large => self.rng.u32(20_000..300_000),
                0 => self.rng.u32(1_000..20_000),
                _ => self.rng.u32(..200),
            };
            let waits = !self.chance(20);
            self.events += u32::from(count);
            self.act(at, Act::Publish { node, topic, count, bytes, waits });
            at += if self.chance(60) { self.between(1, 60) } else { self.between(60, 5_000) };
        }
    }

    fn faults(&mut self) {
        match self.plan.profile {
            Profile::Calm => self.steady_delay(),
            Profile::Lossy => self.lossy(300),
            Profile::Cuts => {
                self.times(1, 4, Self::cut);
                if self.chance(50) {
                    self.lossy(50);
                } else {
                    self.steady_delay();
                }
            }
            Profile::Crashes | Profile::Churn => {
                let loss = if self.chance(50) { 0 } else { 200 };
                self.lossy(loss);
            }
            Profile::Crowd => {
                let loss = if self.chance(50) { 0 } else { 50 };
                self.lossy(loss);
                if self.chance(50) {
                    self.outage();
                }
            }
            Profile::Outages => {
                self.steady_delay();
                self.times(1, 3, Self::outage);
            }
            Profile::Overload => {
                let loss = if self.chance(50) { 0 } else { 100 };
                self.lossy(loss);
                if self.chance(50) {
                    self.outage();
                }
            }
            Profile::Refusals => {
                self.steady_delay();
                self.times(2, 5, Self::refuse);
            }
            Profile::Hostile => {
                self.lossy(20);
                self.times(1, 4, Self::damage);
                self.times(3, 12, Self::replay);
            }
            Profile::Pauses => {
                self.lossy(20);
                self.times(1, 4, Self::pause);
                if self.chance(60) {
                    self.stall();
                }
            }
            Profile::Mixed => {
                self.lossy(150);
                self.times(0, 2, Self::cut);
                self.times(0, 1, Self::outage);
                self.times(0, 2, Self::refuse);
                self.times(0, 2, Self::damage);
                self.times(0, 4, Self::replay);
                self.times(0, 2, Self::pause);
                self.times(0, 1, Self::stall);
            }
            Profile::Logs | Profile::Groups => {
                self.steady_delay();
                self.times(0, 2, Self::outage);
                self.times(0, 2, Self::cut);
                self.times(0, 2, Self::refuse);
                self.times(0, 1, Self::pause);
                self.times(0, 1, Self::stall);
            }
            Profile::Long => {
                self.lossy(30);
                self.times(0, 2, Self::cut);
                self.times(0, 1, Self::outage);
                self.times(0, 3, Self::replay);
                self.times(0, 1, Self::pause);
            }
        }
    }

    fn times(&mut self, least: u8, most: u8, fault: fn(&mut Self)) {
        for _ in 0..self.rng.u8(least..=most) {
            fault(self);
        }
    }

    /// Every message takes the same time, so that nothing is reordered.
    fn steady_delay(&mut self) {
        let delay = self.rng.u16(..=20);
        let line = Line { delay: (delay, delay), ..Line::default() };
        self.act(Duration::ZERO, Act::Fault(Fault::Everywhere(line)));
    }

    /// Loss, duplication and reordering that change now and then.
    fn lossy(&mut self, loss_max: u16) {
        let mut at = Duration::ZERO;
        while at < self.plan.heal_at {
            let least = self.rng.u16(..=10);
            let line = Line {
                loss: self.rng.u16(..=loss_max),
                duplication: self.rng.u16(..=loss_max.max(100)),
                delay: (least, least + self.rng.u16(..=60)),
            };
            self.act(at, Act::Fault(Fault::Everywhere(line)));
            at += self.between(3_000, 15_000);
        }
    }

    /// A fault that lasts for a while.
    fn while_at(&mut self, least: u64, most: u64, begin: Fault, end: Fault) {
        let at = self.sometime();
        let until = at + self.between(least, most);
        self.act(at, Act::Fault(begin));
        if until < self.plan.heal_at {
            self.act(until, Act::Fault(end));
        }
    }

    fn cut(&mut self) {
        let a = self.node();
        if self.chance(30) {
            return self.while_at(100, 9_000, Fault::Isolate(a), Fault::Rejoin(a));
        }
        let b = self.node();
        let b = if self.plan.server || b == a { None } else { Some(b) };
        let (a, b) = match (b, self.plan.server) {
            (Some(b), _) => (Place::Node(a), Place::Node(b)),
            (None, true) => (Place::Node(a), Place::Server),
            (None, false) => (Place::Node(a), Place::Node((self.node_after(a)) % self.plan.nodes)),
        };
        let (a, b) = if self.rng.bool() { (a, b) } else { (b, a) };
        self.while_at(100, 12_000, Fault::Cut(a, b), Fault::Heal(a, b));
    }

    fn node_after(&self, node: u8) -> u8 {
        (node + 1) % self.plan.nodes
    }

    fn outage(&mut self) {
        if self.plan.server {
            self.while_at(100, 15_000, Fault::ServerDown, Fault::ServerUp);
        } else {
            let node = self.node();
            self.while_at(100, 15_000, Fault::Isolate(node), Fault::Rejoin(node));
        }
    }

    fn refuse(&mut self) {
        let (node, permille) = (self.node(), self.rng.u16(50..=1000));
        let how = match self.rng.u8(..8) {
            0..=3 => Refusal::NotStored,
            4..=6 => Refusal::Unknown,
            _ => Refusal::Forbidden,
        };
        if self.chance(30) {
            let answer = self.rng.u16(1..400);
            return self.while_at(500, 6_000, Fault::SlowAnswer(node, answer), Fault::SlowAnswer(node, 0));
        }
        self.while_at(100, 7_000, Fault::Refuse(node, permille, how), Fault::Refuse(node, 0, how));
    }

    fn damage(&mut self) {
        let (node, permille) = (self.node(), self.rng.u16(10..=300));
        let how = if self.chance(70) { Damage::Flip } else { Damage::Newer };
        self.while_at(500, 8_000, Fault::Damage(node, permille, how), Fault::Damage(node, 0, how));
    }

    fn replay(&mut self) {
        let (from, onto) = (self.topic(), self.topic());
        let (at, count) = (self.sometime(), self.rng.u16(1..=30));
        let fault = if self.chance(10) { Fault::Foreign(onto) } else { Fault::Replay(from, onto, count) };
        self.act(at, Act::Fault(fault));
    }

    fn pause(&mut self) {
        let node = self.node();
        self.while_at(200, 10_000, Fault::Pause(node), Fault::Resume(node));
    }

    fn stall(&mut self) {
        let (at, length) = (self.sometime(), self.between(500, 20_000));
        self.act(at, Act::Fault(Fault::Stall(length)));
    }
}
