//! Publishing: in order, on a thread that may block, with a deadline that holds even then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{BoxFuture, Link, OutFrame, Outcome, PublishFailed, check_only_lane};
use agora_core::{Error, ErrorKind};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use zenoh::Wait;
use zenoh::pubsub::Publisher;
use zenoh::qos::{CongestionControl, Priority, Reliability};

use crate::error::{closed, error, from_zenoh};
use crate::keys;
use crate::transport::Shared;
use crate::worker::{Bench, Worker};

/// The most calls of `publish` that wait for the sending thread, for each of its two threads. A further one fails
/// at once with `QueueFull`, and nothing of it is sent.
pub const QUEUE_CALLS_MAX: usize = 1024;
/// The longest wait for a declaration (a subscription, a token): beyond it the call fails with `Timeout`.
pub(crate) const DECLARE_WAIT: Duration = Duration::from_secs(10);

/// Hands the frames to the sending thread now, so that the order of the calls is the order on the wire, and
/// returns a future that waits for it.
pub(crate) fn publish(
    shared: &Arc<Shared>,
    topic: &TopicName,
    lane: u32,
    frames: Vec<OutFrame>,
    by: Instant,
) -> BoxFuture<Result<(), PublishFailed>> {
    let progress = Arc::new(Progress::default());
    let waiting = match start(shared, topic, lane, frames, by, &progress) {
        Ok(waiting) => waiting,
        Err(error) => return Box::pin(async move { Err(not_stored(0, error)) }),
    };
    Box::pin(async move {
        match timeout_at(by, waiting).await {
            Ok(Ok(result)) => result,
            // The thread ended without an answer: the session is gone.
            Ok(Err(_)) if progress.claim() => Err(not_stored(0, closed())),
            Ok(Err(_)) => Err(unknown(progress.accepted.load(Ordering::Acquire), closed())),
            Err(_) if progress.claim() => Err(not_stored(0, late())),
            Err(_) => {
                let late =
                    error(ErrorKind::OutcomeUnknown, "the deadline passed while a frame was being sent")
                        .help("a connection is congested or stuck; see the link's state");
                Err(unknown(progress.accepted.load(Ordering::Acquire), late))
            }
        }
    })
}

/// How far a call has come, for the one who waits for it.
#[derive(Debug, Default)]
struct Progress {
    /// Has the sending thread begun, or has the caller given up? Whoever is first decides.
    claimed: AtomicBool,
    accepted: AtomicUsize,
}

impl Progress {
    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::AcqRel)
    }
}

fn late() -> Error {
    error(ErrorKind::Timeout, "the deadline passed before the frame was sent")
}

type Waiting = oneshot::Receiver<Result<(), PublishFailed>>;

fn start(
    shared: &Arc<Shared>,
    topic: &TopicName,
    lane: u32,
    frames: Vec<OutFrame>,
    by: Instant,
    progress: &Arc<Progress>,
) -> Result<Waiting, Error> {
    check_only_lane(lane).map_err(|error| error.backend(crate::error::BACKEND).context("topic", topic))?;
    let bytes_max = shared.capabilities.message_bytes_max;
    if let Some(frame) = frames.iter().find(|frame| frame.payload.len() > bytes_max) {
        return Err(error(ErrorKind::TooLarge, "a frame is larger than this backend takes")
            .context("bytes", frame.payload.len())
            .context("allowed", bytes_max));
    }
    // The control topic has a thread and a queue of its own, so that heartbeats pass a congested data topic.
    let control = *topic == TopicName::control();
    let (worker, queued): (&Worker, _) =
        if control { (&shared.control, &shared.control_calls) } else { (&shared.data, &shared.data_calls) };
    if queued.fetch_add(1, Ordering::AcqRel) >= QUEUE_CALLS_MAX {
        queued.fetch_sub(1, Ordering::AcqRel);
        return Err(error(ErrorKind::QueueFull, "too many publishes wait for the connection")
            .context("allowed", QUEUE_CALLS_MAX));
    }
    let (done, waiting) = oneshot::channel();
    let job =
        Job { shared: Arc::clone(shared), topic: topic.clone(), control, by, progress: Arc::clone(progress) };
    let submitted = worker.submit(move |bench| {
        // A caller that has gone does not want it sent any more; what it was promised is nothing.
        let wanted = !done.is_closed() && job.progress.claim();
        let result = if wanted { job.run(bench, frames) } else { Err(not_stored(0, late())) };
        job.queued().fetch_sub(1, Ordering::AcqRel);
        drop(done.send(result));
    });
    if submitted.is_err() {
        queued.fetch_sub(1, Ordering::AcqRel);
    }
    submitted.map(|()| waiting)
}

/// One call of `publish`, on the sending thread.
struct Job {
    shared: Arc<Shared>,
    topic: TopicName,
    control: bool,
    by: Instant,
    progress: Arc<Progress>,
}

impl Job {
    fn queued(&self) -> &AtomicUsize {
        if self.control { &self.shared.control_calls } else { &self.shared.data_calls }
    }

    fn run(&self, bench: &mut Bench, frames: Vec<OutFrame>) -> Result<(), PublishFailed> {
        for (count, frame) in frames.into_iter().enumerate() {
            if let Some(why) = self.down() {
                return Err(not_stored(count, why));
            }
            if Instant::now() >= self.by {
                return Err(not_stored(count, late()));
            }
            let publisher = self.publisher(bench).map_err(|error| not_stored(count, error))?;
            if let Err(cause) = publisher.put(frame.payload).wait() {
                return Err(not_stored(count, from_zenoh("cannot publish", &cause)));
            }
            // A put returns Ok also when its only connection was closed under it.
            if let Some(why) = self.down() {
                return Err(unknown(count, why));
            }
            self.progress.accepted.store(count + 1, Ordering::Release);
        }
        Ok(())
    }

    fn down(&self) -> Option<Error> {
        match &*self.shared.link.borrow() {
            Link::Down { why, .. } => {
                Some(error(ErrorKind::Unreachable, "the link is down").context("why", why))
            }
            _ => None,
        }
    }

    /// The publisher of the topic: declared once, then kept.
    fn publisher<'a>(&self, bench: &'a mut Bench) -> Result<&'a Publisher<'static>, Error> {
        use std::collections::btree_map::Entry;
        match bench.publishers.entry(self.topic.clone()) {
            Entry::Occupied(publisher) => Ok(publisher.into_mut()),
            Entry::Vacant(place) => {
                let publisher = bench
                    .session
                    .declare_publisher(keys::topic(&self.shared.cluster, &self.topic))
                    // Zenoh's default drops silently whenever a connection is busy.
                    .congestion_control(CongestionControl::Block)
                    .reliability(Reliability::Reliable)
                    // Each priority has queues of its own in every connection: a full one of the data topics does
                    // not hold up a heartbeat.
                    .priority(if self.control { Priority::InteractiveHigh } else { Priority::Data })
                    .wait()
                    .map_err(|cause| from_zenoh("cannot declare a publisher", &cause))?;
                Ok(place.insert(publisher))
            }
        }
    }
}

fn not_stored(accepted: usize, error: Error) -> PublishFailed {
    PublishFailed { accepted, outcome: Outcome::NotStored, error: error.operation("publish") }
}

fn unknown(accepted: usize, error: Error) -> PublishFailed {
    PublishFailed { accepted, outcome: Outcome::Unknown, error: error.operation("publish") }
}
