//! Tells what in a history of a run on real servers breaks a promise.
//!
//! The checkers are those of queues in general: *lost* is what was acknowledged, not read, and not named in a gap;
//! *unexpected* is what was read and never published; then duplicates, and the order of each source. Unlike the
//! [judge](crate::judge) of simulations it sees no frames: how far a source stood it knows between two bounds only, what
//! was accepted and what was tried. What it says is true all the same; it is only silent about more.

mod groups;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::ErrorKind;

use super::place::{lane_of, seq_of};
use crate::history::{Durable, History, Life, LogWhat, Sub, Topic, Value, What};
use crate::judge::Finding;
use crate::ledger::Ledger;

/// What a case allows beyond the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// An event may be handled twice in a group: a lease has ended, or an acknowledgement was lost.
    pub handled_again: bool,
    /// A subscription may end with an error: that is what the case is about.
    pub ends: bool,
    /// What a log had accepted may be lost, if a gap says so: the case takes records away from it.
    pub loses: bool,
}

/// What has an order of its own: a source on a lane of a topic.
type Stream = (Life, Topic, u64);

/// What one subscription is.
struct Reading {
    life: Life,
    topics: Vec<Topic>,
    own: bool,
    is_over: bool,
    established: bool,
    ledgers: BTreeMap<Stream, Ledger>,
    /// When it was handed something last.
    handed: Duration,
    /// How many events of each source were undecided when it was established: so many more may stand before what is owed
    /// on a lane that nobody had heard of.
    since: BTreeMap<(Life, Topic), u64>,
    /// What was read of what was published after everything was healed.
    probes: BTreeSet<Value>,
}

/// How a source stands on a topic, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Stand {
    tried: u64,
    /// Whose sequence is known.
    accepted: u64,
}

impl Stand {
    /// Nobody knows on which lane these are, if anywhere.
    fn undecided(self) -> u64 {
        self.tried - self.accepted
    }
}

impl Reading {
    fn wants(&self, (of, topic, _): Stream) -> bool {
        self.topics.contains(&topic) && (self.own || of != self.life)
    }

    /// From which sequence on it is owed a stream of which it has seen nothing.
    fn owed_from(&self, (of, topic, _): Stream) -> Option<u64> {
        self.established.then(|| self.since.get(&(of, topic)).map_or(1, |undecided| undecided + 1))
    }
}

#[derive(Default)]
pub(super) struct Judge {
    readings: BTreeMap<Sub, Reading>,
    durable: BTreeMap<Durable, BTreeMap<Stream, Ledger>>,
    stands: BTreeMap<(Life, Topic), Stand>,
    /// The highest sequence on each lane that was accepted, as it grew.
    accepted: BTreeMap<Stream, Vec<(Duration, u64)>>,
    outcomes: BTreeMap<Value, Option<Result<Option<u64>, ErrorKind>>>,
    seqs: BTreeMap<(Life, Topic, u64), Value>,
    probes: BTreeSet<Value>,
    probing: bool,
    /// What was told to be missing, with both ends: when, to whom, whose, from, to.
    gaps: Vec<(Duration, Sub, Life, u64, u64)>,
    groups: groups::Groups,
    pub(super) findings: Vec<Finding>,
}

/// Judges a history, of a log or of a live topic.
pub(super) fn judge(history: &History, rules: Rules, is_log: bool) -> Judge {
    let mut judge = Judge::default();
    for entry in &history.entries {
        judge.note(entry.at, &entry.what, rules);
    }
    if is_log && !rules.loses {
        judge.blame_for_losses();
    }
    let Judge { groups, findings, .. } = &mut judge;
    groups.conclude(rules, findings);
    judge
}

impl Judge {
    fn blame(&mut self, at: Duration, text: impl Into<String>) {
        self.findings.push(Finding { at, text: text.into() });
    }

