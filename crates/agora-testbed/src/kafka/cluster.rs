//! Several brokers that are one cluster.

use super::ask::{self, KafkaPartition, KafkaTopic};
use super::{KafkaBroker, KafkaSetup};
use crate::failure::{Failure, Result};
use crate::proxy::Proxy;
use crate::wait;

/// Brokers that know each other, each a controller too. Their numbers are those that Kafka knows them by, from 0.
#[derive(Debug)]
pub struct KafkaCluster {
    nodes: Vec<KafkaBroker>,
}

impl KafkaCluster {
    /// As many of 4.1, that serve. What three of them store is on all of them, and two must have it.
    ///
    /// # Errors
    /// Where there is no Kafka or no Java, or they do not come together.
    pub async fn start(nodes: usize) -> Result<Self> {
        KafkaSetup::new().cluster(nodes).await
    }

    pub(super) fn of(nodes: Vec<KafkaBroker>) -> Self {
        Self { nodes }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[KafkaBroker] {
        &self.nodes
    }

    /// One node, to be killed, paused or begun again. One that was killed is begun by `begin` as long as most of the
    /// others run; else none answers alone: `spawn` them all, and wait until the cluster is [`ready`](Self::ready).
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn node(&mut self, number: usize) -> &mut KafkaBroker {
        &mut self.nodes[number]
    }

    /// `kafka://` and every node.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.addresses())
    }

    /// The addresses of every node, separated by commas, as clients of Kafka take them.
    pub fn addresses(&self) -> String {
        self.nodes.iter().map(KafkaBroker::address).collect::<Vec<_>>().join(",")
    }

