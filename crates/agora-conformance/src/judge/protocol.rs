//! Hellos and repair requests are answered, heads repeat in silence, and subscriptions wait for their baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::limits::{ANSWER_MUTE, ESTABLISH_WAIT, HEAD_INTERVAL, HELLO_INTERVAL, TOMBSTONE_AGE};
use agora_core::live::Reason;

use super::facts::Facts;
use super::{Findings, ms};
use crate::history::{Change, History, Life, Pace, Sub, Topic, What, Wire};

/// How long an answer may take.
const ANSWER: Duration = ms(1_000);
/// How late a head may be.
const HEAD_LATE: Duration = ms(100);

/// What a source sent on a topic.
#[derive(Debug, Default)]
struct Sent {
    /// When, and what it covers.
    frames: Vec<(Duration, u64, u64)>,
    /// When, and the floor that it told.
    floors: Vec<(Duration, u64)>,
    /// When it answered which hello.
    nonces: BTreeMap<u64, Vec<Duration>>,
    /// The next sequence.
    next: u64,
    /// When it sent anything new, and whether that was data.
    times: Vec<(Duration, bool)>,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    sent: BTreeMap<(Life, Topic), Sent>,
    hellos: BTreeMap<(Life, Topic), Vec<(Duration, u64)>>,
    /// Who knows, by a heartbeat and since when, that the second publishes there and has not ended.
    known: BTreeMap<(Life, Life, Topic), Duration>,
    /// Who last heard the second there.
    heard: BTreeMap<(Life, Life, Topic), Duration>,
    /// Who has handed over an open gap, and when.
    open: BTreeMap<(Life, Life, Topic), Duration>,
    /// What must be answered.
    asked: Vec<(Duration, Life, Topic, u64)>,
    greeted: Vec<(Duration, Life, Topic, u64)>,
    /// Frames of sources in an open gap, which call for a hello.
    stirred: Vec<(Duration, Life, Life, Topic)>,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let mut judge = Judge {
        facts,
        sent: BTreeMap::new(),
        hellos: BTreeMap::new(),
        known: BTreeMap::new(),
        heard: BTreeMap::new(),
        open: BTreeMap::new(),
        asked: Vec::new(),
        greeted: Vec::new(),
        stirred: Vec::new(),
    };
    for entry in &history.entries {
        judge.note(entry.at, &entry.what, findings);
    }
    judge.conclude(findings);
}