    fn note(&mut self, at: Duration, what: &What, rules: Rules) {
        match what {
            What::Probing => self.probing = true,
            What::Publish { value, .. } => {
                self.outcomes.insert(*value, None);
                self.stands.entry((value.life, value.topic)).or_default().tried += 1;
                if self.probing {
                    self.probes.insert(*value);
                }
            }
            What::Published(value, outcome) => self.published(at, *value, *outcome),
            What::Subscribe { sub, life, topics, own, .. } => {
                let ledgers = BTreeMap::new();
                self.begin(*sub, *life, topics.clone(), *own, ledgers);
            }
            What::Log(LogWhat::Read { sub, life, topic, durable, .. }) => {
                let known = durable.and_then(|durable| self.durable.get(&durable).cloned());
                self.begin(*sub, *life, vec![*topic], true, known.unwrap_or_default());
                if let Some(reading) = self.readings.get_mut(sub) {
                    // Everything that the log holds is owed, from the first event of each source.
                    reading.established = true;
                }
            }
            What::Log(LogWhat::Saved { durable, fence, result: Ok(()), .. }) => {
                if let Some(reading) = u32::try_from(*fence).ok().and_then(|sub| self.readings.get(&Sub(sub)))
                {
                    self.durable.insert(*durable, reading.ledgers.clone());
                }
            }
            What::Established(sub, Ok(())) => self.established(*sub),
            What::Established(sub, Err(_)) | What::Unsubscribe(sub) | What::Ended(sub, None) => {
                self.over(*sub);
            }
            What::Ended(sub, Some(kind)) => {
                self.over(*sub);
                if !rules.ends {
                    self.blame(at, format!("{sub} ended with an error: {}", kind.as_str()));
                }
            }
            What::Event { sub, of, topic, seq, value } => self.event(at, *sub, *of, *topic, *seq, *value),
            What::Gap { sub, of: Some(of), topic, from, to, .. } => {
                let lane = from.or(*to).map_or(0, lane_of);
                if let (Some(from), Some(to)) = (from, to) {
                    self.gaps.push((at, *sub, *of, *from, *to));
                }
                let stream = (*of, *topic, lane);
                // An open gap is judged by how far the source has come for sure, any other by how far it may have.
                let stood =
                    if to.is_some() { self.may_stand(stream) } else { self.stood_for_sure(*sub, stream) };
                let (from, to) = (from.map(seq_of), to.map(seq_of));
                self.ledger(at, *sub, stream, |ledger| ledger.gap(from, to, stood.max(ledger.next())));
            }
            What::Gap { of: None, .. } => self.blame(at, "a gap of nobody in this run"),
            What::Log(LogWhat::Missing(sub, _)) => {
                let Some(reading) = self.readings.get_mut(sub) else { return };
                for ledger in reading.ledgers.values_mut() {
                    // Nobody knows of whom or how many: whatever comes next, it is new.
                    let next = ledger.next();
                    ledger.gap((next > 0).then_some(next), None, next);
                }
                // Of sources that were not seen before, too.
                reading.established = false;
            }
            // What it was about to learn, or to be told, nobody will know.
            What::Crash(life) | What::Gone(life, _) => {
                let own = self.outcomes.iter_mut().filter(|(value, _)| value.life == *life);
                own.for_each(|(_, outcome)| {
                    outcome.get_or_insert(Err(ErrorKind::OutcomeUnknown));
                });
                let own = self.readings.values_mut().filter(|reading| reading.life == *life);
                own.for_each(|reading| reading.is_over = true);
            }
            What::Group(what) => self.groups.note(at, what, &mut self.findings),
            _ => {}
        }
    }

