//! Everything that a space knows, behind one lock: who is connected, and who listens to what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::config::SpaceConfig;
use super::cursors::Cursors;
use super::group::Departure;
use super::hints::Announced;
use super::logs::Logs;
use super::network::{Network, NodeIx};
use super::queue::{Parcel, Queue, Room};
use super::script::Scripts;
use crate::error::{Error, ErrorKind};
use crate::id::{ClusterName, NodeName, TopicName};
use crate::transport::Link;

/// The name of the backend, as errors and metrics show it.
pub(super) const BACKEND: &str = "memory";

/// One connection of a node. Two may share a name.
pub(super) type EndpointId = u64;
/// One subscription.
pub(super) type InboxId = u64;

/// One life of a node: what lies behind a transport.
pub(super) struct Endpoint {
    pub(super) cluster: ClusterName,
    pub(super) node: NodeIx,
    pub(super) name: NodeName,
    pub(super) link: watch::Sender<Link>,
    pub(super) inboxes: Vec<InboxId>,
    /// What the node has sent since it was paused.
    pub(super) held: VecDeque<Held>,
    pub(super) held_room: Room,
    /// Told when `held` has left.
    pub(super) flushed: Arc<Notify>,
    /// It takes nothing more, and ends when `held` has left.
    pub(super) is_closing: bool,
    pub(super) announced: Option<Announced>,
}

/// A message that a paused node holds back.
pub(super) struct Held {
    pub(super) topic: TopicName,
    pub(super) parcel: Parcel,
}

/// One subscription: what lies behind an inbox.
pub(super) struct InboxState {
    pub(super) endpoint: EndpointId,
    pub(super) node: NodeIx,
    pub(super) topic: TopicName,
    pub(super) queue: Queue,
    pub(super) wake: Arc<Notify>,
}

/// Everything that a space knows.
pub(super) struct State {
    pub(super) config: SpaceConfig,
    pub(super) network: Network,
    pub(super) scripts: Scripts,
    pub(super) paused: BTreeSet<NodeIx>,
    pub(super) endpoints: BTreeMap<EndpointId, Endpoint>,
    pub(super) inboxes: BTreeMap<InboxId, InboxState>,
    /// Who listens to a topic, in the order in which they subscribed.
    pub(super) listeners: BTreeMap<ClusterName, BTreeMap<TopicName, Vec<InboxId>>>,
    pub(super) logs: Logs,
    pub(super) cursors: Cursors,
    started: Option<Instant>,
    last_id: u64,
}

