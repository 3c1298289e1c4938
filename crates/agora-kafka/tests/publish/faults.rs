//! Publishing while brokers fail: nothing that was acknowledged is lost, and a stranger finds nothing twice.

use std::time::Duration;

use agora_core::transport::Transport;
use agora_testbed::{KafkaBroker, KafkaCluster};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::support::{PATIENCE, connect, each, numbered, numbers, publish, soon, to};

/// How many are acknowledged before the next thing happens.
const SOME: u64 = 500;

/// Publishes numbers in calls of five, several at once, until told to stop, and tells how many are acknowledged. Returns how
/// many were: all.
async fn stream(
    url: String,
    name: &'static str,
    told: watch::Sender<u64>,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> u64 {
    let transport = connect(&url).await;
    let (mut next, mut calls) = (0, std::collections::VecDeque::new());
    while stop.try_recv().is_err() {
        while calls.len() < 10 {
            let frames = (next..next + 5).map(numbered).collect();
            calls.push_back(transport.publish(&to(name, 0), frames, Instant::now() + PATIENCE / 2));
            next += 5;
        }
        calls.pop_front().unwrap().await.unwrap();
        told.send_modify(|acknowledged| *acknowledged += 5);
    }
    for call in calls {
        call.await.unwrap();
    }
    next
}

/// Waits until some more are acknowledged.
async fn flows(told: &mut watch::Receiver<u64>) {
    let due = *told.borrow() + SOME;
    soon("acknowledgements", told.wait_for(|acknowledged| *acknowledged >= due)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_in_the_middle_loses_nothing_and_stores_nothing_twice() {
    let mut broker = KafkaBroker::start().await.unwrap();
    broker.create_topic("killed", 1).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (tell, mut told) = watch::channel(0);
    let streaming = tokio::spawn(stream(broker.url(), "killed", tell, stopped));
    for _ in 0..2 {
        flows(&mut told).await;
        broker.restart().await.unwrap();
    }
    flows(&mut told).await;
    stop.send(()).unwrap();
    let count = streaming.await.unwrap();
    assert_eq!(numbers(&broker.url(), "killed", 0).await, (0..count).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_that_are_moved_killed_and_stopped_lose_nothing_and_store_nothing_twice() {
    let mut cluster = KafkaCluster::start(3).await.unwrap();
    cluster.create_topic("led", 1).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (tell, mut told) = watch::channel(0);
    let streaming = tokio::spawn(stream(cluster.url(), "led", tell, stopped));
    flows(&mut told).await;
    cluster.move_leader("led", 0).await.unwrap();
    flows(&mut told).await;
    let killed = cluster.leader_of("led", 0).await.unwrap();
    cluster.node(killed).kill().unwrap();
    cluster.leader_after("led", 0, killed).await.unwrap();
    cluster.node(killed).begin().await.unwrap();
    cluster.ready().await.unwrap();
    cluster.in_sync("led").await.unwrap();
    flows(&mut told).await;
    let stopped = cluster.leader_of("led", 0).await.unwrap();
    cluster.node(stopped).pause().unwrap();
    cluster.leader_after("led", 0, stopped).await.unwrap();
    cluster.node(stopped).resume().unwrap();
    cluster.move_leader("led", 0).await.unwrap();
    flows(&mut told).await;
    stop.send(()).unwrap();
    let count = streaming.await.unwrap();
    assert_eq!(numbers(&cluster.url(), "led", 0).await, (0..count).collect::<Vec<_>>());
}

#[tokio::test]
async fn while_the_broker_is_stopped_a_publish_ends_by_its_deadline_and_goes_on_afterwards() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&each("stopped", 1)).await.unwrap();
    publish(&transport, &to("stopped", 0), vec![numbered(0)]).await.unwrap();
    broker.pause().unwrap();
    let by = Instant::now() + Duration::from_secs(1);
    let frames = vec![numbered(1), numbered(2)];
    let failed = transport.publish(&to("stopped", 0), frames.clone(), by).await.unwrap_err();
    assert_eq!(failed.accepted, 0);
    broker.resume().unwrap();
    // Whoever brings the same records again does not have them stored twice.
    publish(&transport, &to("stopped", 0), frames).await.unwrap();
    publish(&transport, &to("stopped", 0), vec![numbered(3)]).await.unwrap();
    assert_eq!(numbers(&broker.url(), "stopped", 0).await, [0, 1, 2, 3]);
}
