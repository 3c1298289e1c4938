//! The bus over the in-memory transport, as an application uses it. Time is paused: nothing here waits for a clock.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Bus, BusConfig, Clock, Delivery, Missing, Start, Subscription};
use agora_core::event::{Event, Events, Key, Unknown};
use agora_core::id::{ClusterName, NodeName};
use agora_core::membership::MemberState;
use agora_core::memory::{Space, SpaceConfig};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

const TOPIC: &str = "stwt.agora";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tick(u64);

impl Event for Tick {
    const KIND: &'static str = "test.tick";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.0.into())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MustKnow(String);

impl Event for MustKnow {
    const KIND: &'static str = "test.must-know";
    const UNKNOWN: Unknown = Unknown::Resync;
}

agora_core::events! {
    #[derive(Debug, PartialEq, Eq)]
    enum Both {
        Tick(Tick),
        MustKnow(MustKnow),
    }
}

struct Cluster {
    space: Space,
    nodes: u64,
}

impl Cluster {
    fn new() -> Self {
        Self { space: Space::default(), nodes: 0 }
    }

    fn peers() -> Self {
        let config = SpaceConfig { echo_via_server: false, ..SpaceConfig::default() };
        Self { space: Space::new(config), nodes: 0 }
    }

    fn config(&mut self, node: &str) -> BusConfig {
        self.nodes += 1;
        let mut config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new(node).unwrap());
        config.seed = Some(self.nodes);
        config.clock = Clock::simulated();
        config
    }

    fn join(&mut self, node: &str) -> Bus {
        let config = self.config(node);
        self.join_with(config)
    }

    fn join_with(&self, config: BusConfig) -> Bus {
        Bus::open(self.space.connect(&config.cluster, &config.node), config).unwrap()
    }
}

async fn live(bus: &Bus) -> Subscription {
    bus.subscribe(TOPIC).start(Start::Live).await.unwrap()
}

async fn next<E: Events>(events: &mut Subscription<E>) -> Delivery<E> {
    let next = tokio::time::timeout(Duration::from_secs(60), events.try_next());
    next.await.expect("nothing came within a minute").unwrap().expect("the subscription ended")
}

