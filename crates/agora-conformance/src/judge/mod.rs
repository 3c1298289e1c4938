//! Tells what in a history breaks a promise.
//!
//! | checker | judges |
//! |---|---|
//! | `delivery` | every event once and in order, or a gap; nothing that was not published; everybody is heard again |
//! | `gaps` | a gap says the truth: what it names did not arrive, was asked for, and was not held |
//! | `publish` | outcomes, sequences, floors, and what is sent again |
//! | `asks` | what is asked for: not too often, not what nobody holds, and not what the node dropped itself |
//! | `protocol` | hellos and repair requests are answered, heads repeat, subscriptions wait for their baseline |
//! | `logs` | what stands in a log is told once and in order, or missed for a reason; places are saved and found again |
//! | `groups` | a group handles each event or buries it, acknowledges no sooner, and nobody does again what it has done |
//! | `members` | who is held dead, who is not, and when |
//!
//! The checkers know more than any node: they see every frame that was sent and every one that arrived.

mod asks;
mod delivery;
mod facts;
mod gaps;
mod groups;
mod logs;
mod members;
mod net;
mod protocol;
mod publish;

use std::fmt;
use std::time::Duration;

use crate::history::History;
use crate::sim::Plan;
use facts::Facts;

/// Something that breaks a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When, since the beginning of the run.
    pub at: Duration,
    /// What.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>11.6} {}", self.at.as_secs_f64(), self.text)
    }
}

/// What the checkers found, in the order in which it happened.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, at: Duration, text: impl Into<String>) {
        self.0.push(Finding { at, text: text.into() });
    }
}

/// Judges a history. Empty where every promise was kept.
pub fn judge(plan: &Plan, history: &History) -> Vec<Finding> {
    let facts = Facts::of(plan, history);
    let mut findings = Findings::default();
    publish::check(&facts, history, &mut findings);
    delivery::check(&facts, history, &mut findings);
    gaps::check(&facts, history, &mut findings);
    asks::check(&facts, history, &mut findings);
    protocol::check(&facts, history, &mut findings);
    logs::check(&facts, history, &mut findings);
    if plan.group.is_some() {
        groups::check(&facts, history, &mut findings);
    }
    members::check(&facts, history, &mut findings);
    findings.0.sort_by_key(|finding| finding.at);
    findings.0
}

/// Milliseconds as a duration.
const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests;
