//! What waits to be sent: events, already encoded, in batches that become frames, lane by lane.
//!
//! Encoding happens in the caller, under no lock; appending copies a few bytes. Events of one batch share one
//! outcome, so that a publish costs no allocation of its own.
//!
//! Which lane an event goes to its key decides, and how many lanes there are. As long as that is not known, or is about to
//! change, events wait each on its own with the hash of its key, in their order, to be dealt out.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::fate::{Fate, Receipt, Ticket};
use super::meter::Publishing;
use crate::codec::{FrameBuilder, HEADER_BYTES, RecordParts};
use crate::error::{Error, ErrorKind, Result};
use crate::lane;
use crate::transport::{Framing, TopicSettings};

/// What a record costs in memory beyond its key and body.
const RECORD_OVERHEAD: usize = 32;
/// What an event costs in memory that has a batch of its own: the batch, its buffers, its outcome.
const ALONE_OVERHEAD: usize = 512;

/// Events that become one frame.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) builder: FrameBuilder,
    pub(crate) deadline: Instant,
    /// What it holds of the queue's room.
    room: usize,
    /// Takes no more events, so that its deadline is nearly right for all of them.
    sealed: bool,
    /// How many events went into its frame, once that is formed.
    formed: usize,
    /// What decides its lane.
    hash: u32,
    fate: Arc<Fate>,
    home: Arc<Room>,
}

impl Batch {
    pub(crate) fn decide(&self, outcome: Result<Receipt>) {
        self.fate.decide(outcome);
    }

    /// The frame was formed, and took so many events out of the builder.
    pub(crate) fn count(&mut self, events: usize) {
        self.formed = events;
    }

    pub(crate) fn events(&self) -> usize {
        self.formed
    }
}

impl Drop for Batch {
    /// Nobody will learn any more what became of it. One that was formed may have been handed to the transport.
    fn drop(&mut self) {
        self.fate.decide(Err(if self.formed == 0 { closed() } else { cut_short() }));
        self.home.bytes.add_permits(self.room);
    }
}

/// The memory for events waiting to be sent, shared by all publishers of a bus. First come, first served.
#[derive(Debug)]
pub(crate) struct Room {
    bytes: Semaphore,
    bytes_max: usize,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let bytes_max = bytes.min(Semaphore::MAX_PERMITS);
        Arc::new(Self { bytes: Semaphore::new(bytes_max), bytes_max })
    }

    pub(crate) fn bytes_in_use(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes.available_permits())
    }
}

/// How the lane of an event is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deal {
    /// There is one.
    OneLane,
    /// By its key; an event without one goes where this hash says.
    ByKey(u32),
}

/// What waits to be sent on one topic.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    room: Arc<Room>,
    timeout: Duration,
    /// The largest message that the transport takes.
    message_bytes_max: usize,
    settings: TopicSettings,
    deal: Deal,
    pub(crate) meter: Publishing,
    /// Events that wait for room. Whoever comes later must not overtake them.
    waiting: Arc<AtomicUsize>,
    /// Does each event have a batch of its own?
    alone: AtomicBool,
    /// Told when something was settled, or dealt out.
    moved: Notify,
}

/// An event that waits for room, as long as this lives.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug, Default)]
struct Inner {
    lanes: Vec<Lane>,
    /// What cannot be dealt out yet, each event alone.
    undealt: VecDeque<Batch>,
    /// How many events were ever put there, and how many have left.
    undealt_in: u64,
    undealt_out: u64,
    /// Nothing goes into the lanes.
    held: bool,
    closed: Option<Error>,
    /// Nobody sends any more: everything is settled as far as it ever will be.
    ended: bool,
}

#[derive(Debug, Default)]
struct Lane {
    batches: VecDeque<Batch>,
    /// How many events came, and how many of them are accepted, failed or of unknown outcome.
    accepted: u64,
    settled: u64,
    wake: Arc<Notify>,
}

impl Inner {
    fn are_lanes_settled(&self) -> bool {
        self.ended || self.lanes.iter().all(|lane| lane.settled >= lane.accepted)
    }
}

impl Queue {
    pub(crate) fn new(
        room: Arc<Room>,
        timeout: Duration,
        message_bytes_max: usize,
        settings: TopicSettings,
        deal: Deal,
        meter: Publishing,
    ) -> Self {
        let mut inner = Inner::default();
        match deal {
            Deal::OneLane => inner.lanes.push(Lane::default()),
            Deal::ByKey(_) => inner.held = true,
        }
        Self {
            alone: AtomicBool::new(inner.held || settings.framing == Framing::Each),
            inner: Mutex::new(inner),
            room,
            timeout,
            message_bytes_max,
            settings,
            deal,
            meter,
            waiting: Arc::default(),
            moved: Notify::new(),
        }
    }

