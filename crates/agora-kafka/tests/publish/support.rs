//! What the tests have in common.

use std::time::Duration;

use agora_core::config::Kafka;
use agora_core::id::{ClusterName, TopicName};
use agora_core::transport::{Address, Link, OutFrame, PublishFailed, TopicSettings, TopicSpec, Transport};
use agora_kafka::KafkaTransport;
use agora_kafka::brokers::{Brokers, Target};
use agora_kafka::plan::Plan;
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, TopicName as Name};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Record, RecordBatchDecoder};
use tokio::time::{Instant, timeout};

/// Long enough for everything that must happen, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The cluster whose topics have plain names.
pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("default").unwrap()
}

/// The configuration of a URL of the testbed.
pub(crate) fn config(url: &str) -> Kafka {
    let mut config = Kafka::default();
    let brokers = url.strip_prefix("kafka://").unwrap();
    config.brokers = brokers.split(',').map(str::to_owned).collect();
    config
}

/// Connects, and is up.
pub(crate) async fn connect(url: &str) -> KafkaTransport {
    connect_as(&config(url)).await
}

/// The same with a configuration.
pub(crate) async fn connect_as(config: &Kafka) -> KafkaTransport {
    let transport = KafkaTransport::connect(config, &cluster(), PATIENCE).await.unwrap();
    let mut link = transport.link();
    soon("the link is up", link.wait_for(|link| *link == Link::Up)).await.unwrap();
    transport
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// A log that strangers read.
pub(crate) fn each(name: &str, lanes: u32) -> TopicSpec {
    let mut settings = TopicSettings::LOG.framing(agora_core::transport::Framing::Each);
    settings.lanes = Some(lanes);
    TopicSpec { name: topic(name), settings }
}

pub(crate) fn to(name: &str, lane: u32) -> Address {
    Address { topic: topic(name), lane }
}

/// A message that holds a number.
pub(crate) fn numbered(number: u64) -> OutFrame {
    OutFrame::new(number.to_string())
}

pub(crate) async fn publish(
    transport: &KafkaTransport,
    to: &Address,
    frames: Vec<OutFrame>,
) -> Result<(), PublishFailed> {
    soon("a publish", transport.publish(to, frames, Instant::now() + PATIENCE / 2)).await
}

/// All records that a partition holds, as a client sees them that knows nothing of agora.
pub(crate) async fn read_all(url: &str, topic: &str, partition: i32) -> Vec<Record> {
    let brokers = Brokers::connect(Plan::new(&config(url)).unwrap(), PATIENCE).await.unwrap();
    let line = brokers.line("a reader");
    let (by, mut records) = (Instant::now() + PATIENCE, Vec::<Record>::new());
    loop {
        let at = records.last().map_or(0, |record| record.offset + 1);
        let asked = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(at)
            .with_partition_max_bytes(8 << 20);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(0)
            .with_max_bytes(8 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![
                FetchTopic::default()
                    .with_topic(Name(StrBytes::from_string(topic.to_owned())))
                    .with_partitions(vec![asked]),
            ]);
        let judge = |answer: &kafka_protocol::messages::FetchResponse| {
            agora_kafka::error::Refusal::check(answer.responses[0].partitions[0].error_code)
        };
        let leader = Target::Leader(topic, partition);
        let answer = line.ask(leader, &request, Duration::from_secs(5), by, judge).await.unwrap();
        let answer = answer.responses.into_iter().next().unwrap().partitions.into_iter().next().unwrap();
        let mut bytes = answer.records.unwrap_or_default();
        while bytes.len() > 12 {
            let length = i32::from_be_bytes(bytes[8..12].try_into().unwrap());
            if bytes.len() < 12 + usize::try_from(length).unwrap() {
                break;
            }
            let batch = RecordBatchDecoder::decode(&mut bytes).unwrap();
            records.extend(batch.records.into_iter().filter(|record| record.offset >= at));
        }
        if records.last().map_or(0, |record| record.offset + 1) >= answer.high_watermark {
            brokers.end();
            return records;
        }
    }
}

/// The numbers that a partition holds.
pub(crate) async fn numbers(url: &str, topic: &str, partition: i32) -> Vec<u64> {
    let number = |record: Record| -> u64 {
        let value: Bytes = record.value.unwrap();
        std::str::from_utf8(&value).unwrap().parse().unwrap()
    };
    read_all(url, topic, partition).await.into_iter().map(number).collect()
}
