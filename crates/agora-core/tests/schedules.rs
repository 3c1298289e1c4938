//! Schedules of whole buses, each of which once lost, repeated or misreported something. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Clock, Delivery, Missing, Start, Subscription};
use agora_core::codec::{FrameBuilder, FrameType, RecordParts, Stamp};
use agora_core::event::Event;
use agora_core::id::{ClusterName, Incarnation, NodeId, NodeName, SourceId, StreamId, TopicName};
use agora_core::limits::Limits;
use agora_core::live::Reason;
use agora_core::memory::Space;
use agora_core::transport::{Address, OutFrame, Transport};
use agora_core::{Error, ErrorKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const TOPIC: &str = "stwt.agora";
const SOON: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tick(u64);

impl Event for Tick {
    const KIND: &'static str = "test.tick";
}

#[derive(Serialize, Deserialize)]
struct Large(String);

impl Event for Large {
    const KIND: &'static str = "test.large";
}

fn large() -> Large {
    Large("x".repeat(1_000_000))
}

fn cluster() -> ClusterName {
    ClusterName::new("test").unwrap()
}

fn config(node: &str) -> BusConfig {
    let mut config = BusConfig::new(cluster(), NodeName::new(node).unwrap());
    config.seed = Some(node.bytes().map(u64::from).sum());
    config.clock = Clock::simulated();
    config.limits.memory_bytes = Limits::MEMORY_BYTES_MIN;
    config
}

fn join(space: &Space, node: &str) -> Bus {
    let config = config(node);
    Bus::open(space.connect(&config.cluster, &config.node), config).unwrap()
}

async fn live(bus: &Bus) -> Subscription {
    bus.subscribe(TOPIC).start(Start::Live).await.unwrap()
}

async fn next(events: &mut Subscription) -> Delivery {
    tokio::time::timeout(SOON, events.try_next()).await.expect("nothing came").unwrap().expect("it ended")
}

async fn tick(events: &mut Subscription) -> u64 {
    match next(events).await {
        Delivery::Event(event) => event.decode::<Tick>().unwrap().0,
        other => panic!("{other:?}"),
    }
}

async fn gap(events: &mut Subscription) -> (Missing, Reason) {
    match next(events).await {
        Delivery::Gap(gap) => (gap.missing, gap.reason),
        other => panic!("{other:?}"),
    }
}

/// A is known to publish here, is cut off and held dead. Only then somebody subscribes. What A publishes meanwhile never
/// arrives, and A may never come back: without a gap it would be silent.
#[tokio::test(start_paused = true)]
async fn a_source_held_dead_before_the_first_subscription_is_named() {
    let space = Space::default();
    let (a, b, c) = (join(&space, "a"), join(&space, "b"), join(&space, "c"));
    let publisher = a.publisher(TOPIC).unwrap();
    publisher.publish(&Tick(1)).await.unwrap();
    let mut members = b.members();
    // Long enough for heartbeats that name the topic.
    tokio::time::sleep(Duration::from_secs(3)).await;
    space.faults().isolate("a");
    while members.snapshot().iter().any(|member| member.info.source == a.me() && member.state.is_live()) {
        members.next().await.unwrap();
    }
    let mut events = live(&b).await;
    let expected = Missing::Source { source: a.me(), lane: 0, from: None, to: None };
    assert_eq!(gap(&mut events).await, (expected, Reason::SourceFailed));
    // It comes back, and is heard again.
    space.faults().rejoin("a");
    tokio::time::sleep(Duration::from_secs(3)).await;
    publisher.publish(&Tick(2)).await.unwrap();
    assert_eq!(tick(&mut events).await, 2);
    drop(c);
}

/// Frames of a later version have no content that could be counted, but each is kept while it came early.
#[tokio::test(start_paused = true)]
async fn frames_that_cannot_be_read_are_not_held_without_end() {
    let space = Space::default();
    let b = join(&space, "b");
    let mut events = live(&b).await;
    let stranger = space.connect(&cluster(), &NodeName::new("stranger").unwrap());
    let topic = TopicName::new(TOPIC).unwrap();
    let source = SourceId { node: NodeId(1), incarnation: Incarnation(2) };
    let stream = StreamId::of(&cluster(), &topic, 0);
    let frame = |seq| {
        let mut builder = FrameBuilder::new();
        let (kind, body) = ("test.tick", &[0][..]);
        let (key, id, correlation) = (None, None, None);
        builder.push(&RecordParts { kind, version: 1, resync: false, key, body, id, correlation }).unwrap();
        let stamp = Stamp { source, stream, seq, floor: 1, sent_us: 0 };
        let mut frame = builder.finish(&stamp, FrameType::Data).to_vec();
        frame[4] = 2;
        common::fix_checksum(&mut frame);
        OutFrame::new(Bytes::from(frame))
    };
    let to = Address { topic, lane: 0 };
    // Every other one is missing, so none can be handed over.
    let frames = (0..3_000).map(|n| frame(10 + 2 * n)).collect();
    stranger.publish(&to, frames, Instant::now() + SOON).await.unwrap();
    let mut reasons = Vec::new();
    while !reasons.contains(&Reason::TooFarAhead) {
        reasons.push(gap(&mut events).await.1);
        assert!(reasons.len() < 3_000);
    }
}

/// The transport has the frame, and has not answered, when the bus is closed: it may have been stored.
#[tokio::test(start_paused = true)]
async fn what_is_being_sent_when_the_bus_closes_has_an_unknown_outcome() {
    let space = Space::default();
    let (a, b) = (join(&space, "a"), join(&space, "b"));
    a.ready(SOON).await.unwrap();
    let mut events = live(&b).await;
    let publisher = a.publisher(TOPIC).unwrap();
    space.faults().slow_results("a", Duration::from_secs(20)..=Duration::from_secs(20));
    let outcome = tokio::spawn(publisher.publish(&Tick(1)));
    assert_eq!(tick(&mut events).await, 1);
    let error = a.close(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let error: Error = outcome.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome_known()), (ErrorKind::OutcomeUnknown, false));
}

