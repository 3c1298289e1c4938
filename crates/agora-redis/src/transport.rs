//! The transport itself, and the contract's methods, each a line or two.

use std::sync::Arc;
use std::time::Duration;

use agora_core::config::Redis;
use agora_core::id::{ClusterName, SourceId, TopicName};
use agora_core::limits::FRAME_BYTES_MAX;
use agora_core::transport::{
    Address, Admin, BoxFuture, Capabilities, CursorStore, Durability, GroupInbox, GroupOrder, GroupSpec,
    Hint, Inbox, Link, LogInbox, LogStart, ONE_LANE, OutFrame, PublishFailed, Support, TopicInfo, TopicSpec,
    Transport, check_only_lane,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::admin::Operator;
use crate::cursors::Cursors;
use crate::dial::Dialer;
use crate::error::{BACKEND, closed, error};
use crate::names::Names;
use crate::shared::Shared;
use crate::{group, keeper, log, publish, subscribe, topics};

/// agora's transport over Redis and Valkey.
///
/// Dropping it ends its connections and its tasks at once.
pub struct RedisTransport {
    shared: Arc<Shared>,
    cursors: Cursors,
    operator: Operator,
}

impl RedisTransport {
    /// Connects to the servers of `config`, as a member of `cluster`, and waits up to `wait` for that. A server that is
    /// silent, or not there, is no error: the link is down then, and the connection is made in the background.
    ///
    /// # Errors
    /// `Config`, `Unauthorized` or `Unsupported`: the configuration, the credentials or the version of the server is
    /// refused. `Runtime`: not called within a tokio runtime.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing stays open.
    pub async fn connect(config: &Redis, cluster: &ClusterName, wait: Duration) -> Result<Self> {
        Self::connect_within(config, cluster, wait).await.map_err(|error| error.operation("connect"))
    }

    async fn connect_within(config: &Redis, cluster: &ClusterName, wait: Duration) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|cause| {
            error(ErrorKind::Runtime, "not called within a tokio runtime")
                .help("call this within a runtime of tokio with I/O and time enabled")
                .source(cause)
        })?;
        let dialer = Dialer::new(config)?;
        let names = Names::new(cluster);
        let shared = Arc::new(Shared::new(names, config.clone(), dialer, capabilities(), runtime));
        // From here on, an error drops the transport, which ends its tasks.
        let transport =
            Self { cursors: Cursors(Arc::clone(&shared)), operator: Operator(Arc::clone(&shared)), shared };
        let (first, decided) = oneshot::channel();
        transport.shared.spawn(keeper::keep(Arc::clone(&transport.shared), first));
        match timeout(wait, decided).await {
            Ok(Ok(Err(error))) => Err(error),
            Ok(Ok(Ok(())) | Err(_)) | Err(_) => Ok(transport),
        }
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        backend: BACKEND,
        live: Support::Yes,
        log: Support::Yes,
        group: Support::Yes,
        group_on_batch: Support::Yes,
        lanes: Support::No { instead: ONE_LANE },
        group_order: GroupOrder::None,
        admin: Support::Yes,
        cursors: Support::Yes,
        live_durability: Durability::Sent,
        echo_via_server: true,
        failure_hints: false,
        message_bytes_max: FRAME_BYTES_MAX,
    }
}

impl RedisTransport {
    fn open_or_closed(&self, operation: &'static str) -> Result<()> {
        if self.shared.is_closed() { Err(closed().operation(operation)) } else { Ok(()) }
    }
}

fn about(operation: &'static str, topic: &TopicName) -> impl FnOnce(Error) -> Error {
    move |error| error.operation(operation).context("topic", topic)
}

#[async_trait]
impl Transport for RedisTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        self.open_or_closed("open")?;
        topics::open(&self.shared, topic).await.map_err(about("open", &topic.name))
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
        self.open_or_closed("subscribe")?;
        subscribe::subscribe(&self.shared, topic).await.map_err(about("subscribe", topic))
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        self.open_or_closed("open_log")?;
        let opening = async {
            check_only_lane(lane).map_err(|error| error.backend(BACKEND))?;
            log::open(&self.shared, topic, from).await
        };
        opening.await.map_err(about("open_log", topic))
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        Some(&self.cursors)
    }

    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        self.open_or_closed("join_group")?;
        group::join(&self.shared, topic, group)
            .await
            .map_err(about("join_group", topic))
            .map_err(|error| error.context("group", &group.name))
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(&self.operator)
    }

    async fn announce(&self, _: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        self.open_or_closed("announce")?;
        Ok(None)
    }

    async fn close(&self, by: Instant) -> Result<()> {
        self.shared.end();
        match timeout_at(by, self.shared.join()).await {
            Ok(()) => Ok(()),
            Err(_) => {
                Err(error(ErrorKind::Timeout, "a task of the transport is still ending").operation("close"))
            }
        }
    }
}

impl Drop for RedisTransport {
    fn drop(&mut self) {
        self.shared.end();
    }
}
