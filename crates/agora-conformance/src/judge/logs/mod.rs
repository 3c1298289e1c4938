//! A reading of a log gets each event that stands there once, in its source's order, or is told that it is missing;
//! under a durable name it goes on where it was saved, across crashes, and one reader at a time saves.

mod account;
mod content;
mod durable;
mod gaps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::ErrorKind;

use super::Findings;
use super::facts::Facts;
use super::net::State;
use crate::history::{From, History, Life, LogWhat, Pace, Sub, Topic, Value, What};
use crate::sim::{Fault, Profile};
use account::{Account, Wrong};
use content::{Contents, Lost, Stored};

/// One subscription to a log.
#[derive(Clone, Debug)]
struct Reading {
    life: Life,
    topic: Topic,
    from: From,
    pace: Pace,
    asked: Duration,
    established: Option<Duration>,
    ended: Option<Duration>,
    /// The first of those whose place it goes on from; itself where it goes on from nothing.
    head: Sub,
    /// The log was read from its untrimmed beginning.
    whole: bool,
    accounts: BTreeMap<Life, Account>,
    /// When it was told that records are missing, nobody knows of whom.
    missing: Vec<Duration>,
    /// What it was handed last, and is not done with.
    undone: Option<(Life, u64)>,
    /// It was told something since it began, or since records were missing.
    read: bool,
    /// When another took its name over.
    superseded: Option<Duration>,
}

impl Reading {
    /// Is this left out, because the node itself publishes it?
    fn hides(&self, of: Life) -> bool {
        self.from == From::Live && of == self.life
    }
}

/// What was done to a log.
#[derive(Clone, Copy, Debug)]
struct Change {
    at: Duration,
    topic: Topic,
    how: Lost,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    contents: Contents,
    readings: BTreeMap<Sub, Reading>,
    /// Logs that are no longer as they were made.
    touched: BTreeSet<Topic>,
    faults: Vec<Change>,
    names: durable::Names,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let mut judge = Judge {
        facts,
        contents: content::contents(history),
        readings: BTreeMap::new(),
        touched: BTreeSet::new(),
        faults: Vec::new(),
        names: durable::Names::default(),
    };
    for entry in &history.entries {
        judge.note(entry.at, &entry.what, findings);
    }
    judge.conclude(findings);
}

