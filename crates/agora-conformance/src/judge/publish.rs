//! Outcomes are true, sequences are without a break, frames never change, and what failed is sent again in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::ErrorKind;

use super::facts::{End, Facts};
use super::{Findings, ms};
use crate::history::{History, Life, Topic, Value, What, Wire};
use crate::sim::Profile;

/// How much later than its deadline an outcome may come.
const OUTCOME_LATE: Duration = ms(1_000);
/// How long a frame is kept for repair, as the limits of the engine have it, and how much longer it may be said to
/// be kept: its age is looked at when a timer fires.
const REPAIR_AGE: Duration = ms(30_000);
const REPAIR_AGE_LATE: Duration = ms(6_000);

#[derive(Debug)]
struct Attempt {
    at: Duration,
    waits: bool,
    outcome: Option<(Duration, Result<Option<u64>, ErrorKind>)>,
    formed_as: Option<u64>,
}

/// One source on one topic.
#[derive(Debug, Default)]
struct Stream {
    /// End and checksum of each frame, by its first sequence.
    frames: BTreeMap<u64, (u64, u32)>,
    next: u64,
    /// The number of the last value that was formed.
    last: u64,
    floor: u64,
    finished: bool,
    accepted: BTreeSet<u64>,
    /// First sequences of frames that are neither accepted nor given up.
    pending: BTreeSet<u64>,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    attempts: BTreeMap<Value, Attempt>,
    streams: BTreeMap<(Life, Topic), Stream>,
    /// The data frames of a call, by their place in it: topic and first sequence.
    calls: BTreeMap<u64, Vec<Option<(Topic, u64)>>>,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let (attempts, streams, calls) = Default::default();
    let mut judge = Judge { facts, attempts, streams, calls };
    for entry in &history.entries {
        judge.note(entry.at, &entry.what, findings);
    }
    judge.conclude(findings);
}

