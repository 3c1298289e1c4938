//! From the moment a subscription is established it gets each event of every source once, in that source's order, or
//! a gap; and whoever can be heard is heard.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::ErrorKind;

use super::facts::Facts;
use super::net::State;
use super::{Findings, ms};
use crate::history::{Change, History, Life, Pace, Sub, Topic, What};
use crate::ledger::Ledger;
use crate::sim::Profile;

/// How long a delivery may take where nothing goes wrong, beyond the delay of the network.
const PROMPT: Duration = ms(100);

struct Judge<'a> {
    facts: &'a Facts<'a>,
    ledgers: BTreeMap<(Sub, Topic, Life), Ledger>,
    /// How far each source had come when a subscription was established; one that is not there had formed nothing.
    owed: BTreeMap<Sub, BTreeMap<(Life, Topic), u64>>,
    stood: BTreeMap<(Life, Topic), u64>,
    /// Whose last word is that it is isolated.
    isolated: BTreeMap<Life, bool>,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let mut judge = Judge {
        facts,
        ledgers: BTreeMap::new(),
        owed: BTreeMap::new(),
        stood: BTreeMap::new(),
        isolated: BTreeMap::new(),
    };
    for entry in &history.entries {
        judge.note(entry.at, &entry.what, findings);
    }
    judge.conclude(findings);
}

