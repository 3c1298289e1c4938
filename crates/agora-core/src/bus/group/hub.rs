//! What the task of a group and the application share: the tracker, and who is to be woken.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::content::Piece;
use crate::bus::Shared;
use crate::bus::delivery::Gap;
use crate::bus::meter::Grouping;
use crate::bus::queue::lock;
use crate::bus::stats::add;
use crate::error::Error;
use crate::group::{Begin, JobId, Policy, Tracker, Verdict};
use crate::id::{GroupName, TopicName};
use crate::limits::{FRAME_BYTES_TARGET, GROUP_ACKING_MAX, GROUP_RECORDS_MAX, REASON_BYTES_MAX};

/// Gaps that wait for the application, at most; of further ones it is enough to know that there are some.
const GAPS_MAX: usize = 1024;

/// A member holds at most so many records for each event that it wants to have ready.
const RECORDS_PER_DEMAND: usize = 4;

/// What a group knows.
pub(crate) struct State {
    pub(crate) tracker: Tracker<Piece>,
    pub(crate) gaps: VecDeque<Gap>,
    /// How many events are to be ready at once.
    pub(crate) demand: usize,
    /// At most so much memory is for what is held.
    pub(crate) bytes_max: usize,
    /// For how many records the task waits, and until when.
    pub(crate) waits: (usize, Option<Instant>),
    /// It has ended: in good order, or so.
    pub(crate) ended: Option<Option<Error>>,
    /// The application wants to leave.
    pub(crate) leaving: bool,
    /// Nobody takes anything any more.
    pub(crate) abandoned: bool,
}

impl State {
    fn new(policy: Policy) -> Self {
        Self {
            tracker: Tracker::new(policy),
            gaps: VecDeque::new(),
            demand: super::DEMAND,
            bytes_max: 0,
            waits: (0, None),
            ended: None,
            leaving: false,
            abandoned: false,
        }
    }

    /// For how many records there is room.
    pub(crate) fn wanted(&self) -> usize {
        let tracker = &self.tracker;
        let bytes = self.bytes_max.saturating_sub(tracker.bytes());
        if self.leaving || bytes == 0 {
            return 0;
        }
        // Most of them may wait behind one key; but what one member holds, no other one can work on.
        let records_max = self.demand.saturating_mul(RECORDS_PER_DEMAND).min(GROUP_RECORDS_MAX);
        // What is done is nobody's work any more: a backend that takes its time to answer does not keep a member idle.
        let acking = tracker.acking();
        let open = tracker.records().saturating_sub(acking);
        let records = records_max.saturating_sub(open).min(GROUP_ACKING_MAX.saturating_sub(acking));
        // As many as fit, if they are no larger than a frame is meant to be.
        self.demand.saturating_sub(tracker.ready()).min(records).min(bytes / FRAME_BYTES_TARGET + 1)
    }

    /// Is there something for the task to do that it does not wait for already? To wake it for each event would cost
    /// more than the event.
    fn needs_task(&self) -> bool {
        let (records, until) = self.waits;
        let sooner = match (self.tracker.poll_timeout(), until) {
            (Some(due), Some(until)) => due < until,
            (due, _) => due.is_some(),
        };
        let ends = self.leaving || self.abandoned || self.tracker.is_revoking();
        sooner || ends || self.tracker.has_actions() || self.wanted() > 2 * records
    }
}

/// What the task of a group and the application share.
pub(crate) struct Hub {
    pub(crate) shared: Arc<Shared>,
    pub(crate) topic: TopicName,
    pub(crate) name: GroupName,
    pub(crate) meter: Grouping,
    job_timeout: std::time::Duration,
    state: Mutex<State>,
    task: Notify,
    application: Notify,
    end: Notify,
}

/// What the application gets next.
pub(crate) enum Next {
    Begin(Begin<Piece>),
    Gap(Gap),
    Ended(Option<Error>),
}

