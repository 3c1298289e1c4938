//! A topic on a broker of its own, what stands in it, and members of a group that work on it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agora_core::config::Kafka;
use agora_core::id::GroupName;
use agora_core::transport::{FromGroup, GroupInbox, GroupSpec, GroupStart, Settle, Token};
use agora_core::{Error, ErrorKind};
use agora_kafka::brokers::{Brokers, Kind, Target};
use agora_kafka::error::Refusal;
use agora_kafka::group::{self, Entry};
use agora_kafka::plan::Plan;
use agora_kafka::read::Hub;
use agora_testbed::{KafkaBroker, KafkaCluster};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    GroupId, InitProducerIdRequest, InitProducerIdResponse, OffsetFetchRequest, ProduceRequest,
    ProduceResponse, ProducerId, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use tokio::time::{Instant, timeout};

/// Longer than anything here takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// A session that is over soon. The brokers of these tests allow it.
pub(crate) const SESSION: Duration = Duration::from_secs(6);

/// What comes soon, or a test that fails.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} did not come within {SOON:?}"))
}

/// One node, connected.
pub(crate) struct Node {
    hub: Arc<Hub>,
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) topic: String,
    pub(crate) group: String,
}

impl Node {
    /// Connected to a broker, or to the first one of `addresses` that answers.
    pub(crate) async fn connect(addresses: &str, topic: &str, group: &str) -> Self {
        let mut config = Kafka::default();
        config.brokers = addresses.split(',').map(str::to_owned).collect();
        let brokers = Brokers::connect(Plan::new(&config).unwrap(), SOON).await.unwrap();
        // The topic in which groups are kept is made for the first one, which takes a cluster longer than joining waits.
        brokers.coordinator(Kind::Group, group, Instant::now() + SOON).await.unwrap();
        Self { hub: Arc::new(Hub::new(&brokers)), brokers, topic: topic.to_owned(), group: group.to_owned() }
    }

    pub(crate) fn entry(&self) -> Entry {
        let spec = GroupSpec {
            name: GroupName::new("group").unwrap(),
            start: GroupStart::Earliest,
            lease: Duration::from_secs(30),
        };
        Entry {
            group: self.group.clone(),
            topic: self.topic.clone(),
            spec,
            session_timeout: SESSION,
            instance: None,
        }
    }

    pub(crate) async fn join(&self) -> Member {
        self.enter(self.entry()).await
    }

    pub(crate) async fn enter(&self, entry: Entry) -> Member {
        Member::of(group::join(&self.brokers, &self.hub, entry).await.unwrap())
    }

    /// Writes these numbers to a lane, one a record, each once: as a producer of its own, so that a second try after a broker
    /// was lost is known again.
    pub(crate) async fn write(&self, lane: i32, numbers: impl IntoIterator<Item = u64>) {
        let line = self.brokers.line("writes of a test");
        let by = Instant::now() + SOON;
        let begin = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let judge = |answer: &InitProducerIdResponse| Refusal::check(answer.error_code);
        let producer = line.ask(Target::Any, &begin, SOON, by, judge).await.unwrap();
        let record = |(at, number): (usize, u64)| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: producer.producer_id.0,
            producer_epoch: producer.producer_epoch,
            timestamp_type: TimestampType::Creation,
            offset: at as i64,
            sequence: at as i32,
            timestamp: 1_700_000_000_000,
            key: None,
            value: Some(Bytes::from(number.to_string())),
            headers: Default::default(),
        };
        let records: Vec<Record> = numbers.into_iter().enumerate().map(record).collect();
        let mut bytes = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
        let partition = PartitionProduceData::default().with_index(lane).with_records(Some(bytes.freeze()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(self.topic.clone())))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(5000)
            .with_topic_data(vec![topic]);
        let judge = |answer: &ProduceResponse| {
            let all = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
            all.map(|partition| partition.error_code).try_for_each(Refusal::check)
        };
        line.ask(Target::Leader(&self.topic, lane), &request, SOON, by, judge).await.unwrap();
    }

    /// What the group has committed for a lane, and what stands beside it.
    pub(crate) async fn committed(&self, lane: i32) -> (i64, String) {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(self.topic.clone())))
            .with_partition_indexes(vec![lane]);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(self.group.clone())))
            .with_topics(Some(vec![topic]));
        let line = self.brokers.line("questions of a test");
        let target = Target::Coordinator(Kind::Group, &self.group);
        let answer = line.ask(target, &request, SOON, Instant::now() + SOON, |_| Ok(())).await.unwrap();
        let partition = &answer.topics[0].partitions[0];
        (
            partition.committed_offset,
            partition.metadata.as_ref().map_or(String::new(), |text| text.to_string()),
        )
    }
}

