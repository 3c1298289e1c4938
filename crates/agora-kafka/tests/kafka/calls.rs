//! Requests to whoever is in charge.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_kafka::brokers::{Brokers, Kind, Target};
use agora_kafka::error::Refusal;
use agora_testbed::KafkaBroker;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, GroupId, ListGroupsRequest, ListOffsetsRequest, ListOffsetsResponse,
    OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::{PATIENCE, by, config, connect, soon};

fn name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn first_offset(topic: &str, partition: i32) -> ListOffsetsRequest {
    let partition = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-2);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_finds_the_leader_the_coordinator_the_controller_and_anybody() {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic("t", 3).await.unwrap();
    let brokers = connect(&config(broker.address())).await;
    let line = brokers.line("test");

    // A broker may name itself the leader of a new partition a moment before it is.
    let judge = |answer: &ListOffsetsResponse| Refusal::check(answer.topics[0].partitions[0].error_code);
    let (target, request) = (Target::Leader("t", 2), first_offset("t", 2));
    let answer = line.ask(target, &request, Duration::from_secs(5), by(), judge).await.unwrap();
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.offset), (0, 0));

    let topics =
        vec![OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0])];
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_topics(Some(topics));
    let judge = |answer: &kafka_protocol::messages::OffsetFetchResponse| Refusal::check(answer.error_code);
    let target = Target::Coordinator(Kind::Group, "g");
    let answer = line.ask(target, &request, Duration::from_secs(5), by(), judge).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].committed_offset, -1);

    let line = brokers.line("another");
    let answer = line.call(Target::Any, &ListGroupsRequest::default(), by()).await.unwrap();
    assert_eq!(answer.error_code, 0);
    grow(&brokers, "t", 5).await;
    brokers.end();
    let error = line.call(Target::Any, &ListGroupsRequest::default(), by()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

async fn grow(brokers: &std::sync::Arc<Brokers>, topic: &str, count: i32) {
    let line = brokers.line("admin");
    let topics = vec![
        CreatePartitionsTopic::default().with_name(name(topic)).with_count(count).with_assignments(None),
    ];
    let request = CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(10_000);
    let answer = line.call(Target::Controller, &request, by()).await.unwrap();
    assert_eq!(answer.results[0].error_code, 0, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_partitions_are_noticed() {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic("t", 1).await.unwrap();
    let brokers = connect(&config(broker.address())).await;
    let mut count = brokers.partitions("t", by()).await.unwrap();
    assert_eq!(*count.borrow(), 1);
    grow(&brokers, "t", 3).await;
    soon("three partitions", count.wait_for(|count| *count == 3)).await.unwrap();
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_with_what_to_do() {
    let broker = KafkaBroker::start().await.unwrap();
    let brokers = connect(&config(broker.address())).await;
    let error = brokers.leader("nowhere", 0, by()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = format!("{error:#}");
    assert!(text.contains("nowhere") && text.contains("agora topics create"), "{text}");
    let error = brokers.partitions("nowhere", by()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // It is made meanwhile: who asks again finds it.
    broker.create_topic("nowhere", 1).await.unwrap();
    let line = brokers.line("test");
    let judge = |answer: &ListOffsetsResponse| Refusal::check(answer.topics[0].partitions[0].error_code);
    let target = Target::Leader("nowhere", 0);
    line.ask(target, &first_offset("nowhere", 0), PATIENCE, by(), judge).await.unwrap();
    let error = brokers.leader("nowhere", 1, by()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    brokers.end();
}