    /// `kafka://` and the proxies of a link before every node. Who begins there stays on the link.
    ///
    /// # Panics
    /// Where there are fewer links: see [`KafkaSetup::links`].
    pub fn url_of_link(&self, link: usize) -> String {
        let ports = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.proxies[link].port()));
        format!("kafka://{}", ports.collect::<Vec<_>>().join(","))
    }

    /// The proxies of a link, by the numbers of their nodes.
    ///
    /// # Panics
    /// As [`url_of_link`](Self::url_of_link).
    pub fn proxies(&mut self, link: usize) -> impl Iterator<Item = &mut Proxy> {
        self.nodes.iter_mut().map(move |node| &mut node.proxies[link])
    }

    /// Waits until every node that runs serves, and knows that the others do.
    ///
    /// # Errors
    /// Where a node has ended, or it takes too long. A node that is paused runs, and serves nobody.
    pub async fn ready(&mut self) -> Result {
        for node in self.nodes.iter_mut().filter(|node| node.id().is_some()) {
            node.answers().await?;
        }
        let expected: Vec<usize> = self.running().map(|(number, _)| number).collect();
        for (_, node) in self.running() {
            wait::until("every broker serves", || async {
                let serving = node.serving().await?;
                if serving == expected { Ok(Some(())) } else { Err(Failure::new(format!("{serving:?} do"))) }
            })
            .await?;
        }
        Ok(())
    }

    /// Makes a topic, and waits until every replica is in sync and every node that runs knows.
    ///
    /// # Errors
    /// Where it is refused, or takes too long.
    pub async fn create_topic(&self, name: &str, partitions: u32) -> Result {
        let (_, node) = self.running().next().ok_or_else(|| Failure::new("no node runs"))?;
        node.make_topic(name, partitions).await?;
        self.in_sync(name).await
    }

    /// Waits until every replica of a topic is in sync, by the word of every node that runs.
    ///
    /// # Errors
    /// Where that takes too long.
    pub async fn in_sync(&self, topic: &str) -> Result {
        for (_, node) in self.running() {
            wait::until("every replica is in sync", || async {
                let topic = node.topic(topic).await?;
                Ok(topic.partitions.iter().all(is_whole).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// The same of every topic, the brokers' own included: any one node may fail now, and nothing stands still for long.
    ///
    /// # Errors
    /// As [`in_sync`](Self::in_sync).
    pub async fn whole(&self) -> Result {
        for (_, node) in self.running() {
            wait::until("every replica of every topic is in sync", || async {
                let topics = node.topics().await?;
                let mut short = topics.iter().filter(|topic| !topic.partitions.iter().all(is_whole));
                match short.next() {
                    None => Ok(Some(())),
                    Some(topic) => Err(Failure::new(format!("{} is short", topic.name))),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// A topic, as the first node that runs and is not `but` knows it.
    ///
    /// # Errors
    /// Where that does not answer, or knows no such topic.
    pub async fn topic(&self, name: &str, but: Option<usize>) -> Result<KafkaTopic> {
        let node = self.running().find(|(number, _)| Some(*number) != but);
        node.ok_or_else(|| Failure::new("no node runs"))?.1.topic(name).await
    }

    /// Which node leads a partition, by the word of the nodes that run: one of them.
    ///
    /// # Errors
    /// Where nobody leads it in time.
    pub async fn leader_of(&self, topic: &str, partition: u32) -> Result<usize> {
        self.leader_but(topic, partition, None).await
    }

    /// Which other node leads a partition, once this one, that was killed or is paused, does no longer.
    ///
    /// # Errors
    /// As [`leader_of`](Self::leader_of).
    pub async fn leader_after(&self, topic: &str, partition: u32, gone: usize) -> Result<usize> {
        self.leader_but(topic, partition, Some(gone)).await
    }

    async fn leader_but(&self, topic: &str, partition: u32, but: Option<usize>) -> Result<usize> {
        wait::until("a partition has a leader", || async {
            let known = self.topic(topic, but).await?;
            let found = known.partitions.get(partition as usize);
            let found = found.ok_or_else(|| Failure::new(format!("{topic} has no partition {partition}")))?;
            Ok(found.leader.filter(|leader| Some(*leader) != but))
        })
        .await
    }

    /// Makes another node lead a partition, and tells which.
    ///
    /// # Errors
    /// Where it is refused, or there is no other in sync, or it takes too long.
    pub async fn move_leader(&self, topic: &str, partition: u32) -> Result<usize> {
        let old = self.leader_of(topic, partition).await?;
        let port = self.nodes[old].port();
        let other = wait::until("another replica is in sync, and stands first", || async {
            let known = self.topic(topic, None).await?;
            let known = known.partitions.get(partition as usize);
            let known = known.ok_or_else(|| Failure::new(format!("{topic} has no partition {partition}")))?;
            let other = known.in_sync.iter().copied().find(|node| *node != old);
            let other = other.ok_or_else(|| Failure::new("no other replica is in sync"))?;
            let rest = known.replicas.iter().copied().filter(|node| *node != other);
            let replicas: Vec<usize> = std::iter::once(other).chain(rest).collect();
            ask::order_replicas(port, topic, partition, &replicas).await?;
            Ok(Some(other))
        })
        .await?;
        wait::until("another node leads a partition", || async {
            // Refused for as long as the new order is not known.
            ask::elect_first(port, topic, partition).await?;
            let now = self.leader_of(topic, partition).await?;
            Ok((now == other).then_some(now))
        })
        .await
    }

    /// Which node coordinates a group.
    ///
    /// # Errors
    /// Where nobody does in time.
    pub async fn coordinator_of(&self, group: &str) -> Result<usize> {
        wait::until("a group has a coordinator", || async {
            self.running_one(|port| ask::coordinator(port, group)).await
        })
        .await
    }

    /// Which node is the active controller.
    ///
    /// # Errors
    /// Where there is none in time.
    pub async fn controller(&self) -> Result<usize> {
        wait::until("there is an active controller", || async { self.running_one(ask::controller).await })
            .await
    }

    /// The node that the first node to answer names, where that runs: whoever was killed is named for a while yet.
    async fn running_one<F>(&self, ask: impl Fn(u16) -> F) -> Result<Option<usize>>
    where
        F: Future<Output = Result<Option<usize>>>,
    {
        let mut last = Failure::new("no node runs");
        for (_, node) in self.running() {
            match ask(node.port()).await {
                Ok(found) => {
                    return Ok(found.filter(|found| self.running().any(|(number, _)| number == *found)));
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    fn running(&self) -> impl Iterator<Item = (usize, &KafkaBroker)> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.id().is_some())
    }
}

fn is_whole(partition: &KafkaPartition) -> bool {
    partition.leader.is_some() && partition.in_sync.len() == partition.replicas.len()
}
