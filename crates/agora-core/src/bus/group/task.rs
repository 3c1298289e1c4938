//! The task behind a member of a group: takes records, settles them, and gives lanes back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::content::{self, Piece};
use super::hub::Hub;
use super::letters::bury;
use crate::bus::Inner;
use crate::bus::delivery::{Gap, Missing};
use crate::bus::stats::add;
use crate::bus::topic::sleep_until;
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Action, Answer, JobId, Record};
use crate::id::StreamId;
use crate::live::Reason;
use crate::transport::{FromGroup, GroupInbox, GroupSpec, Position, Raw, Settle, Token};

/// The first and the last pause between tries to join anew.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// So many calls that settle are under way at once, and so many records are settled in one. While they are, what is to be
/// settled gathers for the next: the busier a member is, the more one answer of the backend tells.
const SETTLING_MAX: usize = 4;
const SETTLE_RECORDS_MAX: usize = 1024;

/// What came of something that was begun.
enum Done {
    Settled(Settled),
    Buried(JobId, Result<()>),
}

/// What came of one call that settled.
struct Settled {
    /// In which place in the group, counted from 0: the next one may give the same token for another record.
    place: u64,
    words: Vec<(Token, Settle)>,
    answers: Vec<Result<()>>,
}

/// Lanes that are to be given back, and whom to tell.
struct Revocation {
    lanes: Vec<u32>,
    done: oneshot::Sender<()>,
}

pub(crate) struct GroupTask {
    hub: Arc<Hub>,
    bus: Weak<Inner>,
    spec: GroupSpec,
    /// The streams of the lanes that were met.
    streams: BTreeMap<u32, StreamId>,
    inbox: Box<dyn GroupInbox>,
    /// How often it joined anew, and when it joined last.
    rejoined: u64,
    joined: Instant,
    begun: JoinSet<Done>,
    /// A permit for each call that settles, and what is to be settled by the next.
    settling: Arc<Semaphore>,
    to_settle: VecDeque<(Token, Settle)>,
    revocations: Vec<Revocation>,
}

impl GroupTask {
    pub(crate) fn new(hub: Arc<Hub>, bus: Weak<Inner>, spec: GroupSpec, inbox: Box<dyn GroupInbox>) -> Self {
        let (begun, revocations) = (JoinSet::new(), Vec::new());
        let (rejoined, joined) = (0, Instant::now());
        let (settling, to_settle) = (Arc::new(Semaphore::new(SETTLING_MAX)), VecDeque::new());
        Self {
            hub,
            bus,
            spec,
            streams: BTreeMap::new(),
            inbox,
            rejoined,
            joined,
            begun,
            settling,
            to_settle,
            revocations,
        }
    }

    /// Runs until the group was left, dropped or lost.
    pub(crate) async fn run(mut self) {
        let _ending = Ending(self.hub.clone());
        let ended = self.work().await;
        let hub = self.hub.clone();
        let left = match &ended {
            Ok(()) => self.inbox.leave().await,
            Err(_) => Ok(()),
        };
        // A bus that is closed ends its groups in good order.
        let error = ended.and(left).err().filter(|error| error.kind() != ErrorKind::Closed);
        hub.end(error);
    }

    async fn work(&mut self) -> Result<()> {
        let mut inbound = Vec::new();
        loop {
            if self.advance() {
                return Ok(());
            }
            let (wanted, timer) = self.wanted();
            let hub = self.hub.clone();
            tokio::select! {
                biased;
                Some(done) = self.begun.join_next() => self.finish(done),
                received = self.inbox.recv(wanted, &mut inbound) => {
                    received?;
                    if self.receive_all(&mut inbound) {
                        self.rejoin().await?;
                    }
                }
                () = sleep_until(timer) => {}
                () = hub.changed() => {}
            }
        }
    }

