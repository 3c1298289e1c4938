//! What became of an event: one outcome for a batch, shared by the futures of its events.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Result;
use crate::id::SourceId;
use crate::transport::Durability;

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
    pub(crate) fn decide(&self, outcome: Result<Receipt>) {
        if self.outcome.set(outcome).is_ok() {
            let wakers = std::mem::take(&mut *self.lock());
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// A poisoned lock is taken all the same: nothing is left half done under it.
    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, index: usize, cx: &Context<'_>) -> Poll<Result<Receipt>> {
        let read = || {
            let outcome = self.outcome.get()?.clone();
            Some(outcome.map(|first| Receipt { seq: first.seq + index as u64, ..first }))
        };
        if let Some(outcome) = read() {
            return Poll::Ready(outcome);
        }
        let mut wakers = self.lock();
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

/// An event on its way into a queue: which batch, and where in it.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) fate: Arc<Fate>,
    pub(crate) index: usize,
}

impl Ticket {
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<Receipt>> {
        self.fate.poll(self.index, cx)
    }
}
