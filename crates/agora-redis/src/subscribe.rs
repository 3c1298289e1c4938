//! Subscriptions: a connection of their own, watched and made anew by a task of this crate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{Inbound, Inbox, InboxQueue, Raw};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use redis::aio::PubSubSink;
use redis::{PushInfo, PushKind, Value, cmd};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::call::{Connection, ask};
use crate::dial::{Pushed, Server};
use crate::error::{Failure, closed, error};
use crate::inbox::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
use crate::shared::{Shared, lock, pause};

/// How often the server is asked whether it is there: a subscription on which nothing is sent looks the same as one
/// whose server has gone.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The most subscriptions that wait to be made.
const REQUESTS_MAX: usize = 256;

/// The subscriptions that share a connection.
pub(crate) struct Hub {
    /// Who listens, by channel. A channel that is here is subscribed, or about to be.
    listeners: Mutex<BTreeMap<Vec<u8>, Channel>>,
    /// How many messages have arrived: a connection on which some do is alive, however late a `PING` is answered.
    heard: AtomicU64,
    requests: mpsc::Sender<Request>,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct Channel {
    queues: Vec<Weak<InboxQueue>>,
    /// The connection was lost, and nobody was told yet: the mark stands in front of what comes on the next one.
    interrupted: bool,
}

impl Channel {
    fn queues(&self) -> impl Iterator<Item = Arc<InboxQueue>> {
        self.queues.iter().filter_map(Weak::upgrade)
    }

    fn tell(&mut self) {
        if std::mem::take(&mut self.interrupted) {
            self.queues().for_each(|queue| queue.resubscribed());
        }
    }
}

struct Request {
    channel: String,
    queue: Arc<InboxQueue>,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Hub {
    /// A message arrived. Called on the task that reads the connection: it does not wait for anybody.
    fn deliver(&self, channel: &[u8], payload: Vec<u8>) {
        let payload = Bytes::from(payload);
        self.heard.fetch_add(1, Ordering::Relaxed);
        let mut listeners = lock(&self.listeners);
        let Some(channel) = listeners.get_mut(channel) else { return };
        channel.tell();
        for queue in channel.queues() {
            queue.push(Raw { payload: payload.clone(), lane: 0, key: None, headers: Vec::new(), time: None });
        }
    }

    fn pushed(&self, info: PushInfo) {
        if !matches!(info.kind, PushKind::Message | PushKind::SMessage) {
            return;
        }
        let mut data = info.data.into_iter();
        if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
            (data.next(), data.next())
        {
            self.deliver(&channel, payload);
        }
    }

    /// Forgets those who have gone. Answers with the channels on which nobody is left.
    fn sweep(&self) -> Vec<Vec<u8>> {
        let mut listeners = lock(&self.listeners);
        let mut empty = Vec::new();
        listeners.retain(|name, channel| {
            channel.queues.retain(|queue| queue.strong_count() > 0);
            if channel.queues.is_empty() {
                empty.push(name.clone());
            }
            !channel.queues.is_empty()
        });
        empty
    }

    fn channels(&self) -> Vec<Vec<u8>> {
        lock(&self.listeners).keys().cloned().collect()
    }

    /// Adds a listener. Answers whether it is the first on its channel.
    fn listen(&self, channel: &str, queue: &Arc<InboxQueue>) -> bool {
        let mut listeners = lock(&self.listeners);
        let queues = &mut listeners.entry(channel.as_bytes().to_vec()).or_default().queues;
        queues.push(Arc::downgrade(queue));
        if self.is_closed.load(Ordering::Acquire) {
            queue.end(closed());
        }
        queues.len() == 1
    }

    /// The connection was lost.
    fn interrupted(&self) {
        lock(&self.listeners).values_mut().for_each(|channel| channel.interrupted = true);
    }

    /// Every subscription was confirmed anew.
    fn resubscribed(&self) {
        lock(&self.listeners).values_mut().for_each(Channel::tell);
    }

    /// Ends the subscriptions to one channel, for this reason.
    fn refuse(&self, channel: &[u8], why: &Error) {
        if let Some(channel) = lock(&self.listeners).remove(channel) {
            channel.queues().for_each(|queue| queue.end(why.clone()));
        }
    }

    /// Ends every subscription.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        for channel in std::mem::take(&mut *lock(&self.listeners)).into_values() {
            channel.queues().for_each(|queue| queue.end(closed()));
        }
    }
}

