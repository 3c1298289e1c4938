//! Publishing: in the order of the calls, with a deadline that holds also while the connection is stuck.
//!
//! Each lane has a queue and one task that empties it: one for live topics, one for the control topic, so that heartbeats
//! pass a long queue, and one for each log. Where nothing is under way on a lane, a call is not queued: it is begun at once.

mod ids;
mod live;
mod log;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agora_core::id::TopicName;
use agora_core::transport::calls::{CallQueue, QueuedCalls, begin};
use agora_core::transport::{
    Address, BoxFuture, OutFrame, Outcome, PublishFailed, TopicKind, check_only_lane,
};
use agora_core::{Error, ErrorKind};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::error::{closed, error};
use crate::session::Session;
use crate::shared::Shared;

pub use log::IN_FLIGHT_MAX;

/// The most calls of `publish` that wait for the task of their lane. A further one fails at once with `QueueFull`, and
/// nothing of it is sent.
pub const QUEUE_CALLS_MAX: usize = 1024;
/// The most calls that are taken from a queue at once. One flush serves all of them on live topics.
const BATCH_CALLS_MAX: usize = 64;
/// What headers may take of a message, in bytes: the largest key, percent-encoded, and all else that stands beside.
pub const HEADERS_BYTES: usize = 8 << 10;

/// The queues.
#[derive(Default)]
pub(crate) struct Lanes(Mutex<Queues>);

#[derive(Default)]
struct Queues {
    by_lane: BTreeMap<Lane, Queue>,
    ended: bool,
}

/// The way into a lane. Whoever has the desk sends.
type Queue = CallQueue<Call, Desk>;

/// What sends on a lane.
enum Desk {
    Live,
    Log(Box<log::Sender>),
}

impl Desk {
    async fn send(&mut self, shared: &Shared, calls: Vec<Call>) {
        match self {
            Self::Live => live::send(shared, calls).await,
            Self::Log(sender) => {
                for call in calls.into_iter().filter(Call::begin) {
                    let result = sender.send(shared, &call).await;
                    call.answer(result);
                }
            }
        }
    }
}

fn start_lane(shared: &Arc<Shared>, lane: &Lane) -> Queue {
    let desk = match lane {
        Lane::Data | Lane::Control => Desk::Live,
        Lane::Log(topic) => Desk::Log(Box::new(log::Sender::new(shared, topic))),
    };
    let (queue, calls) = CallQueue::new(QUEUE_CALLS_MAX, desk);
    tokio::spawn(run(Arc::clone(shared), calls));
    queue
}

/// Sends what is queued on a lane, until nothing can come any more.
async fn run(shared: Arc<Shared>, mut calls: QueuedCalls<Call, Desk>) {
    let mut batch = Vec::with_capacity(BATCH_CALLS_MAX);
    while calls.queue.recv_many(&mut batch, BATCH_CALLS_MAX).await > 0 {
        let count = batch.len();
        calls.sender.lock().await.send(&shared, std::mem::take(&mut batch)).await;
        calls.served(count);
    }
}

/// Begins to send a call where nothing is under way.
fn send_now(shared: &Arc<Shared>, mut desk: OwnedMutexGuard<Desk>, call: Call) {
    let shared = Arc::clone(shared);
    if let Some(sending) = begin(async move { desk.send(&shared, vec![call]).await }) {
        tokio::spawn(sending);
    }
}

fn refused(refused: TrySendError<Call>) -> Error {
    match refused {
        TrySendError::Full(_) => error(ErrorKind::QueueFull, "too many publishes wait for the connection")
            .context("allowed", QUEUE_CALLS_MAX),
        TrySendError::Closed(_) => closed(),
    }
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

    /// Sends a call where nothing is under way before it, or puts it into the queue of its lane, which is made where there is
    /// none.
    fn submit(&self, shared: &Arc<Shared>, lane: &Lane, call: Call) -> Result<(), Error> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.ended {
            return Err(closed());
        }
        if !queues.by_lane.contains_key(lane) {
            queues.by_lane.insert(lane.clone(), start_lane(shared, lane));
        }
        let queue = queues.by_lane.get(lane).ok_or_else(closed)?;
        let Some(desk) = queue.idle() else { return queue.put(call).map_err(refused) };
        drop(queues);
        send_now(shared, desk, call);
        Ok(())
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
    shared.lanes.submit(shared, &lane, call)?;
    Ok(waiting)
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
