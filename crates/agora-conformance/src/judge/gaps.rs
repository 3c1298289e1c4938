//! A gap says the truth: what it names did not arrive, was asked for in vain, is no longer held, or its source is
//! gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::limits::ASK_TRIES;
use agora_core::live::Reason;

use super::facts::Facts;
use super::{Findings, ms};
use crate::history::{Change, History, Life, Pace, Sub, Topic, What, Wire};
use crate::sim::Profile;

/// What reached a node of one source on one topic.
#[derive(Debug, Default)]
struct Arrivals {
    /// The highest floor that the source told.
    floor: u64,
    /// What came unreadable.
    unreadable: BTreeSet<u64>,
    /// Requests that were sent, as their ranges.
    asks: Vec<(u64, u64)>,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    arrivals: BTreeMap<(Life, Life, Topic), Arrivals>,
    /// When each event first arrived for a subscription that was not in an open gap.
    arrived: BTreeMap<(Sub, Life, Topic), BTreeMap<u64, Duration>>,
    open: BTreeSet<(Sub, Life, Topic)>,
    named: BTreeSet<(Life, Life)>,
    failed: BTreeMap<(Life, Life), Duration>,
    left: BTreeSet<(Life, Life)>,
    overrun: BTreeSet<(Life, Topic)>,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let mut judge = Judge {
        facts,
        arrivals: BTreeMap::new(),
        arrived: BTreeMap::new(),
        open: BTreeSet::new(),
        named: BTreeSet::new(),
        failed: BTreeMap::new(),
        left: BTreeSet::new(),
        overrun: BTreeSet::new(),
    };
    // A verdict and its gap are written down by two tasks, in either order.
    for entry in &history.entries {
        if let What::Member { by, change: Change::Failed, of: Some(of), .. } = entry.what {
            judge.failed.entry((by, of)).or_insert(entry.at);
        }
    }
    for entry in &history.entries {
        judge.note(entry.at, &entry.what, findings);
    }
}