    /// Counts an event among those that wait for room. Until it is dropped, what comes later waits too.
    pub(crate) fn wait(&self) -> Waiting {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(self.waiting.clone())
    }

    /// Queues a record without waiting.
    pub(crate) fn try_append(&self, record: &RecordParts<'_>) -> Result<Ticket> {
        let cost = self.cost(record);
        let granted = match self.waiting.load(Relaxed) {
            0 => self.room.bytes.try_acquire_many(permits(cost)).ok(),
            _ => None,
        };
        match granted {
            Some(granted) => granted.forget(),
            None => {
                return Err(Error::new(ErrorKind::QueueFull, "the queue of events waiting to be sent is full")
                    .operation("publish")
                    .help("the backend is slower than the publishers, or down; use `publish`, which waits, or raise `limits.memory_bytes`"));
            }
        }
        let now = Instant::now();
        self.append(record, cost, now, now + self.timeout)
    }

    /// Queues a record as soon as there is room. The time that this takes is part of the time that a publish has.
    pub(crate) async fn wait_append(&self, record: &RecordParts<'_>) -> Result<Ticket> {
        let (cost, deadline) = (self.cost(record), Instant::now() + self.timeout);
        let granted = tokio::time::timeout_at(deadline, self.room.bytes.acquire_many(permits(cost))).await;
        match granted {
            Ok(Ok(granted)) => granted.forget(),
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(timed_out(self.timeout)),
        }
        self.append(record, cost, Instant::now(), deadline)
    }

    fn append(
        &self,
        record: &RecordParts<'_>,
        cost: usize,
        now: Instant,
        deadline: Instant,
    ) -> Result<Ticket> {
        let hash = match self.deal {
            Deal::OneLane => 0,
            Deal::ByKey(without) => record.key.map_or(without, lane::hash),
        };
        let mut inner = lock(&self.inner);
        let appended = self.append_locked(&mut inner, record, hash, cost, (now, deadline));
        drop(inner);
        match appended {
            Ok((ticket, wake)) => {
                if let Some(wake) = wake {
                    wake.notify_one();
                }
                Ok(ticket)
            }
            Err(error) => {
                self.room.bytes.add_permits(cost);
                Err(error)
            }
        }
    }

    /// Answers with whom to wake: whoever was told of a batch once looks at it, however it has grown meanwhile.
    fn append_locked(
        &self,
        inner: &mut Inner,
        record: &RecordParts<'_>,
        hash: u32,
        cost: usize,
        (now, deadline): (Instant, Instant),
    ) -> Result<(Ticket, Option<Arc<Notify>>)> {
        if let Some(error) = &inner.closed {
            return Err(error.clone());
        }
        let bytes = cost_of(record) + record.kind.len();
        if HEADER_BYTES + bytes > self.message_bytes_max {
            return Err(Error::new(ErrorKind::TooLarge, "the event is larger than the backend takes")
                .context("bytes", bytes)
                .context("at most", self.message_bytes_max.saturating_sub(HEADER_BYTES))
                .help("publish a reference to large data, or raise the backend's largest message"));
        }
        if inner.held {
            let batch = self.batch(record, hash, cost, (now, deadline))?;
            let ticket = Ticket { fate: batch.fate.clone(), index: 0 };
            inner.undealt.push_back(batch);
            inner.undealt_in += 1;
            return Ok((ticket, None));
        }
        let lane = match inner.lanes.len() {
            1 => 0,
            lanes => lane::of_hash(hash, u32::try_from(lanes).unwrap_or(u32::MAX)) as usize,
        };
        let lane = inner.lanes.get_mut(lane).ok_or_else(closed)?;
        let fits = |batch: &Batch| {
            let room = batch.builder.frame_bytes() + bytes <= self.message_bytes_max;
            // One that has waited for room has less time left than the others.
            room && !batch.sealed && batch.deadline <= deadline && batch.builder.fits(record)
        };
        let each = self.settings.framing == Framing::Each;
        let queued = match lane.batches.back_mut().filter(|batch| !each && fits(batch)) {
            Some(batch) => {
                batch.builder.push(record)?;
                batch.room += cost;
                (Ticket { fate: batch.fate.clone(), index: batch.builder.records() - 1 }, None)
            }
            None => {
                let batch = self.batch(record, hash, cost, (now, deadline))?;
                let ticket = Ticket { fate: batch.fate.clone(), index: 0 };
                lane.batches.push_back(batch);
                (ticket, Some(lane.wake.clone()))
            }
        };
        lane.accepted += 1;
        Ok(queued)
    }