    /// A log that has accepted an event has it until retention takes it: a gap is no excuse.
    fn blame_for_losses(&mut self) {
        let accepted = self.outcomes.iter().filter_map(|(value, outcome)| match outcome {
            Some(Ok(Some(seq))) => Some((value.life, *seq, *value)),
            _ => None,
        });
        let accepted: Vec<_> = accepted.collect();
        for (at, sub, of, from, to) in std::mem::take(&mut self.gaps) {
            let mut lost = accepted.iter().filter(|(life, seq, _)| *life == of && (from..to).contains(seq));
            if let Some((_, seq, value)) = lost.next() {
                self.blame(
                    at,
                    format!("the log had accepted {value} as {seq}, and {sub} is told that it is missing"),
                );
            }
        }
    }

    fn published(&mut self, at: Duration, value: Value, outcome: Result<Option<u64>, ErrorKind>) {
        self.outcomes.insert(value, Some(outcome));
        if let Ok(Some(seq)) = outcome {
            self.stands.entry((value.life, value.topic)).or_default().accepted += 1;
            let accepted = self.accepted.entry((value.life, value.topic, lane_of(seq))).or_default();
            let before = accepted.last().map_or(0, |(_, highest)| *highest);
            accepted.push((at, before.max(seq_of(seq))));
            self.groups.accepted(value, seq);
            self.is_value(at, value.life, value.topic, seq, value);
        }
    }

    /// One sequence of one source is one event, whoever says so.
    fn is_value(&mut self, at: Duration, of: Life, topic: Topic, seq: u64, value: Value) {
        let known = *self.seqs.entry((of, topic, seq)).or_insert(value);
        if known != value {
            self.blame(at, format!("{seq} of {of} on {topic} is {value}, and was {known} before"));
        }
    }

    fn begin(
        &mut self,
        sub: Sub,
        life: Life,
        topics: Vec<Topic>,
        own: bool,
        ledgers: BTreeMap<Stream, Ledger>,
    ) {
        let (probes, since, handed) = (BTreeSet::new(), BTreeMap::new(), Duration::ZERO);
        let reading =
            Reading { life, topics, own, is_over: false, established: false, ledgers, handed, since, probes };
        self.readings.insert(sub, reading);
    }

    fn over(&mut self, sub: Sub) {
        if let Some(reading) = self.readings.get_mut(&sub) {
            reading.is_over = true;
        }
    }

    /// From here on it is owed everything that is published: at the latest from the sequence that could come next.
    fn established(&mut self, sub: Sub) {
        if self.readings.get(&sub).is_none_or(|reading| reading.established) {
            return;
        }
        let stood: Vec<_> = self.accepted.keys().map(|stream| (*stream, self.may_stand(*stream))).collect();
        let Some(reading) = self.readings.get_mut(&sub) else { return };
        reading.established = true;
        for ((of, topic), stand) in &self.stands {
            reading.since.insert((*of, *topic), stand.undecided());
        }
        for (stream, stood) in stood {
            if reading.wants(stream) {
                reading.ledgers.entry(stream).or_default().owe(stood);
            }
        }
    }

    /// The sequence that comes next, by what was accepted.
    fn stands_for_sure(&self, stream: Stream) -> u64 {
        self.stood_at(stream, Duration::MAX)
    }

    /// The same when this subscription was handed something before: a gap was decided before its reader came to write it
    /// down, and what was accepted in between may lie behind it.
    fn stood_for_sure(&self, sub: Sub, stream: Stream) -> u64 {
        let handed = self.readings.get(&sub).map_or(Duration::ZERO, |reading| reading.handed);
        self.stood_at(stream, handed)
    }

    /// The sequence that came next, by what had been accepted at this time.
    fn stood_at(&self, stream: Stream, time: Duration) -> u64 {
        let accepted = self.accepted.get(&stream).map_or(&[][..], Vec::as_slice);
        let known = accepted.partition_point(|(at, _)| *at <= time);
        known.checked_sub(1).map_or(1, |last| accepted[last].1 + 1)
    }

    /// The highest that it may be: all that is undecided may be on this lane.
    fn may_stand(&self, stream: Stream) -> u64 {
        let (of, topic, _) = stream;
        let stand = self.stands.get(&(of, topic)).copied().unwrap_or_default();
        (self.stands_for_sure(stream) + stand.undecided()).min(stand.tried + 1)
    }