impl Hub {
    pub(crate) fn new(shared: Arc<Shared>, topic: TopicName, name: GroupName, policy: Policy) -> Self {
        let job_timeout = policy.job_timeout;
        let state = State::new(policy);
        let meter = shared.meter.grouping(&topic, &name);
        let (task, application, end) = (Notify::new(), Notify::new(), Notify::new());
        Self { shared, topic, name, meter, job_timeout, state: Mutex::new(state), task, application, end }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// How long one try may take.
    pub(crate) fn job_timeout(&self) -> std::time::Duration {
        self.job_timeout
    }

    /// Waits until the application has changed something.
    pub(crate) async fn changed(&self) {
        self.task.notified().await;
    }

    pub(crate) fn wake_task(&self) {
        self.task.notify_one();
    }

    pub(crate) fn wake_application(&self) {
        self.application.notify_one();
    }

    pub(crate) fn demand(&self, events: usize) {
        self.lock().demand = events;
        self.wake_task();
    }

    pub(crate) fn push_gap(&self, gap: Gap) {
        let mut state = self.lock();
        if state.gaps.len() < GAPS_MAX && state.gaps.back() != Some(&gap) {
            state.gaps.push_back(gap);
        }
        drop(state);
        self.wake_application();
    }

    /// It has ended. The first word counts.
    pub(crate) fn end(&self, error: Option<Error>) {
        self.lock().ended.get_or_insert(error);
        self.wake_application();
        self.end.notify_waiters();
    }

    /// The next thing for the application. It keeps its place when the future is dropped.
    pub(crate) async fn next(&self) -> Next {
        loop {
            {
                let mut state = self.lock();
                if let Some(gap) = state.gaps.pop_front() {
                    return Next::Gap(gap);
                }
                // What is begun after the end could be acknowledged by nobody.
                if let Some(ended) = &state.ended {
                    return Next::Ended(ended.clone());
                }
                if let Some(begin) = state.tracker.next_job(Instant::now()) {
                    let needs_task = state.needs_task();
                    drop(state);
                    if needs_task {
                        self.wake_task();
                    }
                    return Next::Begin(begin);
                }
            }
            self.application.notified().await;
        }
    }

    pub(crate) fn verdict(&self, job: JobId, verdict: Verdict) {
        let counters = &self.shared.counters;
        let counter = match &verdict {
            Verdict::Done => Some(&counters.handled),
            Verdict::Retry(_) => Some(&counters.retried),
            Verdict::Reject(_) | Verdict::Release => None,
        };
        let verdict = cut(verdict);
        let mut state = self.lock();
        let counted = state.tracker.handle_verdict(Instant::now(), job, verdict);
        // The next of its key may begin.
        let (needs_task, ready) = (state.needs_task(), state.tracker.ready() > 0);
        drop(state);
        if let (true, Some(counter)) = (counted, counter) {
            add(counter, 1);
        }
        if ready {
            self.wake_application();
        }
        if needs_task {
            self.wake_task();
        }
    }

    /// Ends it when nothing is worked on any more.
    pub(crate) fn leave(&self) {
        self.lock().leaving = true;
        self.wake_task();
    }

    pub(crate) fn abandon(&self) {
        self.lock().abandoned = true;
        self.wake_task();
    }

    /// Waits until it has ended.
    pub(crate) async fn wait_ended(&self) -> Option<Error> {
        let mut end = pin!(self.end.notified());
        // From here on it is heard, whether it comes before the look or after it.
        end.as_mut().enable();
        loop {
            if let Some(ended) = &self.lock().ended {
                return ended.clone();
            }
            end.as_mut().await;
            end.set(self.end.notified());
            end.as_mut().enable();
        }
    }
}

/// A reason is bounded before it is kept.
fn cut(verdict: Verdict) -> Verdict {
    let cut = |mut reason: String| {
        let end = (0..=REASON_BYTES_MAX).rev().find(|&end| reason.is_char_boundary(end));
        reason.truncate(end.unwrap_or_default());
        reason
    };
    match verdict {
        Verdict::Retry(reason) => Verdict::Retry(cut(reason)),
        Verdict::Reject(reason) => Verdict::Reject(cut(reason)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::*;
    use crate::group::{Answer, Origin, Record};
    use crate::transport::{Position, Raw, Settle, Token};

    /// A member that is given all that it wants, and does it at once.
    struct Member {
        state: State,
        given: u64,
    }

    impl Member {
        fn take_all(&mut self) {
            let now = Instant::now();
            while self.state.wanted() > 0 {
                self.given += 1;
                let at = Position(self.given.into());
                let (origin, token) = (Origin::Foreign { lane: 0, at, crc: 0 }, Token(self.given));
                let raw = Raw { payload: "".into(), lane: 0, key: None, headers: Vec::new(), time: None };
                let content = Content::Foreign(Arc::new(raw));
                let item = Piece { lane: 0, at, content };
                let record =
                    Record { origin, lane: 0, at, token, attempt: 1, keys: vec![None], bytes: 1, item };
                self.state.tracker.handle_record(now, record);
            }
        }

        fn do_all(&mut self) {
            let now = Instant::now();
            while let Some(begin) = self.state.tracker.next_job(now) {
                assert!(self.state.tracker.handle_verdict(now, begin.job, Verdict::Done));
            }
        }
    }

    #[test]
    fn a_backend_that_takes_its_time_to_answer_keeps_a_member_from_work_only_at_last() {
        let mut state = State::new(Policy::default());
        (state.demand, state.bytes_max) = (usize::MAX, usize::MAX);
        let mut member = Member { state, given: 0 };
        member.take_all();
        assert_eq!((member.given, member.state.wanted()), (GROUP_RECORDS_MAX as u64, 0), "not done");
        while member.state.wanted() > 0 || member.state.tracker.ready() > 0 {
            member.do_all();
            member.take_all();
        }
        assert_eq!(member.given, GROUP_ACKING_MAX as u64, "done, and not answered");
        member.state.tracker.handle_answer(Instant::now(), Token(1), Settle::Ack, Answer::Done);
        assert_eq!(member.state.wanted(), 1);
    }
}
