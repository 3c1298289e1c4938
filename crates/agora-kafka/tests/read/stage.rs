//! A broker or a cluster of one's own, and the ways to write to it.

use std::sync::Arc;
use std::time::Duration;

use agora_core::config::Kafka;
use agora_kafka::brokers::{Brokers, Line, Target};
use agora_kafka::error::Refusal;
use agora_kafka::plan::Plan;
use agora_kafka::read::{FromLane, Hub, Lane};
use agora_testbed::{KafkaBroker, KafkaCluster};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, InitProducerIdRequest,
    InitProducerIdResponse, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, timeout};

use super::made::Batch;

pub(crate) const WAIT: Duration = Duration::from_secs(60);

/// A client with a hub.
pub(crate) struct Client {
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) line: Line,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.brokers.end();
    }
}

impl Client {
    pub(crate) async fn of(addresses: &str) -> Self {
        let mut config = Kafka::default();
        config.brokers = addresses.split(',').map(str::to_owned).collect();
        let brokers = Brokers::connect(Plan::new(&config).unwrap(), Duration::from_secs(20)).await.unwrap();
        let (hub, line) = (Arc::new(Hub::new(&brokers)), brokers.line("a test"));
        Self { brokers, hub, line }
    }

    /// Writes a batch, and returns the offset of its first record.
    pub(crate) async fn produce(&self, topic: &str, partition: i32, batch: &Batch) -> i64 {
        self.produce_bytes(topic, partition, batch.bytes(), None).await
    }

    /// The same in a transaction of this id.
    pub(crate) async fn produce_bytes(
        &self,
        topic: &str,
        partition: i32,
        bytes: Vec<u8>,
        of: Option<&str>,
    ) -> i64 {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(bytes.into()));
        let topics = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(5000)
            .with_transactional_id(of.map(|id| StrBytes::from_string(id.into()).into()))
            .with_topic_data(vec![topics]);
        let code = |answer: &ProduceResponse| answer.responses[0].partition_responses[0].error_code;
        let judge = |answer: &ProduceResponse| Refusal::check(code(answer));
        let target = Target::Leader(topic, partition);
        let each = Duration::from_secs(10);
        let answer = self.line.ask(target, &request, each, Instant::now() + WAIT, judge).await.unwrap();
        answer.responses[0].partition_responses[0].base_offset
    }

    /// Writes numbers, one to a batch, as a producer of its own: a second try after a broker was lost stores none twice.
    pub(crate) async fn count(&self, topic: &str, partition: i32, numbers: impl IntoIterator<Item = u64>) {
        let begin = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let judge = |answer: &InitProducerIdResponse| Refusal::check(answer.error_code);
        let producer = self.line.ask(Target::Any, &begin, WAIT, Instant::now() + WAIT, judge).await.unwrap();
        let (id, epoch) = (producer.producer_id.0, producer.producer_epoch);
        for (sequence, number) in (0..).zip(numbers) {
            let batch = Batch::of_values(0, &[&number.to_string()]);
            let batch = Batch { producer: id, producer_epoch: epoch, sequence, ..batch };
            self.produce(topic, partition, &batch).await;
        }
    }

    /// Has everything before an offset removed.
    pub(crate) async fn trim(&self, topic: &str, partition: i32, before: i64) {
        let of = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
        let topics = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![of]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topics]).with_timeout_ms(5000);
        let judge =
            |answer: &DeleteRecordsResponse| Refusal::check(answer.topics[0].partitions[0].error_code);
        let target = Target::Leader(topic, partition);
        self.line.ask(target, &request, WAIT, Instant::now() + WAIT, judge).await.unwrap();
    }

    pub(crate) async fn delete_topic(&self, topic: &str) {
        let request =
            DeleteTopicsRequest::default().with_topic_names(vec![name(topic)]).with_timeout_ms(5000);
        let answer = self.line.call(Target::Controller, &request, Instant::now() + WAIT).await.unwrap();
        Refusal::check(answer.responses[0].error_code).unwrap();
    }
}

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// A broker with a topic of so many partitions, and a client.
pub(crate) async fn broker(topic: &str, partitions: u32) -> (KafkaBroker, Client) {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic(topic, partitions).await.unwrap();
    let client = Client::of(&broker.address()).await;
    (broker, client)
}

/// The same with three brokers.
pub(crate) async fn cluster(topic: &str, partitions: u32) -> (KafkaCluster, Client) {
    let cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic(topic, partitions).await.unwrap();
    let client = Client::of(&cluster.addresses()).await;
    (cluster, client)
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(WAIT, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// What a lane tells next, as text: `5:value`, `end`, `moved`, `rewound`, `1..3 trimmed`.
pub(crate) async fn next(lane: &mut Lane) -> String {
    let mut into = Vec::new();
    soon("something", lane.recv(1, &mut into)).await.unwrap();
    let words = into.iter().map(|one| match one {
        FromLane::Record(record) => {
            format!("{}:{}", record.offset, String::from_utf8_lossy(&record.raw.payload))
        }
        FromLane::Trimmed { from, until } => format!("{from}..{until} trimmed"),
        FromLane::Unreadable { from, until } => format!("{from}..{until} unreadable"),
        FromLane::CaughtUp => "end".into(),
        FromLane::Moved => "moved".into(),
        FromLane::Rewound => "rewound".into(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Reads up to a record, and returns what came.
pub(crate) async fn until(lane: &mut Lane, last: &str) -> Vec<String> {
    let mut all = Vec::new();
    while all.last().is_none_or(|word| word != last) {
        all.extend(next(lane).await.split(' ').map(str::to_owned));
    }
    all
}
