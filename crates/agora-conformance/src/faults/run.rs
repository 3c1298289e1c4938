//! One run: a cluster of its own in a world of its own, with a history.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::bus::BusConfig;
use agora_core::id::{ClusterName, GroupName, NodeName, TopicName};
use agora_core::transport::{TopicKind, TopicSettings, Transport};
use tokio::time::{Instant, timeout};

use super::judge::{Rules, judge};
use super::member::Elsewhere;
use super::node::Node;
use super::recorder::Recorder;
use super::world::{LinkFault, ServerFault, World};
use crate::history::{Change, History, What};
use crate::suite::{Fault, Verdict, ensure};

/// A publish of these runs takes at most so long: a failover of every backend fits into it.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long nodes are given to close when all is over.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// How often what is still owed is looked at, at most: it takes a walk through the whole history.
const LOOK: Duration = Duration::from_millis(50);
/// Events that each node publishes when everything is healed, and that must reach everybody.
const PROBES: u64 = 3;

/// A run. Clones are the same one.
#[derive(Clone)]
pub struct Run(Arc<Inner>);

struct Inner {
    world: Arc<dyn World>,
    settings: TopicSettings,
    cluster: ClusterName,
    topics: Vec<TopicName>,
    recorder: Recorder,
    nodes: Mutex<Vec<Node>>,
}

impl Run {
    pub(super) fn new(world: Arc<dyn World>, settings: TopicSettings) -> Result<Self, Fault> {
        let run = format!("{:08x}", fastrand::u32(..));
        let topics =
            vec![TopicName::new(&format!("faults.{run}.a"))?, TopicName::new(&format!("faults.{run}.b"))?];
        let cluster = ClusterName::new(&format!("faults-{run}"))?;
        let recorder = Recorder::new();
        Ok(Self(Arc::new(Inner { world, settings, cluster, topics, recorder, nodes: Mutex::default() })))
    }

    /// What goes wrong goes wrong there.
    pub fn world(&self) -> &dyn World {
        &*self.0.world
    }

    /// What the topics of this run are.
    pub fn settings(&self) -> TopicSettings {
        self.0.settings
    }

    /// The cluster.
    pub fn cluster(&self) -> &ClusterName {
        &self.0.cluster
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.0.topics[0]
    }

    /// Where the dead letters of the group of this run lie.
    ///
    /// # Errors
    /// Where that is no name.
    pub fn dead_letters(&self) -> Result<TopicName, Fault> {
        Ok(self.topic().dead_letters(&GroupName::new(super::member::GROUP)?)?)
    }

