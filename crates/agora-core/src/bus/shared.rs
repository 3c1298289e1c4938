//! What the tasks of a bus have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use super::backlog::Shares;
use super::config::BusConfig;
use super::control::ControlCommand;
use super::meter::Meter;
use super::queue::{Room, lock};
use super::sender::SenderCommand;
use super::signal::Signal;
use super::stats::{Counters, Stats};
use super::topic::TopicCommand;
use crate::codec::{Control, TopicState};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{SourceId, StreamId, TopicName};
use crate::limits::HEARTBEAT_TOPICS_MAX;
use crate::membership::{Member, MemberEvent, MemberInfo, MemberState};
use crate::transport::{TopicSettings, Transport};

/// So many topics at most are compared with what other nodes are told of them.
const USED_MAX: usize = 4096;
/// Of so many disagreements about topics at most is warned.
const WARNED_MAX: usize = 256;

/// The handles of the tasks, by the stream that they serve.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) senders: BTreeMap<StreamId, mpsc::Sender<SenderCommand>>,
    pub(crate) topics: BTreeMap<StreamId, mpsc::Sender<TopicCommand>>,
    /// The topics that this node uses, by the stream of their first lane.
    used: BTreeMap<StreamId, TopicName>,
    /// Of which disagreements was warned.
    warned: BTreeSet<(StreamId, u64)>,
}

