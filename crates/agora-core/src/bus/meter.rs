//! What a bus records through the facade `metrics`, where the feature of that name is on.
//!
//! Every series is found once, when its topic is first used, and kept as a handle: the way of an event looks nothing
//! up. A recorder must be installed before the bus opens; handles that were made without one stay silent.

mod names;
#[cfg(feature = "metrics")]
mod recording;
#[cfg(not(feature = "metrics"))]
mod silent;

use std::array::from_fn;
use std::time::Duration;

#[cfg(feature = "metrics")]
use recording::{Counter, Labels, Level, RECORDS, Reading, Timing, describe};
#[cfg(not(feature = "metrics"))]
use silent::{Counter, Labels, Level, RECORDS, Reading, Timing, describe};

use crate::error::ErrorKind;
use crate::group::Verdict;
use crate::id::{GroupName, TopicName};
use crate::live::Reason;
use crate::membership::{Member, MemberState};
use names::*;

/// What is recorded of a bus as a whole, and where the meters of its topics come from.
#[derive(Debug)]
pub(crate) struct Meter {
    system: &'static str,
    link_up: Level,
    members: [Level; MemberState::ALL.len()],
    queue_bytes: Level,
    /// Set once.
    _queue_bytes_max: Level,
    held_bytes: Level,
    backlog_bytes: Level,
    /// Of the control topic.
    pub(crate) rejected: Rejected,
}

impl Meter {
    /// Is anything recorded? Where not, nothing needs to be measured.
    pub(crate) const RECORDS: bool = RECORDS;

    pub(crate) fn new(system: &'static str, queue_bytes_max: usize) -> Self {
        describe();
        let level = |name| Level::new(name, &[(SYSTEM, system)]);
        let max = level(QUEUE_BYTES_MAX);
        max.set(queue_bytes_max as u64);
        Self {
            system,
            link_up: level(LINK_UP),
            members: from_fn(|state| {
                Level::new(MEMBERS, &[(SYSTEM, system), (STATE, MemberState::ALL[state].as_str())])
            }),
            queue_bytes: level(QUEUE_BYTES),
            _queue_bytes_max: max,
            held_bytes: level(HELD_BYTES),
            backlog_bytes: level(BACKLOG_BYTES),
            rejected: Rejected::new(&[(SYSTEM, system), (TOPIC, TopicName::control().as_str())]),
        }
    }

    /// For the sender of a topic, and its publishers.
    pub(crate) fn publishing(&self, topic: &TopicName) -> Publishing {
        Publishing::new(&[(SYSTEM, self.system), (TOPIC, topic.as_str()), (OPERATION, "publish")])
    }

    /// For the task that reads a topic.
    pub(crate) fn receiving(&self, topic: &TopicName) -> Receiving {
        Receiving::new(&[(SYSTEM, self.system), (TOPIC, topic.as_str())])
    }

    /// For a subscription to a topic.
    pub(crate) fn consuming(&self, topic: &TopicName) -> Consuming {
        Consuming::new(&[(SYSTEM, self.system), (TOPIC, topic.as_str())])
    }

    /// For a place in a group.
    pub(crate) fn grouping(&self, topic: &TopicName, group: &GroupName) -> Grouping {
        Grouping::new(&[(SYSTEM, self.system), (TOPIC, topic.as_str()), (GROUP, group.as_str())])
    }

    /// For the lag of a group, once it is known.
    pub(crate) fn lag(&self, topic: &TopicName, group: &GroupName) -> Reading {
        Reading::new(LAG, &[(SYSTEM, self.system), (TOPIC, topic.as_str()), (GROUP, group.as_str())])
    }

    pub(crate) fn link(&self, up: bool) {
        self.link_up.set(u64::from(up));
    }

    pub(crate) fn members(&self, members: &[Member]) {
        for (state, level) in MemberState::ALL.iter().zip(&self.members) {
            level.set(members.iter().filter(|member| member.state == *state).count() as u64);
        }
    }

    pub(crate) fn memory(&self, queue_bytes: usize, held_bytes: usize, backlog_bytes: usize) {
        self.queue_bytes.set(queue_bytes as u64);
        self.held_bytes.set(held_bytes as u64);
        self.backlog_bytes.set(backlog_bytes as u64);
    }
}

/// What is recorded of the publishing on one topic.
#[derive(Clone, Debug)]
pub(crate) struct Publishing {
    sent: Counter,
    sent_of_unknown_outcome: Counter,
    accepted_after: Timing,
    failed: [Counter; ErrorKind::ALL.len()],
    pub(crate) repeats: Counter,
}

