//! What waits to be sent: events, already encoded, in batches that become frames.
//!
//! Encoding happens in the caller, under no lock; appending copies a few bytes. Events of one batch share one
//! outcome, so that a publish costs no allocation of its own.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::meter::Publishing;
use crate::codec::{FrameBuilder, HEADER_BYTES, RecordParts};
use crate::error::{Error, ErrorKind, Result};
use crate::id::SourceId;
use crate::transport::{Durability, Framing, TopicSettings};

/// What a record costs in memory beyond its key and body.
const RECORD_OVERHEAD: usize = 32;

/// The proof that an event was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Who published: this node, in this life.
    pub source: SourceId,
    /// The lane.
    pub lane: u32,
    /// The event's sequence on that lane.
    pub seq: u64,
    /// What it has reached.
    pub durability: Durability,
}

/// The fate of a batch, shared by the futures of its events.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// The receipt of the first event, or what went wrong.
    outcome: OnceLock<Result<Receipt>>,
    wakers: Mutex<Vec<Waker>>,
}

impl Fate {
    fn decide(&self, outcome: Result<Receipt>) {
        if self.outcome.set(outcome).is_ok() {
            let wakers = std::mem::take(&mut *lock(&self.wakers));
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    fn poll(&self, index: usize, cx: &Context<'_>) -> Poll<Result<Receipt>> {
        let read = || {
            let outcome = self.outcome.get()?.clone();
            Some(outcome.map(|first| Receipt { seq: first.seq + index as u64, ..first }))
        };
        if let Some(outcome) = read() {
            return Poll::Ready(outcome);
        }
        let mut wakers = lock(&self.wakers);
        // Decided between the look and the lock: the wakers are gone already.
        if let Some(outcome) = read() {
            return Poll::Ready(outcome);
        }
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

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

/// One lane's queue.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
    room: Arc<Room>,
    timeout: Duration,
    /// The largest message that the transport takes.
    message_bytes_max: usize,
    settings: TopicSettings,
    pub(crate) meter: Publishing,
    /// Events that wait for room. Whoever comes later must not overtake them.
    waiting: Arc<AtomicUsize>,
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
    batches: VecDeque<Batch>,
    closed: Option<Error>,
    accepted: u64,
}

/// An event on its way into a queue: which batch, and where in it.
#[derive(Debug)]
pub(crate) struct Ticket {
    fate: Arc<Fate>,
    index: usize,
}

impl Ticket {
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<Receipt>> {
        self.fate.poll(self.index, cx)
    }
}

impl Queue {
    pub(crate) fn new(
        room: Arc<Room>,
        timeout: Duration,
        message_bytes_max: usize,
        settings: TopicSettings,
        meter: Publishing,
    ) -> Self {
        Self {
            inner: Mutex::default(),
            wake: Notify::new(),
            room,
            timeout,
            message_bytes_max,
            settings,
            meter,
            waiting: Arc::default(),
        }
    }

    /// Counts an event among those that wait for room. Until it is dropped, what comes later waits too.
    pub(crate) fn wait(&self) -> Waiting {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(self.waiting.clone())
    }

    /// Queues a record without waiting.
    pub(crate) fn try_append(&self, record: &RecordParts<'_>) -> Result<Ticket> {
        let cost = cost(record);
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
        let (cost, deadline) = (cost(record), Instant::now() + self.timeout);
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
        let mut inner = lock(&self.inner);
        let appended = self.append_locked(&mut inner, record, cost, now, deadline);
        drop(inner);
        if appended.is_err() {
            self.room.bytes.add_permits(cost);
        } else {
            self.wake.notify_one();
        }
        appended
    }

    fn append_locked(
        &self,
        inner: &mut Inner,
        record: &RecordParts<'_>,
        cost: usize,
        now: Instant,
        deadline: Instant,
    ) -> Result<Ticket> {
        if let Some(error) = &inner.closed {
            return Err(error.clone());
        }
        let bytes = cost + record.kind.len();
        if HEADER_BYTES + bytes > self.message_bytes_max {
            return Err(Error::new(ErrorKind::TooLarge, "the event is larger than the backend takes")
                .context("bytes", bytes)
                .context("at most", self.message_bytes_max.saturating_sub(HEADER_BYTES))
                .help("publish a reference to large data, or raise the backend's largest message"));
        }
        let fits = |batch: &Batch| {
            let room = batch.builder.frame_bytes() + bytes <= self.message_bytes_max;
            // One that has waited for room has less time left than the others.
            room && !batch.sealed && batch.deadline <= deadline && batch.builder.fits(record)
        };
        let each = self.settings.framing == Framing::Each;
        if each || !inner.batches.back().is_some_and(fits) {
            let mut builder = FrameBuilder::new();
            builder.push(record)?;
            inner.batches.push_back(Batch {
                builder,
                deadline,
                room: cost,
                sealed: deadline + self.timeout / 16 < now + self.timeout,
                formed: 0,
                fate: Arc::default(),
                home: self.room.clone(),
            });
        } else if let Some(batch) = inner.batches.back_mut() {
            batch.builder.push(record)?;
            batch.room += cost;
        }
        inner.accepted += 1;
        let batch = inner.batches.back().ok_or_else(closed)?;
        Ok(Ticket { fate: batch.fate.clone(), index: batch.builder.records() - 1 })
    }

    /// The oldest batches, at most `batches_max` and about `bytes_max`.
    pub(crate) fn take(&self, batches_max: usize, bytes_max: usize) -> Vec<Batch> {
        let mut inner = lock(&self.inner);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < batches_max && bytes < bytes_max {
            let Some(batch) = inner.batches.pop_front() else { break };
            bytes += batch.builder.frame_bytes();
            taken.push(batch);
        }
        taken
    }

    /// Fails what waited too long. It was never formed, so it is certain that it was not sent. Newer events begin a
    /// new batch, so that none of them shares a deadline with much older ones.
    pub(crate) fn expire(&self, now: Instant) -> u64 {
        let mut inner = lock(&self.inner);
        let overdue = inner.batches.iter().take_while(|batch| batch.deadline <= now).count();
        let overdue: Vec<Batch> = inner.batches.drain(..overdue).collect();
        let age = self.timeout / 16;
        if let Some(batch) = inner.batches.back_mut() {
            batch.sealed |= now + self.timeout >= batch.deadline + age;
        }
        drop(inner);
        // Whoever is woken may publish at once.
        overdue.iter().for_each(|batch| batch.decide(Err(timed_out(self.timeout))));
        overdue.iter().map(|batch| batch.builder.records() as u64).sum()
    }

    /// When to call [`Queue::expire`] while nothing is sent.
    pub(crate) fn poll_expiry(&self) -> Option<Instant> {
        let inner = lock(&self.inner);
        let first = inner.batches.front()?.deadline;
        let seal = inner.batches.back().filter(|batch| !batch.sealed);
        let seal = seal.map(|batch| batch.deadline - self.timeout + self.timeout / 16);
        Some(seal.map_or(first, |seal| seal.min(first)))
    }

    /// How long ago the first event of a batch was published.
    pub(crate) fn waited(&self, batch: &Batch, now: Instant) -> Duration {
        (now + self.timeout).saturating_duration_since(batch.deadline)
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.inner).batches.is_empty()
    }

    /// How many events were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        lock(&self.inner).accepted
    }

    /// Waits until something may be there.
    pub(crate) async fn appended(&self) {
        self.wake.notified().await;
    }

    /// Takes nothing more; what is queued stays.
    pub(crate) fn close(&self, error: Error) {
        lock(&self.inner).closed.get_or_insert(error);
        self.wake.notify_one();
    }

    /// Takes nothing more, and fails what is queued: so many events.
    pub(crate) fn fail(&self, error: &Error) -> u64 {
        let batches = {
            let mut inner = lock(&self.inner);
            inner.closed.get_or_insert_with(|| error.clone());
            std::mem::take(&mut inner.batches)
        };
        batches.iter().for_each(|batch| batch.decide(Err(error.clone())));
        batches.iter().map(|batch| batch.builder.records() as u64).sum()
    }
}

fn cost(record: &RecordParts<'_>) -> usize {
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

/// The future of a publish. Dropping it leaves the event's fate unknown: it may be sent all the same.
#[must_use = "a publish whose outcome nobody awaits may fail unseen; use `try_publish` where that is meant"]
pub struct Publish(State);

enum State {
    Failed(Option<Error>),
    Queued(Ticket),
    Waiting(Pin<Box<dyn Future<Output = Result<Ticket>> + Send>>),
}

impl Publish {
    pub(crate) fn failed(error: Error) -> Self {
        Self(State::Failed(Some(error)))
    }

    pub(crate) fn queued(ticket: Ticket) -> Self {
        Self(State::Queued(ticket))
    }

    pub(crate) fn waiting(queued: impl Future<Output = Result<Ticket>> + Send + 'static) -> Self {
        Self(State::Waiting(Box::pin(queued)))
    }
}

impl Future for Publish {
    type Output = Result<Receipt>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                State::Failed(error) => return Poll::Ready(Err(error.take().unwrap_or_else(closed))),
                State::Queued(ticket) => return ticket.poll(cx),
                State::Waiting(waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(ticket)) => self.0 = State::Queued(ticket),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                },
            }
        }
    }
}

impl std::fmt::Debug for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.0 {
            State::Failed(_) => "Failed",
            State::Queued(_) => "Queued",
            State::Waiting(_) => "Waiting",
        };
        f.debug_tuple("Publish").field(&state).finish()
    }
}