    /// Does what the tracker asks for, and gives back what is free. `true`: it is over.
    fn advance(&mut self) -> bool {
        let mut state = self.hub.lock();
        // However much there is to receive, what is due is done: a lease that is not extended ends.
        state.tracker.handle_timeout(Instant::now());
        if state.leaving || state.abandoned {
            state.tracker.handle_leaving();
        }
        while let Some(action) = state.tracker.poll() {
            match action {
                Action::Settle(token, how) => self.to_settle.push_back((token, how)),
                Action::Bury(burial) => {
                    let (bus, hub, job) = (self.bus.clone(), self.hub.clone(), burial.job);
                    self.begun.spawn(async move { Done::Buried(job, bury(bus, hub, burial).await) });
                }
            }
        }
        for revocation in std::mem::take(&mut self.revocations) {
            if state.tracker.is_free(&revocation.lanes) {
                state.tracker.handle_lost(&revocation.lanes);
                // Whoever asked may have run out of patience.
                let _ = revocation.done.send(());
            } else {
                self.revocations.push(revocation);
            }
        }
        while !self.to_settle.is_empty()
            && let Ok(permit) = self.settling.clone().try_acquire_owned()
        {
            let count = self.to_settle.len().min(SETTLE_RECORDS_MAX);
            let words: Vec<_> = self.to_settle.drain(..count).collect();
            // An answer that takes longer than the lease is worth nothing.
            let settling = tokio::time::timeout(self.spec.lease, self.inbox.settle_all(words.clone()));
            let place = self.rejoined;
            self.begun.spawn(async move {
                let answers = settling.await;
                drop(permit);
                let answers = answers.unwrap_or_else(|_| vec![Err(no_answer()); words.len()]);
                Done::Settled(Settled { place, words, answers })
            });
        }
        let is_idle = self.begun.is_empty() && self.to_settle.is_empty();
        let over = state.abandoned || state.leaving && state.tracker.records() == 0 && is_idle;
        if state.tracker.ready() > 0 || !state.gaps.is_empty() {
            drop(state);
            self.hub.wake_application();
        }
        over
    }

    /// How many records there is room for, and when to look at the clock.
    fn wanted(&self) -> (usize, Option<Instant>) {
        let mut state = self.hub.lock();
        state.waits = (state.wanted(), state.tracker.poll_timeout());
        state.waits
    }

    /// `true`: the connection was interrupted.
    fn receive_all(&mut self, inbound: &mut Vec<FromGroup>) -> bool {
        let mut interrupted = false;
        let mut records = Vec::with_capacity(inbound.len());
        for one in inbound.drain(..) {
            match one {
                FromGroup::Message { raw, at, token, attempt } => {
                    records.push(self.read(raw, at, token, attempt));
                }
                FromGroup::Trimmed { lane, .. } => {
                    let (topic, missing) = (self.hub.topic.clone(), Missing::Log { lane });
                    self.hub.shared.counters.gap(Reason::Retention);
                    self.hub.meter.trimmed.add(1);
                    self.hub.push_gap(Gap { topic, missing, reason: Reason::Retention });
                }
                FromGroup::Assigned { lanes } => {
                    self.hold_all(&mut records);
                    self.hub.lock().tracker.handle_assigned(&lanes);
                    self.forget_revoked(&lanes);
                }
                FromGroup::Revoking { lanes, done } => {
                    self.hold_all(&mut records);
                    self.hub.lock().tracker.handle_revoking(&lanes);
                    self.revocations.push(Revocation { lanes, done });
                }
                FromGroup::Lost { lanes } => {
                    self.hold_all(&mut records);
                    self.hub.lock().tracker.handle_lost(&lanes);
                    self.forget_revoked(&lanes);
                }
                FromGroup::Interrupted => interrupted = true,
            }
        }
        self.hold_all(&mut records);
        interrupted
    }

    fn read(&mut self, raw: Raw, at: Position, token: Token, attempt: u32) -> Record<Piece> {
        let lane = raw.lane;
        let stream = self.streams.entry(lane);
        let stream = *stream.or_insert_with(|| self.hub.shared.stream_of(&self.hub.topic, lane));
        let read = content::read(stream, raw, at);
        if attempt > 1 {
            add(&self.hub.shared.counters.redelivered, 1);
            self.hub.meter.redelivered.add(1);
        }
        let item = Piece { lane, at, content: read.content };
        let (origin, keys, bytes) = (read.origin, read.keys, read.bytes);
        Record { origin, lane, at, token, attempt, keys, bytes, item }
    }