impl Judge<'_> {
    fn note(&mut self, at: Duration, what: &What, findings: &mut Findings) {
        match what {
            What::Publish { value, waits } => {
                let attempt = Attempt { at, waits: *waits, outcome: None, formed_as: None };
                self.attempts.insert(*value, attempt);
            }
            What::Published(value, outcome) => self.outcome(at, *value, *outcome, findings),
            // With little memory, some wait to be queued, and a flush does not wait for them.
            What::Flushed(life, Ok(()), left @ 1..) if self.facts.plan.memory_bytes >= 64 << 20 => {
                findings.add(at, format!("{life} was flushed, and {left} publishes have no outcome"));
            }
            What::Send { by, call, wires, formed } => {
                for (seq, value) in formed {
                    self.formed(at, *by, *seq, *value, findings);
                }
                self.send(at, *by, *call, wires, findings);
            }
            What::Sent { by, call, accepted, failed } => self.sent(*by, *call, *accepted, *failed),
            _ => {}
        }
    }

    fn formed(&mut self, at: Duration, by: Life, seq: u64, value: Option<Value>, findings: &mut Findings) {
        let Some(value) = value else {
            return findings.add(at, format!("{by} formed {seq} of something that nobody published"));
        };
        let stream = self.streams.entry((by, value.topic)).or_default();
        if value.n <= stream.last {
            findings
                .add(at, format!("{by} formed {value} as {seq} after {} of the same publisher", stream.last));
        }
        stream.last = value.n;
        match self.attempts.get_mut(&value) {
            None => findings.add(at, format!("{by} formed {value} as {seq}, which was never published")),
            Some(Attempt { formed_as: Some(before), .. }) => {
                findings.add(at, format!("{by} formed {value} as {before} and again as {seq}"));
            }
            Some(attempt) => {
                attempt.formed_as = Some(seq);
                if let Some((_, Err(kind))) = attempt.outcome {
                    findings.add(at, format!("{by} formed {value} after it failed: {}", kind.as_str()));
                }
            }
        }
    }

    fn send(&mut self, at: Duration, by: Life, call: u64, wires: &[Wire], findings: &mut Findings) {
        let mut places = Vec::with_capacity(wires.len());
        for wire in wires {
            places.push(None);
            match wire {
                Wire::Data { of, topic, seq, end, floor, crc } => {
                    if *of != by {
                        findings.add(at, format!("{by} sends a frame of {of}"));
                        continue;
                    }
                    let is_new = self.send_data(at, by, *topic, *seq..*end, *crc, &places, findings);
                    // A frame that is sent again says what was true when it was formed.
                    if is_new {
                        self.check_floor(at, by, *topic, *floor, *seq, findings);
                    }
                    if let Some(place) = places.last_mut() {
                        *place = Some((*topic, *seq));
                    }
                }
                Wire::Head { of, topic, next, floor, fin, .. } if *of == by => {
                    let stream = self.streams.entry((by, *topic)).or_default();
                    stream.finished |= fin;
                    let stands = stream.next.max(1);
                    if *next != stands {
                        findings
                            .add(at, format!("{by} says that it stands at {next} on {topic}, not {stands}"));
                    }
                    self.check_floor(at, by, *topic, *floor, *next, findings);
                }
                _ => {}
            }
        }
        self.calls.insert(call, places);
    }

    /// A data frame is sent. Answers whether for the first time.
    #[allow(clippy::too_many_arguments)]
    fn send_data(
        &mut self,
        at: Duration,
        by: Life,
        topic: Topic,
        range: std::ops::Range<u64>,
        crc: u32,
        before: &[Option<(Topic, u64)>],
        findings: &mut Findings,
    ) -> bool {
        let stream = self.streams.entry((by, topic)).or_default();
        let (seq, next) = (range.start, stream.next.max(1));
        if let Some(known) = stream.frames.get(&seq) {
            if *known != (range.end, crc) {
                findings.add(at, format!("{by} sends {seq} on {topic} again, and it is another frame"));
            }
            return false;
        }
        if seq != next {
            findings.add(at, format!("{by} forms {seq} on {topic} where {next} is due"));
        }
        if stream.finished {
            findings.add(at, format!("{by} forms {seq} on {topic} after its final head"));
        }
        stream.frames.insert(seq, (range.end, crc));
        stream.next = next.max(range.end);
        stream.pending.insert(seq);
        let waiting: Vec<u64> = stream.pending.range(..seq).copied().collect();
        for older in waiting {
            let is_in_front = before.contains(&Some((topic, older)));
            if !is_in_front && !self.is_given_up(at, by, topic, older) {
                findings.add(at, format!("{by} sends {seq} on {topic} while {older} waits to be sent again"));
            }
        }
        true
    }

    /// Has the deadline of everything in this frame passed?
    fn is_given_up(&self, at: Duration, by: Life, topic: Topic, seq: u64) -> bool {
        let value = self.facts.event(by, topic, seq).and_then(|formed| formed.value);
        let attempt = value.and_then(|value| self.attempts.get(&value));
        attempt.is_none_or(|a| a.outcome.is_some() || at >= a.at + self.facts.plan.publish_timeout)
    }

    fn check_floor(
        &mut self,
        at: Duration,
        by: Life,
        topic: Topic,
        floor: u64,
        seq: u64,
        findings: &mut Findings,
    ) {
        let stream = self.streams.entry((by, topic)).or_default();
        if floor > seq {
            findings.add(at, format!("{by} gives {floor} as the floor of {seq} on {topic}"));
        }
        if floor < stream.floor {
            findings
                .add(at, format!("the floor of {by} on {topic} goes back from {} to {floor}", stream.floor));
        }
        stream.floor = stream.floor.max(floor);
        if self.facts.plan.is_log(topic) {
            return self.check_log_floor(at, by, topic, floor, seq, findings);
        }
        if self.facts.plan.memory_bytes < 64 << 20 {
            return;
        }
        let Some(formed) = self.facts.formed.get(&(by, topic)) else { return };
        let young = formed.partition_point(|event| event.at + REPAIR_AGE <= at) as u64 + 1;
        if floor > young {
            findings
                .add(at, format!("{by} no longer holds {young} on {topic}, which is young: floor {floor}"));
        }
        let old = formed.partition_point(|event| event.at + REPAIR_AGE + REPAIR_AGE_LATE <= at) as u64 + 1;
        let stalled = self.facts.net.ever(at.saturating_sub(REPAIR_AGE_LATE), at, |state| state.is_stalled());
        if floor < old && !stalled {
            findings.add(at, format!("{by} says that it holds {floor} on {topic}, which is too old"));
        }
    }

    /// On a log a frame says up to where its source has nothing under way any more: neither more nor less.
    fn check_log_floor(
        &self,
        at: Duration,
        by: Life,
        topic: Topic,
        floor: u64,
        seq: u64,
        findings: &mut Findings,
    ) {
        let Some(stream) = self.streams.get(&(by, topic)) else { return };
        let mut waiting = stream.pending.range(..=seq).copied();
        let least = waiting.clone().next().unwrap_or(seq);
        let most = waiting.find(|seq| !self.is_given_up(at, by, topic, *seq)).unwrap_or(seq);
        if !(least..=most).contains(&floor) {
            findings.add(
                at,
                format!("{by} gives {floor} as the floor of {seq} on {topic}, where {most} is under way"),
            );
        }
    }

    fn sent(&mut self, by: Life, call: u64, accepted: usize, failed: Option<ErrorKind>) {
        let Some(places) = self.calls.remove(&call) else { return };
        let mut topics = BTreeSet::new();
        for (place, (topic, seq)) in places.into_iter().enumerate().filter_map(|(n, p)| Some((n, p?))) {
            topics.insert(topic);
            let stream = self.streams.entry((by, topic)).or_default();
            if failed.is_none() || place < accepted {
                stream.accepted.insert(seq);
                stream.pending.remove(&seq);
            }
        }
        // What cannot succeed is not tried again.
        if failed.is_some_and(|kind| !kind.is_retryable()) {
            for topic in topics {
                self.streams.entry((by, topic)).or_default().pending.clear();
            }
        }
    }

    fn outcome(
        &mut self,
        at: Duration,
        value: Value,
        outcome: Result<Option<u64>, ErrorKind>,
        findings: &mut Findings,
    ) {
        let Some(attempt) = self.attempts.get_mut(&value) else { return };
        attempt.outcome = Some((at, outcome));
        match outcome {
            Ok(Some(seq)) => {
                if attempt.formed_as != Some(seq) {
                    let formed = attempt.formed_as;
                    findings.add(at, format!("{value} was published as {seq}, but formed as {formed:?}"));
                }
                let stream = self.streams.entry((value.life, value.topic)).or_default();
                let frame = stream.frames.range(..=seq).next_back().map(|(first, _)| *first);
                if !frame.is_some_and(|first| stream.accepted.contains(&first)) {
                    findings
                        .add(at, format!("{value} was published as {seq}, but the transport never said so"));
                }
            }
            Err(kind) if kind.outcome_known() && attempt.formed_as.is_some() => {
                let kind = kind.as_str();
                findings
                    .add(at, format!("{value} is said to have failed for certain ({kind}), but was sent"));
            }
            Err(kind) if self.facts.plan.profile == Profile::Calm => {
                let kind = kind.as_str();
                findings.add(at, format!("{value} failed ({kind}), and nothing went wrong"));
            }
            _ => {}
        }
    }

    fn conclude(&self, findings: &mut Findings) {
        let facts = self.facts;
        let stalled = facts.net.ever(Duration::ZERO, facts.end, |state| state.is_stalled());
        for (value, attempt) in &self.attempts {
            let Some(life) = facts.lives.get(&value.life) else { continue };
            let due = attempt.at + facts.plan.publish_timeout + OUTCOME_LATE;
            let due = life.left.map_or(due, |left| due.min(left + OUTCOME_LATE));
            let crashed = matches!(life.end, Some((_, End::Crash)));
            match attempt.outcome {
                None if attempt.waits && !crashed && due < facts.end => {
                    findings.add(due, format!("the publish of {value} has no outcome"));
                }
                Some((at, _)) if at > due && !stalled => {
                    let waited = at - attempt.at;
                    findings.add(at, format!("the publish of {value} took {waited:?}"));
                }
                // It may have been queued for too long before the node left.
                Some((at, Ok(None)))
                    if attempt.formed_as.is_none()
                        && life.left.is_some_and(|left| left < at + facts.plan.publish_timeout) =>
                {
                    findings.add(at, format!("{value} was queued and not sent, although its node left well"));
                }
                _ => {}
            }
        }
    }
}