impl Judge<'_> {
    fn note(&mut self, at: Duration, what: &What, findings: &mut Findings) {
        match what {
            What::Got(by, wire) => self.got(at, *by, wire),
            What::Spoiled { by, wire: Wire::Data { of, topic, seq, end, floor, .. }, newer: true } => {
                let arrivals = self.arrivals.entry((*by, *of, *topic)).or_default();
                arrivals.unreadable.extend(*seq..*end);
                arrivals.floor = arrivals.floor.max(*floor);
            }
            What::Send { by, wires, .. } => {
                for wire in wires {
                    if let Wire::Ask { of, topic, ranges, .. } = wire {
                        self.arrivals.entry((*by, *of, *topic)).or_default().asks.extend(ranges);
                    }
                }
            }
            What::Member { by, change: Change::Joined | Change::Returned, of: Some(of), .. } => {
                self.named.insert((*by, *of));
            }
            What::Overrun(by, Some(topic)) => {
                self.overrun.insert((*by, *topic));
            }
            What::Event { sub, of: Some(of), topic, .. } => {
                self.open.remove(&(*sub, *of, *topic));
            }
            What::Gap { sub, of: Some(of), topic, from, to, reason } => {
                if let Some(why) = self.untrue(at, (*sub, *of, *topic), *from, *to, *reason) {
                    let (from, to) = (from.map_or("?".into(), |n| n.to_string()), to.map_or(0, |to| to));
                    let text =
                        format!("{sub}, {of} {topic}: the gap {from}..{to} ({}): {why}", reason.as_str());
                    findings.add(at, text);
                }
                if to.is_none() {
                    self.open.insert((*sub, *of, *topic));
                    self.arrived.remove(&(*sub, *of, *topic));
                } else {
                    self.open.remove(&(*sub, *of, *topic));
                }
            }
            _ => {}
        }
    }

    fn got(&mut self, at: Duration, by: Life, wire: &Wire) {
        match wire {
            Wire::Data { of, topic, seq, end, floor, .. } => {
                self.arrivals.entry((by, *of, *topic)).or_default().raise(*floor);
                let subs = self.facts.subs.iter().filter(|(_, sub)| {
                    let listens = sub.asked <= at && sub.ended.is_none_or(|ended| ended > at);
                    sub.life == by && listens && sub.wants(*of, *topic)
                });
                for (sub, _) in subs {
                    let key = (*sub, *of, *topic);
                    if !self.open.contains(&key) {
                        let arrived = self.arrived.entry(key).or_default();
                        (*seq..*end).for_each(|seq| {
                            arrived.entry(seq).or_insert(at);
                        });
                    }
                }
            }
            Wire::Head { of, topic, floor, .. } => {
                self.arrivals.entry((by, *of, *topic)).or_default().raise(*floor);
            }
            Wire::Leave { of, ends } => {
                self.left.insert((by, *of));
                for (topic, _, floor) in ends {
                    self.arrivals.entry((by, *of, *topic)).or_default().raise(*floor);
                }
            }
            Wire::Hello { .. } | Wire::Ask { .. } | Wire::Heartbeat { .. } => {}
        }
    }

    /// What is not true about a gap.
    fn untrue(
        &self,
        at: Duration,
        key: (Sub, Life, Topic),
        from: Option<u64>,
        to: Option<u64>,
        reason: Reason,
    ) -> Option<String> {
        let (sub, of, topic) = key;
        let facts = self.facts.subs.get(&sub)?;
        let by = facts.life;
        if self.facts.plan.profile == Profile::Calm {
            return Some("nothing went wrong".into());
        }
        // Who reads slowly, or has little memory, sees gaps late and merged.
        let roomy = self.facts.plan.memory_bytes >= 64 << 20;
        if facts.pace != Pace::Prompt || !roomy {
            return None;
        }
        let none = Arrivals::default();
        let arrivals = self.arrivals.get(&(by, of, topic)).unwrap_or(&none);
        match reason {
            Reason::Lost => {
                let asked = arrivals
                    .asks
                    .iter()
                    .filter(|(begin, end)| from.is_some_and(|from| (*begin..*end).contains(&from)));
                let asked = asked.count();
                if asked < usize::from(ASK_TRIES) {
                    return Some(format!("it was asked for only {asked} times"));
                }
                self.arrived(at, key, from, to)
            }
            Reason::NotHeld | Reason::Unseen if to.is_none_or(|to| arrivals.floor < to) => {
                Some(format!("its source told no floor above {}", arrivals.floor))
            }
            Reason::NotHeld => self.arrived(at, key, from, to),
            Reason::Unseen => None,
            Reason::SourceFailed => {
                let failed = self.failed.get(&(by, of)).is_some_and(|failed| *failed <= at + ms(1));
                (!failed && self.named.contains(&(by, of))).then(|| "it was not declared failed".into())
            }
            Reason::SourceLeft => (!self.left.contains(&(by, of))).then(|| "it has not left".into()),
            Reason::Unreadable => {
                let readable = from.is_none_or(|from| !arrivals.unreadable.contains(&from));
                readable.then(|| "nothing unreadable arrived".into())
            }
            Reason::Overflow if self.overrun.contains(&(by, topic)) => None,
            _ => Some("there was no reason for it".into()),
        }
    }

    /// Something in it had arrived before.
    fn arrived(
        &self,
        at: Duration,
        key: (Sub, Life, Topic),
        from: Option<u64>,
        to: Option<u64>,
    ) -> Option<String> {
        let arrived = self.arrived.get(&key)?;
        // What arrives in the same instant may have stood behind it.
        let mut before = arrived.range(from?..to?).filter(|(_, when)| **when < at);
        before.next().map(|(seq, when)| format!("{seq} had arrived at {when:?}"))
    }
}

impl Arrivals {
    fn raise(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
    }
}
