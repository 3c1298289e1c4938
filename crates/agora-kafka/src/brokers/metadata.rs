//! What the brokers say of the cluster: who they are, who leads what.

use std::collections::BTreeMap;

use agora_core::Result;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{Refusal, error};
use crate::wire::Address;
use agora_core::ErrorKind;

/// The most brokers of a cluster that are remembered.
const BROKERS_MAX: usize = 4096;
/// The most partitions of a topic that are remembered.
const PARTITIONS_MAX: usize = 65_536;

/// What is known of a cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Where each broker listens, by its id.
    pub brokers: BTreeMap<i32, Address>,
    /// The id of the controller, or of a broker that passes on to it.
    pub controller: Option<i32>,
    /// The id of the cluster.
    pub cluster: Option<String>,
    /// The topics that were asked for, by their names on the server.
    pub topics: BTreeMap<String, Topic>,
}

/// What is known of a topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// When it was asked for.
    pub asked: Instant,
    /// Its id, which another topic of the same name has not; `None`: the brokers give none.
    pub id: Option<Uuid>,
    /// Its partitions by number, or why nothing is known of them.
    pub partitions: Result<BTreeMap<i32, Partition>, Refusal>,
}

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The id of the broker that leads it; `None`: nobody does now.
    pub leader: Option<i32>,
    /// How often the leader has changed; -1: not known.
    pub leader_epoch: i32,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}

impl View {
    /// What it becomes with an answer to a question that was asked at this moment.
    pub(super) fn with(&self, answer: &MetadataResponse, asked: Instant) -> Self {
        let mut view = self.clone();
        let brokers = answer.brokers.iter().take(BROKERS_MAX).filter_map(|broker| {
            let port = u16::try_from(broker.port).ok().filter(|port| *port != 0)?;
            let host = broker.host.as_str();
            (!host.is_empty() && host.len() <= 255)
                .then(|| (broker.node_id.0, Address { host: host.to_owned(), port }))
        });
        view.brokers = brokers.collect();
        view.controller = Some(answer.controller_id.0).filter(|id| *id >= 0);
        view.cluster = answer.cluster_id.as_ref().map(|id| id.as_str().to_owned());
        for topic in &answer.topics {
            let Some(name) = &topic.name else { continue };
            view.topics.insert(name.as_str().to_owned(), Topic::new(topic, asked));
        }
        view
    }

    /// How many partitions have fewer replicas in sync than they should.
    pub(super) fn short(&self) -> usize {
        let topics = self.topics.values().filter_map(|topic| topic.partitions.as_ref().ok());
        let is_short = |partition: &&Partition| partition.in_sync.len() < partition.replicas.len();
        topics.flat_map(BTreeMap::values).filter(is_short).count()
    }

    /// Who leads a partition.
    ///
    /// # Errors
    /// `NotFound`: there is no such topic or partition. `Unreachable`: nobody leads it, or nothing is known of the topic.
    pub fn partition(&self, topic: &str, partition: i32) -> Result<&Partition> {
        let known = self.topics.get(topic).ok_or_else(|| {
            error(ErrorKind::Unreachable, "nothing is known of the topic yet").context("topic", topic)
        })?;
        let of =
            |refusal: Refusal| refusal.into_error().context("topic", topic).context("partition", partition);
        let partitions = known.partitions.as_ref().map_err(|refusal| of(refusal.clone()))?;
        partitions.get(&partition).ok_or_else(|| of(Refusal::unknown_partition()))
    }
}

impl Topic {
    pub(crate) fn new(answer: &MetadataResponseTopic, asked: Instant) -> Self {
        let partition = |partition: &MetadataResponsePartition| {
            let index = Some(partition.partition_index).filter(|index| *index >= 0)?;
            Some((index, Partition::new(partition)))
        };
        let partitions = Refusal::check(answer.error_code)
            .map(|()| answer.partitions.iter().take(PARTITIONS_MAX).filter_map(partition).collect());
        Self { asked, id: Some(answer.topic_id).filter(|id| !id.is_nil()), partitions }
    }

    /// How many partitions it has; `None`: not known now.
    pub fn count(&self) -> Option<u32> {
        self.partitions.as_ref().ok().and_then(|partitions| u32::try_from(partitions.len()).ok())
    }
}

impl Partition {
    fn new(answer: &MetadataResponsePartition) -> Self {
        let ids = |nodes: &[kafka_protocol::messages::BrokerId]| nodes.iter().map(|id| id.0).collect();
        Self {
            leader: Some(answer.leader_id.0).filter(|id| *id >= 0),
            leader_epoch: answer.leader_epoch,
            replicas: ids(&answer.replica_nodes),
            in_sync: ids(&answer.isr_nodes),
        }
    }
}