/// Subscribes, and returns when the server has confirmed it.
pub(crate) async fn subscribe(shared: &Arc<Shared>, topic: &TopicName) -> Result<Box<dyn Inbox>> {
    if shared.is_closed() {
        return Err(closed());
    }
    let requests = {
        let of = shared.route.is_cluster().then(|| topic.clone());
        let mut hubs = lock(&shared.hubs);
        let hub = hubs.entry(of.clone()).or_insert_with(|| start(shared, of));
        hub.requests.clone()
    };
    let queue = Arc::new(InboxQueue::new(INBOX_MESSAGES_MAX, INBOX_BYTES_MAX));
    let (done, answer) = oneshot::channel();
    let request = Request { channel: shared.names.channel(topic), queue: Arc::clone(&queue), done };
    let subscribed = async {
        requests.send(request).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    };
    tokio::select! {
        biased;
        () = shared.ended() => Err(closed()),
        answer = tokio::time::timeout(shared.config.timeout, subscribed) => match answer {
            Ok(Ok(())) => Ok(Box::new(Subscription(queue))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(error(ErrorKind::Unreachable, "the server did not confirm the subscription in time")),
        }
    }
}

fn start(shared: &Arc<Shared>, topic: Option<TopicName>) -> Arc<Hub> {
    let (requests, received) = mpsc::channel(REQUESTS_MAX);
    let hub = Arc::new(Hub {
        listeners: Mutex::default(),
        heard: AtomicU64::new(0),
        requests,
        is_closed: AtomicBool::new(false),
    });
    shared.spawn(run(Arc::clone(shared), topic, Arc::clone(&hub), received));
    hub
}

struct Subscription(Arc<InboxQueue>);

#[async_trait]
impl Inbox for Subscription {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        self.0.recv(messages_max, into).await
    }
}

/// A connection on which messages arrive.
enum Line {
    /// Messages come between the answers of an ordinary connection.
    Resp3(Connection),
    /// A connection that does nothing else. Its messages are taken over at once by a task.
    Resp2(PubSubSink, JoinHandle<()>),
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Resp2(_, task) = self {
            task.abort();
        }
    }
}

impl Line {
    async fn open(
        shared: &Shared,
        server: &Server,
        hub: &Arc<Hub>,
        lost: &Arc<Notify>,
    ) -> Result<Self, Failure> {
        if shared.dialer.pushes() {
            let (hub, lost) = (Arc::clone(hub), Arc::clone(lost));
            let pushed: Pushed = Arc::new(move |info| match info.kind {
                PushKind::Disconnection => lost.notify_one(),
                // The server takes a subscription back when its slot moves elsewhere, without being asked.
                PushKind::SUnsubscribe => lost.notify_one(),
                _ => hub.pushed(info),
            });
            return Ok(Self::Resp3(shared.dialer.dial(server, Some(pushed)).await?));
        }
        let (sink, mut messages) = shared.dialer.dial_for_messages(server).await?.split();
        let (hub, lost) = (Arc::clone(hub), Arc::clone(lost));
        let task = shared.runtime.spawn(async move {
            // The client's own queue has no bound: this task only moves what is there, and never waits for a reader.
            while let Some(message) = messages.next().await {
                let channel = message.get_channel_name().as_bytes().to_vec();
                hub.deliver(&channel, message.get_payload_bytes().to_vec());
            }
            lost.notify_one();
        });
        Ok(Self::Resp2(sink, task))
    }

    /// Subscribes, and returns when all of it was confirmed.
    async fn subscribe(&mut self, word: &str, channels: &[Vec<u8>], wait: Duration) -> Result<(), Failure> {
        let subscribing = async {
            match self {
                Self::Resp3(connection) if word == "SSUBSCRIBE" => {
                    let mut command = cmd(word);
                    command.arg(channels);
                    connection
                        .send_packed_command(&command)
                        .await
                        .and_then(|answer| answer.extract_error())
                        .map(drop)
                }
                Self::Resp3(connection) => connection.subscribe(channels).await,
                Self::Resp2(sink, _) => sink.subscribe(channels).await,
            }
        };
        match tokio::time::timeout(wait, subscribing).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::unanswered("no confirmation came in time")),
        }
    }

    async fn unsubscribe(&mut self, channels: &[Vec<u8>], wait: Duration) -> Result<(), Failure> {
        let unsubscribing = async {
            match self {
                Self::Resp3(connection) => connection.unsubscribe(channels).await,
                Self::Resp2(sink, _) => sink.unsubscribe(channels).await,
            }
        };
        match tokio::time::timeout(wait, unsubscribing).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::unanswered("no confirmation came in time")),
        }
    }

    async fn probe(&mut self, wait: Duration) -> Result<(), Failure> {
        match self {
            Self::Resp3(connection) => ask(connection, &cmd("PING"), wait).await.map(drop),
            Self::Resp2(sink, _) => match tokio::time::timeout(wait, sink.ping::<Value>()).await {
                Ok(answer) => Ok(answer.map(drop)?),
                Err(_) => Err(Failure::unanswered("no answer came in time")),
            },
        }
    }
}