    /// A batch that begins with this record.
    fn batch(
        &self,
        record: &RecordParts<'_>,
        hash: u32,
        cost: usize,
        (now, deadline): (Instant, Instant),
    ) -> Result<Batch> {
        let mut builder = FrameBuilder::new();
        builder.push(record)?;
        Ok(Batch {
            builder,
            deadline,
            room: cost,
            sealed: deadline + self.timeout / 16 < now + self.timeout,
            formed: 0,
            hash,
            fate: Arc::default(),
            home: self.room.clone(),
        })
    }

    fn cost(&self, record: &RecordParts<'_>) -> usize {
        cost_of(record) + if self.alone.load(Relaxed) { ALONE_OVERHEAD } else { 0 }
    }

    /// Puts what comes aside from here on: the number of lanes is about to change.
    pub(crate) fn hold(&self) {
        lock(&self.inner).held = true;
        self.alone.store(true, Relaxed);
    }

    /// There are so many lanes, and never fewer: deals out what was put aside.
    pub(crate) fn deal(&self, lanes: u32) {
        let lanes = lanes.max(1);
        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        while inner.lanes.len() < lanes as usize {
            inner.lanes.push(Lane::default());
        }
        for batch in inner.undealt.drain(..) {
            if let Some(lane) = inner.lanes.get_mut(lane::of_hash(batch.hash, lanes) as usize) {
                lane.accepted += batch.builder.records() as u64;
                lane.batches.push_back(batch);
            }
        }
        inner.undealt_out = inner.undealt_in;
        inner.held = false;
        self.alone.store(self.settings.framing == Framing::Each, Relaxed);
        inner.lanes.iter().for_each(|lane| lane.wake.notify_one());
        self.moved.notify_waiters();
    }

    /// Waits until everything that was queued when it was called is accepted, has failed, or is of unknown outcome.
    pub(crate) fn settled(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let accepted = |inner: &Inner| inner.lanes.iter().map(|lane| lane.accepted).collect();
        let (undealt, mut due) = {
            let inner = lock(&self.inner);
            (inner.undealt_in, inner.undealt.is_empty().then(|| accepted(&inner)))
        };
        let queue = self.clone();
        async move {
            let so = |inner: &Inner| {
                if inner.undealt_out < undealt {
                    return inner.ended;
                }
                // What was dealt out meanwhile stands behind what it stood with.
                let due: &Vec<u64> = due.get_or_insert_with(|| accepted(inner));
                inner.ended || inner.lanes.iter().zip(due).all(|(lane, due)| lane.settled >= *due)
            };
            queue.until(so).await;
        }
    }

    /// Is everything that went into the lanes accepted, failed, or of unknown outcome?
    pub(crate) fn are_lanes_settled(&self) -> bool {
        lock(&self.inner).are_lanes_settled()
    }

    /// Waits until that is so.
    pub(crate) async fn lanes_settled(&self) {
        self.until(Inner::are_lanes_settled).await;
    }

    async fn until(&self, mut so: impl FnMut(&Inner) -> bool) {
        loop {
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            if so(&lock(&self.inner)) {
                return;
            }
            moved.await;
        }
    }

    /// How many events are neither accepted nor failed.
    pub(crate) fn unsettled(&self) -> u64 {
        let inner = lock(&self.inner);
        let in_lanes: u64 = inner.lanes.iter().map(|lane| lane.accepted.saturating_sub(lane.settled)).sum();
        in_lanes + inner.undealt.len() as u64
    }

    /// Fails what waited too long to be dealt out: so many events.
    pub(crate) fn expire_undealt(&self, now: Instant) -> u64 {
        let overdue = overdue(&mut lock(&self.inner).undealt, now);
        let expired = self.fail_overdue(overdue);
        lock(&self.inner).undealt_out += expired;
        if expired > 0 {
            self.moved.notify_waiters();
        }
        expired
    }

    /// Never formed, so it is certain that it was not sent. Whoever is woken may publish at once.
    fn fail_overdue(&self, overdue: Vec<Batch>) -> u64 {
        overdue.iter().for_each(|batch| batch.decide(Err(timed_out(self.timeout))));
        overdue.iter().map(|batch| batch.builder.records() as u64).sum()
    }

    /// How long ago the first event of a batch was published.
    pub(crate) fn waited(&self, batch: &Batch, now: Instant) -> Duration {
        (now + self.timeout).saturating_duration_since(batch.deadline)
    }

    pub(crate) fn is_empty(&self) -> bool {
        let inner = lock(&self.inner);
        inner.undealt.is_empty() && inner.lanes.iter().all(|lane| lane.batches.is_empty())
    }

