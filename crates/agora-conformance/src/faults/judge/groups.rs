//! What a group makes of what was accepted: each event is handled, or buried, at least once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Rules;
use crate::history::{GroupWhat, How, Life, Sub, Value};
use crate::judge::Finding;
use crate::sim::note::key_of;

/// An event, as a group sees it.
type Event = (Life, u64);

#[derive(Default)]
pub(super) struct Groups {
    exists: bool,
    accepted: BTreeMap<Event, Value>,
    /// Who has settled it, and when first.
    done: BTreeMap<Event, Vec<(Sub, Duration)>>,
    rejected: BTreeSet<Event>,
    buried: BTreeMap<Event, u32>,
    /// What a member handles, by key.
    handling: BTreeMap<(Sub, u64), Event>,
}

impl Groups {
    pub(super) fn accepted(&mut self, value: Value, seq: u64) {
        self.accepted.insert((value.life, seq), value);
    }

    pub(super) fn note(&mut self, at: Duration, what: &GroupWhat, findings: &mut Vec<Finding>) {
        let mut blame = |text: String| findings.push(Finding { at, text });
        match what {
            GroupWhat::Join(..) => self.exists = true,
            GroupWhat::Begin { member, of, seq, value, attempt } => {
                let (Some(of), Some(value)) = (of, value) else {
                    return blame(format!("{member} was given an event that nobody published as it is"));
                };
                let event = (*of, *seq);
                let had = self.done.get(&event).into_iter().flatten().any(|(who, _)| who == member);
                if had {
                    blame(format!("{member} begins {value} again (try {attempt}), which it has settled"));
                }
                if let Some(other) = self.handling.insert((*member, key_of(value.n)), event) {
                    let (of, seq) = other;
                    blame(format!("{member} begins {value} while it handles {seq} of {of}, of the same key"));
                }
            }
            GroupWhat::End { member, of: Some(of), seq, how, .. } => {
                let event = (*of, *seq);
                self.handling.retain(|(who, _), handled| who != member || *handled != event);
                match how {
                    How::Done => self.done.entry(event).or_default().push((*member, at)),
                    How::Rejected => drop(self.rejected.insert(event)),
                    How::Failed | How::Dropped => {}
                }
            }
            GroupWhat::Left(member, _) => self.handling.retain(|(who, _), _| who != member),
            GroupWhat::Buried(_, Some(of), seq, true) => *self.buried.entry((*of, *seq)).or_insert(0) += 1,
            _ => {}
        }
    }

    /// What only the end can show.
    pub(super) fn conclude(&self, rules: Rules, findings: &mut Vec<Finding>) {
        if rules.handled_again {
            return;
        }
        for ((of, seq), by) in self.done.iter().filter(|(_, by)| by.len() > 1) {
            let (at, members) = (by[1].1, by.iter().map(|(who, _)| who.to_string()).collect::<Vec<_>>());
            findings
                .push(Finding { at, text: format!("{seq} of {of} was handled by {}", members.join(", ")) });
        }
        for (of, seq) in self.buried.keys().filter(|event| self.done.contains_key(event)) {
            let at = Duration::ZERO;
            findings.push(Finding { at, text: format!("{seq} of {of} was handled and buried") });
        }
    }

    pub(super) fn owed(&self) -> Vec<String> {
        if !self.exists {
            return Vec::new();
        }
        let is_over = |event: &Event| self.done.contains_key(event) || self.buried.contains_key(event);
        let accepted = self.accepted.iter().filter(|(event, _)| !is_over(event));
        let mut owed: Vec<String> =
            accepted.map(|(_, value)| format!("{value} was neither handled nor buried")).collect();
        let rejected = self.rejected.iter().filter(|event| !self.buried.contains_key(event));
        owed.extend(rejected.map(|(of, seq)| format!("{seq} of {of} was rejected and not buried")));
        owed
    }
}
