//! The bus: publishers, subscriptions, members, and the tasks around the pure state machines.
//!
//! | task | one per | does |
//! |---|---|---|
//! | `sender` | published topic | opens it, deals events out to its lanes |
//! | `lane_sender` | lane of it | forms frames, sends them in order, answers receivers |
//! | `topic` | subscribed live topic | reads frames, lets [`live::Receiver`](crate::live::Receiver) judge them, hands over |
//! | `log` | lane of a log of a subscription | reads records, lets [`log::Reader`](crate::log::Reader) judge them, hands over |
//! | `group` | place in a group | takes records, lets [`group::Tracker`](crate::group::Tracker) judge them, settles |
//! | `control` | bus | heartbeats, failure detection, and the way of hellos and asks to the senders |
//!
//! Only `control` waits for another task: it hands verdicts to `topic`, which waits for nobody. What else does not fit
//! into a queue between them is dropped, and repeated by whoever needs it; and none waits for the application: what
//! it does not take in time is a [`Gap`].

mod admin;
mod backlog;
mod clock;
mod close;
mod config;
mod contents;
mod control;
mod delivery;
mod fate;
mod group;
mod lane_sender;
mod log;
mod members;
mod meter;
mod progress;
mod publish;
mod publisher;
mod queue;
mod role;
mod scan;
mod sender;
mod shared;
mod signal;
mod single;
mod stats;
mod subscription;
mod topic;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use admin::Administration;
pub use clock::Clock;
pub use config::BusConfig;
pub use delivery::{Delivery, Foreign, Gap, Missing, Received};
pub use fate::Receipt;
pub use group::{Attempt, Failed, ForeignJob, Group, Job, JoinGroup, Work};
pub use members::{MemberChange, Members};
pub use publish::Publish;
pub use publisher::Publisher;
pub use scan::{Peeked, PeekedWhat};
pub use stats::Stats;
pub use subscription::{Start, Subscribe, Subscription, Topics};

use crate::codec::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Incarnation, NodeId, SourceId, StreamId, TopicName};
use crate::lane;
use crate::limits::HEARTBEAT_TOPICS_MAX;
use crate::transport::{Capabilities, Link, Support, TopicInfo, TopicKind, TopicSettings, Transport};
use backlog::Backlog;
use control::{ControlCommand, ControlTask};
use group::Hub;
use queue::{Deal, Queue, closed, lock};
use sender::{SenderCommand, SenderTask};
use shared::Shared;
use topic::{TopicCommand, TopicTask};

/// Commands that wait for a task, at most.
const COMMANDS_MAX: usize = 1024;
/// Control frames that wait to be sent, at most.
const OUTBOX_FRAMES_MAX: usize = 1024;
/// How long a first heartbeat is given to be answered before a subscription made at once counts as established.
const GREETING_WAIT: Duration = Duration::from_millis(150);

/// A node's membership of a cluster: publishes, subscribes, and knows the other members. Cheap to clone.
///
/// When the last clone, publisher and subscription is dropped without [`close`](Bus::close), the node is gone as if
/// it had crashed: the others see it fail.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Held while a topic's task is made, so that there is only ever one.
    attaching: tokio::sync::Mutex<()>,
    /// Held while the bus is being closed; `true` when somebody has begun to.
    closing: tokio::sync::Mutex<bool>,
    state: Mutex<State>,
}

struct State {
    tasks: JoinSet<()>,
    senders: BTreeMap<TopicName, SenderHandle>,
    groups: Vec<Weak<Hub>>,
    closing: bool,
}

#[derive(Clone)]
struct SenderHandle {
    queue: Arc<Queue>,
    commands: mpsc::Sender<SenderCommand>,
    stream: StreamId,
    settings: TopicSettings,
}

