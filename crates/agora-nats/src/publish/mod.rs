//! Publishing: in the order of the calls, with a deadline that holds also while the connection is stuck.
//!
//! Each lane is a queue and one task that empties it: one for live topics, one for the control topic, so that heartbeats
//! pass a long queue, and one for each log.

mod ids;
mod live;
mod log;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agora_core::id::TopicName;
use agora_core::transport::{
    Address, BoxFuture, OutFrame, Outcome, PublishFailed, TopicKind, check_only_lane,
};
use agora_core::{Error, ErrorKind};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::error::{closed, error};
use crate::session::Session;
use crate::shared::Shared;

pub use log::IN_FLIGHT_MAX;

/// The most calls of `publish` that wait for the task of their lane. A further one fails at once with `QueueFull`, and
/// nothing of it is sent.
pub const QUEUE_CALLS_MAX: usize = 1024;
/// What headers may take of a message, in bytes: the largest key, percent-encoded, and all else that stands beside.
pub const HEADERS_BYTES: usize = 8 << 10;

/// The queues.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<Queues>);

#[derive(Default)]
struct Queues {
    by_lane: BTreeMap<Lane, mpsc::Sender<Call>>,
    ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Data,
    Control,
    Log(TopicName),
}

impl Lanes {
    /// Takes nothing more: the tasks end.
    pub(crate) fn end(&self) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.ended = true;
        queues.by_lane.clear();
    }

    /// The queue of a lane, with its task where there was none. `None` after the end.
    fn queue(&self, shared: &Arc<Shared>, lane: Lane) -> Option<mpsc::Sender<Call>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.ended {
            return None;
        }
        let make = || {
            let (queue, calls) = mpsc::channel(QUEUE_CALLS_MAX);
            let shared = Arc::clone(shared);
            match lane.clone() {
                Lane::Data | Lane::Control => drop(tokio::spawn(live::run(shared, calls))),
                Lane::Log(topic) => drop(tokio::spawn(log::run(shared, topic, calls))),
            }
            queue
        };
        Some(queues.by_lane.entry(lane.clone()).or_insert_with(make).clone())
    }
}

/// One call of `publish`.
struct Call {
    topic: TopicName,
    frames: Vec<OutFrame>,
    by: Instant,
    progress: Arc<Progress>,
    done: oneshot::Sender<Result<(), PublishFailed>>,
}

impl Call {
    /// Does somebody still want it sent? From here on its outcome is the task's to say.
    fn begin(&self) -> bool {
        !self.done.is_closed() && self.progress.claim()
    }

    fn answer(self, result: Result<(), PublishFailed>) {
        drop(self.done.send(result));
    }
}

/// How far a call has come, for the one who waits for it.
#[derive(Debug, Default)]
struct Progress {
    /// Has the task begun, or has the caller given up? Whoever is first decides.
    claimed: AtomicBool,
    accepted: AtomicUsize,
}

impl Progress {
    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::AcqRel)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Acquire)
    }
}

/// Puts the frames into their queue now, so that the order of the calls is the order on the wire, and returns a future
/// that waits for the answer.
pub(crate) fn publish(
    shared: &Arc<Shared>,
    to: &Address,
    frames: Vec<OutFrame>,
    by: Instant,
) -> BoxFuture<Result<(), PublishFailed>> {
    let progress = Arc::new(Progress::default());
    let waiting = match start(shared, to, frames, by, &progress) {
        Ok(waiting) => waiting,
        Err(error) => return Box::pin(async move { Err(not_stored(0, error)) }),
    };
    Box::pin(async move {
        match timeout_at(by, waiting).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) if progress.claim() => Err(not_stored(0, closed())),
            Ok(Err(_)) => Err(unknown(progress.accepted(), closed())),
            Err(_) if progress.claim() => Err(not_stored(0, late())),
            Err(_) => Err(unknown(progress.accepted(), unanswered())),
        }
    })
}

fn start(
    shared: &Arc<Shared>,
    to: &Address,
    frames: Vec<OutFrame>,
    by: Instant,
    progress: &Arc<Progress>,
) -> Result<oneshot::Receiver<Result<(), PublishFailed>>, Error> {
    if shared.is_closed() {
        return Err(closed());
    }
    check_only_lane(to.lane)
        .map_err(|error| error.backend(crate::error::BACKEND).context("topic", &to.topic))?;
    if by <= Instant::now() {
        return Err(late());
    }
    for frame in &frames {
        check_bytes(frame.payload.len(), shared.capabilities.message_bytes_max)?;
    }
    let lane = match shared.kinds().get(&to.topic) {
        Some(TopicKind::Log) => Lane::Log(to.topic.clone()),
        _ if to.topic == TopicName::control() => Lane::Control,
        _ => Lane::Data,
    };
    let (done, waiting) = oneshot::channel();
    let call = Call { topic: to.topic.clone(), frames, by, progress: Arc::clone(progress), done };
    match shared.lanes.queue(shared, lane).ok_or_else(closed)?.try_send(call) {
        Ok(()) => Ok(waiting),
        Err(TrySendError::Full(_)) => {
            Err(error(ErrorKind::QueueFull, "too many publishes wait for the connection")
                .context("allowed", QUEUE_CALLS_MAX))
        }
        Err(TrySendError::Closed(_)) => Err(closed()),
    }
}

fn check_bytes(bytes: usize, allowed: usize) -> Result<(), Error> {
    if bytes <= allowed {
        return Ok(());
    }
    Err(error(ErrorKind::TooLarge, "a message is larger than the server takes")
        .context("bytes", bytes)
        .context("allowed", allowed)
        .help("raise `max_payload` in the server's configuration, or publish smaller events"))
}

/// What the server that is there now takes, headers included. It may be another one than at the beginning.
fn check_message(session: &Session, headers: usize, payload: usize) -> Result<(), Error> {
    check_bytes(headers + payload, session.bytes_max)
}

fn late() -> Error {
    error(ErrorKind::Timeout, "the deadline passed before the message was sent")
}

fn unanswered() -> Error {
    error(ErrorKind::OutcomeUnknown, "the deadline passed before the server had answered")
        .help("the connection is congested, or the server is; see the link's state")
}

fn not_stored(accepted: usize, error: Error) -> PublishFailed {
    PublishFailed { accepted, outcome: Outcome::NotStored, error: error.operation("publish") }
}

fn unknown(accepted: usize, error: Error) -> PublishFailed {
    PublishFailed { accepted, outcome: Outcome::Unknown, error: error.operation("publish") }
}