/// A record that a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) lane: u32,
    pub(crate) number: u64,
    pub(crate) token: Token,
    pub(crate) attempt: u32,
}

/// A member, and what it was told and not asked for yet.
pub(crate) struct Member {
    pub(crate) inbox: Box<dyn GroupInbox>,
    waiting: std::vec::IntoIter<FromGroup>,
    /// The lanes that are its own.
    pub(crate) lanes: BTreeSet<u32>,
}

impl Member {
    pub(crate) fn of(inbox: Box<dyn GroupInbox>) -> Self {
        Self { inbox, waiting: Vec::new().into_iter(), lanes: BTreeSet::new() }
    }

    /// The next thing, as it is.
    pub(crate) async fn next(&mut self, records_max: usize) -> Result<FromGroup, Error> {
        loop {
            if let Some(next) = self.waiting.next() {
                match &next {
                    FromGroup::Assigned { lanes } => self.lanes.extend(lanes),
                    FromGroup::Revoking { lanes, .. } | FromGroup::Lost { lanes } => {
                        self.lanes.retain(|lane| !lanes.contains(lane));
                    }
                    _ => {}
                }
                return Ok(next);
            }
            let mut into = Vec::new();
            self.inbox.recv(records_max, &mut into).await?;
            self.waiting = into.into_iter();
        }
    }

    /// The next record. Lanes come and go; those that are asked back are given back at once.
    pub(crate) async fn next_job(&mut self) -> Job {
        loop {
            match self.next(1).await.unwrap() {
                FromGroup::Message { raw, token, attempt, at } => {
                    let number = std::str::from_utf8(&raw.payload).unwrap().parse().unwrap();
                    assert!(
                        self.lanes.contains(&raw.lane),
                        "{at:?} is of the lane {}: {:?}",
                        raw.lane,
                        self.lanes
                    );
                    return Job { lane: raw.lane, number, token, attempt };
                }
                FromGroup::Revoking { done, .. } => _ = done.send(()),
                FromGroup::Assigned { .. } | FromGroup::Lost { .. } => {}
                other => panic!("a record was due, and this came: {other:?}"),
            }
        }
    }

    pub(crate) async fn job(&mut self) -> Job {
        soon("a record", self.next_job()).await
    }

    pub(crate) async fn jobs(&mut self, count: usize) -> Vec<Job> {
        let mut jobs = Vec::new();
        while jobs.len() < count {
            jobs.push(self.job().await);
        }
        jobs
    }

    /// Waits until its lanes are as many, and takes no records.
    pub(crate) async fn has_lanes(&mut self, count: usize) {
        let having = async {
            while self.lanes.len() != count {
                if let FromGroup::Revoking { done, .. } = self.next(0).await.unwrap() {
                    let _ = done.send(());
                }
            }
        };
        soon("the lanes", having).await;
    }

    pub(crate) async fn settle(&self, job: &Job, how: Settle) -> Result<(), Error> {
        soon("settling", self.inbox.settle(job.token, how)).await
    }

    pub(crate) async fn ack(&self, job: &Job) {
        self.settle(job, Settle::Ack).await.unwrap();
    }

    /// The right to settle is void.
    pub(crate) async fn refuses(&self, job: &Job) {
        for how in [Settle::Extend, Settle::Ack, Settle::Release] {
            assert_eq!(self.settle(job, how).await.unwrap_err().kind(), ErrorKind::Conflict, "{how:?}");
        }
    }

    pub(crate) async fn leave(self) {
        soon("leaving", self.inbox.leave()).await.unwrap();
    }

    /// Ends without a word to anybody: all connections of its node are closed before it is dropped.
    pub(crate) fn crash(self, node: &Node) {
        node.brokers.end();
    }
}

/// A broker with a topic, and a node that is connected to it.
pub(crate) async fn broker(topic: &str, lanes: u32) -> (KafkaBroker, Node) {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic(topic, lanes).await.unwrap();
    let node = Node::connect(&broker.address(), topic, "group").await;
    (broker, node)
}

/// Three brokers with a topic, and a node that is connected to them.
pub(crate) async fn cluster(topic: &str, lanes: u32) -> (KafkaCluster, Node) {
    let cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic(topic, lanes).await.unwrap();
    let node = Node::connect(&cluster.addresses(), topic, "group").await;
    (cluster, node)
}
