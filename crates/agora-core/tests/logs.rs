//! Log topics over the in-memory transport, as an application uses them. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Bus, BusConfig, Clock, Delivery, Missing, Start, Subscription};
use agora_core::event::Event;
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::limits::{CURSOR_SAVE_INTERVAL, Limits};
use agora_core::live::Reason;
use agora_core::log::Cursor;
use agora_core::memory::{PublishFault, Space, SpaceConfig};
use agora_core::transport::{Durability, TopicSettings};
use serde::{Deserialize, Serialize};

const LOG: &str = "shop.events.order";
const SOON: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tick(u64);

impl Event for Tick {
    const KIND: &'static str = "test.tick";
}

#[derive(Serialize, Deserialize)]
struct Large(u64, Vec<u8>);

impl Event for Large {
    const KIND: &'static str = "test.large";
}

fn config(node: &str) -> BusConfig {
    let mut config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new(node).unwrap());
    config.seed = Some(node.bytes().map(u64::from).sum());
    config.clock = Clock::simulated();
    config.topics.insert(TopicName::new(LOG).unwrap(), TopicSettings::LOG);
    config
}

fn join_with(space: &Space, config: BusConfig) -> Bus {
    Bus::open(space.connect(&config.cluster, &config.node), config).unwrap()
}

async fn join(space: &Space, node: &str) -> Bus {
    let bus = join_with(space, config(node));
    bus.ready(SOON).await.unwrap();
    bus
}

async fn read(bus: &Bus, start: Start) -> Subscription {
    bus.subscribe(LOG).start(start).await.unwrap()
}

async fn publish(bus: &Bus, ticks: std::ops::RangeInclusive<u64>) {
    let publisher = bus.publisher(LOG).unwrap();
    for n in ticks {
        let receipt = publisher.publish(&Tick(n)).await.unwrap();
        assert_eq!(receipt.durability, Durability::Stored);
    }
}