    /// Tells a ledger something, and blames what it finds wrong with it.
    fn ledger(&mut self, at: Duration, sub: Sub, stream: Stream, tell: impl FnOnce(&mut Ledger)) {
        let Some(reading) = self.readings.get_mut(&sub) else {
            return self.blame(at, format!("{sub} was handed something, and is no subscription"));
        };
        let owed_from = reading.owed_from(stream);
        let ledger = reading.ledgers.entry(stream).or_insert_with(|| {
            let mut ledger = Ledger::default();
            if let Some(from) = owed_from {
                ledger.owe(from);
            }
            ledger
        });
        reading.handed = at;
        let before = ledger.violation();
        tell(ledger);
        if let (None, Some(violation)) = (before, ledger.violation()) {
            let (of, topic, lane) = stream;
            self.blame(at, format!("{sub}, {of} {topic} lane {lane}: {violation}"));
        }
    }

    fn event(
        &mut self,
        at: Duration,
        sub: Sub,
        of: Option<Life>,
        topic: Topic,
        seq: u64,
        value: Option<Value>,
    ) {
        let (Some(of), Some(value)) = (of, value) else {
            return self.blame(at, format!("{sub} got an event that nobody published as it is: {seq}"));
        };
        if value.life != of || value.topic != topic || !self.outcomes.contains_key(&value) {
            return self
                .blame(at, format!("{sub} got {value} as {seq} of {of} on {topic}: nobody published that"));
        }
        if let Some(Some(Err(kind))) = self.outcomes.get(&value)
            && kind.outcome_known()
        {
            let kind = kind.as_str();
            self.blame(at, format!("{sub} got {value}, which is said to have failed for certain ({kind})"));
        }
        self.is_value(at, of, topic, seq, value);
        let stream = (of, topic, lane_of(seq));
        let (stood, probing) = (self.may_stand(stream), self.probing);
        self.ledger(at, sub, stream, |ledger| ledger.events(seq_of(seq), seq_of(seq) + 1, stood));
        if let Some(reading) = self.readings.get_mut(&sub)
            && probing
        {
            reading.probes.insert(value);
        }
    }

    /// What is still owed to somebody, in words. Empty at the end of a run in which all went well.
    pub(super) fn owed(&self) -> Vec<String> {
        let mut owed = Vec::new();
        for (sub, reading) in self.readings.iter().filter(|(_, reading)| !reading.is_over) {
            for stream in self.accepted.keys().filter(|stream| reading.wants(**stream)) {
                let ((of, topic, lane), next) = (stream, self.stands_for_sure(*stream));
                let ledger = reading.ledgers.get(stream);
                let is_settled = match ledger {
                    Some(ledger) => ledger.is_settled(next),
                    None => reading.owed_from(*stream).is_none_or(|from| from >= next),
                };
                if !is_settled {
                    let at = ledger.map_or(0, Ledger::next);
                    owed.push(format!(
                        "{sub} is owed {of} {topic} lane {lane} up to {next}, and stands at {at}"
                    ));
                }
            }
            let accepted = |value: &&Value| matches!(self.outcomes.get(value), Some(Some(Ok(_))));
            for value in self.probes.iter().filter(accepted) {
                let wants =
                    reading.topics.contains(&value.topic) && (reading.own || value.life != reading.life);
                if wants && !reading.probes.contains(value) {
                    owed.push(format!("{sub} was never handed {value}, which came when all was well"));
                }
            }
        }
        let pending = self.outcomes.iter().filter(|(_, outcome)| outcome.is_none());
        owed.extend(pending.map(|(value, _)| format!("the publish of {value} has no outcome")));
        owed.extend(self.groups.owed());
        owed
    }
}

#[cfg(test)]
mod tests;
