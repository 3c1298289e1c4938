//! Kafka starts, answers, is killed and comes back with what it had.
#![allow(clippy::unwrap_used, reason = "a test")]

use agora_testbed::{KafkaBroker, KafkaCluster, KafkaVersion};

#[tokio::test]
async fn a_broker_of_either_line_keeps_its_topics_across_a_kill_and_an_orderly_end() {
    for version in [KafkaVersion::V4_1, KafkaVersion::V3_9] {
        let mut broker = KafkaBroker::of(version).await.unwrap();
        broker.create_topic("kept", 3).await.unwrap();
        broker.restart().await.unwrap();
        assert_eq!(broker.topic("kept").await.unwrap().partitions.len(), 3);
        broker.stop().await.unwrap();
        assert_eq!(broker.id(), None);
        broker.begin().await.unwrap();
        assert_eq!(broker.topic("kept").await.unwrap().partitions.len(), 3);
    }
}

#[tokio::test]
async fn a_leader_that_is_killed_or_paused_is_replaced_and_comes_back_in_sync() {
    let mut cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic("led", 2).await.unwrap();
    let old = cluster.leader_of("led", 0).await.unwrap();
    cluster.node(old).kill().unwrap();
    let new = cluster.leader_after("led", 0, old).await.unwrap();
    assert_ne!(new, old);
    cluster.node(old).begin().await.unwrap();
    cluster.ready().await.unwrap();
    cluster.in_sync("led").await.unwrap();

    // And one that is moved, with nobody gone.
    let before = cluster.leader_of("led", 0).await.unwrap();
    let moved = cluster.move_leader("led", 0).await.unwrap();
    assert_ne!(moved, before);
    assert_eq!(cluster.leader_of("led", 0).await.unwrap(), moved);

    cluster.node(moved).pause().unwrap();
    assert_ne!(cluster.leader_after("led", 0, moved).await.unwrap(), moved);
    cluster.node(moved).resume().unwrap();
    cluster.in_sync("led").await.unwrap();
}

#[tokio::test]
async fn whoever_is_killed_is_replaced_and_a_cluster_of_which_most_are_killed_comes_back() {
    let mut cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic("kept", 1).await.unwrap();
    let coordinator = cluster.coordinator_of("group").await.unwrap();
    cluster.node(coordinator).kill().unwrap();
    assert_ne!(cluster.coordinator_of("group").await.unwrap(), coordinator);
    cluster.node(coordinator).begin().await.unwrap();

    let controller = cluster.controller().await.unwrap();
    cluster.node(controller).kill().unwrap();
    assert_ne!(cluster.controller().await.unwrap(), controller);

    // One of three is left, and two come at once: none of them would answer alone.
    let other = (controller + 1) % 3;
    cluster.node(other).kill().unwrap();
    for number in [controller, other] {
        cluster.node(number).spawn().unwrap();
    }
    cluster.ready().await.unwrap();
    cluster.in_sync("kept").await.unwrap();
}