impl Judge<'_> {
    fn note(&mut self, at: Duration, what: &What, findings: &mut Findings) {
        match what {
            What::Send { by, formed, .. } => {
                for (seq, value) in formed {
                    if let Some(value) = value {
                        self.stood.insert((*by, value.topic), seq + 1);
                    }
                }
            }
            What::Established(sub, Ok(())) => {
                self.owed.insert(*sub, self.stood.clone());
                let known: Vec<_> = self.ledgers.keys().filter(|(s, ..)| s == sub).copied().collect();
                for (sub, topic, of) in known {
                    let stood = self.stood(of, topic);
                    if let Some(ledger) = self.ledgers.get_mut(&(sub, topic, of)) {
                        ledger.owe(stood);
                    }
                }
            }
            What::Established(sub, Err(kind)) => self.ended(at, *sub, Some(*kind), findings),
            What::Ended(sub, kind) => self.ended(at, *sub, *kind, findings),
            What::Event { sub, of, topic, seq, value } => {
                let Some(of) = *of else {
                    return findings.add(at, format!("{sub} got an event of nobody: {topic} {seq}"));
                };
                let Some(facts) = self.facts.subs.get(sub) else { return };
                if !facts.wants(of, *topic) {
                    findings.add(at, format!("{sub} got what it did not ask for: {of} {topic} {seq}"));
                }
                let formed = self.facts.event(of, *topic, *seq);
                if value.is_none() || formed.and_then(|formed| formed.value) != *value {
                    let what = value.map_or("something else".into(), |value| value.to_string());
                    findings.add(at, format!("{sub} got {what} as {of} {topic} {seq}"));
                }
                self.check_delay(at, *sub, of, *topic, *seq, findings);
                let stood = self.stood(of, *topic);
                self.judge(at, *sub, *topic, of, findings, |ledger| ledger.events(*seq, seq + 1, stood));
            }
            What::Gap { sub, of, topic, from, to, .. } => {
                let Some(of) = *of else {
                    return findings.add(at, format!("{sub} got a gap of nobody on {topic}"));
                };
                let Some(facts) = self.facts.subs.get(sub) else { return };
                if !facts.wants(of, *topic) {
                    findings.add(at, format!("{sub} got a gap that it did not ask for: {of} {topic}"));
                }
                let stood = self.stood(of, *topic);
                // Who reads slowly learns of an open gap late: what its source published since then may follow.
                let slow = facts.pace != Pace::Prompt;
                self.judge(at, *sub, *topic, of, findings, |ledger| {
                    let told =
                        if slow && to.is_none() { ledger.next().max(from.unwrap_or(0)) } else { stood };
                    ledger.gap(*from, *to, told);
                });
            }
            What::Member { by, change: Change::Isolated, .. } => {
                self.isolated.insert(*by, true);
            }
            What::Member { by, change: Change::Reunited, .. } => {
                self.isolated.insert(*by, false);
            }
            _ => {}
        }
    }

    /// The next sequence of a source.
    fn stood(&self, of: Life, topic: Topic) -> u64 {
        self.stood.get(&(of, topic)).copied().unwrap_or(1)
    }

    fn judge(
        &mut self,
        at: Duration,
        sub: Sub,
        topic: Topic,
        of: Life,
        findings: &mut Findings,
        then: impl FnOnce(&mut Ledger),
    ) {
        let owed = self.owed.get(&sub).map(|owed| owed.get(&(of, topic)).copied().unwrap_or(1));
        let ledger = self.ledgers.entry((sub, topic, of)).or_default();
        if let Some(owed) = owed {
            ledger.owe(owed);
        }
        let before = ledger.violation();
        then(ledger);
        if let (None, Some(violation)) = (before, ledger.violation()) {
            findings.add(at, format!("{sub}, {of} {topic}: {violation}"));
        }
    }

    /// A subscription ends where it is dropped or its node ends; and it is refused where its node reaches nobody.
    fn ended(&self, at: Duration, sub: Sub, kind: Option<ErrorKind>, findings: &mut Findings) {
        let (facts, Some(s)) = (self.facts, self.facts.subs.get(&sub)) else { return };
        let alone = |state: &State| {
            state.is_mute(s.life.node)
                || state.is_deaf(s.life.node)
                || state.server_down
                || state.is_stalled()
        };
        let excused = kind == Some(ErrorKind::Unreachable) && facts.net.ever(s.asked, at, alone);
        if facts.lives_through(s.life, at, at) && !excused {
            let why = kind.map_or("without an error", ErrorKind::as_str);
            findings.add(at, format!("{sub} ended ({why}), although its node goes on"));
        }
    }

    /// Where nothing goes wrong, events are there as soon as the network brings them.
    fn check_delay(&self, at: Duration, sub: Sub, of: Life, topic: Topic, seq: u64, findings: &mut Findings) {
        let (facts, Some(formed)) = (self.facts, self.facts.event(of, topic, seq)) else { return };
        let prompt = facts.subs.get(&sub).is_some_and(|sub| {
            sub.pace == Pace::Prompt && sub.established.is_some_and(|established| established <= formed.at)
        });
        let due = formed.at + facts.net.delay_max(formed.at, at) + PROMPT;
        if facts.plan.profile == Profile::Calm && prompt && at > due {
            let late = at - formed.at;
            findings
                .add(at, format!("{sub} got {of} {topic} {seq} only after {late:?}, and nothing went wrong"));
        }
    }

    fn conclude(&self, findings: &mut Findings) {
        let facts = self.facts;
        for (sub, s) in facts.subs.iter().filter(|(_, sub)| sub.ended.is_none()) {
            let Some(established) = s.established else {
                let text = format!("{sub} was asked for at {:?} and never established", s.asked);
                findings.add(facts.end, text);
                continue;
            };
            for (of, topic) in facts.formed.keys().filter(|(of, topic)| s.wants(*of, *topic)) {
                self.conclude_source(*sub, *of, *topic, established, findings);
            }
        }
    }

    /// Is everything there that is owed, and the probe at the end above all?
    fn conclude_source(
        &self,
        sub: Sub,
        of: Life,
        topic: Topic,
        established: Duration,
        findings: &mut Findings,
    ) {
        let (facts, stood) = (self.facts, self.stood(of, topic));
        let Some(by) = facts.subs.get(&sub).map(|sub| sub.life) else { return };
        let owed = self.owed.get(&sub).map_or(1, |owed| owed.get(&(of, topic)).copied().unwrap_or(1));
        let mut ledger = self.ledgers.get(&(sub, topic, of)).cloned().unwrap_or_default();
        ledger.owe(owed);
        // Nobody can know of a source of which nothing ever came; and one that is alone does not know who has died.
        let unknowable =
            !facts.survives(of) && (!facts.has_heard(by, of, topic) || self.isolated.get(&by) == Some(&true));
        if !ledger.is_settled(stood) && !unknowable {
            let text = format!(
                "{sub} is owed {of} {topic} from {owed} up to {stood}, and is at {}: neither event nor gap",
                ledger.next()
            );
            findings.add(facts.end, text);
        }
        if !facts.survives(of) || established > facts.probing {
            return;
        }
        let slow = facts.subs.get(&sub).is_some_and(|sub| sub.pace != Pace::Prompt);
        if ledger.is_open() || ledger.next() < stood && !slow {
            let text = format!("{sub} does not hear {of} on {topic} again, although everything has healed");
            findings.add(facts.end, text);
        }
    }
}