impl Judge<'_> {
    fn note(&mut self, at: Duration, what: &What, findings: &mut Findings) {
        match what {
            What::Log(what) => self.note_log(at, what, findings),
            What::Fault(Fault::Trim(topic, _)) => self.touch(at, *topic, Lost::Trimmed),
            What::Fault(Fault::Rewind(topic, _) | Fault::Replace(topic)) => {
                self.touch(at, *topic, Lost::Rewritten);
            }
            What::Published(value, Ok(Some(seq))) if self.facts.plan.is_log(value.topic) => {
                self.check_stored(at, *value, *seq, findings);
            }
            What::Established(sub, Ok(())) => {
                if let Some(reading) = self.readings.get_mut(sub) {
                    reading.established = Some(at);
                    let fresh = reading.head == *sub;
                    reading.whole |=
                        fresh && reading.from == From::Earliest && !self.touched.contains(&reading.topic);
                }
            }
            What::Established(sub, Err(kind)) => self.ended(at, *sub, Some(*kind), findings),
            What::Ended(sub, kind) => self.ended(at, *sub, *kind, findings),
            What::Unsubscribe(sub) => {
                if let Some(reading) = self.readings.get_mut(sub) {
                    reading.ended.get_or_insert(at);
                }
            }
            What::Crash(life) | What::Leaving(life) => {
                for reading in self.readings.values_mut().filter(|reading| reading.life == *life) {
                    reading.ended.get_or_insert(at);
                }
            }
            What::Event { sub, of, topic, seq, value } => {
                self.event(at, *sub, *of, *topic, *seq, *value, findings);
            }
            What::Gap { sub, of, topic, from, to, reason } => {
                self.gap(at, *sub, *of, *topic, (*from, *to), *reason, findings);
            }
            _ => {}
        }
    }

    fn note_log(&mut self, at: Duration, what: &LogWhat, findings: &mut Findings) {
        match what {
            LogWhat::Read { sub, life, topic, from, pace, .. } => {
                let (life, topic, from, pace) = (*life, *topic, *from, *pace);
                let reading = Reading {
                    life,
                    topic,
                    from,
                    pace,
                    asked: at,
                    established: None,
                    ended: None,
                    head: *sub,
                    whole: false,
                    accounts: BTreeMap::new(),
                    missing: Vec::new(),
                    undone: None,
                    read: false,
                    superseded: None,
                };
                self.readings.insert(*sub, reading);
            }
            LogWhat::Done(sub) => {
                if let Some(reading) = self.readings.get_mut(sub) {
                    reading.undone = None;
                }
            }
            LogWhat::Missing(sub, reason) => self.missing(at, *sub, *reason, findings),
            LogWhat::Taken { sub, durable, fence, place } => {
                self.taken(at, *sub, *durable, *fence, place.as_ref(), findings);
            }
            LogWhat::Saved { durable, fence, place, result } => {
                self.saved(at, *durable, *fence, place, *result, findings);
            }
            LogWhat::Stored { .. } => {}
        }
    }

    fn touch(&mut self, at: Duration, topic: Topic, how: Lost) {
        self.touched.insert(topic);
        self.faults.push(Change { at, topic, how });
    }

    fn stored(&self, topic: Topic) -> impl Iterator<Item = &Stored> {
        self.contents.get(&topic).into_iter().flatten()
    }

    /// What was accepted stands in the log, but for what a node still held that was stopped.
    fn check_stored(&self, at: Duration, value: Value, seq: u64, findings: &mut Findings) {
        let Value { life, topic, .. } = value;
        let held = self.facts.net.ever(Duration::ZERO, at, |state| state.is_paused(life.node));
        let stands = self
            .stored(topic)
            .any(|stored| stored.of == Some(life) && (stored.seq..stored.end).contains(&seq));
        if !stands && !held {
            findings.add(at, format!("{value} was accepted as {seq}, and never stood in the log"));
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn event(
        &mut self,
        at: Duration,
        sub: Sub,
        of: Option<Life>,
        topic: Topic,
        seq: u64,
        value: Option<Value>,
        findings: &mut Findings,
    ) {
        let Some(reading) = self.readings.get(&sub) else { return };
        let Some(of) = of.filter(|of| topic == reading.topic && !reading.hides(*of)) else {
            return findings.add(at, format!("{sub} got what it did not ask for: {topic} {seq}"));
        };
        let formed = self.facts.event(of, topic, seq).and_then(|formed| formed.value);
        if value.is_none() || formed != value {
            let what = value.map_or("something else".into(), |value| value.to_string());
            findings.add(at, format!("{sub} got {what} as {of} {topic} {seq}"));
        }
        let stands = |stored: &Stored| {
            stored.of == Some(of) && (stored.seq..stored.end).contains(&seq) && stored.since <= at
        };
        if !self.stored(topic).any(stands) {
            findings.add(at, format!("{sub} got {of} {topic} {seq}, which never stood in the log"));
        }
        self.tell(at, sub, of, seq, findings, |account, whole| account.tell(seq, seq + 1, whole));
    }

    fn tell(
        &mut self,
        at: Duration,
        sub: Sub,
        of: Life,
        seq: u64,
        findings: &mut Findings,
        tell: impl FnOnce(&mut Account, bool) -> Option<Wrong>,
    ) {
        let Some(reading) = self.readings.get_mut(&sub) else { return };
        let excused = !reading.missing.is_empty();
        reading.read = true;
        let new = || Account::new(excused);
        let account = reading.accounts.entry(of).or_insert_with(new);
        if let Some(wrong) = tell(account, reading.whole) {
            findings.add(at, format!("{sub}, {of} {}: {wrong}", reading.topic));
        }
        if reading.pace != Pace::Prompt {
            reading.undone = Some((of, seq));
        }
    }

    /// A reading ends with its node, or because its name was taken over; it is refused where nobody can be reached.
    fn ended(&mut self, at: Duration, sub: Sub, kind: Option<ErrorKind>, findings: &mut Findings) {
        let facts = self.facts;
        let Some(reading) = self.readings.get_mut(&sub) else { return };
        let first = reading.ended.is_none();
        reading.ended.get_or_insert(at);
        let node = reading.life.node;
        let excused = match kind {
            Some(ErrorKind::Conflict) => reading.superseded.is_some(),
            Some(ErrorKind::Unreachable) => {
                let alone = |state: &State| state.is_mute(node) || state.server_down || state.is_stalled();
                reading.established.is_none() && facts.net.ever(reading.asked, at, alone)
            }
            _ => false,
        };
        if first && !excused && facts.lives_through(reading.life, at, at) {
            let why = kind.map_or("without an error", ErrorKind::as_str);
            findings.add(at, format!("{sub} ended ({why}), although its node goes on"));
        }
    }

    fn conclude(&self, findings: &mut Findings) {
        let facts = self.facts;
        for (sub, reading) in self.readings.iter().filter(|(_, reading)| reading.ended.is_none()) {
            if reading.established.is_none() {
                findings.add(
                    facts.end,
                    format!("{sub} was asked for at {:?} and never established", reading.asked),
                );
            } else if reading.superseded.is_some_and(|at| at < facts.probing) {
                findings.add(facts.end, format!("{sub} reads on, although its name was taken over"));
            } else {
                self.conclude_reading(*sub, reading, findings);
            }
        }
    }

    /// Is everything told that is owed? The first that is not, is named.
    fn conclude_reading(&self, sub: Sub, reading: &Reading, findings: &mut Findings) {
        let Some(head) = self.readings.get(&reading.head) else { return };
        let Some(begun) = head.established else { return };
        let told_missing = |since: Duration| {
            let chain = self.readings.values().filter(|r| r.head == reading.head);
            chain.flat_map(|r| &r.missing).any(|at| *at >= since)
        };
        for stored in self.stored(reading.topic) {
            let Some(of) = stored.of.filter(|of| !reading.hides(*of)) else { continue };
            let owed = match head.from {
                From::Earliest => stored.lost.is_none_or(|(lost, _)| lost > begun),
                From::Live => stored.since > begun,
            };
            let covered =
                reading.accounts.get(&of).is_some_and(|account| account.covers(stored.seq, stored.end));
            let excused = match stored.lost {
                None => false,
                Some((at, Lost::Trimmed)) => told_missing(at),
                // An end that was lost unread, with nothing of its source behind it, cannot be seen.
                Some((_, Lost::Rewritten)) => true,
            };
            if owed && !covered && !excused {
                let (topic, seq, end) = (reading.topic, stored.seq, stored.end);
                let text =
                    format!("{sub} was never told of {of} {topic} {seq}..{end}, which stood in the log");
                return findings.add(self.facts.end, text);
            }
        }
    }

    fn is_calm(&self) -> bool {
        self.facts.plan.profile == Profile::Calm
    }
}
