//! Logs of several lanes over the in-memory transport, as an application uses them. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Clock, Delivery, Group, Receipt, Start, Subscription, Work};
use agora_core::event::{Event, Key};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::lane;
use agora_core::memory::{GroupStyle, PublishFault, Space, SpaceConfig};
use agora_core::transport::{Framing, TopicSettings};
use agora_core::{ErrorKind, limits::CURSOR_SAVE_INTERVAL};
use serde::{Deserialize, Serialize};

const LOG: &str = "shop.events.order";
const SOON: Duration = Duration::from_secs(120);

/// Without a key where that is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order(String, u64);

impl Event for Order {
    const KIND: &'static str = "test.order";

    fn key(&self) -> Option<Key<'_>> {
        (!self.0.is_empty()).then(|| self.0.as_str().into())
    }
}

fn config(node: &str, lanes: u32) -> BusConfig {
    let mut config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new(node).unwrap());
    config.seed = Some(node.bytes().map(u64::from).sum());
    config.clock = Clock::simulated();
    let mut settings = TopicSettings::LOG;
    settings.lanes = Some(lanes);
    config.topics.insert(TopicName::new(LOG).unwrap(), settings);
    config
}

async fn join(space: &Space, node: &str, lanes: u32) -> Bus {
    let config = config(node, lanes);
    let bus = Bus::open(space.connect(&config.cluster, &config.node), config).unwrap();
    bus.ready(SOON).await.unwrap();
    bus
}

/// Publishes of each key its numbers, in their order, all at once.
async fn publish(bus: &Bus, keys: usize, numbers: std::ops::Range<u64>) -> Vec<(Order, Receipt)> {
    let publisher = bus.publisher(LOG).unwrap();
    let orders = numbers.flat_map(|number| (0..keys).map(move |key| Order(format!("key-{key}"), number)));
    let all: Vec<_> = orders.map(|order| (publisher.publish(&order), order)).collect();
    let mut receipts = Vec::new();
    for (publish, order) in all {
        receipts.push((order, publish.await.unwrap()));
    }
    receipts
}

