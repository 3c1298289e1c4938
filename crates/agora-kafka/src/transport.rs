//! The transport itself: what it is made of, and the contract's methods, each a line or two.

use std::sync::Arc;
use std::time::Duration;

use agora_core::config::Kafka;
use agora_core::id::{ClusterName, SourceId, TopicName};
use agora_core::limits::FRAME_BYTES_MAX;
use agora_core::transport::{
    Address, Admin, BoxFuture, Capabilities, CursorStore, Durability, GroupInbox, GroupOrder, GroupSpec,
    Hint, Inbox, Link, LogInbox, LogStart, OutFrame, PublishFailed, Support, TopicInfo, TopicSpec, Transport,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::admin::Operator;
use crate::brokers::Brokers;
use crate::cursors::Cursors;
use crate::error::{BACKEND, closed, error};
use crate::group::{self, Entry};
use crate::names;
use crate::plan::Plan;
use crate::publish::{self, HEADERS_BYTES};
use crate::read::{Hub, LiveInbox, LogReader};
use crate::settings::{self, BROKER_BYTES_MAX, Of};
use crate::shared::Shared;
use crate::topics;

/// The largest batch of a broker that says nothing else, in bytes (`message.max.bytes` of Kafka).
const BATCH_BYTES_MAX: usize = (1 << 20) + 12;
/// What to do for groups on a topic whose messages hold many events: Kafka keeps one number for a lane, not one for an event.
const EACH: &str = "set the topic's `framing` to \"each\"";

/// agora's transport over Apache Kafka and Redpanda.
///
/// Dropping it ends the connections; [`Transport::close`] waits until what was handed over is decided.
pub struct KafkaTransport {
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    session_timeout: Duration,
    instance: Option<String>,
    cursors: Cursors,
    operator: Operator,
}

impl KafkaTransport {
    /// Connects to the first broker that answers, as a member of `cluster`, for at most `wait`.
    ///
    /// Where no broker answers, the transport is there all the same: its link is `Down`, and it goes on trying in the
    /// background for as long as it lives.
    ///
    /// The largest message ([`Capabilities::message_bytes_max`]) is what the first broker allows (`message.max.bytes`), less
    /// 8 KiB for the key and headers; where none answers or the access rules do not allow to look, that of a broker as it
    /// comes: 1 MiB less 8 KiB. It stays so; what a topic does not allow is refused with `TooLarge` when it is published.
    ///
    /// # Errors
    /// `Config` when a setting is wrong or a file of it cannot be read; `Unauthorized` when a broker refuses the
    /// credentials; `Unsupported` when a broker is older than 2.4.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the attempt; nothing stays open.
    pub async fn connect(config: &Kafka, cluster: &ClusterName, wait: Duration) -> Result<Self> {
        let connecting = async {
            let by = Instant::now() + wait;
            let brokers = Brokers::connect(Plan::new(config)?, wait).await?;
            let begun = Begun(Some(Arc::clone(&brokers)));
            let bytes_max = bytes_max(&brokers, by).await.unwrap_or(BATCH_BYTES_MAX);
            let hub = Arc::new(Hub::new(&brokers));
            let prefix = config.group.clone().unwrap_or_else(|| names::CURSOR_PREFIX.to_owned());
            let cursors = Cursors::new(&brokers, cluster.clone(), prefix);
            let operator = Operator::new(&brokers, cluster.clone());
            let shared = Shared::new(brokers, cluster, capabilities(bytes_max));
            begun.keep();
            let (session_timeout, instance) = (config.session_timeout, config.instance.clone());
            Ok(Self { shared: Arc::new(shared), hub, session_timeout, instance, cursors, operator })
        };
        let connected: Result<Self> = connecting.await;
        connected.map_err(|error| error.operation("connect"))
    }
}

/// Connections that are ended where nobody takes them: the future that made them was dropped.
struct Begun(Option<Arc<Brokers>>);

impl Begun {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(brokers) = self.0.take() {
            brokers.end();
        }
    }
}

/// The largest batch of a broker, where one tells.
async fn bytes_max(brokers: &Arc<Brokers>, by: Instant) -> Option<usize> {
    let node = *brokers.view().brokers.keys().next()?;
    let told = settings::describe(&brokers.shared_line(), Of::Broker(node), &[BROKER_BYTES_MAX], by).await;
    match told {
        Ok(told) => told.get(BROKER_BYTES_MAX)?.parse().ok(),
        Err(error) => {
            tracing::warn!(%error, allowed = BATCH_BYTES_MAX, "the largest message of the brokers is not known");
            None
        }
    }
}

fn capabilities(bytes_max: usize) -> Capabilities {
    Capabilities {
        backend: BACKEND,
        live: Support::Yes,
        log: Support::Yes,
        group: Support::Yes,
        group_on_batch: Support::No { instead: EACH },
        lanes: Support::Yes,
        group_order: GroupOrder::Lane,
        cursors: Support::Yes,
        admin: Support::Yes,
        live_durability: Durability::Stored,
        echo_via_server: true,
        failure_hints: false,
        message_bytes_max: bytes_max.saturating_sub(HEADERS_BYTES).min(FRAME_BYTES_MAX),
    }
}

#[async_trait]
impl Transport for KafkaTransport {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.shared.brokers.link()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        let opened = topics::open(&self.shared, topic).await;
        opened.map_err(|error| error.operation("open").context("topic", &topic.name))
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
        let opening = async {
            let name = self.shared.name_of(topic)?;
            LiveInbox::open(&self.hub, &name).await
        };
        match opening.await {
            Ok(inbox) => Ok(Box::new(inbox)),
            Err(error) => Err(error.operation("subscribe").context("topic", topic)),
        }
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        let opening = async {
            let name = self.shared.name_of(topic)?;
            LogReader::open(&self.hub, &name, lane, &from).await
        };
        match opening.await {
            Ok(reader) => Ok(Box::new(reader)),
            Err(error) => Err(error.operation("open_log").context("topic", topic)),
        }
    }

    async fn join_group(&self, topic: &TopicName, spec: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        let joining = async {
            if self.shared.opened(topic).is_some_and(|opened| opened.has_frames) {
                return Err(Error::unsupported("no groups on a topic whose messages hold many events", EACH)
                    .backend(BACKEND));
            }
            let entry = Entry {
                group: names::group_id(&self.shared.cluster, &spec.name),
                topic: self.shared.name_of(topic)?,
                spec: spec.clone(),
                session_timeout: self.session_timeout,
                instance: self.instance.clone(),
            };
            group::join(&self.shared.brokers, &self.hub, entry).await
        };
        joining.await.map_err(|error| error.operation("join_group"))
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        Some(&self.cursors)
    }

    fn admin(&self) -> Option<&dyn Admin> {
        Some(&self.operator)
    }

    async fn announce(&self, _: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        if self.shared.brokers.is_closed() { Err(closed().operation("announce")) } else { Ok(None) }
    }

    async fn close(&self, by: Instant) -> Result<()> {
        let decided = timeout_at(by, self.shared.producer.close()).await;
        self.shared.end();
        decided.map_err(|_| still_publishing())
    }
}

fn still_publishing() -> Error {
    error(ErrorKind::Timeout, "publishes were under way that no broker had answered")
        .operation("close")
        .help("what became of them is not known; nothing can be sent any more")
}

impl Drop for KafkaTransport {
    fn drop(&mut self) {
        self.shared.end();
    }
}
