//! A group handles each event at least once or buries it; nothing is acknowledged before; nobody handles again what it
//! has settled; of each key a member handles one event at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::transport::Settle;

use super::Findings;
use super::facts::Facts;
use crate::history::{GroupWhat, History, How, Life, LogWhat, Sub, Topic, Value, What};
use crate::sim::note::key_of;
use crate::sim::{ATTEMPTS_MAX, HANDLER_TIMEOUT};

/// An event, in the only log that has a group.
type Event = (Life, u64);

/// One place in the group.
#[derive(Clone, Debug)]
struct Member {
    life: Life,
    topic: Topic,
    joined: Option<Duration>,
    left: Option<Duration>,
    leaving: bool,
    /// What it works on: since when, and which try it is.
    running: BTreeMap<Event, (Duration, Value, u32)>,
    done: BTreeSet<Event>,
    /// What it said too late that it has done, and may have been believed.
    perhaps: BTreeSet<Event>,
    tries: BTreeMap<Event, u32>,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    members: BTreeMap<Sub, Member>,
    /// The records that were given out: to whom, and whose events.
    given: BTreeMap<(Life, u64), (Life, std::ops::Range<u64>)>,
    /// How often each event was given out.
    times: BTreeMap<Event, u32>,
    done: BTreeSet<Event>,
    /// By which node, so far.
    buried: BTreeSet<(Life, Event)>,
    stored: BTreeSet<Event>,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let (members, given, times, done, buried, stored) = Default::default();
    let mut judge = Judge { facts, members, given, times, done, buried, stored };
    for entry in &history.entries {
        match &entry.what {
            What::Group(what) => judge.note(entry.at, what, findings),
            What::Crash(life) => judge.end(entry.at, *life),
            What::Log(LogWhat::Stored { of: Some(of), seq, end, .. }) => {
                judge.stored.extend((*seq..*end).map(|seq| (*of, seq)));
            }
            _ => {}
        }
    }
    judge.conclude(findings);
}

