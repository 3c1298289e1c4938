//! A shop whose orders are handled by groups.

use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Delivery, Group, Job, Start, Work};
use agora_core::event::{DeadLetter, Event, Key};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::live::Reason;
use agora_core::memory::Space;
use agora_core::transport::{Framing, TopicSettings};
use serde::{Deserialize, Serialize};

pub(crate) const LOG: &str = "shop.events.order";
pub(crate) const GROUP: &str = "shipping";
pub(crate) const DEAD: &str = "shop.events.order.shipping.dead";
pub(crate) const SOON: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Order(pub(crate) u64, pub(crate) u64);

impl Event for Order {
    const KIND: &'static str = "test.order";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.0.into())
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Other;

impl Event for Other {
    const KIND: &'static str = "test.other";
}

pub(crate) fn topic() -> TopicName {
    TopicName::new(LOG).unwrap()
}

pub(crate) async fn join_with(space: &Space, node: &str, settings: TopicSettings) -> Bus {
    let mut config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new(node).unwrap());
    config.seed = Some(node.bytes().map(u64::from).sum());
    config.topics.insert(topic(), settings);
    let bus = Bus::open(space.connect(&config.cluster, &config.node), config).unwrap();
    bus.ready(SOON).await.unwrap();
    bus
}

pub(crate) async fn join(space: &Space, node: &str) -> Bus {
    join_with(space, node, TopicSettings::LOG.framing(Framing::Each)).await
}

pub(crate) async fn group(bus: &Bus) -> Group<Order> {
    bus.group(LOG, GROUP).typed::<Order>().attempts(3).await.unwrap()
}

/// Publishes all at once: in one frame where the framing allows it.
pub(crate) async fn publish(bus: &Bus, orders: impl IntoIterator<Item = Order>) {
    let publisher = bus.publisher(LOG).unwrap();
    let all: Vec<_> = orders.into_iter().map(|order| publisher.publish(&order)).collect();
    for one in all {
        one.await.unwrap();
    }
}

pub(crate) async fn work(group: &mut Group<Order>) -> Work<Order> {
    tokio::time::timeout(SOON, group.try_next()).await.expect("nothing came").unwrap().expect("it ended")
}

pub(crate) async fn job(group: &mut Group<Order>) -> Job<Order> {
    match work(group).await {
        Work::Job(job) => job,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn idle(group: &mut Group<Order>, time: Duration) {
    let next = tokio::time::timeout(time, group.try_next()).await;
    assert!(next.is_err(), "{next:?}");
}

pub(crate) async fn letters(bus: &Bus) -> Vec<DeadLetter> {
    let mut events = bus.subscribe(DEAD).typed::<DeadLetter>().start(Start::Earliest).await.unwrap();
    let mut letters = Vec::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_secs(1), events.try_next()).await {
        match next.unwrap().unwrap() {
            Delivery::Event(letter) => letters.push(letter.into_event()),
            // A letter whose publish failed was given up under its number, and stored under another.
            Delivery::Gap(gap) if gap.reason == Reason::GivenUp => {}
            other => panic!("{other:?}"),
        }
    }
    letters
}
