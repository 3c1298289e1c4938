//! The transport itself: what it is made of, and the contract's methods, each a line or two.

use std::sync::Arc;
use std::time::Duration;

use agora_core::config::Nats;
use agora_core::id::{ClusterName, SourceId, TopicName};
use agora_core::limits::FRAME_BYTES_MAX;
use agora_core::transport::{
    Address, Admin, BoxFuture, Capabilities, CursorStore, Durability, GroupInbox, GroupOrder, GroupSpec,
    Hint, Inbox, Link, LogInbox, LogStart, ONE_LANE, OutFrame, PublishFailed, Support, TopicInfo, TopicKind,
    TopicSpec, Transport, check_only_lane,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::admin::Operator;
use crate::cursors::Cursors;
use crate::error::{BACKEND, closed, error};
use crate::plan::Plan;
use crate::publish::{self, HEADERS_BYTES};
use crate::session::Session;
use crate::shared::{Shared, State};
use crate::{group, keeper, reader, streams, subscribe};

/// The largest message of a server that says nothing else, in bytes.
const MAX_PAYLOAD: usize = 1 << 20;

/// agora's transport over NATS.
///
/// Dropping it ends the connection; [`Transport::close`] waits until what was handed over has gone out.
pub struct NatsTransport {
    shared: Arc<Shared>,
    cursors: Cursors,
    operator: Operator,
}

impl NatsTransport {
    /// Connects to the first server that answers, as a member of `cluster`, for at most `wait`.
    ///
    /// Where no server answers, the transport is there all the same: its link is `Down`, and it goes on trying in the
    /// background for as long as it lives.
    ///
    /// The largest message ([`Capabilities::message_bytes_max`]) is what the first server allows, less 8 KiB for headers;
    /// where none answers, that of a server as it comes: 1 MiB less 8 KiB. It stays so, also where a later server allows
    /// more; what a later one does not allow is refused with `TooLarge` when it is published.
    ///
    /// # Errors
    /// `Config` when a setting is wrong or a file of it cannot be read; `Unauthorized` when a server refuses the
    /// credentials; `Unsupported` when a server is older than 2.10.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the attempt; nothing stays open.
    pub async fn connect(config: &Nats, cluster: &ClusterName, wait: Duration) -> Result<Self> {
        let connecting = async {
            let plan = Arc::new(Plan::new(config)?);
            let first = match timeout(wait, keeper::connect(&plan, &[])).await {
                Ok(Ok(session)) => Ok(session),
                Ok(Err(error)) if keeper::is_final(&error) => return Err(error),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no server has answered within {wait:?}")),
            };
            Ok(Self::start(plan, cluster, first))
        };
        let connected: Result<Self> = connecting.await;
        connected.map_err(|error| error.operation("connect"))
    }

    fn start(plan: Arc<Plan>, cluster: &ClusterName, first: Result<Session, String>) -> Self {
        let bytes_max = first.as_ref().map_or(MAX_PAYLOAD, |session| session.bytes_max);
        let shared = Arc::new(Shared::new(plan, cluster, capabilities(bytes_max)));
        let first = match first {
            // Before anybody can look: who has connected may publish.
            Ok(session) => Some(keeper::begin(&shared, session)),
            Err(why) => {
                shared.tell(State::Down(why));
                None
            }
        };
        tokio::spawn(keeper::run(Arc::clone(&shared), first));
        let (cursors, operator) = (Cursors::new(Arc::clone(&shared)), Operator(Arc::clone(&shared)));
        Self { shared, cursors, operator }
    }

    async fn open_topic(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        // Also a live topic is opened only where something can be published.
        self.shared.session()?;
        if topic.kind() == TopicKind::Log {
            streams::open(&self.shared, topic).await?;
        }
        self.shared.kinds().insert(topic.name.clone(), topic.kind());
        Ok(TopicInfo::one_lane())
    }
}

fn capabilities(bytes_max: usize) -> Capabilities {
    Capabilities {
        backend: BACKEND,
        live: Support::Yes,
        log: Support::Yes,
        group: Support::Yes,
        group_on_batch: Support::Yes,
        lanes: Support::No { instead: ONE_LANE },
        group_order: GroupOrder::None,
        cursors: Support::Yes,
        admin: Support::Yes,
        live_durability: Durability::Sent,
        echo_via_server: true,
        failure_hints: false,
        message_bytes_max: bytes_max.saturating_sub(HEADERS_BYTES).min(FRAME_BYTES_MAX),
    }
}

#[async_trait]
impl Transport for NatsTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        self.open_topic(topic).await.map_err(|error| error.operation("open").context("topic", &topic.name))
    }

    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        publish::publish(&self.shared, to, frames, by)
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        let inbox = subscribe::subscribe(&self.shared, topic).await;
        inbox.map_err(|error| error.operation("subscribe").context("topic", topic))
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        let opening = async {
            check_only_lane(lane).map_err(|error| error.backend(BACKEND))?;
            reader::open(&self.shared, topic, &from).await
        };
        opening.await.map_err(|error| error.operation("open_log").context("topic", topic))
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        Some(&self.cursors)
    }

    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        let inbox = group::join(&self.shared, topic, group).await;
        inbox.map_err(|error| error.operation("join_group"))
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(&self.operator)
    }

    async fn announce(&self, _: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        if self.shared.is_closed() { Err(closed().operation("announce")) } else { Ok(None) }
    }

    async fn close(&self, by: Instant) -> Result<()> {
        let Some(session) = self.shared.end() else { return Ok(()) };
        let ending = async {
            session.close().await;
            session.ended().await;
        };
        timeout_at(by, ending).await.map_err(|_| still_closing())
    }
}

fn still_closing() -> Error {
    error(ErrorKind::Timeout, "the connection is still being closed")
        .operation("close")
        .help("what is left of it ends in the background; nothing can be sent any more")
}

impl Drop for NatsTransport {
    fn drop(&mut self) {
        if let Some(session) = self.shared.end() {
            // What does not fit into the queue of the client any more is not asked for: the connection ends when
            // the last of its inboxes is dropped.
            let _ = session.close().now_or_never();
        }
    }
}
