//! The transport itself: what it is made of, and the contract's methods, each a line or two.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use agora_core::id::{ClusterName, SourceId, TopicName};
use agora_core::limits::FRAME_BYTES_MAX;
use agora_core::transport::{
    Address, BoxFuture, Capabilities, Durability, GroupOrder, Hint, Inbox, InboxQueue, Link, OutFrame,
    PublishFailed, Support, TopicInfo, TopicKind, TopicSpec, Transport,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use zenoh::sample::SampleKind;
use zenoh::session::ZenohId;
use zenoh::{Session, Wait};

use crate::config::{Mode, ZenohConfig};
use crate::connect::{CLOSE_WAIT, Network};
use crate::error::{BACKEND, closed, error, from_zenoh};
use crate::link::Connections;
use crate::liveliness::{self, Announcement};
use crate::mesh::watchdog::{self, Bell, News};
use crate::publish::DECLARE_WAIT;
use crate::worker::Worker;
use crate::{connect, publish, subscribe};

const NO_LOG: &str = "zenoh keeps nothing: use a live topic here, or NATS with JetStream, Redis or Kafka for logs, \
                      replay and durable subscriptions";
const NO_GROUP: &str = "zenoh has no groups: use NATS with JetStream, Redis or Kafka";
const NO_ADMIN: &str = "zenoh keeps nothing that could be looked into; `agora members` shows who is there";
const NO_CURSORS: &str = "zenoh has nowhere to keep a cursor: use NATS with JetStream, Redis or Kafka";

/// agora's transport over Zenoh.
///
/// Dropping it closes the session in the background, on threads of its own; [`Transport::close`] waits for that.
pub struct ZenohTransport {
    shared: Arc<Shared>,
    network: Network,
}

/// What the transport, its callbacks and its threads share.
pub(crate) struct Shared {
    pub(crate) cluster: ClusterName,
    pub(crate) capabilities: Capabilities,
    pub(crate) link: watch::Sender<Link>,
    /// Sends the frames of all topics but the control topic.
    pub(crate) data: Worker,
    /// Sends the frames of the control topic, and makes declarations.
    pub(crate) control: Arc<Worker>,
    pub(crate) data_calls: AtomicUsize,
    pub(crate) control_calls: AtomicUsize,
    connections: Mutex<Connections>,
    inboxes: Mutex<Vec<Weak<InboxQueue>>>,
    announcement: Mutex<Option<Announcement>>,
    /// `None` where there is no watchdog, as in a client.
    bell: Mutex<Option<Bell>>,
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The queues of the subscriptions that live, the others having been swept out.
    pub(crate) fn inboxes(&self) -> MutexGuard<'_, Vec<Weak<InboxQueue>>> {
        let mut inboxes = lock(&self.inboxes);
        inboxes.retain(|queue| queue.strong_count() > 0);
        inboxes
    }

    pub(crate) fn announcement(&self) -> MutexGuard<'_, Option<Announcement>> {
        lock(&self.announcement)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The connections that must be made anew.
    pub(crate) fn torn(&self) -> Vec<ZenohId> {
        lock(&self.connections).torn(std::time::Instant::now())
    }

    /// What the watchdog says of the mesh.
    pub(crate) fn mesh(&self, problem: Option<String>) {
        let mut connections = lock(&self.connections);
        connections.mesh(problem);
        self.tell(&connections);
    }

    /// Tells the watchdog, where there is one.
    pub(crate) fn news(&self, news: News) {
        if let Some(bell) = &*lock(&self.bell) {
            bell.tell(news);
        }
    }

    fn tell(&self, connections: &Connections) {
        self.link.send_if_modified(|link| {
            if self.is_closed() {
                return false;
            }
            let now = connections.link(link, SystemTime::now());
            let changed = now != *link;
            *link = now;
            changed
        });
    }

    /// Runs on a thread of zenoh, so it must not wait.
    fn connection(&self, peer: ZenohId, kind: SampleKind) {
        let mut connections = lock(&self.connections);
        let returned = match kind {
            SampleKind::Put => connections.opened(peer),
            SampleKind::Delete => {
                connections.closed(peer);
                false
            }
        };
        self.tell(&connections);
        drop(connections);
        self.news(News::Changed);
        if returned {
            // What the peer sent while the connection was cut did not arrive.
            self.inboxes().iter().filter_map(Weak::upgrade).for_each(|queue| queue.resubscribed());
        }
    }

    fn end(&self) -> bool {
        if self.closed.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.data.stop();
        self.control.stop();
        // Wakes the watchdog, which then sees that all is over.
        self.news(News::Changed);
        drop(lock(&self.bell).take());
        self.inboxes().iter().filter_map(Weak::upgrade).for_each(|queue| queue.end(closed()));
        self.link
            .send_replace(Link::Down { since: SystemTime::now(), why: "the transport was closed".into() });
        true
    }
}

