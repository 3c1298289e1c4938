//! Groups at their edges: what is large, what is late, and what ends in the middle. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Attempt, Bus, BusConfig, Group, Job, Work};
use agora_core::event::{Event, Key};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::memory::{GroupStyle, Space, SpaceConfig};
use agora_core::transport::{Address, Framing, OutFrame, TopicSettings, Transport, Wire};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const LOG: &str = "shop.events.order";
const GROUP: &str = "shipping";
const DEAD: &str = "shop.events.order.shipping.dead";
const SOON: Duration = Duration::from_secs(600);

/// A key, and a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order(u64, u64);

impl Event for Order {
    const KIND: &'static str = "test.order";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.0.into())
    }
}

fn topic() -> TopicName {
    TopicName::new(LOG).unwrap()
}

async fn join_with(space: &Space, node: &str, settings: TopicSettings) -> Bus {
    let mut config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new(node).unwrap());
    config.topics.insert(topic(), settings);
    let bus = Bus::open(space.connect(&config.cluster, &config.node), config).unwrap();
    bus.ready(SOON).await.unwrap();
    bus
}

async fn join(space: &Space, node: &str) -> Bus {
    join_with(space, node, TopicSettings::LOG.framing(Framing::Each)).await
}

async fn group(bus: &Bus) -> Group<Order> {
    bus.group(LOG, GROUP).typed::<Order>().attempts(3).await.unwrap()
}

async fn publish(bus: &Bus, orders: impl IntoIterator<Item = Order>) {
    let publisher = bus.publisher(LOG).unwrap();
    let all: Vec<_> = orders.into_iter().map(|order| publisher.publish(&order)).collect();
    for one in all {
        one.await.unwrap();
    }
}

async fn job(group: &mut Group<Order>) -> Job<Order> {
    let next = tokio::time::timeout(SOON, group.try_next()).await.expect("nothing came");
    match next.unwrap().expect("it ended") {
        Work::Job(job) => job,
        other => panic!("{other:?}"),
    }
}

/// How many records lie among the dead letters.
async fn dead(bus: &Bus) -> u64 {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let description = bus.admin().unwrap().describe_topic(&TopicName::new(DEAD).unwrap()).await.unwrap();
    description.lanes.iter().map(|lane| lane.records).sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_when_the_bus_is_closed_is_not_begun_any_more() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, (0..10).map(|n| Order(n, n))).await;
    let mut group = group(&bus).await;
    let held = job(&mut group).await;
    bus.close(Duration::from_secs(1)).await.unwrap();
    assert!(group.try_next().await.unwrap().is_none(), "nobody could acknowledge it");
    held.ack();
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_when_a_group_breaks_is_not_begun_any_more() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, (0..10).map(|n| Order(n, n))).await;
    let mut group = group(&bus).await;
    let _held = job(&mut group).await;
    assert!(space.faults().crash("a"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!matches!(group.try_next().await, Ok(Some(_))), "nobody could acknowledge it");
}