impl Publishing {
    fn new(labels: Labels<'_>) -> Self {
        let unknown = with(labels, ERROR, ErrorKind::OutcomeUnknown.as_str());
        let topic = without_operation(labels);
        Self {
            sent: Counter::new(SENT, labels),
            sent_of_unknown_outcome: Counter::new(SENT, &unknown),
            accepted_after: Timing::new(OPERATION_DURATION, labels),
            failed: from_fn(|kind| {
                Counter::new(PUBLISH_FAILURES, &with(&topic, ERROR, ErrorKind::ALL[kind].as_str()))
            }),
            repeats: Counter::new(REPAIR_FRAMES, &topic),
        }
    }

    /// A frame of so many events was accepted, so long after the first of them was published.
    #[inline]
    pub(crate) fn accepted(&self, events: u64, after: Duration) {
        self.sent.add(events);
        self.accepted_after.record(after);
    }

    pub(crate) fn failed(&self, events: u64, kind: ErrorKind) {
        self.failed[kind as usize].add(events);
        if kind == ErrorKind::OutcomeUnknown {
            self.sent_of_unknown_outcome.add(events);
        }
    }
}

/// What is recorded of the frames of one topic that arrive.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) asks: Counter,
    pub(crate) repaired: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) overflowed: Counter,
    pub(crate) rejected: Rejected,
}

impl Receiving {
    fn new(labels: Labels<'_>) -> Self {
        Self {
            asks: Counter::new(REPAIR_REQUESTS, labels),
            repaired: Counter::new(REPAIRED, labels),
            duplicates: Counter::new(DUPLICATES, labels),
            overflowed: Counter::new(OVERFLOWED, labels),
            rejected: Rejected::new(labels),
        }
    }
}

/// Frames that were dropped, by the reason.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) corrupt: Counter,
    pub(crate) stream: Counter,
    pub(crate) unreadable: Counter,
    pub(crate) too_many_sources: Counter,
}

impl Rejected {
    fn new(labels: Labels<'_>) -> Self {
        let by = |reason| Counter::new(REJECTED, &with(labels, REASON, reason));
        Self {
            corrupt: by("corrupt"),
            stream: by("stream"),
            unreadable: by("unreadable"),
            too_many_sources: by("too_many_sources"),
        }
    }
}

/// What is recorded of what an application takes from one topic.
#[derive(Debug)]
pub(crate) struct Consuming {
    pub(crate) consumed: Counter,
    pub(crate) foreign: Counter,
    gaps: [Counter; Reason::ALL.len()],
}

impl Consuming {
    fn new(labels: Labels<'_>) -> Self {
        Self {
            consumed: Counter::new(CONSUMED, &with(labels, OPERATION, "receive")),
            foreign: Counter::new(FOREIGN, labels),
            gaps: from_fn(|reason| Counter::new(GAPS, &with(labels, REASON, Reason::ALL[reason].as_str()))),
        }
    }

    pub(crate) fn gap(&self, reason: Reason) {
        self.gaps[reason as usize].add(1);
    }
}

/// What is recorded of a place in a group.
#[derive(Debug)]
pub(crate) struct Grouping {
    pub(crate) consumed: Counter,
    handled: Timing,
    retried: Timing,
    rejected: Timing,
    pub(crate) dead_letters: Counter,
    pub(crate) redelivered: Counter,
    /// Gaps: the log no longer held what the group had not done.
    pub(crate) trimmed: Counter,
}

impl Grouping {
    fn new(labels: Labels<'_>) -> Self {
        let processing = with(labels, OPERATION, "process");
        let failed = |how| Timing::new(PROCESS_DURATION, &with(&processing, ERROR, how));
        Self {
            consumed: Counter::new(CONSUMED, &processing),
            handled: Timing::new(PROCESS_DURATION, &processing),
            retried: failed("retry"),
            rejected: failed("reject"),
            dead_letters: Counter::new(DEAD_LETTERS, labels),
            redelivered: Counter::new(REDELIVERIES, labels),
            trimmed: Counter::new(GAPS, &with(labels, REASON, Reason::Retention.as_str())),
        }
    }

    /// The application had an event so long, and said so of it.
    pub(crate) fn processed(&self, took: Duration, verdict: &Verdict) {
        match verdict {
            Verdict::Done => self.handled.record(took),
            Verdict::Retry(_) => self.retried.record(took),
            Verdict::Reject(_) => self.rejected.record(took),
            // Nothing came of it: it goes to somebody else.
            Verdict::Release => {}
        }
    }
}

fn with<'a>(labels: Labels<'a>, name: &'static str, value: &'a str) -> Vec<(&'static str, &'a str)> {
    labels.iter().copied().chain([(name, value)]).collect()
}

fn without_operation<'a>(labels: Labels<'a>) -> Vec<(&'static str, &'a str)> {
    labels.iter().copied().filter(|(name, _)| *name != OPERATION).collect()
}
