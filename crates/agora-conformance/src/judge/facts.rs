//! What a history says, gathered for the checkers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ms;
use super::net::{Net, State};
use crate::history::{History, Life, Pace, Sub, Topic, Value, What, Wire};
use crate::sim::Plan;

/// How long trouble with sending has its effects: the pause after a failure grows to a second.
const AFTERMATH: Duration = ms(3_000);

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Crash,
    Leave,
}

/// One life of a node.
#[derive(Clone, Debug)]
pub(super) struct LifeFacts {
    pub(super) start: Duration,
    /// When it crashed or began to leave.
    pub(super) end: Option<(Duration, End)>,
    /// When it had left in good order.
    pub(super) left: Option<Duration>,
}

/// One subscription.
#[derive(Clone, Debug)]
pub(super) struct SubFacts {
    pub(super) life: Life,
    pub(super) topics: Vec<Topic>,
    pub(super) own: bool,
    pub(super) pace: Pace,
    pub(super) asked: Duration,
    pub(super) established: Option<Duration>,
    /// When it was dropped, or its node ended.
    pub(super) ended: Option<Duration>,
}

impl SubFacts {
    pub(super) fn wants(&self, of: Life, topic: Topic) -> bool {
        self.topics.contains(&topic) && (self.own || of != self.life)
    }

    /// Was it asked for before then, and had it not ended?
    fn listens(&self, at: Duration) -> bool {
        self.asked < at && self.ended.is_none_or(|ended| ended > at)
    }
}

/// An event that was given a sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formed {
    pub(super) value: Option<Value>,
    pub(super) at: Duration,
}

/// See above.
pub(super) struct Facts<'a> {
    pub(super) plan: &'a Plan,
    pub(super) net: Net,
    pub(super) lives: BTreeMap<Life, LifeFacts>,
    pub(super) subs: BTreeMap<Sub, SubFacts>,
    /// What each source formed, in the order of its sequences, from 1.
    pub(super) formed: BTreeMap<(Life, Topic), Vec<Formed>>,
    /// Who learned, by anything that arrived, that the second publishes there.
    heard: BTreeSet<(Life, Life, Topic)>,
    pub(super) healed: Duration,
    pub(super) probing: Duration,
    pub(super) end: Duration,
}

impl<'a> Facts<'a> {
    pub(super) fn of(plan: &'a Plan, history: &History) -> Self {
        let mut facts = Self {
            plan,
            net: Net::default(),
            lives: BTreeMap::new(),
            subs: BTreeMap::new(),
            formed: BTreeMap::new(),
            heard: BTreeSet::new(),
            healed: Duration::MAX,
            probing: Duration::MAX,
            end: history.entries.last().map_or(Duration::ZERO, |entry| entry.at),
        };
        for entry in &history.entries {
            facts.note(entry.at, &entry.what);
        }
        facts
    }

