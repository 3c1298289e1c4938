//! The way of calls to whoever sends them, for backends that send the calls of one lane one after the other.
//!
//! On an idle bus, a task that had to wake up first would be a good part of the time that an event takes. So where nothing
//! is under way a call is begun where it is made, and what is left of it, mostly the answer, is for a task. Else it is
//! queued, and none overtakes another.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The way in: to a sender that is free, or into its queue.
#[derive(Debug)]
pub struct CallQueue<C, S> {
    calls: mpsc::Sender<C>,
    /// How many calls wait for the task, or are under way there.
    waiting: Arc<AtomicUsize>,
    sender: Arc<Mutex<S>>,
}

/// The end of the task that serves the queue.
#[derive(Debug)]
pub struct QueuedCalls<C, S> {
    /// The calls, in their order.
    pub queue: mpsc::Receiver<C>,
    /// Whoever has it sends.
    pub sender: Arc<Mutex<S>>,
    waiting: Arc<AtomicUsize>,
}

impl<C, S> CallQueue<C, S> {
    /// A queue for at most so many calls, and the end of its task.
    pub fn new(calls_max: usize, sender: S) -> (Self, QueuedCalls<C, S>) {
        let (calls, queue) = mpsc::channel(calls_max);
        let (waiting, sender) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(sender)));
        let queued = QueuedCalls { queue, sender: Arc::clone(&sender), waiting: Arc::clone(&waiting) };
        (Self { calls, waiting, sender }, queued)
    }

    /// Has the task ended? Then nothing more is taken.
    pub fn is_closed(&self) -> bool {
        self.calls.is_closed()
    }

    /// The sender, where nothing is under way that a call could overtake.
    pub fn idle(&self) -> Option<OwnedMutexGuard<S>> {
        if self.waiting.load(Ordering::Acquire) > 0 {
            return None;
        }
        Arc::clone(&self.sender).try_lock_owned().ok()
    }

    /// Puts a call into the queue.
    ///
    /// # Errors
    /// The call, where there is no room, or the task has ended.
    pub fn put(&self, call: C) -> Result<(), TrySendError<C>> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.calls.try_send(call).inspect_err(|_| {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        })
    }
}

impl<C, S> QueuedCalls<C, S> {
    /// So many calls that were taken from the queue have been served.
    pub fn served(&self, calls: usize) {
        self.waiting.fetch_sub(calls, Ordering::AcqRel);
    }
}

/// Begins something here and now. Gives it back where it is not done: to be run by a task. Whatever wakes it before that is
/// not heard, for the task polls it anew.
pub fn begin<F: Future<Output = ()>>(work: F) -> Option<Pin<Box<F>>> {
    let mut work = Box::pin(work);
    work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending().then_some(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_overtakes_what_waits_or_is_under_way() {
        let (queue, mut queued) = CallQueue::new(1, "sender");
        let first = queue.idle().unwrap();
        assert!(queue.idle().is_none(), "one sends");
        queue.put(1).unwrap();
        assert!(matches!(queue.put(2), Err(TrySendError::Full(2))));
        drop(first);
        assert!(queue.idle().is_none(), "one waits");
        assert_eq!(queued.queue.recv().await, Some(1));
        assert!(queue.idle().is_none(), "it is not served yet");
        queued.served(1);
        assert_eq!(queue.idle().as_deref(), Some(&"sender"));
        drop(queued);
        assert!(queue.is_closed());
        assert!(matches!(queue.put(3), Err(TrySendError::Closed(3))));
        assert!(queue.idle().is_some(), "what was refused does not wait");
    }

    #[tokio::test]
    async fn what_is_not_done_at_once_is_given_back() {
        assert!(begin(async {}).is_none());
        let left = begin(tokio::task::yield_now());
        left.unwrap().await;
    }
}