async fn next(events: &mut Subscription) -> Order {
    match tokio::time::timeout(SOON, events.try_next()).await.expect("nothing came").unwrap().unwrap() {
        Delivery::Event(event) => event.decode::<Order>().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Reads of each key these numbers, in their order and each once.
async fn expect(events: &mut Subscription, keys: usize, numbers: std::ops::Range<u64>) {
    let mut due: BTreeMap<String, u64> = (0..keys).map(|key| (format!("key-{key}"), numbers.start)).collect();
    for _ in 0..keys as u64 * (numbers.end - numbers.start) {
        let order = next(events).await;
        let due = due.get_mut(&order.0).unwrap();
        assert_eq!(order.1, *due, "{}", order.0);
        *due += 1;
    }
}

async fn assert_nothing(events: &mut Subscription) {
    let nothing = tokio::time::timeout(Duration::from_secs(5), events.try_next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test(start_paused = true)]
async fn equal_keys_meet_in_one_lane_in_their_order_from_the_first_event_on() {
    let space = Space::default();
    let (a, b) = (join(&space, "a", 4).await, join(&space, "b", 4).await);
    let mut events = b.subscribe(LOG).start(Start::Earliest).await.unwrap();
    // Nobody knows the lanes yet when this is published.
    let receipts = publish(&a, 20, 0..5).await;
    for (order, receipt) in &receipts {
        assert_eq!(receipt.lane, lane::of_key(order.0.as_bytes(), 4), "{}", order.0);
    }
    let used: BTreeSet<u32> = receipts.iter().map(|(_, receipt)| receipt.lane).collect();
    assert_eq!(used, (0..4).collect());
    expect(&mut events, 20, 0..5).await;
    publish(&a, 20, 5..10).await;
    expect(&mut events, 20, 5..10).await;
    assert_eq!(b.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_key_goes_to_the_lane_of_its_node() {
    let space = Space::default();
    let mut lanes = BTreeMap::new();
    for node in ["a", "b", "c", "d", "e", "f"] {
        let bus = join(&space, node, 3).await;
        let publisher = bus.publisher(LOG).unwrap();
        for number in 0..5 {
            let receipt = publisher.publish(&Order(String::new(), number)).await.unwrap();
            assert_eq!(receipt.seq, number + 1, "one sequence for each lane");
            assert_eq!(*lanes.entry(node).or_insert(receipt.lane), receipt.lane);
        }
    }
    assert!(lanes.values().collect::<BTreeSet<_>>().len() > 1, "{lanes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_goes_on_in_every_lane() {
    let space = Space::default();
    let (a, b) = (join(&space, "a", 3).await, join(&space, "b", 3).await);
    publish(&a, 9, 0..4).await;
    let mut first = b.subscribe(LOG).durable("reader").start(Start::Live).await.unwrap();
    publish(&a, 9, 4..6).await;
    expect(&mut first, 9, 4..6).await;
    let cursor = first.cursor();
    first.close().await.unwrap();
    publish(&a, 9, 6..8).await;
    // What a live subscription was owed, the next of its name gets, and nothing older.
    let mut second = b.subscribe(LOG).durable("reader").start(Start::Live).await.unwrap();
    expect(&mut second, 9, 6..8).await;
    let mut again = a.subscribe(LOG).start(Start::Cursor(cursor)).await.unwrap();
    expect(&mut again, 9, 6..8).await;
    assert_nothing(&mut second).await;
    tokio::time::sleep(CURSOR_SAVE_INTERVAL * 2).await;
    drop(second);
    let mut third = b.subscribe(LOG).durable("reader").start(Start::Live).await.unwrap();
    assert_nothing(&mut third).await;
}

#[tokio::test(start_paused = true)]
async fn more_lanes_are_read_from_their_start_and_keys_keep_their_order() {
    let space = Space::default();
    let (a, b) = (join(&space, "a", 1).await, join(&space, "b", 1).await);
    let mut events = b.subscribe(LOG).durable("reader").start(Start::Live).await.unwrap();
    let before = publish(&a, 20, 0..3).await;
    assert!(before.iter().all(|(_, receipt)| receipt.lane == 0));
    // Under way when the lanes grow, and after that.
    space.faults().slow_results("a", Duration::from_millis(200)..=Duration::from_millis(200));
    let publisher = a.publisher(LOG).unwrap();
    let under_way: Vec<_> = (0..20).map(|key| publisher.publish(&Order(format!("key-{key}"), 3))).collect();
    tokio::time::sleep(Duration::from_millis(10)).await;
    space.faults().grow_log(LOG, 5);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let after: Vec<_> = (0..20).map(|key| publisher.publish(&Order(format!("key-{key}"), 4))).collect();
    for publish in under_way {
        assert_eq!(publish.await.unwrap().lane, 0);
    }
    for (key, publish) in after.into_iter().enumerate() {
        assert_eq!(publish.await.unwrap().lane, lane::of_key(format!("key-{key}").as_bytes(), 5));
    }
    a.flush(SOON).await.unwrap();
    // A reader has no order between the lane that a key had and the one that it has now.
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for _ in 0..100 {
        let order = next(&mut events).await;
        assert!(found.entry(order.0).or_default().insert(order.1));
    }
    assert!(found.values().all(|numbers| numbers.iter().copied().eq(0..5)));
    // A lane that the cursor does not know is read from its start.
    let cursor = events.cursor();
    space.faults().grow_log(LOG, 9);
    publish(&a, 20, 5..6).await;
    expect(&mut events, 20, 5..6).await;
    drop(events);
    let mut again = b.subscribe(LOG).start(Start::Cursor(cursor)).await.unwrap();
    expect(&mut again, 20, 5..6).await;
    assert_eq!(b.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_was_queued_in_every_lane_and_a_close_sends_it() {
    let space = Space::default();
    let a = join(&space, "a", 3).await;
    let publisher = a.publisher(LOG).unwrap();
    for number in 0..30 {
        publisher.try_publish(&Order(format!("key-{number}"), number)).unwrap();
    }
    a.flush(SOON).await.unwrap();
    assert_eq!(a.stats().accepted, 30);
    space.faults().server_down();
    tokio::time::sleep(Duration::from_millis(10)).await;
    for number in 30..60 {
        publisher.try_publish(&Order(format!("key-{number}"), number)).unwrap();
    }
    let late = a.flush(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    space.faults().server_up();
    a.close(SOON).await.unwrap();
    assert_eq!(a.stats().accepted, 60);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_moves_is_stored_behind_what_came_before_it() {
    let space = Space::default();
    let a = join(&space, "a", 1).await;
    let publisher = a.publisher(LOG).unwrap();
    let key = (0..).map(|n| format!("key-{n}")).find(|key| lane::of_key(key.as_bytes(), 5) > 0).unwrap();
    publisher.publish(&Order(key.clone(), 0)).await.unwrap();
    // It is tried again after a pause, in which the log gets more lanes.
    space.faults().fail_publishes("a", 1, 0, PublishFault::NotStored);
    let before = publisher.publish(&Order(key.clone(), 1));
    tokio::time::sleep(Duration::from_millis(1)).await;
    space.faults().grow_log(LOG, 5);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let after = publisher.publish(&Order(key, 2)).await.unwrap();
    assert!(after.lane > 0);
    let before = tokio::time::timeout(Duration::ZERO, before).await.expect("it is not stored yet");
    assert_eq!(before.unwrap().lane, 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_log_that_was_made_anew_with_more_lanes_every_lane_is_read() {
    let space = Space::default();
    let (a, b) = (join(&space, "a", 1).await, join(&space, "b", 4).await);
    publish(&a, 8, 0..1).await;
    let mut events = a.subscribe(LOG).start(Start::Live).await.unwrap();
    a.admin().unwrap().delete_topic(&TopicName::new(LOG).unwrap()).await.unwrap();
    let receipts = publish(&b, 8, 1..2).await;
    assert!(receipts.iter().any(|(_, receipt)| receipt.lane > 0));
    let (mut found, mut gaps) = (BTreeSet::new(), 0);
    while found.len() < 8 {
        match tokio::time::timeout(SOON, events.try_next()).await.expect("nothing came").unwrap().unwrap() {
            Delivery::Event(event) => assert!(found.insert(event.decode::<Order>().unwrap().0)),
            Delivery::Gap(_) => gaps += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(gaps > 0, "what was read of the first lane is gone");
}

async fn member(bus: &Bus) -> Group<Order> {
    bus.group(LOG, "g").typed::<Order>().attempts(1).await.unwrap()
}

/// Settles what comes, and rejects every number 2.
async fn settle(group: &mut Group<Order>) -> Vec<(String, u64)> {
    let mut taken = Vec::new();
    while let Ok(work) = tokio::time::timeout(Duration::from_secs(5), group.try_next()).await {
        match work.unwrap().unwrap() {
            Work::Job(job) => {
                taken.push((job.0.clone(), job.1));
                if job.1 == 2 { job.reject("two") } else { job.ack() }
            }
            other => panic!("{other:?}"),
        }
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn the_lanes_of_a_group_are_shared_out_and_its_letters_are_sent_back_from_every_lane() {
    for groups in [GroupStyle::Leases, GroupStyle::Lanes] {
        let space = Space::new(SpaceConfig { groups, ..SpaceConfig::default() });
        let mut each = config("a", 4);
        for settings in each.topics.values_mut() {
            *settings = settings.framing(Framing::Each);
        }
        let (mut of_a, mut of_b) = (each.clone(), each);
        for (config, node) in [(&mut of_a, "a"), (&mut of_b, "b")] {
            config.node = NodeName::new(node).unwrap();
            // The letters have lanes too.
            config.topics.insert(TopicName::new("shop.events.order.g.dead").unwrap(), {
                let mut settings = TopicSettings::LOG;
                settings.lanes = Some(3);
                settings
            });
        }
        let a = Bus::open(space.connect(&of_a.cluster, &of_a.node), of_a).unwrap();
        let b = Bus::open(space.connect(&of_b.cluster, &of_b.node), of_b).unwrap();
        let (mut first, mut second) = (member(&a).await, member(&b).await);
        publish(&a, 12, 0..4).await;
        let (at_a, at_b) = tokio::join!(settle(&mut first), settle(&mut second));
        if groups == GroupStyle::Lanes {
            assert!(!at_a.is_empty() && !at_b.is_empty(), "{} and {}", at_a.len(), at_b.len());
        }
        let mut all: Vec<_> = at_a.into_iter().chain(at_b).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 48, "{groups:?}");
        assert_eq!(a.redrive(LOG, "g", None).await.unwrap(), 12, "{groups:?}");
        assert_eq!(a.redrive(LOG, "g", None).await.unwrap(), 0, "each was sent back once");
        assert_eq!(settle(&mut first).await.len() + settle(&mut second).await.len(), 12, "{groups:?}");
    }
}
