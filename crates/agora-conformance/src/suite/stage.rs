//! What a case plays on: a cluster of its own, nodes, buses, and waits that are bounded.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Bus, BusConfig};
use agora_core::id::{ClusterName, GroupName, NodeName, TopicName};
use agora_core::transport::{Capabilities, TopicSettings, TopicSpec, Transport};
use tokio::time::{Instant, timeout};

use super::case::Fault;
use super::node::Node;
use super::subject::Subject;

/// How long the nodes of a case are given to close when it is over.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// One case's place of its own on the subject: no two meet, also on a server that they share. Clones are the same one.
#[derive(Clone)]
pub struct Stage(Arc<Inner>);

struct Inner {
    subject: Arc<dyn Subject>,
    cluster: ClusterName,
    run: String,
    nodes: Mutex<Vec<Weak<dyn Transport>>>,
}

/// Tells the stages of one process apart; the random part tells processes apart.
static STAGES: AtomicU64 = AtomicU64::new(0);

impl Stage {
    /// A stage that nobody else has.
    pub(super) fn new(subject: Arc<dyn Subject>) -> Result<Self, Fault> {
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let run = format!("{:08x}-{number}", fastrand::u32(..));
        let cluster = ClusterName::new(&format!("conformance-{run}"))?;
        Ok(Self(Arc::new(Inner { subject, cluster, run, nodes: Mutex::default() })))
    }

    /// Who is judged.
    pub fn subject(&self) -> &dyn Subject {
        &*self.0.subject
    }

    /// The cluster of this case.
    pub fn cluster(&self) -> &ClusterName {
        &self.0.cluster
    }

    /// A topic of this case.
    ///
    /// # Errors
    /// Where that is no name.
    pub fn topic(&self, name: &str) -> Result<TopicName, Fault> {
        Ok(TopicName::new(&format!("conformance.{}.{name}", self.0.run))?)
    }

    /// Does this topic's name collide with that of one that is open, as the subject says of its server? Then it is shown to be
    /// refused.
    ///
    /// # Errors
    /// Where it is not refused, or not as it should be.
    pub async fn is_refused(
        &self,
        node: &Node,
        topic: &TopicSpec,
        open: &[TopicName],
    ) -> Result<bool, Fault> {
        if !open.iter().any(|other| self.0.subject.collide(other, &topic.name)) {
            return Ok(false);
        }
        let opened = self.soon("opening a topic", node.open(topic)).await?;
        let refused = opened.err().map(|error| error.kind());
        if refused != Some(ErrorKind::Config) {
            let name = &topic.name;
            return Err(Fault::broken(format!(
                "{name} has no place on the server, and opening it says {refused:?}"
            )));
        }
        Ok(true)
    }

    /// A group of this case.
    ///
    /// # Errors
    /// Where that is no name.
    pub fn group(&self, name: &str) -> Result<GroupName, Fault> {
        Ok(GroupName::new(&format!("{name}-{}", self.0.run))?)
    }

    /// Connects a node.
    ///
    /// # Errors
    /// What the subject says; and where it does not answer in time.
    pub async fn node(&self, name: &str) -> Result<Node, Fault> {
        self.node_in(&self.0.cluster, name).await
    }

    /// Connects a node of another cluster.
    ///
    /// # Errors
    /// As [`node`](Stage::node).
    pub async fn stranger(&self, name: &str) -> Result<Node, Fault> {
        let cluster = ClusterName::new(&format!("conformance-{}-other", self.0.run))?;
        self.node_in(&cluster, name).await
    }

    async fn node_in(&self, cluster: &ClusterName, name: &str) -> Result<Node, Fault> {
        let name = NodeName::new(name)?;
        let connecting = self.0.subject.connect(cluster, &name);
        let transport: Arc<dyn Transport> = Arc::from(self.soon("connecting a node", connecting).await??);
        self.nodes().push(Arc::downgrade(&transport));
        let node = Node::new(transport, self.clone());
        node.usable().await?;
        Ok(node)
    }

    /// What a bus of this case is told.
    ///
    /// # Errors
    /// Where the name is none.
    pub fn config(&self, name: &str, topics: &[(&TopicName, TopicSettings)]) -> Result<BusConfig, Fault> {
        let mut config = BusConfig::new(self.0.cluster.clone(), NodeName::new(name)?);
        config.topics = topics.iter().map(|(topic, settings)| ((*topic).clone(), *settings)).collect();
        Ok(config)
    }

    /// Opens a bus on a node of its own, and waits until it has joined.
    ///
    /// # Errors
    /// As [`node`](Stage::node), and what the bus says.
    pub async fn bus(&self, name: &str, topics: &[(&TopicName, TopicSettings)]) -> Result<Bus, Fault> {
        self.bus_of(self.config(name, topics)?).await
    }

    /// The same with a configuration.
    ///
    /// # Errors
    /// As [`bus`](Stage::bus).
    pub async fn bus_of(&self, config: BusConfig) -> Result<Bus, Fault> {
        let node = self.node_in(&config.cluster, config.node.as_str()).await?;
        let bus = Bus::open(node.into_transport(), config)?;
        bus.ready(self.patience()).await?;
        Ok(bus)
    }

    /// Two buses that have heard of each other, so that what one publishes reaches the other.
    ///
    /// # Errors
    /// As [`bus`](Stage::bus).
    pub async fn two_buses(&self, topics: &[(&TopicName, TopicSettings)]) -> Result<(Bus, Bus), Fault> {
        let (a, b) = (self.bus("a", topics).await?, self.bus("b", topics).await?);
        self.soon("a hears of b", a.wait_for_others()).await?;
        self.soon("b hears of a", b.wait_for_others()).await?;
        Ok((a, b))
    }

    /// How long to wait for what is to come.
    pub fn patience(&self) -> Duration {
        self.0.subject.patience()
    }

    /// The deadline of a call that is to succeed.
    pub fn by(&self) -> Instant {
        Instant::now() + self.patience()
    }

    /// Waits for what must come.
    ///
    /// # Errors
    /// [`Fault::Broken`] where it does not.
    pub async fn soon<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Fault> {
        let patience = self.patience();
        let late = |_| Fault::broken(format!("{what}: nothing came within {patience:?}"));
        timeout(patience, future).await.map_err(late)
    }

    /// Waits for a while to see that something does not come.
    ///
    /// # Errors
    /// [`Fault::Broken`] where it does.
    pub async fn never<T: std::fmt::Debug>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<(), Fault> {
        match timeout(self.0.subject.quiet(), future).await {
            Err(_) => Ok(()),
            Ok(found) => Err(Fault::broken(format!("{what}: this came, and nothing was due: {found:?}"))),
        }
    }

    /// What the subject can do.
    pub(super) async fn capabilities(&self) -> Result<Capabilities, Fault> {
        let node = self.node("capabilities").await?;
        Ok(node.capabilities().clone())
    }

    /// Closes what the case has left open: one case must not disturb the next.
    pub(super) async fn clear(&self) {
        let nodes: Vec<_> = self.nodes().drain(..).filter_map(|node| node.upgrade()).collect();
        for node in nodes {
            // What is wrong with closing is judged by cases of its own.
            let _ = timeout(CLOSE_WAIT, node.close(Instant::now() + CLOSE_WAIT)).await;
        }
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Weak<dyn Transport>>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
