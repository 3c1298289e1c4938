//! A node asks for what it misses: not again before an answer can be there, not for what its source said it no longer
//! holds, and not for what this node dropped itself, for repair must not feed an overload.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use agora_core::limits::ASK_RETRY;

use super::facts::Facts;
use super::{Findings, ms};
use crate::history::{History, Life, Topic, What, Wire};

/// How long an ask may be on its way from where it is decided to the transport, where nothing is in its way.
const UNDER_WAY: Duration = ms(50);

/// What one node knows of one source on one topic.
#[derive(Debug, Default)]
struct Known {
    /// The end of all that was heard of.
    hi: u64,
    /// The floors that its source told, each higher than the one before, and when.
    floors: Vec<(Duration, u64)>,
    /// Its transport dropped messages, and nothing has shown yet which.
    dropped: bool,
    /// What it dropped.
    own: Vec<Range<u64>>,
    /// When it last asked, and from where on.
    asked: Option<(Duration, u64)>,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    known: BTreeMap<(Life, Topic, Life), Known>,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let mut judge = Judge { facts, known: BTreeMap::new() };
    for entry in &history.entries {
        judge.note(entry.at, &entry.what, findings);
    }
}

impl Judge<'_> {
    fn note(&mut self, at: Duration, what: &What, findings: &mut Findings) {
        match what {
            // Who listened to nothing of a source knows of nothing.
            What::Subscribe { life, .. } => {
                let facts = self.facts;
                self.known.retain(|(by, topic, of), _| by != life || facts.hears(*by, *of, *topic, at));
            }
            What::Got(by, wire) | What::Spoiled { by, wire, newer: true } => self.got(at, *by, wire),
            What::Overrun(by, Some(topic)) => {
                let known = self.known.iter_mut().filter(|((b, t, _), _)| (b, t) == (by, topic));
                known.for_each(|(_, known)| known.dropped = true);
            }
            What::Send { by, wires, .. } => {
                for wire in wires {
                    if let Wire::Ask { of, topic, ranges, .. } = wire {
                        self.ask(at, (*by, *topic, *of), ranges, findings);
                    }
                }
            }
            _ => {}
        }
    }

    fn got(&mut self, at: Duration, by: Life, wire: &Wire) {
        let (of, topic, seq, end, floor) = match wire {
            Wire::Data { of, topic, seq, end, floor, .. } => (of, topic, *seq, *end, *floor),
            Wire::Head { of, topic, next, floor, .. } => (of, topic, *next, *next, *floor),
            _ => return,
        };
        if !self.facts.hears(by, *of, *topic, at) {
            return;
        }
        let new = Known { hi: end, ..Known::default() };
        let known = self.known.entry((by, *topic, *of)).or_insert(new);
        if known.dropped && seq >= known.hi {
            known.own.push(known.hi..seq);
            known.dropped = false;
        }
        known.hi = known.hi.max(end);
        if known.floors.last().is_none_or(|(_, last)| *last < floor) {
            known.floors.push((at, floor));
        }
    }

    fn ask(
        &mut self,
        at: Duration,
        key: (Life, Topic, Life),
        ranges: &[(u64, u64)],
        findings: &mut Findings,
    ) {
        let (by, topic, of) = key;
        let Some((from, _)) = ranges.first().copied() else { return };
        let prompt = self.facts.is_untroubled(by, at, at);
        let known = self.known.entry(key).or_default();
        let own =
            known.own.iter().find(|own| ranges.iter().any(|(from, to)| *from < own.end && own.start < *to));
        if let Some(own) = own {
            let (from, to) = (own.start, own.end);
            findings.add(at, format!("{by} asks {of} on {topic} for what it dropped itself: {from}..{to}"));
        }
        let told = known.floors.iter().take_while(|(when, _)| *when + UNDER_WAY < at).last();
        if let Some((_, floor)) = told.filter(|(_, floor)| prompt && from < *floor) {
            findings
                .add(at, format!("{by} asks {of} on {topic} for {from}, which is below its floor {floor}"));
        }
        if let Some((last, _)) = known.asked.filter(|(_, before)| *before == from) {
            let since = at - last;
            if prompt && since + UNDER_WAY < ASK_RETRY {
                findings.add(at, format!("{by} asks {of} on {topic} for {from} again after only {since:?}"));
            }
        }
        known.asked = Some((at, from));
    }
}