/// Keeps the connection of a hub for as long as anybody listens.
async fn run(
    shared: Arc<Shared>,
    topic: Option<TopicName>,
    hub: Arc<Hub>,
    mut requests: mpsc::Receiver<Request>,
) {
    let mut failed = 0;
    loop {
        hub.sweep();
        let mut first = None;
        if hub.channels().is_empty() {
            let Some(request) = requests.recv().await else { return };
            first = Some(request);
        }
        let lost = Arc::new(Notify::new());
        let attempt = async {
            let server = shared.route.server(&shared, topic.as_ref())?;
            let mut line = Line::open(&shared, &server, &hub, &lost).await?;
            subscribe_all(&shared, &hub, &mut line).await?;
            Ok::<_, Failure>((server, line))
        };
        let (server, line) = match attempt.await {
            Ok(found) => found,
            Err(failure) => {
                shared.suspect(&failure);
                tracing::debug!(error = %failure.error, "the subscriptions cannot be made yet");
                let error = failure.of_idempotent();
                refuse(first, &error);
                while let Ok(request) = requests.try_recv() {
                    refuse(Some(request), &error);
                }
                failed += 1;
                tokio::select! {
                    () = tokio::time::sleep(pause(&shared.config, failed)) => {}
                    // Whoever asks while nothing is there gets an answer at once, and asks again.
                    Some(request) = requests.recv() => refuse(Some(request), &error),
                }
                continue;
            }
        };
        failed = 0;
        hub.resubscribed();
        let still = || shared.route.server(&shared, topic.as_ref()).is_ok_and(|now| now == server);
        let why = serve(&shared, &hub, (line, &still), &lost, first, &mut requests).await;
        hub.interrupted();
        shared.suspect(&why);
        tracing::debug!(error = %why.error, "the connection of the subscriptions was lost");
    }
}

/// Makes every subscription of a hub anew. What the access rules refuse ends those that wanted it, and no others.
async fn subscribe_all(shared: &Shared, hub: &Hub, line: &mut Line) -> Result<(), Failure> {
    let (word, channels) = (shared.route.subscribe(), hub.channels());
    if channels.is_empty() {
        return Ok(());
    }
    match line.subscribe(word, &channels, shared.config.timeout).await {
        Err(failure) if failure.error.kind() == ErrorKind::Unauthorized => {}
        answer => return answer,
    }
    for channel in channels {
        match line.subscribe(word, std::slice::from_ref(&channel), shared.config.timeout).await {
            Ok(()) => {}
            Err(failure) if failure.error.kind() == ErrorKind::Unauthorized => {
                tracing::warn!(error = %failure.error, "a subscription is not allowed any more");
                hub.refuse(&channel, &failure.error);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn refuse(request: Option<Request>, error: &Error) {
    if let Some(request) = request {
        let _ = request.done.send(Err(error.clone()));
    }
}

/// Serves a connection until it is of no use any more. Answers why.
async fn serve(
    shared: &Shared,
    hub: &Hub,
    (mut line, still): (Line, &(dyn Fn() -> bool + Sync)),
    lost: &Notify,
    first: Option<Request>,
    requests: &mut mpsc::Receiver<Request>,
) -> Failure {
    let mut request = first;
    loop {
        if let Some(request) = request.take()
            && let Err(failure) = add(shared, hub, &mut line, request).await
        {
            return failure;
        }
        tokio::select! {
            biased;
            () = lost.notified() => return Failure::unanswered("the server closed the connection"),
            received = requests.recv() => match received {
                Some(received) => request = Some(received),
                None => return Failure::not_sent(closed()),
            },
            () = tokio::time::sleep(PROBE_INTERVAL) => {
                let empty = hub.sweep();
                if shared.route.is_cluster() && !empty.is_empty() {
                    // The connection is this topic's alone: nobody needs it any more.
                    return Failure::not_sent(closed());
                }
                let kept = async {
                    if !empty.is_empty() {
                        line.unsubscribe(&empty, shared.config.timeout).await?;
                    }
                    let heard = hub.heard.load(Ordering::Relaxed);
                    match line.probe(shared.probe_wait()).await {
                        // The answer stands behind messages that are still coming.
                        Err(_) if hub.heard.load(Ordering::Relaxed) != heard => Ok(()),
                        answer => answer,
                    }
                };
                if !still() && shared.link.borrow().is_usable() {
                    // The old one may well answer for ever, and nobody publishes there.
                    return Failure::unanswered("another server is in charge now");
                }
                tokio::select! {
                    biased;
                    () = lost.notified() => return Failure::unanswered("the server closed the connection"),
                    kept = kept => if let Err(failure) = kept {
                        return failure;
                    }
                }
            }
        }
    }
}

/// Makes one more subscription. An error is one of the connection.
async fn add(shared: &Shared, hub: &Hub, line: &mut Line, request: Request) -> Result<(), Failure> {
    // First the listener, then the subscription: nothing that comes is missed.
    let is_first = hub.listen(&request.channel, &request.queue);
    if is_first {
        let channels = [request.channel.into_bytes()];
        if let Err(failure) = line.subscribe(shared.route.subscribe(), &channels, shared.config.timeout).await
        {
            lock(&hub.listeners).remove(&channels[0]);
            let is_refused = failure.outcome == agora_core::transport::Outcome::NotStored;
            let _ = request.done.send(Err(failure.clone().of_idempotent()));
            // What the access rules refuse for one channel says nothing of the others.
            return if is_refused && !failure.passes { Ok(()) } else { Err(failure) };
        }
    }
    let _ = request.done.send(Ok(()));
    Ok(())
}