impl Judge<'_> {
    fn note(&mut self, at: Duration, what: &What, findings: &mut Findings) {
        match what {
            What::Send { by, wires, .. } => wires.iter().for_each(|wire| self.send(at, *by, wire)),
            What::Got(by, wire) => self.got(at, *by, wire),
            What::Member { by, change: Change::Failed | Change::Left, of: Some(of), .. } => {
                self.known.retain(|(b, o, _), _| (*b, *o) != (*by, *of));
            }
            What::Established(sub, Ok(())) => self.established(at, *sub, findings),
            What::Gap { sub, of: Some(of), topic, to: None, reason: Reason::SourceFailed, .. } => {
                // Who reads slowly learns of it late.
                if let Some(sub) = self.facts.subs.get(sub).filter(|sub| sub.pace == Pace::Prompt) {
                    self.open.insert((sub.life, *of, *topic), at);
                }
            }
            What::Event { sub, of: Some(of), topic, .. } => {
                if let Some(sub) = self.facts.subs.get(sub) {
                    self.open.remove(&(sub.life, *of, *topic));
                }
            }
            _ => {}
        }
    }

    fn send(&mut self, at: Duration, by: Life, wire: &Wire) {
        match wire {
            // What a log keeps, nobody repeats.
            Wire::Data { topic, .. } if self.facts.plan.is_log(*topic) => {}
            Wire::Data { topic, seq, end, floor, .. } => {
                let sent = self.sent.entry((by, *topic)).or_default();
                sent.frames.push((at, *seq, *end));
                sent.floors.push((at, *floor));
                // What is repeated is no news.
                if *seq >= sent.next {
                    sent.next = *end;
                    sent.times.push((at, true));
                }
            }
            Wire::Head { topic, floor, nonces, .. } => {
                let sent = self.sent.entry((by, *topic)).or_default();
                sent.floors.push((at, *floor));
                sent.times.push((at, false));
                for nonce in nonces {
                    sent.nonces.entry(*nonce).or_default().push(at);
                }
            }
            Wire::Hello { topic, nonce, .. } => {
                self.hellos.entry((by, *topic)).or_default().push((at, *nonce));
            }
            Wire::Ask { .. } | Wire::Heartbeat { .. } | Wire::Leave { .. } => {}
        }
    }

    fn got(&mut self, at: Duration, by: Life, wire: &Wire) {
        match wire {
            Wire::Data { of, topic, .. } => self.hear(at, by, *of, *topic),
            Wire::Head { of, topic, nonces, .. } => {
                let key = (by, *of, *topic);
                let since = self.open.get(&key).copied();
                let hellos = self.hellos.get(&(by, *topic));
                let fresh = hellos
                    .into_iter()
                    .flatten()
                    .any(|(when, nonce)| since.is_some_and(|since| *when >= since) && nonces.contains(nonce));
                if fresh {
                    self.open.remove(&key);
                }
                self.hear(at, by, *of, *topic);
            }
            Wire::Heartbeat { of, topics } => {
                for topic in topics {
                    self.known.entry((by, *of, *topic)).or_insert(at);
                }
            }
            Wire::Ask { of, topic, ranges, .. } if *of == by => {
                let formed = self.facts.formed.get(&(by, *topic));
                let stood = formed.map_or(0, |formed| formed.partition_point(|event| event.at <= at)) as u64;
                for (from, to) in ranges {
                    let ends = [*from, to - 1].into_iter().filter(|seq| *seq <= stood);
                    self.asked.extend(ends.map(|seq| (at, by, *topic, seq)));
                }
            }
            Wire::Hello { topic, nonce, .. } if self.sent.contains_key(&(by, *topic)) => {
                self.greeted.push((at, by, *topic, *nonce));
            }
            _ => {}
        }
    }

    fn hear(&mut self, at: Duration, by: Life, of: Life, topic: Topic) {
        self.heard.insert((by, of, topic), at);
        // After long enough, nobody remembers the source.
        if self.open.get(&(by, of, topic)).is_some_and(|since| at < *since + TOMBSTONE_AGE) {
            self.stirred.push((at, by, of, topic));
        }
    }

    /// A subscription is established only when it has said hello, and has heard who is known to publish there, or has
    /// waited for long enough.
    fn established(&self, at: Duration, sub: Sub, findings: &mut Findings) {
        let Some(facts) = self.facts.subs.get(&sub) else { return };
        let (by, asked) = (facts.life, facts.asked);
        for topic in &facts.topics {
            // Then the baseline may be there already.
            let company = self.facts.listens(by, *topic, asked);
            let hellos = self.hellos.get(&(by, *topic)).map(Vec::as_slice).unwrap_or_default();
            let mut since = hellos.iter().filter(|(when, _)| *when >= asked);
            if self.facts.is_untroubled(by, asked, at) {
                match since.next() {
                    None if !company => {
                        findings.add(at, format!("{sub} is established on {topic} without a hello"));
                    }
                    // Of several topics, one may have taken the time.
                    Some((first, _))
                        if at - *first > ms(250) && facts.topics.len() == 1 && since.next().is_none() =>
                    {
                        findings
                            .add(at, format!("{sub} said hello on {topic} only once in {:?}", at - *first));
                    }
                    _ => {}
                }
            }
            let waited = at - asked >= ESTABLISH_WAIT;
            if waited || company {
                continue;
            }
            let known = self.known.range((by, Life { node: 0, turn: 0 }, Topic(0))..);
            let known = known.take_while(|((b, ..), _)| *b == by).filter(|((.., t), _)| t == topic);
            for ((_, of, _), _) in known.filter(|(_, since)| **since < asked) {
                if *of != by && self.heard.get(&(by, *of, *topic)).is_none_or(|heard| *heard < asked) {
                    findings.add(at, format!("{sub} is established on {topic} and has not heard {of}"));
                }
            }
        }
    }

    fn conclude(&self, findings: &mut Findings) {
        let roomy = self.facts.plan.memory_bytes >= 64 << 20;
        // With large frames, answers are rationed.
        for (at, by, topic, seq) in self.asked.iter().filter(|_| roomy) {
            let (until, since) = (*at + ANSWER, at.saturating_sub(ANSWER_MUTE));
            let Some(sent) = self.sent.get(&(*by, *topic)) else { continue };
            let frame = |(when, from, to): &(Duration, u64, u64)| {
                (since..=until).contains(when) && (*from..*to).contains(seq)
            };
            let floor = |(when, floor): &(Duration, u64)| (*at..=until).contains(when) && floor > seq;
            let answered = sent.frames.iter().any(frame) || sent.floors.iter().any(floor);
            if !answered && self.facts.is_untroubled(*by, *at, until) {
                findings.add(until, format!("{by} was asked for {seq} on {topic} and did not answer"));
            }
        }
        for (at, by, topic, nonce) in &self.greeted {
            let until = *at + ANSWER;
            let answers = self.sent.get(&(*by, *topic)).and_then(|sent| sent.nonces.get(nonce));
            let answered = answers.into_iter().flatten().any(|when| (*at..=until).contains(when));
            if !answered && self.facts.is_untroubled(*by, *at, until) {
                findings.add(until, format!("{by} did not answer hello {nonce:x} on {topic}"));
            }
        }
        for (at, by, of, topic) in &self.stirred {
            let hellos = self.hellos.get(&(*by, *topic)).map(Vec::as_slice).unwrap_or_default();
            let (since, until) = (at.saturating_sub(HELLO_INTERVAL), *at + ms(50));
            let greeted = hellos.iter().any(|(when, _)| (since..=until).contains(when));
            if !greeted
                && self.facts.is_untroubled(*by, since, until)
                && self.still_listens(*by, *topic, until)
            {
                findings
                    .add(until, format!("{by} heard {of} on {topic} in its open gap and did not say hello"));
            }
        }
        self.check_heads(findings);
    }

    fn still_listens(&self, by: Life, topic: Topic, until: Duration) -> bool {
        let mut subs = self.facts.subs.values();
        subs.any(|s| s.life == by && s.topics.contains(&topic) && s.ended.is_none_or(|ended| ended > until))
    }

    /// A source is never silent for longer than the longest interval between heads, and soon after data there is one.
    fn check_heads(&self, findings: &mut Findings) {
        let mut silent = BTreeSet::new();
        for ((by, topic), sent) in &self.sent {
            let ends = sent.times.iter().skip(1).map(|(at, _)| *at).chain([self.facts.end]);
            for ((at, data), next) in sent.times.iter().zip(ends) {
                let due = *at + HEAD_LATE + if *data { HEAD_INTERVAL.0 } else { HEAD_INTERVAL.1 };
                if next > due && self.facts.is_untroubled(*by, *at, due) && silent.insert((*by, *topic)) {
                    findings.add(due, format!("{by} has nothing to say on {topic} since {at:?}"));
                }
            }
        }
    }
}
