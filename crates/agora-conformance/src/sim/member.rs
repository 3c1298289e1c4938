//! A member of a group: handles what it is given, well or badly, as its generator has it.

use std::time::Duration;

use agora_core::Error;
use agora_core::bus::{Bus, Job, Work};
use agora_core::id::TopicName;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::note::Note;
use super::recorder::Recorder;
use crate::history::{GroupWhat, How, Sub, What};

/// The name of the group of a run.
const GROUP: &str = "workers";
/// How often an event is tried.
pub const ATTEMPTS_MAX: u32 = 3;
/// How long a handler may take.
pub const HANDLER_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long a record is a member's.
const LEASE: Duration = Duration::from_secs(2);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
const LEAVE_WITHIN: Duration = Duration::from_secs(4);
/// At most so many events are handled at once.
const CONCURRENCY: usize = 4;

pub(super) struct Member {
    pub(super) member: Sub,
    pub(super) recorder: Recorder,
    pub(super) rng: fastrand::Rng,
}

impl Member {
    /// Handles what comes until it is told to leave, or the group ends.
    pub(super) async fn work(mut self, bus: Bus, topic: TopicName, mut quit: oneshot::Receiver<()>) {
        let member = self.member;
        let joining = bus.group(topic.as_str(), GROUP).typed::<Note>();
        let joining = joining.attempts(ATTEMPTS_MAX).lease(LEASE).handler_timeout(HANDLER_TIMEOUT);
        let joined = joining.backoff(BACKOFF.0, BACKOFF.1).await;
        drop(bus);
        self.tell(GroupWhat::Joined(member, joined.as_ref().map(drop).map_err(Error::kind)));
        let Ok(mut group) = joined else { return };
        let mut handlers = JoinSet::new();
        let left = loop {
            tokio::select! {
                biased;
                Ok(()) = &mut quit => {
                    self.tell(GroupWhat::Leaving(member));
                    // What is handled goes on meanwhile.
                    break group.leave(LEAVE_WITHIN).await;
                }
                Some(_) = handlers.join_next() => {}
                work = group.try_next(), if handlers.len() < CONCURRENCY => match work {
                    Ok(Some(Work::Job(job))) => self.begin(job, &mut handlers),
                    Ok(Some(Work::Foreign(foreign))) => foreign.ack(),
                    Ok(Some(Work::Gap(_))) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                },
            }
        };
        self.tell(GroupWhat::Left(member, left.map_err(|error| error.kind())));
        while handlers.join_next().await.is_some() {}
    }

    fn begin(&mut self, job: Job<Note>, handlers: &mut JoinSet<()>) {
        let (member, of) = (self.member, self.recorder.life_of(job.source()));
        let (seq, value, attempt) = (job.seq(), job.value(), job.attempt());
        self.tell(GroupWhat::Begin { member, of, seq, value, attempt });
        let how = match self.rng.u8(..100) {
            0..=19 => How::Failed,
            20..=24 => How::Rejected,
            25..=28 => How::Dropped,
            _ => How::Done,
        };
        let takes = match self.rng.u8(..100) {
            // It hangs, and comes too late with its word.
            0..=3 => HANDLER_TIMEOUT * 2,
            _ => Duration::from_micros(self.rng.u64(..60_000)),
        };
        let recorder = self.recorder.clone();
        handlers.spawn(async move {
            tokio::time::sleep(takes).await;
            recorder.record(What::Group(GroupWhat::End { member, of, seq, attempt, how }));
            match how {
                How::Done => job.ack(),
                How::Failed => job.retry("the plan of this run"),
                How::Rejected => job.reject("the plan of this run"),
                How::Dropped => drop(job),
            }
        });
    }

    fn tell(&self, what: GroupWhat) {
        self.recorder.record(What::Group(what));
    }
}