    /// Reads them at a node, and writes down what is buried.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub async fn read_dead_letters(&self, at: &Node) -> Verdict {
        super::member::read_dead_letters(at).await
    }

    /// A member of the group in another process.
    pub fn member_elsewhere(&self) -> Elsewhere {
        Elsewhere::new(self.0.recorder.clone())
    }

    pub(super) fn topics(&self) -> &[TopicName] {
        &self.0.topics
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a node of this run is told.
    ///
    /// # Errors
    /// Where the name is none.
    pub fn config(&self, number: u8) -> Result<BusConfig, Fault> {
        let mut config = BusConfig::new(self.0.cluster.clone(), name_of(number)?);
        config.topics = self.0.topics.iter().map(|topic| (topic.clone(), self.0.settings)).collect();
        config.limits.publish_timeout = PUBLISH_TIMEOUT;
        Ok(config)
    }

    /// Connects a node, without waiting until it has joined.
    ///
    /// # Errors
    /// What the backend says.
    pub async fn starting(&self, number: u8) -> Result<Node, Fault> {
        self.starting_as(number, self.config(number)?).await
    }

    /// The same with a configuration.
    ///
    /// # Errors
    /// As [`starting`](Run::starting).
    pub async fn starting_as(&self, number: u8, config: BusConfig) -> Result<Node, Fault> {
        let transport = self.transport(number).await?;
        let node = Node::open(self.clone(), number, transport, config)?;
        self.nodes().push(node.clone());
        Ok(node)
    }

    /// A node that has joined.
    ///
    /// # Errors
    /// As [`starting`](Run::starting); and where it does not join in time.
    pub async fn node(&self, number: u8) -> Result<Node, Fault> {
        self.node_as(number, self.config(number)?).await
    }

    /// The same with a configuration.
    ///
    /// # Errors
    /// As [`node`](Run::node).
    pub async fn node_as(&self, number: u8, config: BusConfig) -> Result<Node, Fault> {
        let node = self.starting_as(number, config).await?;
        node.bus().ready(self.patience()).await?;
        Ok(node)
    }

    /// Two nodes that have heard of each other.
    ///
    /// # Errors
    /// As [`node`](Run::node).
    pub async fn pair(&self) -> Result<(Node, Node), Fault> {
        let (a, b) = (self.node(0).await?, self.node(1).await?);
        self.soon("a hears of b", a.bus().wait_for_others()).await?;
        self.soon("b hears of a", b.bus().wait_for_others()).await?;
        Ok((a, b))
    }

    /// The bare transport of a node, through its link.
    ///
    /// # Errors
    /// What the backend says.
    pub async fn transport(&self, number: u8) -> Result<Box<dyn Transport>, Fault> {
        let name = name_of(number)?;
        let connecting = self.0.world.connect(&self.0.cluster, &name);
        Ok(self.soon("connecting a node", connecting).await??)
    }

    /// Does something to the link of a node.
    ///
    /// # Errors
    /// Where this world cannot.
    pub async fn link(&self, number: u8, what: LinkFault) -> Verdict {
        self.remark(format!("the link of n{number}: {what:?}"));
        Ok(self.0.world.link(&name_of(number)?, what).await?)
    }

    /// Does something to the server.
    ///
    /// # Errors
    /// Where this world cannot.
    pub async fn server(&self, what: ServerFault) -> Verdict {
        self.remark(format!("the server: {what:?}"));
        Ok(self.0.world.server(what).await?)
    }

    /// Kills the server and starts it again.
    ///
    /// # Errors
    /// As [`server`](Run::server).
    pub async fn restart(&self) -> Verdict {
        self.server(ServerFault::Kill).await?;
        self.server(ServerFault::Begin).await
    }

    /// Writes something into the history, for people.
    pub fn remark(&self, text: impl Into<String>) {
        self.0.recorder.remark(text);
    }

    /// How long to wait for what is to come.
    pub fn patience(&self) -> Duration {
        self.0.world.patience()
    }

    /// Waits for what must come.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn soon<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Fault> {
        let patience = self.patience();
        let late = |_| Fault::broken(format!("{what}: nothing came within {patience:?}"));
        timeout(patience, future).await.map_err(late)
    }

    /// Fails, unless it is so.
    ///
    /// # Errors
    /// `what`, where it is not.
    pub fn ensure(&self, is_so: bool, what: &str) -> Verdict {
        if is_so { Ok(()) } else { Err(Fault::broken(what)) }
    }

    /// Waits until the history is as it should be.
    ///
    /// # Errors
    /// Where it does not become so.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut(&History) -> bool) -> Verdict {
        self.soon(what, self.0.recorder.until(|history| is_so(history).then_some(()))).await
    }

    /// No outage of a server, and nothing that others send, is the death of a node.
    ///
    /// # Errors
    /// Where one was declared failed.
    pub fn nobody_failed(&self) -> Verdict {
        let failed = self.recorder().look(|history| {
            let failed = |what: &What| matches!(what, What::Member { change: Change::Failed, .. });
            history.entries.iter().find(|entry| failed(&entry.what)).map(ToString::to_string)
        });
        ensure!(failed.is_none(), "a node was declared failed, and all live: {failed:?}");
        Ok(())
    }

    /// Everything is healed: lets every node that lives publish once more, waits until everybody has what is owed, and
    /// judges.
    ///
    /// # Errors
    /// What breaks a promise.
    pub async fn finish(&self, rules: Rules) -> Verdict {
        self.0.recorder.record(What::Healed);
        let living: Vec<Node> = self.nodes().iter().filter(|node| node.lives()).cloned().collect();
        for node in &living {
            // What a case left under way has an outcome of its own; it must not be mixed with what comes after.
            let flushed = node.bus().flush(self.patience()).await;
            self.remark(format!("{} flushed: {flushed:?}", node.life()));
        }
        self.0.recorder.record(What::Probing);
        for node in &living {
            node.publish_all(PROBES).await?;
        }
        let (owed, findings) = self.settled(rules).await;
        let all: Vec<String> = findings.into_iter().chain(owed).collect();
        if all.is_empty() {
            return Ok(());
        }
        let (shown, more) = (&all[..all.len().min(12)], all.len().saturating_sub(12));
        let rest = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        Err(Fault::broken(format!("a promise is broken:\n  {}{rest}", shown.join("\n  "))))
    }

    /// Waits until everybody has what is owed so far, for as long as the patience lasts. What is owed still, and what
    /// else is wrong.
    pub(super) async fn settled(&self, rules: Rules) -> (Vec<String>, Vec<String>) {
        let by = Instant::now() + self.patience();
        let mut owed = self.look(rules).0;
        while !owed.is_empty() && Instant::now() < by {
            let length = self.0.recorder.look(|history| history.entries.len());
            let grown = self.0.recorder.until(|history| (history.entries.len() > length).then_some(()));
            // Not at each entry: it takes a walk through all of them.
            let _ = timeout(LOOK * 20, grown).await;
            tokio::time::sleep(LOOK).await;
            owed = self.look(rules).0;
        }
        self.look(rules)
    }

    fn look(&self, rules: Rules) -> (Vec<String>, Vec<String>) {
        let is_log = self.0.settings.kind == TopicKind::Log;
        let judged = self.0.recorder.look(|history| judge(history, rules, is_log));
        let findings = judged.findings.iter().map(ToString::to_string).collect();
        (judged.owed(), findings)
    }

    pub(super) async fn end(&self) {
        let nodes = std::mem::take(&mut *self.nodes());
        for node in nodes.into_iter().filter(Node::lives) {
            let _ = timeout(CLOSE_WAIT, node.close(CLOSE_WAIT)).await;
        }
    }

    pub(super) fn text(&self) -> String {
        self.0.recorder.look(History::to_text)
    }
}

/// The name of the node of this number.
pub(super) fn name_of(number: u8) -> Result<NodeName, Fault> {
    Ok(NodeName::new(&format!("n{number}"))?)
}