pub(crate) struct Shared {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) config: BusConfig,
    pub(crate) me: SourceId,
    pub(crate) counters: Counters,
    pub(crate) meter: Meter,
    /// What the topics hold of frames that came early, in bytes.
    held: AtomicUsize,
    /// Memory for events waiting to be sent.
    pub(crate) room: Arc<Room>,
    /// Memory for what was received and not taken.
    pub(crate) received: Arc<Shares>,
    /// Memory for frames that came early.
    held_bytes: usize,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) control: mpsc::Sender<ControlCommand>,
    /// Control frames on their way out. Lossy: whatever matters is repeated.
    pub(crate) outbox: mpsc::Sender<Bytes>,
    control_stream: StreamId,
    rng: Mutex<fastrand::Rng>,
    /// When this node's first heartbeat went out (and came back, where that proves something).
    pub(crate) joined: Signal<Option<Instant>>,
    /// Whether anything can be sent.
    pub(crate) link: Signal<bool>,
    /// Was a sign of life of another process heard?
    pub(crate) others_heard: watch::Sender<bool>,
    pub(crate) members: watch::Sender<Arc<Vec<Member>>>,
    pub(crate) member_events: broadcast::Sender<MemberEvent>,
    publishers: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        config: BusConfig,
        me: SourceId,
        rng: fastrand::Rng,
        control: mpsc::Sender<ControlCommand>,
        outbox: mpsc::Sender<Bytes>,
    ) -> Self {
        let usable = transport.link().borrow().is_usable();
        let meter = Meter::new(transport.capabilities().backend, config.limits.queue_bytes());
        Self {
            room: Room::new(config.limits.queue_bytes()),
            received: Shares::new(config.limits.receive_bytes() / 4 * 3),
            held_bytes: config.limits.receive_bytes() / 4,
            control_stream: StreamId::of(&config.cluster, &TopicName::control(), 0),
            transport,
            config,
            me,
            counters: Counters::default(),
            meter,
            held: AtomicUsize::new(0),
            registry: Mutex::default(),
            control,
            outbox,
            rng: Mutex::new(rng),
            joined: Signal::new(None),
            link: Signal::new(usable),
            others_heard: watch::Sender::new(false),
            members: watch::Sender::default(),
            member_events: broadcast::Sender::new(super::members::NOTICES_KEPT),
            publishers: AtomicUsize::new(0),
        }
    }

    /// The numbers of this bus.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.snapshot();
        stats.link_up = u64::from(self.link.read().0);
        for member in self.members.borrow().iter() {
            *match member.state {
                MemberState::Alive => &mut stats.members_alive,
                MemberState::Suspected => &mut stats.members_suspected,
                MemberState::Failed => &mut stats.members_failed,
                MemberState::Left => &mut stats.members_left,
            } += 1;
        }
        stats.queue_bytes = self.room.bytes_in_use() as u64;
        stats.held_bytes = self.held.load(Relaxed) as u64;
        stats.backlog_bytes = self.received.bytes_in_use() as u64;
        stats
    }

    /// A topic holds so much of frames that came early, and held so much before.
    pub(crate) fn holds(&self, before: usize, now: usize) {
        if now >= before {
            self.held.fetch_add(now - before, Relaxed);
        } else {
            self.held.fetch_sub(before - now, Relaxed);
        }
    }

    /// Brings the levels that the meter shows up to date.
    pub(crate) fn measure(&self) {
        let held = self.held.load(Relaxed);
        self.meter.memory(self.room.bytes_in_use(), held, self.received.bytes_in_use());
    }

    pub(crate) fn count_publisher(&self) {
        self.publishers.fetch_add(1, Relaxed);
    }

    /// What each published stream may keep for repair.
    pub(crate) fn repair_share(&self) -> usize {
        self.config.limits.repair_bytes() / self.publishers.load(Relaxed).max(1)
    }

    /// What each subscribed topic may hold of frames that came early.
    pub(crate) fn held_share(&self) -> usize {
        self.held_bytes / lock(&self.registry).topics.len().max(1)
    }

    /// A number from 0 to 1.
    pub(crate) fn jitter(&self) -> f64 {
        lock(&self.rng).f64()
    }

    pub(crate) fn fork_rng(&self) -> fastrand::Rng {
        lock(&self.rng).fork()
    }

    /// Sends a control frame, or drops it where too many wait: asks and hellos are repeated anyway.
    pub(crate) fn send_control(&self, control: &Control) -> bool {
        match control.encode(self.me, self.control_stream, self.config.clock.now_us()) {
            Ok(frame) => self.outbox.try_send(frame).is_ok(),
            Err(error) => {
                tracing::error!(%error, "a control frame cannot be encoded");
                false
            }
        }
    }

    /// The stream of one lane of a topic. That of the first one stands for the topic where one is named.
    pub(crate) fn stream_of(&self, topic: &TopicName, lane: u32) -> StreamId {
        StreamId::of(&self.config.cluster, topic, lane)
    }

    pub(crate) fn control_stream(&self) -> StreamId {
        self.control_stream
    }

    /// Tells the failure detector that a source was heard, on the topic of this stream. Answers whether there was
    /// room.
    pub(crate) fn tell_seen(&self, source: SourceId, stream: StreamId) -> bool {
        source == self.me || self.control.try_send(ControlCommand::Seen { source, stream }).is_ok()
    }

    pub(crate) fn hello(&self, stream: StreamId, nonce: u64) {
        if let Some(sender) = lock(&self.registry).senders.get(&stream) {
            let _ = sender.try_send(SenderCommand::Hello(nonce));
        }
    }

    pub(crate) fn ask(&self, stream: StreamId, ranges: Vec<Range<u64>>) {
        if let Some(sender) = lock(&self.registry).senders.get(&stream) {
            let _ = sender.try_send(SenderCommand::Ask(ranges));
        }
    }

    pub(crate) fn topic(&self, stream: StreamId) -> Option<mpsc::Sender<TopicCommand>> {
        lock(&self.registry).topics.get(&stream).cloned()
    }

    pub(crate) fn topics(&self) -> Vec<(StreamId, mpsc::Sender<TopicCommand>)> {
        lock(&self.registry).topics.iter().map(|(stream, topic)| (*stream, topic.clone())).collect()
    }

    /// The topics that this node's heartbeat names.
    pub(crate) fn topic_states(&self) -> Vec<TopicState> {
        let registry = lock(&self.registry);
        let mut states: Vec<TopicState> = registry
            .used
            .iter()
            .map(|(stream, topic)| TopicState {
                stream: stream.0,
                settings: self.config.settings_of(topic).to_bits(),
                publishes: registry.senders.contains_key(stream),
            })
            .collect();
        // Others must know where this node publishes; what it only reads is there to be compared.
        states.sort_by_key(|state| !state.publishes);
        states.truncate(HEARTBEAT_TOPICS_MAX);
        states
    }

    /// Is this node told of a topic what the others are?
    ///
    /// # Errors
    /// `Conflict`, where a member says that the topic is something else.
    pub(crate) fn compare_topic(&self, topic: &TopicName) -> Result<()> {
        let (stream, settings) = (self.stream_of(topic, 0), self.config.settings_of(topic));
        let members = self.members.borrow().clone();
        for member in members.iter().filter(|member| member.state.is_live()) {
            let stated = member.info.topics.iter().find(|stated| stated.stream == stream);
            if let Some(stated) = stated.filter(|stated| stated.settings != settings.to_bits()) {
                let theirs = TopicSettings::of_heartbeat(stated.settings);
                let theirs = theirs.map_or("unknown to this version".to_owned(), |theirs| theirs.agreed());
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "another node is told something else of this topic",
                )
                .context("topic", topic)
                .context("here", settings.agreed())
                .context("node", &member.info.name)
                .context("there", theirs)
                .help("give all nodes the same `topics` settings; `agora doctor` shows who differs"));
            }
        }
        Ok(())
    }

    /// This node uses a topic from here on: its heartbeats say so.
    pub(crate) fn use_topic(&self, topic: &TopicName) {
        let used = &mut lock(&self.registry).used;
        if used.len() < USED_MAX {
            used.insert(self.stream_of(topic, 0), topic.clone());
        }
    }

    /// The backend does not let it: this node does not use it after all.
    pub(crate) fn refused_topic(&self, topic: &TopicName) {
        let mut registry = lock(&self.registry);
        registry.used.remove(&self.stream_of(topic, 0));
        registry.senders.remove(&self.stream_of(topic, 0));
    }

    /// Warns of a member that is told something else of a topic that is used here.
    pub(crate) fn compare_topics(&self, info: &MemberInfo) {
        let mut registry = lock(&self.registry);
        for stated in &info.topics {
            let Some(topic) = registry.used.get(&stated.stream) else { continue };
            let here = self.config.settings_of(topic);
            if stated.settings != here.to_bits() && registry.warned.len() < WARNED_MAX {
                let there = TopicSettings::of_heartbeat(stated.settings).map(|theirs| theirs.agreed());
                let topic = topic.clone();
                if registry.warned.insert((stated.stream, stated.settings)) {
                    tracing::warn!(%topic, here = here.agreed(), node = %info.name, ?there,
                        "another node is told something else of this topic");
                }
            }
        }
    }

    /// The live sources whose heartbeats say that they publish on this stream. This node is one of them where it
    /// publishes there.
    pub(crate) fn publishers_of(&self, stream: StreamId) -> BTreeSet<SourceId> {
        let publishes = |m: &&Member| {
            m.state.is_live() && m.info.topics.iter().any(|t| t.publishes && t.stream == stream)
        };
        self.members
            .borrow()
            .iter()
            .filter(publishes)
            .map(|m| m.info.source)
            .filter(|s| *s != self.me)
            .collect()
    }

    /// Hands a command to the task of a topic. Gives it back where there is no such task, or its queue is full.
    pub(crate) fn try_tell_topic(&self, stream: StreamId, command: TopicCommand) -> Result<(), TopicCommand> {
        let mut registry = lock(&self.registry);
        let Some(topic) = registry.topics.get(&stream) else { return Err(command) };
        topic.try_send(command).map_err(|error| {
            // Its inbox ended. The next subscription begins anew.
            if matches!(error, TrySendError::Closed(_)) {
                registry.topics.remove(&stream);
            }
            error.into_inner()
        })
    }

    /// A topic without subscriptions ends, unless one is on its way. Both happen under one lock, so that no
    /// subscription is handed to a task that is gone.
    pub(crate) fn retire_topic(&self, stream: StreamId, commands: &mpsc::Receiver<TopicCommand>) -> bool {
        let mut registry = lock(&self.registry);
        let idle = commands.is_empty();
        if idle {
            registry.topics.remove(&stream);
        }
        idle
    }
}
