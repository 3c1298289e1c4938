//! Frames of agora: whatever rskafka hangs on, a publish ends, and the next one goes on.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::config::{Sasl, Secret};
use agora_core::transport::{Link, Outcome, TopicSettings, TopicSpec, Transport};
use agora_kafka::KafkaTransport;
use agora_testbed::kafka::{PASSWORD, USER};
use agora_testbed::{KafkaBroker, KafkaCluster};
use tokio::time::Instant;

use crate::support::{PATIENCE, cluster, config, connect, numbered, numbers, publish, soon, to, topic};

/// A log of frames.
pub(crate) fn batch(name: &str, lanes: u32) -> TopicSpec {
    let mut settings = TopicSettings::LOG;
    settings.lanes = Some(lanes);
    TopicSpec { name: topic(name), settings }
}

/// Numbers without those that came twice, in their order. A receiver does the same.
fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

#[tokio::test]
async fn frames_of_a_call_and_calls_keep_their_order_while_nothing_fails() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&batch("frames", 1)).await.unwrap();
    let by = Instant::now() + PATIENCE;
    let mut calls: Vec<_> = (0..50)
        .map(|call| {
            let frames = (call * 8..call * 8 + 8).map(numbered).collect();
            transport.publish(&to("frames", 0), frames, by)
        })
        .collect();
    while let Some(last) = calls.pop() {
        soon("a publish", last).await.unwrap();
    }
    assert_eq!(numbers(&broker.url(), "frames", 0).await, (0..400).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_leader_holds_frames_up_until_another_one_leads_and_no_longer() {
    let mut cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic("stopped", 1).await.unwrap();
    let transport = connect(&cluster.url()).await;
    transport.open(&batch("stopped", 1)).await.unwrap();
    publish(&transport, &to("stopped", 0), vec![numbered(0)]).await.unwrap();
    let stopped = cluster.leader_of("stopped", 0).await.unwrap();
    cluster.node(stopped).pause().unwrap();
    let frames: Vec<_> = (1..=4).map(numbered).collect();
    // As the engine does: again, until it is told that they are stored.
    let stored = async { while publish(&transport, &to("stopped", 0), frames.clone()).await.is_err() {} };
    soon("frames are stored while the former leader is still stopped", stored).await;
    cluster.node(stopped).resume().unwrap();
    cluster.in_sync("stopped").await.unwrap();
    assert_eq!(sorted(numbers(&cluster.url(), "stopped", 0).await), [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_used_first_after_its_leader_has_moved_is_found_at_once() {
    let cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic("moved", 2).await.unwrap();
    // Without a look at all topics before it, none of many tries comes to its end in less than ten seconds.
    let mut is_found = false;
    for _ in 0..5 {
        let transport = connect(&cluster.url()).await;
        transport.open(&batch("moved", 2)).await.unwrap();
        publish(&transport, &to("moved", 0), vec![numbered(0)]).await.unwrap();
        cluster.move_leader("moved", 1).await.unwrap();
        let by = Instant::now() + Duration::from_millis(2500);
        is_found = transport.publish(&to("moved", 1), vec![numbered(1)], by).await.is_ok();
        if is_found {
            break;
        }
    }
    assert!(is_found);
}

#[tokio::test]
async fn while_the_broker_is_stopped_frames_end_by_their_deadline() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&batch("held", 2)).await.unwrap();
    publish(&transport, &to("held", 0), vec![numbered(0)]).await.unwrap();
    broker.pause().unwrap();
    let by = || Instant::now() + Duration::from_secs(1);
    // The signal may reach the broker later than a message does.
    let failed = loop {
        let sent = transport.publish(&to("held", 0), vec![numbered(1)], by());
        if let Err(failed) = soon("a publish that was sent", sent).await {
            break failed;
        }
    };
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::Unknown));
    let unsent = transport.publish(&to("held", 1), vec![numbered(2)], by());
    let failed = soon("a publish that could not be sent", unsent).await.unwrap_err();
    assert_eq!(failed.accepted, 0);
    let by = by();
    let _before = transport.publish(&to("held", 0), vec![numbered(3)], by + PATIENCE);
    let behind = transport.publish(&to("held", 0), vec![numbered(3)], by);
    let failed = soon("a publish that waited", behind).await.unwrap_err();
    assert_eq!(
        (failed.accepted, failed.outcome, failed.error.kind()),
        (0, Outcome::NotStored, ErrorKind::Timeout)
    );
    broker.resume().unwrap();
    publish(&transport, &to("held", 0), vec![numbered(4)]).await.unwrap();
    assert_eq!(sorted(numbers(&broker.url(), "held", 0).await).last(), Some(&4));
}

#[tokio::test]
async fn frames_go_over_tls_and_say_who_they_are_from() {
    let broker = KafkaBroker::secured().await.unwrap();
    for sasl in [Sasl::ScramSha512, Sasl::ScramSha256, Sasl::Plain] {
        let mut config = config(&format!("kafka://{}", broker.tls_address()));
        (config.tls, config.tls_ca_file) = (true, Some(broker.papers().ca()));
        (config.sasl, config.user) = (Some(sasl), Some(USER.into()));
        config.password = Some(Secret::new(PASSWORD));
        let transport = KafkaTransport::connect(&config, &cluster(), PATIENCE).await.unwrap();
        assert_eq!(*transport.link().borrow(), Link::Up);
        transport.open(&batch("secured", 1)).await.unwrap();
        publish(&transport, &to("secured", 0), vec![numbered(1)]).await.unwrap();
    }
    assert_eq!(numbers(&broker.url(), "secured", 0).await, [1, 1, 1]);
}