impl Bus {
    /// Opens a bus over a transport: the node begins to join the cluster at once. Does not wait for the backend.
    ///
    /// # Errors
    /// - `Config`: a setting is out of range.
    /// - `Runtime`: not called from within a tokio runtime.
    pub fn open(transport: impl Transport, config: BusConfig) -> Result<Self> {
        config.validate().map_err(|error| error.operation("open"))?;
        let runtime = Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Runtime, "not called from within a tokio runtime")
                .operation("open")
                .help("call it from an async function that a tokio runtime runs")
                .source(source)
        })?;
        let mut rng = config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let me = SourceId { node: NodeId::of(&config.node), incarnation: Incarnation(rng.u64(..)) };
        let (control, control_commands) = mpsc::channel(COMMANDS_MAX);
        let (outbox, outgoing) = mpsc::channel(OUTBOX_FRAMES_MAX);
        let shared = Arc::new(Shared::new(Arc::new(transport), config, me, rng, control, outbox));
        let mut tasks = JoinSet::new();
        let link = shared.transport.link();
        tasks.spawn_on(control::follow_link(shared.clone(), link), &runtime);
        tasks.spawn_on(control::send_outbox(shared.clone(), outgoing), &runtime);
        tasks.spawn_on(ControlTask::new(shared.clone(), control_commands).run(), &runtime);
        let state = State { tasks, senders: Default::default(), groups: Vec::new(), closing: false };
        Ok(Self(Arc::new(Inner {
            shared,
            runtime,
            attaching: Default::default(),
            closing: Default::default(),
            state: Mutex::new(state),
        })))
    }

    /// Who this node is, in this life.
    pub fn me(&self) -> SourceId {
        self.shared().me
    }

    /// What this bus was told when it opened.
    pub fn config(&self) -> &BusConfig {
        &self.shared().config
    }

    /// What the backend can do.
    pub fn capabilities(&self) -> &Capabilities {
        self.shared().transport.capabilities()
    }

    /// The state of the connection, now and whenever it changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.shared().transport.link()
    }

    /// Waits until this node has joined the cluster: the connection is up and its first heartbeat went out, and came
    /// back where the backend sends one's own messages back.
    ///
    /// # Errors
    /// - `Unreachable` after `timeout`, with what the link says; the bus goes on trying.
    /// - `Closed`: the bus was closed.
    ///
    /// # Cancel safety
    /// Nothing happens when the future is dropped.
    pub async fn ready(&self, timeout: Duration) -> Result<()> {
        match tokio::time::timeout(timeout, self.joined()).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => return Err(closed().operation("ready")),
            Err(_) => {}
        }
        let link = match &*self.shared().transport.link().borrow() {
            Link::Up => "up, but no heartbeat has come back".to_owned(),
            Link::Degraded { why, .. } => format!("degraded: {why}"),
            Link::Down { why, .. } => format!("down: {why}"),
        };
        Err(Error::new(ErrorKind::Unreachable, "the node has not joined the cluster yet")
            .operation("ready")
            .backend(self.capabilities().backend)
            .context("link", link)
            .context("waited", format!("{timeout:?}"))
            .help("the bus goes on trying; check the address and the network"))
    }

    /// Waits until a sign of life of another process of the cluster was heard, be it a member or an observer: before
    /// that, an event of a live topic may reach nobody.
    ///
    /// # Cancel safety
    /// Nothing happens when the future is dropped.
    pub async fn wait_for_others(&self) {
        // The sender lives as long as the bus does.
        let _ = self.shared().others_heard.subscribe().wait_for(|heard| *heard).await;
    }

    /// A publisher for a topic. Does not wait: the topic is opened behind it, and errors of that come from the first
    /// publish.
    ///
    /// # Errors
    /// - `Config`: the name is not valid, or this node publishes on too many topics.
    /// - `Unsupported`: the backend has no topics of this kind.
    /// - `Closed`: the bus was closed.
    pub fn publisher(&self, topic: &str) -> Result<Publisher> {
        let topic = TopicName::new(topic).map_err(|error| error.operation("publisher"))?;
        let settings = self.config().settings_of(&topic);
        self.supported(settings.kind)
            .map_err(|error| error.operation("publisher").context("topic", &topic))?;
        self.shared().compare_topic(&topic).map_err(|error| error.operation("publisher"))?;
        let mut state = lock(&self.0.state);
        if state.closing {
            return Err(closed().operation("publisher"));
        }
        // One that the backend refused for good has formed nothing: another try begins anew.
        if let Some(sender) = state.senders.get(&topic).filter(|sender| !sender.commands.is_closed()) {
            return Ok(Publisher::new(self.clone(), topic, sender.queue.clone()));
        }
        if state.senders.len() >= HEARTBEAT_TOPICS_MAX {
            return Err(Error::new(ErrorKind::Config, "this node publishes on too many topics")
                .operation("publisher")
                .context("topic", &topic)
                .context("at most", HEARTBEAT_TOPICS_MAX)
                .help("use fewer topics, and kinds and keys within them"));
        }
        let shared = self.shared();
        let queue = Arc::new(Queue::new(
            shared.room.clone(),
            shared.config.limits.publish_timeout,
            self.capabilities().message_bytes_max,
            settings,
            self.deal(settings.kind),
            shared.meter.publishing(&topic),
        ));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let stream = shared.stream_of(&topic, 0);
        let handle = SenderHandle { queue: queue.clone(), commands: commands.clone(), stream, settings };
        state.senders.insert(topic.clone(), handle);
        // At once, and not when the backend has agreed: whoever dies before that may have published.
        shared.use_topic(&topic);
        if settings.is_repaired() {
            shared.count_publisher();
            lock(&shared.registry).senders.insert(stream, commands);
        }
        let task = SenderTask::new(shared.clone(), topic.clone(), queue.clone(), receiver);
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn_on(task.run(), &self.0.runtime);
        drop(state);
        if settings.is_repaired() {
            // The next heartbeat names the topic; where the queue is full one is due anyway.
            let _ = shared.control.try_send(ControlCommand::TopicsChanged);
        }
        Ok(Publisher::new(self.clone(), topic, queue))
    }

    /// Describes a subscription to one topic or several; [`Subscribe::start`] makes it.
    ///
    /// ```no_run
    /// # async fn example(bus: agora_core::bus::Bus) -> agora_core::Result<()> {
    /// use agora_core::bus::{Delivery, Start};
    /// let mut events = bus.subscribe("stwt.agora").start(Start::Live).await?;
    /// while let Some(delivery) = events.try_next().await? {
    ///     match delivery {
    ///         Delivery::Event(event) => println!("{} from {}", event.kind(), event.source()),
    ///         Delivery::Gap(gap) => println!("{gap}: reload what may have changed"),
    ///         Delivery::Foreign(_) => {}
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn subscribe(&self, topics: impl Topics) -> Subscribe<Record> {
        Subscribe::new(self.clone(), topics.names())
    }

    /// Describes a place in a group of a log; awaiting it joins. Each event is handled by one member of the group, at
    /// least once; what fails is tried again, and in the end goes to the dead letters: the log `<topic>.<group>.dead`,
    /// whose events are [`DeadLetter`](crate::event::DeadLetter)s and which [`redrive`](Bus::redrive) sends back.
    ///
    /// ```no_run
    /// # async fn example(bus: agora_core::bus::Bus) -> agora_core::Result<()> {
    /// use agora_core::bus::Failed;
    /// let mut jobs = bus.group("shop.events.order", "shipping").await?;
    /// jobs.run(16, |job| async move {
    ///     let order = std::str::from_utf8(job.body()).map_err(Failed::reject)?;
    ///     println!("try {} of order {order}", job.attempt());
    ///     Ok(())
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    pub fn group(&self, topic: &str, name: &str) -> JoinGroup {
        JoinGroup::new(self.clone(), topic, name)
    }

    /// The other members of the cluster, as this node sees them.
    pub fn members(&self) -> Members {
        Members::new(self.shared())
    }

    /// The numbers of this bus: for those without an exporter. With the feature `metrics` the same numbers, by topic,
    /// go to the facade of that name.
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    /// Waits until everything that was queued when it was called is accepted, has failed, or is of unknown outcome.
    ///
    /// # Errors
    /// `Timeout` when that takes longer.
    ///
    /// # Cancel safety
    /// Nothing happens when the future is dropped.
    pub async fn flush(&self, timeout: Duration) -> Result<()> {
        let senders: Vec<SenderHandle> = lock(&self.0.state).senders.values().cloned().collect();
        // All of them look at once at what is queued when this is called.
        let settled: Vec<_> = senders.iter().map(|sender| Box::pin(sender.queue.settled())).collect();
        let all = async {
            for settled in settled {
                settled.await;
            }
        };
        tokio::time::timeout(timeout, all).await.map_err(|_| {
            Error::new(ErrorKind::Timeout, "not everything was sent in time")
                .operation("flush")
                .context("waited", format!("{timeout:?}"))
        })
    }

    /// Makes a group known, so that closing the bus leaves it. Answers how much memory it may use.
    pub(crate) fn add_group(&self, hub: &Arc<Hub>) -> Result<usize> {
        let mut state = lock(&self.0.state);
        if state.closing {
            return Err(closed());
        }
        state.groups.retain(|group| group.strong_count() > 0);
        state.groups.push(Arc::downgrade(hub));
        Ok(self.config().limits.receive_bytes() / 4 / state.groups.len())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    async fn joined(&self) -> Option<Instant> {
        self.shared().joined.wait_for(Option::is_some).await.flatten()
    }

    /// How the lane of an event is found, on topics of this kind.
    fn deal(&self, kind: TopicKind) -> Deal {
        match (kind, self.capabilities().lanes) {
            (TopicKind::Log, Support::Yes) => Deal::ByKey(lane::hash(&self.me().node.0.to_le_bytes())),
            _ => Deal::OneLane,
        }
    }

    /// Has the backend topics of this kind?
    ///
    /// # Errors
    /// `Unsupported`, with what has.
    pub(crate) fn supported(&self, kind: TopicKind) -> Result<()> {
        let capabilities = self.capabilities();
        let (support, what) = match kind {
            TopicKind::Live => (capabilities.live, "live topics"),
            TopicKind::Log => (capabilities.log, "log topics"),
        };
        match support {
            Support::Yes => Ok(()),
            Support::No { instead } => {
                Err(Error::unsupported(format!("it has no {what}"), instead).backend(capabilities.backend))
            }
        }
    }

    /// Opens a topic for use, unless the backend or another node takes it for something else.
    pub(crate) async fn open_topic(&self, topic: &TopicName) -> Result<TopicInfo> {
        let shared = self.shared();
        shared.compare_topic(topic)?;
        let info = shared.transport.open(&shared.config.spec_of(topic)).await?;
        shared.use_topic(topic);
        Ok(info)
    }

    /// Subscribes a backlog to a live topic. The receiver hears when the subscription is established.
    pub(crate) async fn attach(
        &self,
        topic: &TopicName,
        own: bool,
        backlog: &Arc<Backlog>,
    ) -> Result<oneshot::Receiver<()>> {
        self.open_topic(topic).await?;
        let joined = self.joined().await.ok_or_else(closed)?;
        let (established, done) = oneshot::channel();
        self.attach_one(topic, own, backlog, joined + GREETING_WAIT, established).await?;
        Ok(done)
    }

    /// Runs a task as long as the bus.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let mut state = lock(&self.0.state);
        if state.closing {
            return Err(closed());
        }
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn_on(task, &self.0.runtime);
        Ok(())
    }

    async fn attach_one(
        &self,
        topic: &TopicName,
        own: bool,
        backlog: &Arc<Backlog>,
        not_before: Instant,
        established: oneshot::Sender<()>,
    ) -> Result<()> {
        let _one_at_a_time = self.0.attaching.lock().await;
        let shared = self.shared();
        let stream = shared.stream_of(topic, 0);
        let subscribe = |expected| TopicCommand::Subscribe {
            backlog: backlog.clone(),
            own,
            expected,
            not_before,
            established,
        };
        let command = subscribe(shared.publishers_of(stream));
        let Err(command) = shared.try_tell_topic(stream, command) else { return Ok(()) };
        if shared.topic(stream).is_some() {
            return Err(Error::new(ErrorKind::QueueFull, "too many subscriptions are being made at once")
                .context("topic", topic));
        }
        let inbox = shared.transport.subscribe(topic).await?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let task = TopicTask::new(shared.clone(), topic.clone(), inbox, receiver);
        self.start_topic(stream, commands, task, command)
    }

    /// Starts the task of a topic. Its first subscription comes by way of the control task, behind the verdicts that
    /// stand.
    fn start_topic(
        &self,
        stream: StreamId,
        commands: mpsc::Sender<TopicCommand>,
        task: TopicTask,
        subscribe: TopicCommand,
    ) -> Result<()> {
        let shared = self.shared();
        let mut state = lock(&self.0.state);
        if state.closing {
            return Err(closed());
        }
        // From here on it hears of new verdicts; those that stand come after that.
        lock(&shared.registry).topics.insert(stream, commands);
        if shared.control.try_send(ControlCommand::TopicOpened { stream, subscribe }).is_err() {
            lock(&shared.registry).topics.remove(&stream);
            return Err(Error::new(ErrorKind::QueueFull, "too much happens at once in this bus"));
        }
        let share = shared.held_share();
        for (_, topic) in shared.topics() {
            // One that has no room for this will hear of the next.
            let _ = topic.try_send(TopicCommand::HeldShare(share));
        }
        while state.tasks.try_join_next().is_some() {}
        state.tasks.spawn_on(task.run(), &self.0.runtime);
        Ok(())
    }

    /// Tells the topics that a subscription was dropped.
    pub(crate) fn detach(&self) {
        for (_, topic) in self.shared().topics() {
            let _ = topic.try_send(TopicCommand::Detached);
        }
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let config = self.config();
        f.debug_struct("Bus")
            .field("cluster", &config.cluster)
            .field("node", &config.node)
            .field("me", &self.me())
            .field("backend", &self.capabilities().backend)
            .finish_non_exhaustive()
    }
}
