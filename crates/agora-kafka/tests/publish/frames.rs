//! Frames of agora, many events to one: they go the way of all records.

use agora_core::config::{Sasl, Secret};
use agora_core::transport::{TopicSettings, TopicSpec, Transport};
use agora_testbed::kafka::{PASSWORD, USER};
use agora_testbed::{KafkaBroker, KafkaCluster};
use tokio::time::Instant;

use crate::support::{PATIENCE, config, connect, connect_as, numbered, numbers, publish, soon, to, topic};

/// A log of frames.
pub(crate) fn batch(name: &str, lanes: u32) -> TopicSpec {
    let mut settings = TopicSettings::LOG;
    settings.lanes = Some(lanes);
    TopicSpec { name: topic(name), settings }
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
    assert_eq!(numbers(&cluster.url(), "stopped", 0).await, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_used_first_after_its_leader_has_moved_is_found() {
    let cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic("moved", 2).await.unwrap();
    let transport = connect(&cluster.url()).await;
    transport.open(&batch("moved", 2)).await.unwrap();
    publish(&transport, &to("moved", 0), vec![numbered(0)]).await.unwrap();
    cluster.move_leader("moved", 1).await.unwrap();
    publish(&transport, &to("moved", 1), vec![numbered(1)]).await.unwrap();
    assert_eq!(numbers(&cluster.url(), "moved", 1).await, [1]);
}

#[tokio::test]
async fn frames_go_over_tls_and_say_who_they_are_from() {
    let broker = KafkaBroker::secured().await.unwrap();
    for sasl in [Sasl::ScramSha512, Sasl::ScramSha256, Sasl::Plain] {
        let mut config = config(&format!("kafka://{}", broker.tls_address()));
        (config.tls, config.tls_ca_file) = (true, Some(broker.papers().ca()));
        (config.sasl, config.user) = (Some(sasl), Some(USER.into()));
        config.password = Some(Secret::new(PASSWORD));
        let transport = connect_as(&config).await;
        transport.open(&batch("secured", 1)).await.unwrap();
        publish(&transport, &to("secured", 0), vec![numbered(1)]).await.unwrap();
    }
    assert_eq!(numbers(&broker.url(), "secured", 0).await, [1, 1, 1]);
}
