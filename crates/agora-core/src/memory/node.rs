//! One node's connection to a space.

use std::fmt;
use std::future::ready;
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::config::GroupStyle;
use super::inbox::MemoryInbox;
use super::route::Answer;
use super::space::Shared;
use super::state::{BACKEND, EndpointId, named};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClusterName, NodeName, SourceId, TopicName};
use crate::transport::{
    Address, Admin, BoxFuture, Capabilities, CursorStore, Durability, GroupInbox, GroupOrder, GroupSpec,
    Hint, Inbox, Link, LogInbox, LogStart, OutFrame, Outcome, PublishFailed, Support, TopicInfo, TopicKind,
    TopicSpec, Transport,
};

pub(super) const NO_LOG: &str =
    "a space of peers keeps nothing; set `echo_via_server`, or take a backend that stores what is published";
const NO_GROUP: &str =
    "a space of peers keeps nothing to share out; set `echo_via_server`, or take a backend with groups";

/// One node's connection to a [`Space`](super::Space).
///
/// Dropping it without [`close`](Transport::close) looks like a crash to others, except that what is on its way
/// still arrives. It needs a runtime whose timers are on only while faults delay messages or results, and in `close`.
pub struct MemoryTransport {
    pub(super) shared: Arc<Shared>,
    pub(super) id: EndpointId,
    link: watch::Receiver<Link>,
    capabilities: Capabilities,
}

impl MemoryTransport {
    pub(super) fn new(shared: Arc<Shared>, cluster: &ClusterName, node: &NodeName) -> Self {
        let mut state = shared.lock();
        let kept = if state.config.echo_via_server { Support::Yes } else { Support::No { instead: NO_LOG } };
        let group =
            if state.config.echo_via_server { Support::Yes } else { Support::No { instead: NO_GROUP } };
        let capabilities = Capabilities {
            backend: BACKEND,
            live: Support::Yes,
            log: kept,
            group,
            group_on_batch: group,
            lanes: kept,
            group_order: match state.config.groups {
                GroupStyle::Leases => GroupOrder::Key,
                GroupStyle::Lanes => GroupOrder::Lane,
            },
            admin: kept,
            cursors: kept,
            live_durability: Durability::Sent,
            echo_via_server: state.config.echo_via_server,
            failure_hints: state.config.failure_hints,
            message_bytes_max: state.config.message_bytes_max,
        };
        let (id, link) = state.connect(Instant::now(), cluster, node);
        drop(state);
        Self { shared, id, link, capabilities }
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        if topic.kind() == TopicKind::Log && self.capabilities.log != Support::Yes {
            let error = Error::unsupported("this space has no log topics", NO_LOG).operation("open");
            return Err(named(error).context("topic", &topic.name));
        }
        let mut state = self.shared.lock();
        let cluster = state.usable(self.id).map_err(|error| error.operation("open"))?.cluster.clone();
        state.logs.open(Instant::now(), &cluster, topic).map_err(|error| error.operation("open"))
    }

    /// Sends at once, not when the future is polled: the order of the calls is the order of the frames.
    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        let Answer { outcome, at } = self.shared.lock().publish(Instant::now(), self.id, to, &frames, by);
        let outcome =
            outcome.map_err(|failed| PublishFailed { error: failed.error.operation("publish"), ..failed });
        match at {
            None => Box::pin(ready(outcome)),
            Some(at) if at <= by => Box::pin(async move {
                sleep_until(at).await;
                outcome
            }),
            Some(_) => Box::pin(async move {
                sleep_until(by).await;
                let error = Error::new(ErrorKind::OutcomeUnknown, "no result by the deadline");
                let error = named(error).operation("publish");
                Err(PublishFailed { accepted: 0, outcome: Outcome::Unknown, error })
            }),
        }
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        let (id, wake) =
            self.shared.lock().subscribe(self.id, topic).map_err(|error| error.operation("subscribe"))?;
        Ok(Box::new(MemoryInbox::new(Arc::clone(&self.shared), id, wake)))
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        if self.capabilities.log != Support::Yes {
            let error = Error::unsupported("this space has no log topics", NO_LOG).operation("open_log");
            return Err(named(error).context("topic", topic));
        }
        let opened = self.shared.lock().open_log(Arc::clone(&self.shared), self.id, (topic, lane), &from);
        Ok(Box::new(opened.map_err(|error| error.operation("open_log"))?))
    }

    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        if self.capabilities.group != Support::Yes {
            let error = Error::unsupported("this space has no groups", NO_GROUP).operation("join_group");
            return Err(named(error).context("topic", topic).context("group", &group.name));
        }
        let joined = self.shared.lock().join_group(Arc::clone(&self.shared), self.id, topic, group);
        Ok(Box::new(joined.map_err(|error| error.operation("join_group"))?))
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        (self.capabilities.cursors == Support::Yes).then_some(self)
    }

    fn admin(&self) -> Option<&dyn Admin> {
        (self.capabilities.admin == Support::Yes).then_some(self)
    }

    async fn announce(&self, me: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        self.shared.lock().announce(self.id, me).map_err(|error| error.operation("announce"))
    }

    /// A paused node first waits until what it holds back can leave.
    ///
    /// # Errors
    /// `Timeout` when that was not so by `by`; the connection has ended all the same.
    async fn close(&self, by: Instant) -> Result<()> {
        let flushed = {
            let mut state = self.shared.lock();
            let Some(endpoint) = state.endpoints.get_mut(&self.id) else { return Ok(()) };
            endpoint.is_closing = true;
            Arc::clone(&endpoint.flushed)
        };
        loop {
            let mut flushed = pin!(flushed.notified());
            flushed.as_mut().enable();
            let is_over = {
                let mut state = self.shared.lock();
                let holds = state.endpoints.get(&self.id).map_or(0, |endpoint| endpoint.held.len());
                if holds == 0 {
                    state.disconnect(Instant::now(), self.id, "the transport was closed");
                }
                holds == 0
            };
            if is_over {
                return Ok(());
            }
            if timeout_at(by, flushed).await.is_err() {
                self.shared.lock().disconnect(Instant::now(), self.id, "the transport was closed");
                let error = Error::new(ErrorKind::Timeout, "the node is paused: what it holds back is lost");
                return Err(named(error).operation("close"));
            }
        }
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.shared.lock().disconnect(Instant::now(), self.id, "the transport was dropped");
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport").field("id", &self.id).finish_non_exhaustive()
    }
}