impl ZenohTransport {
    /// Joins the network that `config` describes, as a member of `cluster`.
    ///
    /// A peer succeeds with nobody there, and looks for others in the background for as long as it lives. A client
    /// must reach one of its endpoints, or find a router by multicast.
    ///
    /// # Errors
    /// `Runtime` outside of a multi-threaded tokio runtime. `Config` when zenoh refuses a setting, a file cannot be
    /// read or a port is taken. `Unreachable` when a client reaches nobody, or `wait` passes.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the attempt; a session that still comes to be is closed in the background.
    pub async fn connect(config: &ZenohConfig, cluster: &ClusterName, wait: Duration) -> Result<Self> {
        let network = connect::open(config, wait).await.map_err(|error| error.operation("connect"))?;
        let (mode, endpoints) = config.part();
        let connections = Connections::new(mode, endpoints);
        let shared = Arc::new(Shared {
            cluster: cluster.clone(),
            capabilities: capabilities(),
            link: watch::Sender::new(connections.link(&Link::Up, SystemTime::now())),
            data: Worker::start("agora-zenoh-put", network.session.clone())?,
            control: Arc::new(Worker::start("agora-zenoh-ctl", network.session.clone())?),
            data_calls: AtomicUsize::new(0),
            control_calls: AtomicUsize::new(0),
            connections: Mutex::new(connections),
            inboxes: Mutex::default(),
            announcement: Mutex::default(),
            bell: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        // From here on, an error drops the transport, which closes the session.
        let transport = Self { shared, network };
        transport.start(mode).await?;
        Ok(transport)
    }

    /// Begins to watch the connections, and the mesh where there is one.
    async fn start(&self, mode: Mode) -> Result<()> {
        let (network, shared) = (self.network.clone(), Arc::clone(&self.shared));
        let (done, started) = oneshot::channel();
        self.shared.control.submit(move |_| {
            let start = || {
                watch_connections(&network.session, &shared)?;
                if mode != Mode::Peer {
                    return watchdog::declare(&network, &shared.cluster, None).map(drop);
                }
                let (bell, news) = Bell::new();
                *lock(&shared.bell) = Some(bell.clone());
                let answer = watchdog::declare(&network, &shared.cluster, Some(bell.clone()))?;
                watchdog::start(network, &shared, answer, bell, news)
            };
            drop(done.send(start()));
        })?;
        match timeout(DECLARE_WAIT, started).await {
            Ok(Ok(started)) => started,
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(subscribe::slow("the connections could not be watched in time")),
        }
    }
}

fn watch_connections(session: &Session, shared: &Arc<Shared>) -> Result<()> {
    let failed = |cause| from_zenoh("cannot watch the connections", &cause);
    let watcher = Arc::downgrade(shared);
    session
        .info()
        .link_events_listener()
        .callback(move |event| {
            if event.kind() == SampleKind::Delete
                && let Some(shared) = watcher.upgrade()
            {
                lock(&shared.connections).link_lost(std::time::Instant::now(), *event.link().zid());
            }
        })
        .background()
        .wait()
        .map_err(failed)?;
    let watcher = Arc::downgrade(shared);
    session
        .info()
        .transport_events_listener()
        .history(true)
        .callback(move |event| {
            if let Some(shared) = watcher.upgrade() {
                shared.connection(*event.transport().zid(), event.kind());
            }
        })
        .background()
        .wait()
        .map_err(failed)
}

fn capabilities() -> Capabilities {
    Capabilities {
        backend: BACKEND,
        live: Support::Yes,
        log: Support::No { instead: NO_LOG },
        group: Support::No { instead: NO_GROUP },
        group_on_batch: Support::No { instead: NO_GROUP },
        lanes: Support::No { instead: NO_LOG },
        group_order: GroupOrder::None,
        admin: Support::No { instead: NO_ADMIN },
        cursors: Support::No { instead: NO_CURSORS },
        live_durability: Durability::Sent,
        // Peers talk directly: one's own message comes back without ever leaving the process.
        echo_via_server: false,
        failure_hints: true,
        message_bytes_max: FRAME_BYTES_MAX,
    }
}

#[async_trait]
impl Transport for ZenohTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        if self.shared.is_closed() {
            return Err(closed().operation("open"));
        }
        match topic.kind() {
            TopicKind::Live => Ok(TopicInfo::one_lane()),
            TopicKind::Log => Err(Error::unsupported("zenoh has no log topics", NO_LOG)
                .backend(BACKEND)
                .operation("open")
                .context("topic", &topic.name)),
        }
    }

    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        publish::publish(&self.shared, &to.topic, to.lane, frames, by)
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        subscribe::subscribe(&self.shared, topic)
            .await
            .map_err(|error| error.operation("subscribe").context("topic", topic))
    }

    async fn announce(&self, me: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        liveliness::announce(&self.shared, me).await.map(Some).map_err(|error| error.operation("announce"))
    }

    /// Takes the tokens back and closes the session, by `by` at the latest.
    ///
    /// # Errors
    /// `Timeout` when zenoh has not finished by then: what is left ends in the background, and nothing of this
    /// transport can be used any more.
    async fn close(&self, by: Instant) -> Result<()> {
        self.shared.end();
        let wait = by.saturating_duration_since(Instant::now());
        let closing = self.close_on_a_thread(wait)?;
        match timeout_at(by, closing).await {
            Ok(Ok(Ok(())) | Err(_)) => Ok(()),
            // What zenoh could not end in the given time, it reports as an error too.
            Ok(Ok(Err(cause))) if !cause.to_string().contains("timed out") => {
                Err(from_zenoh("cannot close the session", &cause).operation("close"))
            }
            Ok(Ok(Err(_))) | Err(_) => {
                Err(error(ErrorKind::Timeout, "zenoh is still closing its connections")
                    .operation("close")
                    .help("what is left of them ends in the background; nothing can be sent any more"))
            }
        }
    }
}

impl ZenohTransport {
    /// Closing blocks, and this may be a worker of the application's runtime.
    fn close_on_a_thread(&self, wait: Duration) -> Result<oneshot::Receiver<zenoh::Result<()>>> {
        let network = self.network.clone();
        let announcement = self.shared.announcement().take();
        let (done, closed) = oneshot::channel();
        let close = move || {
            // First the token, so that others see a source that leaves before a connection that ends.
            drop(announcement);
            drop(done.send(network.close(wait)));
        };
        match thread::Builder::new().name("agora-zenoh-close".into()).spawn(close) {
            Ok(_) => Ok(closed),
            Err(cause) => Err(error(ErrorKind::Runtime, "cannot start a thread").source(cause)),
        }
    }
}

impl Drop for ZenohTransport {
    fn drop(&mut self) {
        if self.shared.end() {
            drop(self.close_on_a_thread(CLOSE_WAIT));
        }
    }
}
