//! Frames of agora: a frame says itself who it is and where it stands, so that receivers drop what comes twice and mend
//! what comes out of order. They are written by rskafka.

mod client;
mod lane;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agora_core::transport::{BoxFuture, OutFrame, PublishFailed};
use agora_core::{Error, ErrorKind};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{QUEUE_CALLS_MAX, late, not_stored, unanswered, unknown};
use crate::brokers::Brokers;
use crate::error::{closed, error};
use client::Clients;

type Outcome = Result<(), PublishFailed>;

/// The queues of all lanes, each with a task that empties it.
pub(crate) struct Frames {
    brokers: Arc<Brokers>,
    clients: Arc<Clients>,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    by_lane: BTreeMap<(String, i32), Queue>,
    has_ended: bool,
}

/// The queue of a lane, and the task that ends when it is empty and nothing can come any more.
struct Queue {
    calls: mpsc::Sender<Call>,
    task: JoinHandle<()>,
}

/// One call.
struct Call {
    frames: Vec<OutFrame>,
    by: Instant,
    progress: Arc<Progress>,
    done: oneshot::Sender<Outcome>,
}

impl Call {
    /// Does somebody still want it sent? From here on its outcome is the task's to say.
    fn begin(&self) -> bool {
        !self.done.is_closed() && self.by > Instant::now() && self.progress.claim()
    }

    fn accepted(&self, frames: usize) {
        self.progress.accepted.store(frames, Ordering::Release);
    }

    fn answer(self, outcome: Outcome) {
        drop(self.done.send(outcome));
    }
}

/// How far a call has come, for the one who waits for it.
#[derive(Debug, Default)]
struct Progress {
    /// Has the task begun, or has the caller given up? Whoever is first decides.
    is_claimed: AtomicBool,
    accepted: AtomicUsize,
}

impl Progress {
    fn claim(&self) -> bool {
        !self.is_claimed.swap(true, Ordering::AcqRel)
    }
}

impl Frames {
    pub(crate) fn new(brokers: &Arc<Brokers>) -> Self {
        let (brokers, clients) = (Arc::clone(brokers), Arc::new(Clients::new(Arc::clone(brokers))));
        Self { brokers, clients, queues: Mutex::default() }
    }

    /// Takes frames now, so that the order of the calls is the order in the lane.
    pub(super) fn publish(
        &self,
        lane: (&str, i32),
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        let progress = Arc::new(Progress::default());
        let (done, waiting) = oneshot::channel();
        let call = Call { frames, by, progress: Arc::clone(&progress), done };
        if let Err(error) = self.push(lane, call) {
            return Box::pin(async move { Err(not_stored(0, error)) });
        }
        Box::pin(async move {
            let accepted = || progress.accepted.load(Ordering::Acquire);
            match timeout_at(by, waiting).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) if progress.claim() => Err(not_stored(0, closed())),
                Ok(Err(_)) => Err(unknown(accepted(), closed())),
                Err(_) if progress.claim() => Err(not_stored(0, late(None))),
                Err(_) => Err(unknown(accepted(), unanswered(None))),
            }
        })
    }

    fn push(&self, (topic, partition): (&str, i32), call: Call) -> Result<(), Error> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.has_ended {
            return Err(closed());
        }
        let queue = queues.by_lane.entry((topic.to_owned(), partition)).or_insert_with(|| {
            let (sender, calls) = mpsc::channel(QUEUE_CALLS_MAX);
            let (brokers, clients) = (Arc::clone(&self.brokers), Arc::clone(&self.clients));
            let topic = topic.to_owned();
            let task = tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = brokers.closed() => {}
                    () = lane::run(clients, topic, partition, calls) => {}
                }
            });
            Queue { calls: sender, task }
        });
        match queue.calls.try_send(call) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                Err(error(ErrorKind::QueueFull, "too many publishes wait for the brokers")
                    .context("allowed", QUEUE_CALLS_MAX))
            }
            Err(TrySendError::Closed(_)) => Err(closed()),
        }
    }

    /// Takes nothing more, and waits until what was taken is decided.
    pub(crate) async fn close(&self) {
        let queues = {
            let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            queues.has_ended = true;
            std::mem::take(&mut queues.by_lane)
        };
        for Queue { calls, task } in queues.into_values() {
            drop(calls);
            let _ = task.await;
        }
    }
}