impl State {
    pub(super) fn new(config: SpaceConfig) -> Self {
        Self {
            network: Network::new(config.seed, config.echo_via_server),
            config,
            scripts: Scripts::default(),
            paused: BTreeSet::new(),
            endpoints: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            listeners: BTreeMap::new(),
            logs: Logs::default(),
            cursors: Cursors::default(),
            started: None,
            last_id: 0,
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn room(&self) -> Room {
        Room::new(self.config.inbox_messages_max, self.config.inbox_bytes_max)
    }

    /// The time of day, by this space's own count.
    pub(super) fn time_of_day(&self, now: Instant) -> SystemTime {
        let passed = self.started.map(|started| now.saturating_duration_since(started)).unwrap_or_default();
        // A start so late that the sum has no date is as good as any other.
        self.config.wall_clock_start.checked_add(passed).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// A link that is down from now on.
    pub(super) fn down(&self, now: Instant, why: &str) -> Link {
        Link::Down { since: self.time_of_day(now), why: why.to_owned() }
    }

    pub(super) fn connect(
        &mut self,
        now: Instant,
        cluster: &ClusterName,
        node: &NodeName,
    ) -> (EndpointId, watch::Receiver<Link>) {
        self.started.get_or_insert(now);
        let name = node.clone();
        let node = self.network.ix(node.as_str());
        let (link, link_seen) = watch::channel(match self.network.why_down(node) {
            Some(why) => self.down(now, why),
            None => Link::Up,
        });
        let endpoint = Endpoint {
            cluster: cluster.clone(),
            node,
            name,
            link,
            inboxes: Vec::new(),
            held: VecDeque::new(),
            held_room: self.room(),
            flushed: Arc::new(Notify::new()),
            is_closing: false,
            announced: None,
        };
        let id = self.next_id();
        self.endpoints.insert(id, endpoint);
        (id, link_seen)
    }

    /// The endpoint, as long as it can do something.
    ///
    /// # Errors
    /// `Closed` after its end, `Unreachable` while its link is down.
    pub(super) fn usable(&mut self, id: EndpointId) -> Result<&mut Endpoint, Error> {
        let endpoint =
            self.endpoints.get_mut(&id).filter(|endpoint| !endpoint.is_closing).ok_or_else(closed)?;
        match self.network.why_down(endpoint.node) {
            Some(why) => Err(named(Error::new(ErrorKind::Unreachable, why))),
            None => Ok(endpoint),
        }
    }

    pub(super) fn subscribe(
        &mut self,
        of: EndpointId,
        topic: &TopicName,
    ) -> Result<(InboxId, Arc<Notify>), Error> {
        let id = self.next_id();
        let room = self.room();
        let endpoint = self.usable(of)?;
        endpoint.inboxes.push(id);
        let (cluster, node) = (endpoint.cluster.clone(), endpoint.node);
        self.listeners.entry(cluster).or_default().entry(topic.clone()).or_default().push(id);
        let wake = Arc::new(Notify::new());
        let inbox = InboxState {
            endpoint: of,
            node,
            topic: topic.clone(),
            queue: Queue::new(room, self.paused.contains(&node)),
            wake: Arc::clone(&wake),
        };
        self.inboxes.insert(id, inbox);
        Ok((id, wake))
    }

    /// Ends a subscription and forgets what it holds.
    pub(super) fn unsubscribe(&mut self, id: InboxId) {
        let Some(inbox) = self.inboxes.remove(&id) else { return };
        let Some(endpoint) = self.endpoints.get_mut(&inbox.endpoint) else { return };
        endpoint.inboxes.retain(|other| *other != id);
        let cluster = endpoint.cluster.clone();
        self.unlisten(&cluster, &inbox.topic, id);
    }

    fn unlisten(&mut self, cluster: &ClusterName, topic: &TopicName, id: InboxId) {
        let Some(topics) = self.listeners.get_mut(cluster) else { return };
        if let Some(listeners) = topics.get_mut(topic) {
            listeners.retain(|other| *other != id);
            if listeners.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.listeners.remove(cluster);
        }
    }

    /// Ends a connection and its subscriptions. What has arrived can still be read, and what it has sent goes on,
    /// except what it holds back.
    pub(super) fn disconnect(&mut self, now: Instant, id: EndpointId, why: &str) {
        let Some(endpoint) = self.endpoints.remove(&id) else { return };
        for inbox_id in &endpoint.inboxes {
            if let Some(inbox) = self.inboxes.get_mut(inbox_id) {
                inbox.queue.end(now);
                inbox.wake.notify_one();
                let topic = inbox.topic.clone();
                self.unlisten(&endpoint.cluster, &topic, *inbox_id);
            }
        }
        endpoint.flushed.notify_waiters();
        for group in self.logs.groups_mut() {
            group.depart_all(now, id, Departure::Dropped);
        }
        self.logs.changed.notify_waiters();
        endpoint.link.send_replace(self.down(now, why));
        if let Some(announced) = endpoint.announced {
            self.hint_gone(&endpoint.cluster, announced.me);
        }
    }
}

/// The error of everything that comes after the end.
pub(super) fn closed() -> Error {
    named(Error::new(ErrorKind::Closed, "the transport was closed"))
}

/// An error of this backend.
pub(super) fn named(error: Error) -> Error {
    error.backend(BACKEND)
}