impl Judge<'_> {
    fn note(&mut self, at: Duration, what: &GroupWhat, findings: &mut Findings) {
        match what {
            GroupWhat::Join(member, life, topic) => {
                let (running, done, perhaps, tries) = Default::default();
                let (life, topic, joined, left, leaving) = (*life, *topic, None, None, false);
                let place = Member { life, topic, joined, left, leaving, running, done, perhaps, tries };
                self.members.insert(*member, place);
            }
            GroupWhat::Joined(member, Ok(())) => {
                if let Some(member) = self.members.get_mut(member) {
                    member.joined = Some(at);
                }
            }
            GroupWhat::Leaving(member) => {
                if let Some(member) = self.members.get_mut(member) {
                    member.leaving = true;
                }
            }
            GroupWhat::Joined(member, Err(kind)) => self.left(at, *member, Err(*kind), findings),
            GroupWhat::Left(member, result) => self.left(at, *member, *result, findings),
            GroupWhat::Begin { member, of, seq, value, attempt } => {
                let Some((of, value)) = of.zip(*value) else {
                    return findings.add(at, format!("{member} got an event of nobody: {seq}"));
                };
                self.begin(at, *member, (of, *seq), (value, *attempt), findings);
            }
            GroupWhat::End { member, of: Some(of), seq, attempt, how } => {
                self.ended(at, *member, (*of, *seq), *attempt, *how);
            }
            GroupWhat::Given { by, token, of: Some(of), seq, end, .. } => {
                self.given.insert((*by, *token), (*of, *seq..*end));
                for event in (*seq..*end).map(|seq| (*of, seq)) {
                    *self.times.entry(event).or_default() += 1;
                    // What was given back begins anew.
                    let here = self.members.values_mut().filter(|member| member.life == *by);
                    here.for_each(|member| {
                        member.tries.remove(&event);
                    });
                }
            }
            GroupWhat::Settle(by, token, Settle::Ack) => self.acknowledged(at, *by, *token, findings),
            GroupWhat::Buried(by, Some(of), seq, true) => {
                self.buried.insert((*by, (*of, *seq)));
            }
            _ => {}
        }
    }

    fn begin(
        &mut self,
        at: Duration,
        member: Sub,
        event: Event,
        (value, attempt): (Value, u32),
        findings: &mut Findings,
    ) {
        let times = self.times.get(&event).copied().unwrap_or_default();
        let finished = self.done.contains(&event) || self.buried.iter().any(|(_, buried)| *buried == event);
        let Some(place) = self.members.get_mut(&member) else { return };
        let (of, seq) = event;
        let formed = self.facts.event(of, place.topic, seq).and_then(|formed| formed.value);
        if formed != Some(value) {
            findings.add(at, format!("{member} got {value} as {of} {seq}"));
        }
        if times == 0 {
            findings.add(at, format!("{member} begins {of} {seq}, which was never given out"));
        }
        if place.done.contains(&event) {
            findings.add(at, format!("{member} begins {of} {seq} again, which it has settled"));
        } else if finished && times < 2 {
            findings
                .add(at, format!("{member} begins {of} {seq}, which was finished and given out once only"));
        }
        let key = key_of(value.n);
        place.running.retain(|_, (since, ..)| at < *since + HANDLER_TIMEOUT);
        if let Some(((of, other), _)) = place.running.iter().find(|(_, (_, other, _))| key_of(other.n) == key)
        {
            findings
                .add(at, format!("{member} begins {value} while it works on {of} {other} of the same key"));
        }
        place.running.insert(event, (at, value, attempt));
        let tries = place.tries.entry(event).or_default();
        *tries += 1;
        if *tries > ATTEMPTS_MAX {
            findings.add(at, format!("{member} begins {of} {seq} for the {tries}th time"));
        }
    }

    fn ended(&mut self, at: Duration, member: Sub, event: Event, attempt: u32, how: How) {
        let facts = self.facts;
        let Some(place) = self.members.get_mut(&member) else { return };
        let Some((since, _, _)) = place.running.get(&event).copied().filter(|(.., of)| *of == attempt) else {
            return;
        };
        place.running.remove(&event);
        if how != How::Done {
            return;
        }
        // Whoever takes too long has failed, whatever it says; but where the machine stood still, or the node was
        // busy joining anew, its word may have come first. So the event may be tried again, and need not be.
        if at < since + HANDLER_TIMEOUT {
            place.done.insert(event);
            self.done.insert(event);
        } else if !facts.is_untroubled(place.life, since, at) {
            place.perhaps.insert(event);
        }
    }

    fn acknowledged(&self, at: Duration, by: Life, token: u64, findings: &mut Findings) {
        let Some((of, range)) = self.given.get(&(by, token)) else {
            return findings.add(at, format!("{by} acknowledges #{token}, which it was not given"));
        };
        let mut members = self.members.values().filter(|member| member.life == by).peekable();
        if members.peek().is_none() {
            return;
        }
        let settled = |event: Event| {
            let mut here = self.members.values().filter(|member| member.life == by);
            self.buried.contains(&(by, event))
                || here.any(|member| member.done.contains(&event) || member.perhaps.contains(&event))
        };
        if let Some(seq) = range.clone().find(|seq| !settled((*of, *seq))) {
            findings.add(at, format!("{by} acknowledges {of} {seq}, which is neither done nor buried"));
        }
    }

    fn left(&mut self, at: Duration, sub: Sub, result: Result<(), ErrorKind>, findings: &mut Findings) {
        let facts = self.facts;
        let Some(member) = self.members.get_mut(&sub) else { return };
        member.left.get_or_insert(at);
        let trouble =
            matches!(result, Err(ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::OutcomeUnknown));
        let excused = member.leaving || trouble && member.joined.is_none();
        if !excused && facts.lives_through(member.life, at, at) {
            let why = result.err().map_or("without an error", ErrorKind::as_str);
            findings.add(at, format!("{sub} is no longer a member ({why}), although its node goes on"));
        }
    }

    fn end(&mut self, at: Duration, life: Life) {
        for member in self.members.values_mut().filter(|member| member.life == life) {
            member.left.get_or_insert(at);
        }
    }

    /// What stands in the log was done or buried, where somebody was there to do it.
    fn conclude(&self, findings: &mut Findings) {
        let facts = self.facts;
        let mut there = self.members.values().filter(|member| member.left.is_none());
        if !there.any(|member| member.joined.is_some_and(|joined| joined < facts.probing)) {
            return findings.add(facts.end, "nobody was a member in the end");
        }
        let finished = |event: &Event| {
            self.done.contains(event)
                || self.buried.iter().any(|(_, buried)| buried == event)
                || self.members.values().any(|member| member.perhaps.contains(event))
        };
        for (of, seq) in self.stored.iter().filter(|event| !finished(event)) {
            findings.add(facts.end, format!("{of} {seq} was neither done nor buried by anyone"));
        }
    }
}
