//! Nodes that are told different things of one topic.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Bus, BusConfig, Start};
use agora_core::event::builtin::CacheInvalidated;
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::memory::Space;
use agora_core::transport::{Framing, TopicSettings};

const TOPIC: &str = "stwt.agora";
const SOON: Duration = Duration::from_secs(60);

async fn join(space: &Space, node: &str, settings: TopicSettings) -> Bus {
    let mut config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new(node).unwrap());
    config.topics.insert(TopicName::new(TOPIC).unwrap(), settings);
    let bus = Bus::open(space.connect(&config.cluster, &config.node), config).unwrap();
    bus.ready(SOON).await.unwrap();
    bus
}

async fn sees(bus: &Bus, node: &str, what: impl Fn(&[agora_core::membership::TopicState]) -> bool) {
    let mut members = bus.members();
    loop {
        let known = members.snapshot();
        if known.iter().any(|m| m.info.name.as_str() == node && what(&m.info.topics)) {
            return;
        }
        tokio::select! {
            _ = members.next() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_another_node_is_told_otherwise_is_refused_and_both_are_named() {
    let space = Space::default();
    let a = join(&space, "a", TopicSettings::LIVE).await;
    let _reader = a.subscribe(TOPIC).start(Start::Live).await.unwrap();
    let each = TopicSettings::LIVE.framing(Framing::Each);
    let b = join(&space, "b", each).await;
    sees(&b, "a", |topics| !topics.is_empty()).await;
    let expected = "another node is told something else of this topic (topic: stwt.agora, here: live, framing each, \
                    wire frame, node: a, there: live, framing batch, wire frame); give all nodes the same `topics` \
                    settings; `agora doctor` shows who differs";
    let refused = b.publisher(TOPIC).unwrap_err();
    assert_eq!(
        (refused.kind(), format!("{refused:#}")),
        (ErrorKind::Conflict, format!("publisher: {expected}"))
    );
    let refused = b.subscribe(TOPIC).start(Start::Live).await.unwrap_err();
    assert_eq!(
        (refused.kind(), format!("{refused:#}")),
        (ErrorKind::Conflict, format!("subscribe: {expected}"))
    );
}

#[tokio::test(start_paused = true)]
async fn heartbeats_name_what_is_read_and_what_is_published() {
    let space = Space::default();
    let a = join(&space, "a", TopicSettings::LIVE).await;
    let b = join(&space, "b", TopicSettings::LIVE).await;
    let _reader = a.subscribe(TOPIC).start(Start::Live).await.unwrap();
    sees(&b, "a", |topics| topics.len() == 1 && !topics[0].publishes).await;
    let stale = CacheInvalidated { cache: "users".into(), entries: Vec::new() };
    a.publisher(TOPIC).unwrap().publish(&stale).await.unwrap();
    sees(&b, "a", |topics| topics.len() == 1 && topics[0].publishes).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_node_that_left_was_told_is_no_conflict() {
    let space = Space::default();
    let a = join(&space, "a", TopicSettings::LIVE).await;
    let b = join(&space, "b", TopicSettings::LOG.framing(Framing::Each)).await;
    a.publisher(TOPIC).unwrap();
    sees(&b, "a", |topics| !topics.is_empty()).await;
    assert_eq!(b.publisher(TOPIC).unwrap_err().kind(), ErrorKind::Conflict);
    a.close(SOON).await.unwrap();
    sees(&b, "a", |_| true).await;
    while b.members().snapshot().iter().any(|member| member.state.is_live()) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    b.publisher(TOPIC).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_the_backend_refused_can_be_asked_for_anew() {
    let space = Space::default();
    let a = join(&space, "a", TopicSettings::LOG).await;
    let stale = CacheInvalidated { cache: "users".into(), entries: Vec::new() };
    a.publisher(TOPIC).unwrap().publish(&stale).await.unwrap();
    let batch = join(&space, "b", TopicSettings::LOG.framing(Framing::Each)).await;
    let refused = batch.publisher(TOPIC).unwrap();
    assert_eq!(refused.publish(&stale).await.unwrap_err().kind(), ErrorKind::Conflict);
    a.close(SOON).await.unwrap();
    let topic = TopicName::new(TOPIC).unwrap();
    let other = join(&space, "c", TopicSettings::LOG).await;
    other.admin().unwrap().delete_topic(&topic).await.unwrap();
    batch.publisher(TOPIC).unwrap().publish(&stale).await.unwrap();
    assert_eq!(refused.publish(&stale).await.unwrap_err().kind(), ErrorKind::Conflict);
}