#[tokio::test(start_paused = true)]
async fn a_message_of_other_software_with_a_long_key_goes_to_the_dead_letters() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    let stranger = space.connect(&ClusterName::new("test").unwrap(), &NodeName::new("s").unwrap());
    let mut group = group(&bus).await;
    for bytes in [2 << 10, 2 << 20] {
        let frame = OutFrame { key: Some(vec![b'k'; bytes].into()), ..OutFrame::new("hello") };
        let to = Address { topic: topic(), lane: 0 };
        stranger.publish(&to, vec![frame], Instant::now() + SOON).await.unwrap();
        match tokio::time::timeout(SOON, group.try_next()).await.unwrap().unwrap().unwrap() {
            Work::Foreign(foreign) => foreign.reject("not ours"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(dead(&bus).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_was_sent_back_and_given_up_again_can_be_sent_back_again() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10)]).await;
    let mut group = group(&bus).await;
    for time in 1..=3 {
        let job = job(&mut group).await;
        assert_eq!((job.0, job.1), (1, 10));
        job.reject(format!("for the {time}. time"));
        assert_eq!(dead(&bus).await, time);
        assert_eq!(bus.redrive(LOG, GROUP, None).await.unwrap(), 1);
    }
    job(&mut group).await.ack();
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_clock_can_hold_is_refused() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    let new = || bus.group(LOG, GROUP);
    let refused = [
        new().handler_timeout(Duration::MAX),
        new().backoff(Duration::ZERO, Duration::MAX),
        new().backoff(Duration::MAX, Duration::ZERO),
    ];
    for wrong in refused {
        assert_eq!(wrong.await.unwrap_err().kind(), ErrorKind::Config);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_before_its_future_is_a_failed_try() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10), Order(2, 20)]).await;
    let mut group = group(&bus).await;
    let working = tokio::spawn(async move {
        let handler = |job: Attempt<Order>| {
            assert!(job.0 != 1, "not this one");
            async { Ok(()) }
        };
        group.run(1, handler).await
    });
    assert_eq!(dead(&bus).await, 1);
    bus.close(SOON).await.unwrap();
    working.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_holds_no_more_records_than_its_bound_whatever_is_wanted() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, (0..3000).map(|n| Order(n, n))).await;
    let mut group = group(&bus).await;
    let name = group.name().clone();
    let working = tokio::spawn(async move { group.run(5000, |_| std::future::pending()).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let description = bus.admin().unwrap().describe_group(&topic(), &name).await.unwrap();
    assert_eq!(description.pending(), agora_core::limits::GROUP_RECORDS_MAX as u64);
    working.abort();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_enough_to_do_hears_that_its_lane_is_asked_back() {
    let space = Space::new(SpaceConfig { groups: GroupStyle::Lanes, ..SpaceConfig::default() });
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, (0..40).map(|n| Order(n, n))).await;
    // It takes nothing, so what it holds is all that it wants.
    let _first = group(&a).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    let mut second = group(&b).await;
    assert_eq!(job(&mut second).await.1, 0);
    assert_eq!(before.elapsed(), Duration::ZERO, "the lane was taken away, not given back");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_does_not_keep_the_bus_from_leaving() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, [Order(1, 10)]).await;
    let mut group = group(&a).await;
    let _held = job(&mut group).await;
    let mut events = b.members();
    tokio::time::sleep(Duration::from_secs(5)).await;
    a.close(Duration::from_secs(2)).await.unwrap();
    let left = async {
        loop {
            let event = format!("{:?}", events.next().await.unwrap());
            if event.contains("Left") {
                return;
            }
            assert!(!event.contains("Failed"), "{event}");
        }
    };
    tokio::time::timeout(SOON, left).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn letters_are_not_sent_back_to_a_topic_of_plain_values() {
    let space = Space::default();
    let bus = join_with(&space, "a", TopicSettings::LOG.wire(Wire::Plain)).await;
    publish(&bus, [Order(1, 10)]).await;
    let mut group = group(&bus).await;
    match group.try_next().await.unwrap().unwrap() {
        Work::Foreign(foreign) => foreign.reject("no"),
        other => panic!("{other:?}"),
    }
    assert_eq!(dead(&bus).await, 1);
    let error = bus.redrive(LOG, GROUP, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn a_released_event_is_not_overtaken_by_those_of_its_key() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, (0..4).map(|n| Order(7, n))).await;
    let mut group = group(&bus).await;
    drop(job(&mut group).await);
    for n in 0..4 {
        let job = job(&mut group).await;
        assert_eq!((job.1, job.attempt()), (n, 1));
        job.ack();
    }
}

/// An order of a later version, whose reader of older ones has a defect.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct LaterOrder(u64, u64);

impl Event for LaterOrder {
    const KIND: &'static str = Order::KIND;
    const VERSION: u16 = 2;

    fn upgrade(_: u16, body: &[u8]) -> Result<Self, agora_core::event::DecodeError> {
        assert!(!body.is_empty() && body[0] != 7, "an order that this reader cannot bear");
        Ok(Self(u64::from(body[0]), 0))
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_decoding_panics_goes_to_the_dead_letters_and_the_next_is_handled() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(7, 1), Order(8, 2)]).await;
    let mut group = bus.group(LOG, GROUP).typed::<LaterOrder>().await.unwrap();
    match group.try_next().await.unwrap().unwrap() {
        Work::Job(job) => {
            assert_eq!(job.event.0, 8);
            job.ack();
        }
        other => panic!("{other:?}"),
    }
    let letters =
        bus.subscribe(DEAD).typed::<agora_core::event::DeadLetter>().start(agora_core::bus::Start::Earliest);
    let mut letters = letters.await.unwrap();
    match letters.try_next().await.unwrap().unwrap() {
        agora_core::bus::Delivery::Event(letter) => {
            assert_eq!(letter.event.reason, "decoding it as test.order panicked");
        }
        other => panic!("{other:?}"),
    }
}