    /// Takes nothing more; what is queued stays.
    pub(crate) fn close(&self, error: Error) {
        let mut inner = lock(&self.inner);
        inner.closed.get_or_insert(error);
        inner.lanes.iter().for_each(|lane| lane.wake.notify_one());
    }

    /// Takes nothing more, and fails what is queued: so many events.
    pub(crate) fn fail(&self, error: &Error) -> u64 {
        let batches: Vec<Batch> = {
            let mut inner = lock(&self.inner);
            let inner = &mut *inner;
            inner.closed.get_or_insert_with(|| error.clone());
            let queued = inner.lanes.iter_mut().flat_map(|lane| lane.batches.drain(..));
            queued.chain(inner.undealt.drain(..)).collect()
        };
        batches.iter().for_each(|batch| batch.decide(Err(error.clone())));
        batches.iter().map(|batch| batch.builder.records() as u64).sum()
    }

    /// Nobody sends any more.
    pub(crate) fn end(&self) {
        lock(&self.inner).ended = true;
        self.moved.notify_waiters();
    }

    /// The end from which a sender takes what waits in one lane.
    pub(crate) fn outlet(self: &Arc<Self>, lane: u32) -> Outlet {
        let lane = lane as usize;
        let wake = lock(&self.inner).lanes.get(lane).map(|lane| lane.wake.clone()).unwrap_or_default();
        Outlet { queue: self.clone(), lane, wake }
    }
}

/// Where a sender takes what waits in one lane.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) queue: Arc<Queue>,
    lane: usize,
    wake: Arc<Notify>,
}

impl Outlet {
    fn with<R: Default>(&self, look: impl FnOnce(&mut Lane) -> R) -> R {
        lock(&self.queue.inner).lanes.get_mut(self.lane).map(look).unwrap_or_default()
    }

    /// The oldest batches, at most `batches_max` and about `bytes_max`.
    pub(crate) fn take(&self, batches_max: usize, bytes_max: usize) -> Vec<Batch> {
        self.with(|lane| {
            let (mut taken, mut bytes) = (Vec::new(), 0);
            while taken.len() < batches_max && bytes < bytes_max {
                let Some(batch) = lane.batches.pop_front() else { break };
                bytes += batch.builder.frame_bytes();
                taken.push(batch);
            }
            taken
        })
    }

    /// Fails what waited too long, and answers how many events. Newer events begin a new batch, so that none of them
    /// shares a deadline with much older ones.
    pub(crate) fn expire(&self, now: Instant) -> u64 {
        let timeout = self.queue.timeout;
        let overdue = self.with(|lane| {
            let overdue = overdue(&mut lane.batches, now);
            if let Some(batch) = lane.batches.back_mut() {
                batch.sealed |= now + timeout >= batch.deadline + timeout / 16;
            }
            overdue
        });
        let expired = self.queue.fail_overdue(overdue);
        self.settle(expired);
        expired
    }

    /// When to call [`Outlet::expire`] while nothing is sent.
    pub(crate) fn poll_expiry(&self) -> Option<Instant> {
        let timeout = self.queue.timeout;
        self.with(|lane| {
            let first = lane.batches.front()?.deadline;
            let seal = lane.batches.back().filter(|batch| !batch.sealed);
            let seal = seal.map(|batch| batch.deadline - timeout + timeout / 16);
            Some(seal.map_or(first, |seal| seal.min(first)))
        })
    }

    /// So many events are accepted, have failed or are of unknown outcome.
    pub(crate) fn settle(&self, events: u64) {
        if events > 0 {
            self.with(|lane| lane.settled += events);
            self.queue.moved.notify_waiters();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.with(|lane| Some(lane.batches.is_empty())).unwrap_or(true)
    }

    /// Waits until something may be there.
    pub(crate) async fn appended(&self) {
        self.wake.notified().await;
    }
}

/// Takes what waited too long from the front.
fn overdue(batches: &mut VecDeque<Batch>, now: Instant) -> Vec<Batch> {
    let overdue = batches.iter().take_while(|batch| batch.deadline <= now).count();
    batches.drain(..overdue).collect()
}

fn cost_of(record: &RecordParts<'_>) -> usize {
    record.body.len() + record.key.map_or(0, <[u8]>::len) + RECORD_OVERHEAD
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the bus was closed")
}

fn cut_short() -> Error {
    Error::new(ErrorKind::OutcomeUnknown, "the bus was closed while the event was being sent")
        .operation("publish")
}

fn timed_out(waited: Duration) -> Error {
    Error::new(ErrorKind::Timeout, "not sent in time, and never will be")
        .operation("publish")
        .context("waited", format!("{waited:?}"))
        .help("the backend was down or too slow for the whole of `limits.publish_timeout`")
}

/// A poisoned lock is taken all the same: nothing is left half done under any lock of the bus.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