    fn note(&mut self, at: Duration, what: &What) {
        match what {
            What::Start(life) => {
                self.lives.insert(*life, LifeFacts { start: at, end: None, left: None });
            }
            What::Crash(life) => self.end_life(at, *life, End::Crash),
            What::Leaving(life) => self.end_life(at, *life, End::Leave),
            What::Gone(life, result) => {
                if let Some(life) = self.lives.get_mut(life) {
                    life.left = result.is_ok().then_some(at);
                }
            }
            What::Fault(fault) => self.net.apply(at, fault),
            What::Healed => self.healed = at,
            What::Probing => self.probing = at,
            What::Subscribe { sub, life, topics, own, pace } => {
                let (life, topics, own, pace) = (*life, topics.clone(), *own, *pace);
                let facts = SubFacts { life, topics, own, pace, asked: at, established: None, ended: None };
                self.subs.insert(*sub, facts);
            }
            What::Established(sub, Ok(())) => {
                if let Some(sub) = self.subs.get_mut(sub) {
                    sub.established = Some(at);
                }
            }
            What::Unsubscribe(sub) | What::Ended(sub, _) | What::Established(sub, Err(_)) => {
                if let Some(sub) = self.subs.get_mut(sub) {
                    sub.ended.get_or_insert(at);
                }
            }
            What::Send { by, wires, formed, .. } => {
                let data = wires.iter().filter_map(|wire| match wire {
                    Wire::Data { of, topic, seq, end, .. } if of == by => Some((*topic, *seq..*end)),
                    _ => None,
                });
                // The formed events of a call stand in the order of its frames.
                let mut formed = formed.iter().peekable();
                for (topic, range) in data {
                    let of_topic = self.formed.entry((*by, topic)).or_default();
                    while formed
                        .peek()
                        .is_some_and(|(seq, _)| range.contains(seq) && *seq > of_topic.len() as u64)
                    {
                        let Some((_, value)) = formed.next() else { break };
                        of_topic.push(Formed { value: *value, at });
                    }
                }
            }
            What::Got(by, wire) => self.hear(*by, wire),
            _ => {}
        }
    }

    fn hear(&mut self, by: Life, wire: &Wire) {
        match wire {
            Wire::Data { of, topic, .. } | Wire::Head { of, topic, .. } => {
                self.heard.insert((by, *of, *topic));
            }
            Wire::Heartbeat { of, topics } => {
                self.heard.extend(topics.iter().map(|topic| (by, *of, *topic)));
            }
            Wire::Leave { of, ends } => self.heard.extend(ends.iter().map(|(topic, ..)| (by, *of, *topic))),
            Wire::Hello { .. } | Wire::Ask { .. } => {}
        }
    }

    fn end_life(&mut self, at: Duration, life: Life, how: End) {
        if let Some(facts) = self.lives.get_mut(&life) {
            facts.end = Some((at, how));
        }
        for sub in self.subs.values_mut().filter(|sub| sub.life == life) {
            sub.ended.get_or_insert(at);
        }
    }

    /// Did anything ever reach `by` that says that `of` publishes there?
    pub(super) fn has_heard(&self, by: Life, of: Life, topic: Topic) -> bool {
        self.heard.contains(&(by, of, topic))
    }

    /// Does a life go on during the whole of a time?
    pub(super) fn lives_through(&self, life: Life, since: Duration, until: Duration) -> bool {
        self.lives
            .get(&life)
            .is_some_and(|facts| facts.start <= since && facts.end.is_none_or(|(end, _)| end > until))
    }

    /// Could this node do as it should from a while before until a while after?
    pub(super) fn is_untroubled(&self, life: Life, since: Duration, until: Duration) -> bool {
        let since = since.saturating_sub(AFTERMATH);
        let well = |state: &State| !state.is_mute(life.node) && !state.server_down && !state.is_stalled();
        self.net.always(since, until, well) && self.lives_through(life, until, until) && until <= self.end
    }

    /// Did a subscription of this node, asked for before then, listen there?
    pub(super) fn listens(&self, by: Life, topic: Topic, at: Duration) -> bool {
        self.subs.values().any(|sub| sub.life == by && sub.topics.contains(&topic) && sub.listens(at))
    }

    /// Did such a subscription want the events of that source?
    pub(super) fn hears(&self, by: Life, of: Life, topic: Topic, at: Duration) -> bool {
        self.subs.values().any(|sub| sub.life == by && sub.wants(of, topic) && sub.listens(at))
    }

    /// Is it alive when the run ends?
    pub(super) fn survives(&self, life: Life) -> bool {
        self.lives.get(&life).is_some_and(|facts| facts.end.is_none())
    }

    /// What became of a sequence, as far as it was ever formed.
    pub(super) fn event(&self, of: Life, topic: Topic, seq: u64) -> Option<Formed> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.formed.get(&(of, topic))?.get(index).copied()
    }
}