    /// Hands records to the tracker, all at once: the application waits for the same lock.
    fn hold_all(&self, records: &mut Vec<Record<Piece>>) {
        if records.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut state = self.hub.lock();
        records.drain(..).for_each(|record| state.tracker.handle_record(now, record));
    }

    /// These lanes are gone, or this member's anew: that they were asked back says nothing any more.
    fn forget_revoked(&mut self, lanes: &[u32]) {
        for revocation in &mut self.revocations {
            revocation.lanes.retain(|lane| !lanes.contains(lane));
        }
        self.revocations.retain(|revocation| !revocation.lanes.is_empty());
    }

    fn finish(&self, done: Result<Done, tokio::task::JoinError>) {
        let now = Instant::now();
        match done {
            Ok(Done::Settled(settled)) if settled.place != self.rejoined => {}
            Ok(Done::Settled(settled)) => self.settled(now, settled),
            Ok(Done::Buried(job, result)) => {
                match &result {
                    Ok(()) => {
                        add(&self.hub.shared.counters.dead_lettered, 1);
                        self.hub.meter.dead_letters.add(1);
                    }
                    Err(error) => tracing::warn!(
                        topic = %self.hub.topic, group = %self.hub.name, %error,
                        "a dead letter was not stored; it is tried again"
                    ),
                }
                self.hub.lock().tracker.handle_buried(now, job, result.is_ok());
            }
            // Nothing of this can panic, and nobody aborts it.
            Err(error) => tracing::error!(%error, "a task of a group ended"),
        }
    }

    fn settled(&self, now: Instant, settled: Settled) {
        let mut state = self.hub.lock();
        for ((token, how), result) in settled.words.into_iter().zip(settled.answers) {
            let answer = match &result {
                Ok(()) => Answer::Done,
                Err(error) if error.kind() == ErrorKind::Conflict => Answer::Void,
                Err(_) => Answer::Failed,
            };
            if let Err(error) = result {
                tracing::debug!(topic = %self.hub.topic, group = %self.hub.name, ?how, %error, "not settled");
            }
            state.tracker.handle_answer(now, token, how, answer);
        }
    }

    /// Joins anew, as long as it takes and a retry can help.
    async fn rejoin(&mut self) -> Result<()> {
        self.hub.lock().tracker.handle_interrupted();
        self.revocations.clear();
        self.to_settle.clear();
        self.rejoined += 1;
        let (hub, mut pause) = (self.hub.clone(), BACKOFF.0);
        if self.joined.elapsed() < BACKOFF.1 {
            // A backend that interrupts at once is not joined in a circle.
            self.wait(Instant::now() + pause).await?;
        }
        loop {
            match hub.shared.transport.join_group(&hub.topic, &self.spec).await {
                Ok(inbox) => {
                    (self.inbox, self.joined) = (inbox, Instant::now());
                    return Ok(());
                }
                Err(error) if error.is_retryable() => {
                    tracing::debug!(topic = %hub.topic, group = %hub.name, %error, "cannot join the group yet");
                }
                Err(error) => return Err(error),
            }
            let until = Instant::now() + pause.mul_f64(0.5 + hub.shared.jitter() / 2.0);
            self.wait(until).await?;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Waits, and goes on hearing what the application decides.
    async fn wait(&mut self, until: Instant) -> Result<()> {
        loop {
            let hub = self.hub.clone();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return Ok(()),
                Some(done) = self.begun.join_next() => self.finish(done),
                () = hub.changed() => {
                    let state = hub.lock();
                    if state.leaving || state.abandoned {
                        return Err(Error::new(ErrorKind::Closed, "the group was left"));
                    }
                }
            }
        }
    }
}

fn no_answer() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "no answer within the lease")
}

/// However the task ends, nobody is left waiting.
struct Ending(Arc<Hub>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(None);
    }
}