/// The connection is gone for good: whoever publishes must hear of it, and not wait for ever.
#[tokio::test(start_paused = true)]
async fn a_publish_after_the_end_of_the_connection_fails() {
    let space = Space::default();
    let a = join(&space, "a");
    a.ready(SOON).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    publisher.publish(&Tick(1)).await.unwrap();
    space.faults().crash("a");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let failed = tokio::time::timeout(SOON, publisher.publish(&Tick(2))).await.expect("it waits for ever");
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Closed);
    a.flush(SOON).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_named_twice_is_delivered_once() {
    let space = Space::default();
    let (a, b) = (join(&space, "a"), join(&space, "b"));
    let mut events = b.subscribe([TOPIC, TOPIC]).start(Start::Live).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    for n in 1..=3 {
        publisher.publish(&Tick(n)).await.unwrap();
        assert_eq!(tick(&mut events).await, n);
    }
}

/// The reader was away. All of it has arrived when it goes on: the leave too, which is the first to be looked at.
#[tokio::test(start_paused = true)]
async fn a_leave_does_not_overtake_what_has_arrived() {
    let space = Space::default();
    let (a, b) = (join(&space, "a"), join(&space, "b"));
    let mut events = live(&b).await;
    let publisher = a.publisher(TOPIC).unwrap();
    publisher.publish(&Tick(0)).await.unwrap();
    assert_eq!(tick(&mut events).await, 0);
    space.faults().pause("b");
    // A frame each, more than are taken from the inbox at once.
    for n in 1..=600 {
        publisher.publish(&Tick(n)).await.unwrap();
    }
    a.close(SOON).await.unwrap();
    space.faults().resume("b");
    for n in 1..=600 {
        assert_eq!(tick(&mut events).await, n);
    }
    b.close(SOON).await.unwrap();
    assert!(events.try_next().await.unwrap().is_none(), "and no gap");
}

/// The queue is full, and the first event waits for room. Room comes before it is looked at again.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_room_is_not_overtaken() {
    let space = Space::default();
    let a = join(&space, "a");
    a.ready(SOON).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    space.faults().server_down();
    while publisher.try_publish(&large()).is_ok() {}
    let waits = publisher.publish(&large());
    space.faults().server_up();
    a.flush(SOON).await.unwrap();
    assert_eq!(publisher.try_publish(&Tick(1)).unwrap_err().kind(), ErrorKind::QueueFull);
    let later = publisher.publish(&Tick(2));
    let (first, second) = (waits.await.unwrap(), later.await.unwrap());
    assert!(first.seq < second.seq, "{first:?} {second:?}");
    publisher.try_publish(&Tick(3)).unwrap();
}

/// With the backend down from the start nothing was ever sent, and nothing waits.
#[tokio::test(start_paused = true)]
async fn a_bus_that_never_reached_its_backend_closes_at_once() {
    let space = Space::default();
    space.faults().server_down();
    let a = join(&space, "a");
    let publisher = a.publisher(TOPIC).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    a.close(SOON).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(publisher.publish(&Tick(1)).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn times_out_of_range_are_refused() {
    let space = Space::default();
    for (age, timeout) in [(Duration::MAX, SOON), (SOON, Duration::MAX), (SOON, Duration::from_millis(1))] {
        let mut config = config("a");
        config.limits.repair_age = age;
        config.limits.publish_timeout = timeout;
        let error = Bus::open(space.connect(&config.cluster, &config.node), config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("limits."), "{error}");
    }
}
