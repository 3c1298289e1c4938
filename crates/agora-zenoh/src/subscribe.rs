//! Subscribing to a topic.

use std::sync::{Arc, Weak};
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{Inbound, Inbox, InboxQueue, Raw};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;
use zenoh::pubsub::Subscriber;
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Session, Wait};

use crate::error::{closed, error, from_zenoh};
use crate::inbox::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
use crate::keys;
use crate::mesh::watchdog::{self, News};
use crate::publish::DECLARE_WAIT;
use crate::transport::Shared;
use crate::worker::Worker;

/// The longest wait for other nodes to take notice of a subscription. One that is stuck holds it up for so long.
const NOTICE_WAIT: Duration = Duration::from_millis(500);

/// Declares the subscription on the worker, and waits for it.
pub(crate) async fn subscribe(shared: &Arc<Shared>, topic: &TopicName) -> Result<Box<dyn Inbox>> {
    let queue = Arc::new(InboxQueue::new(INBOX_MESSAGES_MAX, INBOX_BYTES_MAX));
    let key = keys::topic(&shared.cluster, topic);
    let (done, declared) = oneshot::channel();
    let (filled, noticed) = (Arc::clone(&queue), Arc::clone(shared));
    shared.control.submit(move |bench| {
        let subscriber = bench
            .session
            .declare_subscriber(key)
            .callback(move |sample| take(&filled, &sample))
            .wait()
            .map_err(|cause| from_zenoh("cannot subscribe", &cause));
        if subscriber.is_ok() {
            notice(&bench.session, &noticed);
        }
        // Where nobody waits any more, the subscription is dropped here.
        drop(done.send(subscriber));
    })?;
    let subscriber = match timeout(DECLARE_WAIT, declared).await {
        Ok(Ok(subscriber)) => subscriber?,
        Ok(Err(_)) => return Err(closed()),
        Err(_) => return Err(slow("the subscription was not made in time")),
    };
    shared.inboxes().push(Arc::downgrade(&queue));
    if shared.is_closed() {
        queue.end(closed());
    }
    Ok(Box::new(ZenohInbox { queue, subscriber: Some(subscriber), worker: Arc::downgrade(&shared.control) }))
}

/// Waits until every node that is connected has taken notice of what was declared just now, for at most
/// [`NOTICE_WAIT`]: a declaration overtakes no question, so whoever has answered one knows.
fn notice(session: &Session, shared: &Shared) {
    let deadline = std::time::Instant::now() + NOTICE_WAIT;
    let answers = watchdog::ask(session, &shared.cluster, Vec::new(), NOTICE_WAIT);
    while let Ok(answer) = answers.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    {
        shared.news(News::Answered(answer));
    }
}

pub(crate) fn slow(message: &'static str) -> Error {
    error(ErrorKind::Timeout, message)
        .context("waited", format!("{DECLARE_WAIT:?}"))
        .help("a connection is congested or stuck; see the link's state")
}

/// Runs on zenoh's receive thread, so it must never wait: the queue counts what it cannot take.
fn take(queue: &InboxQueue, sample: &Sample) {
    if sample.kind() == SampleKind::Put {
        let payload = Bytes::copy_from_slice(&sample.payload().to_bytes());
        queue.push(Raw { payload, lane: 0, key: None, headers: Vec::new(), time: None });
    }
}

struct ZenohInbox {
    queue: Arc<InboxQueue>,
    /// `None` only while it is being dropped.
    subscriber: Option<Subscriber<()>>,
    worker: Weak<Worker>,
}

#[async_trait]
impl Inbox for ZenohInbox {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        self.queue.recv(messages_max, into).await
    }
}

impl Drop for ZenohInbox {
    fn drop(&mut self) {
        self.queue.end(closed());
        // Taking a subscription back tells every peer, which may block: that is the worker's business. Where the
        // worker has ended, the session has too, and there is nobody to tell.
        if let (Some(worker), Some(subscriber)) = (self.worker.upgrade(), self.subscriber.take()) {
            drop(worker.submit(move |_| drop(subscriber)));
        }
    }
}