/// Publishes all in one frame.
async fn publish_batch(bus: &Bus, ticks: std::ops::RangeInclusive<u64>) {
    let publisher = bus.publisher(LOG).unwrap();
    let all: Vec<_> = ticks.map(|n| publisher.publish(&Tick(n))).collect();
    for one in all {
        one.await.unwrap();
    }
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

async fn expect(events: &mut Subscription, ticks: std::ops::RangeInclusive<u64>) {
    for n in ticks {
        assert_eq!(tick(events).await, n);
    }
}

async fn log_gap(events: &mut Subscription) -> Reason {
    match next(events).await {
        Delivery::Gap(gap) if matches!(gap.missing, Missing::Log { .. }) => gap.reason,
        other => panic!("{other:?}"),
    }
}

async fn assert_nothing(events: &mut Subscription) {
    let nothing = tokio::time::timeout(Duration::from_secs(5), events.try_next()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_log_is_read_from_its_beginning_and_on() {
    let space = Space::default();
    let a = join(&space, "a").await;
    publish(&a, 1..=3).await;
    let b = join(&space, "b").await;
    let mut at_b = read(&b, Start::Earliest).await;
    expect(&mut at_b, 1..=3).await;
    // A replay contains one's own past too.
    let mut at_a = read(&a, Start::Earliest).await;
    publish(&a, 4..=5).await;
    expect(&mut at_b, 4..=5).await;
    expect(&mut at_a, 1..=5).await;
    assert_eq!(b.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn live_on_a_log_begins_at_its_end_and_leaves_out_ones_own() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, 1..=3).await;
    let (mut at_a, mut at_b) = (read(&a, Start::Live).await, read(&b, Start::Live).await);
    let mut own = a.subscribe(LOG).include_own().start(Start::Live).await.unwrap();
    publish(&a, 4..=5).await;
    publish(&b, 6..=6).await;
    expect(&mut at_b, 4..=5).await;
    expect(&mut at_a, 6..=6).await;
    expect(&mut own, 4..=6).await;
    for events in [&mut at_a, &mut at_b, &mut own] {
        assert_nothing(events).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_from_a_time_begins_with_what_was_stored_then() {
    let space = Space::default();
    let a = join(&space, "a").await;
    publish(&a, 1..=2).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let then = a.config().clock.now();
    publish(&a, 3..=4).await;
    let mut events = read(&a, Start::Time(then)).await;
    expect(&mut events, 3..=4).await;
    let mut none = read(&a, Start::Time(then + Duration::from_secs(3600))).await;
    publish(&a, 5..=5).await;
    expect(&mut events, 5..=5).await;
    assert_eq!(tick(&mut none).await, 5, "what is stored from now on comes, whatever its time");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_goes_on_in_the_middle_of_a_frame() {
    let space = Space::default();
    let a = join(&space, "a").await;
    publish_batch(&a, 1..=100).await;
    let mut taken = 0;
    let mut start = Start::Earliest;
    for step in [0, 1, 37, 60, 2] {
        let mut events = read(&a, start).await;
        expect(&mut events, taken + 1..=taken + step).await;
        taken += step;
        // As text, through a command line or a file.
        let text = events.cursor().to_string();
        start = Start::Cursor(text.parse::<Cursor>().unwrap());
    }
    let mut events = read(&a, start).await;
    publish(&a, 101..=101).await;
    assert_eq!(tick(&mut events).await, 101);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_a_live_start_loses_nothing() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, 1..=3).await;
    let cursor = read(&b, Start::Live).await.cursor();
    publish(&a, 4..=6).await;
    expect(&mut read(&b, Start::Cursor(cursor)).await, 4..=6).await;
}

#[tokio::test(start_paused = true)]
async fn a_durable_reader_goes_on_where_it_was_saved() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, 1..=10).await;
    let durable = async |bus: &Bus, start| bus.subscribe(LOG).durable("node-b").start(start).await.unwrap();
    let mut events = durable(&b, Start::Earliest).await;
    expect(&mut events, 1..=4).await;
    events.close().await.unwrap();
    let mut events = durable(&b, Start::Earliest).await;
    expect(&mut events, 5..=6).await;
    // It is saved by itself too, but for what was returned last: that may not be done with.
    tokio::time::sleep(CURSOR_SAVE_INTERVAL * 2).await;
    expect(&mut events, 7..=7).await;
    tokio::time::sleep(CURSOR_SAVE_INTERVAL * 2).await;
    // A crash: nothing is saved any more, and what was not saved comes again.
    drop(events);
    drop(b);
    let b = join(&space, "b").await;
    expect(&mut durable(&b, Start::Live).await, 7..=10).await;
}

#[tokio::test(start_paused = true)]
async fn a_durable_name_has_one_reader() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, 1..=10).await;
    let durable = async |bus: &Bus| bus.subscribe(LOG).durable("same").start(Start::Earliest).await.unwrap();
    let mut first = durable(&a).await;
    expect(&mut first, 1..=5).await;
    first.save().await.unwrap();
    let mut second = durable(&b).await;
    expect(&mut second, 6..=8).await;
    second.save().await.unwrap();
    // The first one is told, and can no longer move what the second has saved.
    expect(&mut first, 6..=6).await;
    assert_eq!(first.save().await.unwrap_err().kind(), ErrorKind::Conflict);
    let ended = loop {
        match tokio::time::timeout(SOON, first.try_next()).await.expect("it was not told") {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Conflict);
    drop(second);
    expect(&mut durable(&a).await, 9..=10).await;
}

#[tokio::test(start_paused = true)]
async fn retention_that_passed_the_reader_is_a_gap() {
    let space = Space::default();
    let a = join(&space, "a").await;
    publish(&a, 1..=10).await;
    let mut events = read(&a, Start::Earliest).await;
    expect(&mut events, 1..=2).await;
    let cursor = events.cursor();
    space.faults().trim_log(LOG, 3);
    let mut late = read(&a, Start::Cursor(cursor)).await;
    assert_eq!(log_gap(&mut late).await, Reason::Retention);
    // Where the source stood is known, so the gap has a number too.
    match next(&mut late).await {
        Delivery::Gap(gap) => {
            let missing = Missing::Source { source: a.me(), lane: 0, from: Some(3), to: Some(8) };
            assert_eq!((gap.missing, gap.reason), (missing, Reason::GivenUp));
        }
        other => panic!("{other:?}"),
    }
    expect(&mut late, 8..=10).await;
    // Who begins there has missed nothing.
    expect(&mut read(&a, Start::Earliest).await, 8..=10).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_rewound_or_replaced_is_a_gap() {
    let space = Space::default();
    let a = join(&space, "a").await;
    publish(&a, 1..=10).await;
    let mut events = read(&a, Start::Earliest).await;
    expect(&mut events, 1..=10).await;
    let cursor = events.cursor();
    // The reader that runs hears of it, and the one that begins at the cursor.
    space.faults().rewind_log(LOG, 4);
    publish(&a, 11..=12).await;
    let mut later = read(&a, Start::Cursor(cursor.clone())).await;
    for events in [&mut events, &mut later] {
        assert_eq!(log_gap(events).await, Reason::Rewritten);
        expect(events, 11..=12).await;
    }
    space.faults().replace_log(LOG);
    assert_eq!(log_gap(&mut events).await, Reason::Rewritten);
    publish(&a, 13..=13).await;
    expect(&mut events, 13..=13).await;
    let mut later = read(&a, Start::Cursor(cursor)).await;
    assert_eq!(log_gap(&mut later).await, Reason::Rewritten);
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_reader_nothing() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    let mut events = read(&b, Start::Earliest).await;
    publish(&a, 1..=3).await;
    expect(&mut events, 1..=3).await;
    space.faults().isolate("b");
    publish(&a, 4..=6).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    space.faults().rejoin("b");
    expect(&mut events, 4..=6).await;
    space.faults().server_down();
    let publishing = tokio::spawn(a.publisher(LOG).unwrap().publish(&Tick(7)));
    tokio::time::sleep(Duration::from_secs(10)).await;
    space.faults().server_up();
    publishing.await.unwrap().unwrap();
    expect(&mut events, 7..=7).await;
    assert_eq!(b.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_repeats_nothing() {
    let space = Space::default();
    let a = join(&space, "a").await;
    space.faults().fail_publishes("a", 2, 0, PublishFault::UnknownStored);
    publish(&a, 1..=3).await;
    let mut events = read(&a, Start::Earliest).await;
    expect(&mut events, 1..=3).await;
    assert_nothing(&mut events).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_publisher_gave_up_is_a_gap() {
    let space = Space::default();
    let a = join(&space, "a").await;
    publish(&a, 1..=1).await;
    space.faults().fail_publishes("a", u32::MAX, 0, PublishFault::UnknownLost);
    let failed = a.publisher(LOG).unwrap().publish(&Tick(2)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::OutcomeUnknown);
    space.faults().clear();
    publish(&a, 3..=3).await;
    let mut events = read(&a, Start::Earliest).await;
    expect(&mut events, 1..=1).await;
    match next(&mut events).await {
        Delivery::Gap(gap) => assert_eq!((gap.events(), gap.reason), (Some(1), Reason::GivenUp)),
        other => panic!("{other:?}"),
    }
    expect(&mut events, 3..=3).await;
}

/// A log waits for its reader: nothing is dropped, and nothing is held beyond the memory.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_waited_for() {
    let space = Space::default();
    let mut small = config("b");
    small.limits.memory_bytes = Limits::MEMORY_BYTES_MIN;
    let (a, b) = (join(&space, "a").await, join_with(&space, small));
    b.ready(SOON).await.unwrap();
    let mut events = read(&b, Start::Earliest).await;
    let publisher = a.publisher(LOG).unwrap();
    for n in 0..200 {
        publisher.publish(&Large(n, vec![0; 100_000])).await.unwrap();
    }
    for n in 0..200 {
        match next(&mut events).await {
            Delivery::Event(event) => assert_eq!(event.decode::<Large>().unwrap().0, n),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((b.stats().overflowed, b.stats().gaps), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_with_what_to_do() {
    let space = Space::default();
    let a = join(&space, "a").await;
    // A live topic keeps nothing.
    for subscribe in [a.subscribe("mail"), a.subscribe("mail").durable("x")] {
        let error = subscribe.start(Start::Earliest).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.help_text().unwrap().contains("make it a log"), "{error}");
    }
    // Nodes that were told different things.
    publish(&a, 1..=1).await;
    let mut other = config("b");
    other.topics.clear();
    let b = join_with(&space, other);
    let error = b.subscribe(LOG).start(Start::Live).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("asked for as live") && error.to_string().contains("a log"),
        "{error}"
    );
    let failed = b.publisher(LOG).unwrap().publish(&Tick(1)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Config);
    // Its next heartbeat no longer names what the backend refused.
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Peers keep nothing.
    let peers = Space::new(SpaceConfig { echo_via_server: false, ..SpaceConfig::default() });
    let c = join_with(&peers, config("c"));
    assert_eq!(c.publisher(LOG).unwrap_err().kind(), ErrorKind::Unsupported);
    for start in [Start::Live, Start::Earliest] {
        let error = c.subscribe(LOG).start(start).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    // A cursor of something else, and names that are none.
    let error = a.subscribe(LOG).start(Start::Cursor(Cursor::default())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = a.subscribe(LOG).durable("not a name").start(Start::Earliest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let mut events = read(&a, Start::Earliest).await;
    assert_eq!(events.save().await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn live_topics_and_logs_can_be_read_together() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    let mut events = b.subscribe([LOG, "mail"]).start(Start::Live).await.unwrap();
    a.publisher("mail").unwrap().publish(&Tick(1)).await.unwrap();
    expect(&mut events, 1..=1).await;
    publish(&a, 2..=2).await;
    expect(&mut events, 2..=2).await;
    a.close(SOON).await.unwrap();
    b.close(SOON).await.unwrap();
    assert!(events.try_next().await.unwrap().is_none(), "and no gap");
}