async fn expect_ticks(events: &mut Subscription, ticks: std::ops::Range<u64>) {
    for n in ticks {
        match next(events).await {
            Delivery::Event(event) => assert_eq!(event.decode::<Tick>().unwrap(), Tick(n)),
            other => panic!("expected tick {n}, got {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_other_node_gets_each_event_once_and_in_order() {
    for mut cluster in [Cluster::new(), Cluster::peers()] {
        let (a, b, c) = (cluster.join("a"), cluster.join("b"), cluster.join("c"));
        let (mut at_a, mut at_b, mut at_c) = (live(&a).await, live(&b).await, live(&c).await);
        let publisher = a.publisher(TOPIC).unwrap();
        for n in 1..=100 {
            let receipt = publisher.publish(&Tick(n)).await.unwrap();
            assert_eq!((receipt.source, receipt.seq), (a.me(), n));
        }
        expect_ticks(&mut at_b, 1..101).await;
        expect_ticks(&mut at_c, 1..101).await;
        b.publisher(TOPIC).unwrap().publish(&Tick(7)).await.unwrap();
        expect_ticks(&mut at_a, 7..8).await;
        assert_eq!(a.stats().published, 100);
        assert_eq!(c.stats().duplicates, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn ones_own_events_come_when_asked_for() {
    let mut cluster = Cluster::new();
    let a = cluster.join("a");
    let publisher = a.publisher(TOPIC).unwrap();
    publisher.publish(&Tick(1)).await.unwrap();
    let mut own = a.subscribe(TOPIC).include_own().start(Start::Live).await.unwrap();
    let mut others = live(&a).await;
    publisher.publish(&Tick(2)).await.unwrap();
    cluster.join("b").publisher(TOPIC).unwrap().publish(&Tick(3)).await.unwrap();
    expect_ticks(&mut own, 2..4).await;
    expect_ticks(&mut others, 3..4).await;
}

#[tokio::test(start_paused = true)]
async fn a_typed_subscription_takes_one_event_or_an_enum_of_them() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.join("a"), cluster.join("b"));
    let mut both = b.subscribe(TOPIC).typed::<Both>().start(Start::Live).await.unwrap();
    let mut ticks = b.subscribe(TOPIC).typed::<Tick>().start(Start::Live).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    publisher.publish(&MustKnow("x".into())).await.unwrap();
    publisher.publish(&Tick(1)).await.unwrap();
    match (next(&mut both).await, next(&mut both).await) {
        (Delivery::Event(first), Delivery::Event(second)) => {
            assert_eq!(first.event, Both::MustKnow(MustKnow("x".into())));
            assert_eq!(second.event, Both::Tick(Tick(1)));
            assert_eq!((second.seq(), second.record().key()), (2, Some(b"1".as_slice())));
        }
        other => panic!("{other:?}"),
    }
    match (next(&mut ticks).await, next(&mut ticks).await) {
        (Delivery::Gap(gap), Delivery::Event(event)) => {
            assert_eq!(gap.events(), Some(1), "a kind that must not be skipped in silence");
            assert_eq!(event.event, Tick(1));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn several_topics_in_one_subscription_and_never_anothers() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.join("a"), cluster.join("b"));
    let mut events = b.subscribe(["one", "two"]).start(Start::Live).await.unwrap();
    for (n, topic) in [(1, "one"), (2, "three"), (3, "two")] {
        a.publisher(topic).unwrap().publish(&Tick(n)).await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Delivery::Event(event) = next(&mut events).await else { panic!() };
        seen.push((event.topic().to_string(), event.decode::<Tick>().unwrap().0));
    }
    assert_eq!(seen, [("one".into(), 1), ("two".into(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_backend_cannot_do_is_unsupported() {
    // Peers without a server keep nothing.
    let mut cluster = Cluster::peers();
    let a = cluster.join("a");
    let error = a.subscribe(TOPIC).start(Start::Earliest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.help_text().is_some(), "it says what could: {error:?}");
    let error = a.subscribe(TOPIC).durable("x").start(Start::Live).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn a_clean_leave_ends_without_a_gap_and_is_told_from_a_crash() {
    for mut cluster in [Cluster::new(), Cluster::peers()] {
        let (a, b, c) = (cluster.join("a"), cluster.join("b"), cluster.join("c"));
        // Among peers, where only one other is left and falls silent, nobody can tell who of the two is cut off.
        let _bystander = cluster.join("d");
        let mut events = live(&c).await;
        for bus in [&a, &b] {
            bus.publisher(TOPIC).unwrap().publish(&Tick(1)).await.unwrap();
        }
        expect_ticks(&mut events, 1..2).await;
        expect_ticks(&mut events, 1..2).await;
        let (left, failed) = (a.me(), b.me());
        a.close(Duration::from_secs(5)).await.unwrap();
        drop(b);
        let Delivery::Gap(gap) = next(&mut events).await else { panic!("a crash leaves an open end") };
        assert!(
            matches!(gap.missing, Missing::Source { source, from: Some(2), to: None, .. } if source == failed)
        );
        let states: Vec<_> = c.members().snapshot().iter().map(|m| (m.info.source, m.state)).collect();
        assert!(states.contains(&(left, MemberState::Left)), "{states:?}");
        assert!(states.contains(&(failed, MemberState::Failed)), "{states:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn close_sends_what_is_queued_and_refuses_what_comes_after() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.join("a"), cluster.join("b"));
    let mut events = live(&b).await;
    let publisher = a.publisher(TOPIC).unwrap();
    for n in 1..=1000 {
        publisher.try_publish(&Tick(n)).unwrap();
    }
    a.close(Duration::from_secs(5)).await.unwrap();
    expect_ticks(&mut events, 1..1001).await;
    assert_eq!(publisher.try_publish(&Tick(0)).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(publisher.publish(&Tick(0)).await.unwrap_err().kind(), ErrorKind::Closed);
    let error = a.subscribe(TOPIC).start(Start::Live).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    b.close(Duration::from_secs(5)).await.unwrap();
    assert!(events.try_next().await.unwrap().is_none(), "a closed bus ends its subscriptions");
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_and_is_not_seen() {
    for mut cluster in [Cluster::new(), Cluster::peers()] {
        let a = cluster.join("a");
        let mut events = live(&a).await;
        let mut config = cluster.config("probe");
        config.observer = true;
        let probe = cluster.join_with(config);
        let mut seen = live(&probe).await;
        let names: Vec<_> = probe.members().snapshot().iter().map(|m| m.info.name.to_string()).collect();
        assert_eq!(names, ["a"]);
        let publisher = probe.publisher(TOPIC).unwrap();
        publisher.publish(&Tick(1)).await.unwrap();
        expect_ticks(&mut events, 1..2).await;
        // Longer than a silent member would be given.
        tokio::time::sleep(Duration::from_secs(30)).await;
        publisher.publish(&Tick(2)).await.unwrap();
        expect_ticks(&mut events, 2..3).await;
        a.publisher(TOPIC).unwrap().publish(&Tick(3)).await.unwrap();
        expect_ticks(&mut seen, 3..4).await;
        probe.close(Duration::from_secs(5)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(a.members().snapshot().is_empty(), "{:?}", a.members().snapshot());
        assert_eq!(a.stats().gaps, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_a_stream_that_ends_with_the_bus() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.join("a"), cluster.join("b"));
    let events = b.subscribe(TOPIC).typed::<Tick>().start(Start::Live).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    for n in 1..=3 {
        publisher.publish(&Tick(n)).await.unwrap();
    }
    // Accepted is not yet delivered: whoever closes too early ends the stream before them.
    let mut events = Box::pin(events.try_filter_map(async |delivery| match delivery {
        Delivery::Event(event) => Ok(Some(event.into_event())),
        other => panic!("{other:?}"),
    }));
    let first: Vec<Tick> = events.by_ref().take(3).try_collect().await.unwrap();
    assert_eq!(first, [Tick(1), Tick(2), Tick(3)]);
    b.close(Duration::from_secs(5)).await.unwrap();
    assert!(events.next().await.is_none());
    assert!(events.next().await.is_none(), "and stays ended");
}
