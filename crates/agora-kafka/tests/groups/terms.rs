//! How a member is treated: its session, its name, what it may take its time for, and what changes under it.

use std::time::Duration;

use agora_core::transport::FromGroup;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{CreatePartitionsRequest, DeleteRecordsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use agora_kafka::brokers::Target;

use crate::support::{Node, SOON, broker, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_too_short_for_the_brokers_is_lengthened() {
    let (_broker, node) = broker("work", 1).await;
    node.write(0, [1]).await;
    let mut entry = node.entry();
    entry.session_timeout = Duration::from_secs(5);
    let mut member = node.enter(entry).await;
    let job = member.job().await;
    member.ack(&job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_a_name_of_its_own_keeps_its_lanes_while_it_is_restarted() {
    let (_broker, node) = broker("work", 4).await;
    let named = |name: &str| {
        let mut entry = node.entry();
        entry.instance = Some(name.to_owned());
        entry.session_timeout = Duration::from_secs(20);
        entry
    };
    let (mut first, mut second) = (node.enter(named("a")).await, node.enter(named("b")).await);
    tokio::join!(first.has_lanes(2), second.has_lanes(2));
    let lanes = first.lanes.clone();
    first.leave().await;
    let mut first = node.enter(named("a")).await;
    first.has_lanes(2).await;
    assert_eq!(first.lanes, lanes);
    let nothing = tokio::time::timeout(Duration::from_secs(1), second.next(1)).await;
    assert!(nothing.is_err(), "the other one was not asked: {nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_members_of_one_name_the_first_is_told_that_it_has_lost() {
    let (_broker, node) = broker("work", 1).await;
    let mut entry = node.entry();
    entry.instance = Some("a".to_owned());
    let mut first = node.enter(entry).await;
    first.has_lanes(1).await;
    let mut entry = node.entry();
    entry.instance = Some("a".to_owned());
    let mut second = node.enter(entry).await;
    second.has_lanes(1).await;
    assert!(matches!(soon("the loss", first.next(1)).await, Ok(FromGroup::Lost { lanes }) if lanes == [0]));
    let error = soon("the reason", first.next(1)).await.unwrap_err();
    assert_eq!(error.kind(), agora_core::ErrorKind::Conflict, "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_longer_to_give_its_lanes_back_than_the_lease_loses_them() {
    let (_broker, node) = broker("work", 1).await;
    node.write(0, [1]).await;
    let mut entry = node.entry();
    entry.spec.lease = Duration::from_secs(8);
    let mut slow = node.enter(entry).await;
    let job = slow.job().await;
    let mut entry = node.entry();
    entry.spec.lease = Duration::from_secs(8);
    let second = node.enter(entry).await;
    let mut kept = None;
    let lost = soon("the loss", async {
        loop {
            match slow.next(0).await.unwrap() {
                FromGroup::Revoking { done, .. } => kept = Some(done),
                FromGroup::Lost { lanes } => return lanes,
                _ => {}
            }
        }
    });
    assert_eq!(lost.await, [0]);
    assert!(kept.is_some());
    slow.refuses(&job).await;
    drop(second);
    let again = slow.job().await;
    assert_eq!((again.number, again.attempt), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_took_is_told_with_its_count() {
    let (_broker, node) = broker("work", 1).await;
    node.write(0, 1..=10).await;
    let mut member = node.join().await;
    let job = member.job().await;
    member.ack(&job).await;
    member.leave().await;
    let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(6);
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("work")))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5000);
    let line = node.brokers.line("retention of a test");
    line.ask(Target::Leader("work", 0), &request, SOON, Instant::now() + SOON, |_| Ok(())).await.unwrap();
    let mut member = node.join().await;
    let told = soon("what is gone", async {
        loop {
            if let FromGroup::Trimmed { lane, records } = member.next(1).await.unwrap() {
                return (lane, records);
            }
        }
    });
    assert_eq!(told.await, (0, Some(5)));
    assert_eq!(member.job().await.number, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_come_later_are_shared_out_and_read_from_their_beginning() {
    let (broker, node) = broker("work", 1).await;
    let mut entry = node.entry();
    entry.spec.start = agora_core::transport::GroupStart::Latest;
    let mut member = node.enter(entry).await;
    member.has_lanes(1).await;
    let topic = CreatePartitionsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("work")))
        .with_count(2)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(5000);
    let line = node.brokers.line("partitions of a test");
    line.ask(Target::Controller, &request, SOON, Instant::now() + SOON, |_| Ok(())).await.unwrap();
    Node::connect(&broker.address(), "work", "group").await.write(1, [7]).await;
    let job = member.job().await;
    assert_eq!((job.lane, job.number), (1, 7));
    assert_eq!(member.lanes.len(), 2);
}
