//! Kafka: one broker, or three that are one cluster, with a link of its own to all of them for each node.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_conformance::suite::{Ability, Cannot, Subject};
use agora_core::config::Kafka;
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::{TopicChange, Transport};
use agora_core::{Error, ErrorKind, Result};
use agora_kafka::KafkaTransport;
use agora_kafka::brokers::{Brokers, Line, Target};
use agora_kafka::error::Refusal;
use agora_kafka::names::topic_name;
use agora_kafka::plan::Plan;
use agora_kafka::read::offsets;
use agora_testbed::{KafkaCluster, KafkaSetup, KafkaVersion};
use async_trait::async_trait;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName as Name};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long the brokers may take to answer.
const WAIT: Duration = Duration::from_secs(10);
/// How many nodes have a link of their own. Those that come later share the last one; no case cuts such a node off.
const LINKS: usize = 4;

/// Brokers, and the ways to them.
pub struct KafkaSubject {
    name: &'static str,
    /// `kafka://` and the brokers, past every link.
    url: String,
    /// The URLs of the links.
    links: Vec<String>,
    cluster: Mutex<KafkaCluster>,
    /// Which link each node has.
    nodes: Mutex<BTreeMap<NodeName, usize>>,
}

fn failed(cause: agora_testbed::Failure) -> Cannot {
    Cannot(cause.to_string())
}

fn config(url: &str) -> Kafka {
    let mut config = Kafka::default();
    let brokers = url.strip_prefix("kafka://").unwrap_or(url);
    config.brokers = brokers.split(',').map(str::to_owned).collect();
    config
}

impl KafkaSubject {
    /// Starts one broker of this version.
    ///
    /// # Errors
    /// `Unreachable` where there is no Kafka or no Java, or it does not start: with what to install.
    ///
    /// # Cancel safety
    /// Dropped before it returns, no broker stays.
    pub async fn start(version: KafkaVersion) -> Result<Self> {
        let name = match version {
            KafkaVersion::V4_1 => "kafka",
            KafkaVersion::V3_9 => "kafka-3.9",
        };
        Self::of(name, version, 1).await
    }

    /// Starts three brokers that are one cluster.
    ///
    /// # Errors
    /// `Unreachable` where there is no Kafka or no Java, or they do not start: with what to install.
    ///
    /// # Cancel safety
    /// Dropped before it returns, no broker stays.
    pub async fn start_cluster() -> Result<Self> {
        Self::of("kafka-cluster", KafkaVersion::V4_1, 3).await
    }

    async fn of(name: &'static str, version: KafkaVersion, brokers: usize) -> Result<Self> {
        // Room for the largest event of agora, which is larger than what a broker takes as it comes.
        let setup = KafkaSetup::new().version(version).with(&[("message.max.bytes", "2097152")]).links(LINKS);
        let cluster = setup.cluster(brokers).await.map_err(|cause| {
            Error::new(ErrorKind::Unreachable, "there is no Kafka to judge").context("why", cause)
        })?;
        let links = (0..LINKS).map(|link| cluster.url_of_link(link)).collect();
        let url = cluster.url();
        Ok(Self { name, url, links, cluster: Mutex::new(cluster), nodes: Mutex::default() })
    }

    async fn link_of(&self, node: &NodeName) -> usize {
        let mut nodes = self.nodes.lock().await;
        let next = nodes.len().min(LINKS - 1);
        *nodes.entry(node.clone()).or_insert(next)
    }
}

/// Deletes the records of a topic as an operator would, but for so many on each partition. `url` is `kafka://` and
/// brokers.
///
/// # Errors
/// What the brokers say.
pub async fn delete_records(url: &str, topic: &str, keep: usize) -> Result<()> {
    let by = Instant::now() + WAIT;
    let brokers = Brokers::connect(Plan::new(&config(url))?, WAIT).await?;
    let line = brokers.line("retention");
    let deleting = async {
        let lanes = *brokers.partitions(topic, by).await?.borrow();
        for partition in 0..i32::try_from(lanes).unwrap_or(0) {
            delete(&line, (topic, partition), keep, by).await?;
        }
        Ok(())
    };
    let deleted = deleting.await;
    brokers.end();
    deleted
}

/// Deletes all records of a partition but the last so many.
async fn delete(line: &Line, (topic, partition): (&str, i32), keep: usize, by: Instant) -> Result<()> {
    let end = offsets::bounds(line, topic, partition, by).await?.end;
    let before = end.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX)).max(0);
    let lane = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
    let of = DeleteRecordsTopic::default()
        .with_name(Name(StrBytes::from_string(topic.to_owned())))
        .with_partitions(vec![lane]);
    let request = DeleteRecordsRequest::default().with_topics(vec![of]).with_timeout_ms(5000);
    let judge = |answer: &DeleteRecordsResponse| {
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| Refusal::check(partition.error_code))
    };
    line.ask(Target::Leader(topic, partition), &request, WAIT, by, judge).await.map(drop)
}

#[async_trait]
impl Subject for KafkaSubject {
    fn name(&self) -> &str {
        self.name
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let config = config(&self.links[self.link_of(node).await]);
        Ok(Box::new(KafkaTransport::connect(&config, cluster, WAIT).await?))
    }

    fn minimum(&self) -> usize {
        164
    }

    fn collide(&self, one: &TopicName, other: &TopicName) -> bool {
        // The names of Kafka's metrics know no dots.
        one != other && one.as_str().replace('.', "_") == other.as_str().replace('.', "_")
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn cut(&self, node: &NodeName) -> Ability {
        let link = self.link_of(node).await;
        for proxy in self.cluster.lock().await.proxies(link) {
            proxy.refuse().await;
            proxy.reset().await;
        }
        Ok(())
    }

    async fn heal(&self, node: &NodeName) -> Ability {
        let link = self.link_of(node).await;
        for proxy in self.cluster.lock().await.proxies(link) {
            proxy.accept().await.map_err(failed)?;
        }
        Ok(())
    }

    async fn restart_server(&self) -> Ability {
        let mut cluster = self.cluster.lock().await;
        let brokers = cluster.nodes().len();
        for number in 0..brokers {
            cluster.node(number).kill().map_err(failed)?;
        }
        for number in 0..brokers {
            cluster.node(number).spawn().map_err(failed)?;
        }
        cluster.ready().await.map_err(failed)
    }

    async fn grow(&self, cluster: &ClusterName, topic: &TopicName, lanes: u32) -> Ability {
        let growing = async {
            let transport = KafkaTransport::connect(&config(&self.url), cluster, WAIT).await?;
            let change = TopicChange { lanes: Some(lanes), ..TopicChange::default() };
            match transport.admin() {
                Some(admin) => admin.alter_topic(topic, &change).await,
                None => Err(Error::new(ErrorKind::Unsupported, "no administration")),
            }
        };
        growing.await.map_err(|cause| Cannot(format!("the log gets no more lanes: {cause}")))
    }

    async fn trim(&self, cluster: &ClusterName, topic: &TopicName, keep: usize) -> Ability {
        let deleting = async { delete_records(&self.url, &topic_name(cluster, topic)?, keep).await };
        deleting.await.map_err(|cause| Cannot(format!("the records cannot be deleted: {cause}")))
    }
}
