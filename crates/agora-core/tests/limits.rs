//! Bounds, deadlines and failures of the bus, over the in-memory transport under paused time.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Bus, BusConfig, Clock, Delivery, Missing, Start};
use agora_core::event::Event;
use agora_core::id::{ClusterName, NodeName};
use agora_core::limits::Limits;
use agora_core::live::Reason;
use agora_core::memory::{Space, SpaceConfig};
use serde::{Deserialize, Serialize};

const TOPIC: &str = "stwt.agora";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Blob(Vec<u8>);

impl Event for Blob {
    const KIND: &'static str = "test.blob";
}

fn config(node: &str, seed: u64) -> BusConfig {
    let mut config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new(node).unwrap());
    config.seed = Some(seed);
    config.clock = Clock::simulated();
    config.limits.memory_bytes = Limits::MEMORY_BYTES_MIN;
    config.limits.publish_timeout = Duration::from_secs(2);
    config
}

fn join(space: &Space, node: &str, seed: u64) -> Bus {
    let config = config(node, seed);
    Bus::open(space.connect(&config.cluster, &config.node), config).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_a_gap_for_what_it_did_not_take_and_then_goes_on() {
    let space = Space::default();
    let (a, b) = (join(&space, "a", 1), join(&space, "b", 2));
    let mut slow = b.subscribe(TOPIC).start(Start::Live).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    // Several times what b may keep.
    for _ in 0..200 {
        publisher.publish(&Blob(vec![7; 60_000])).await.unwrap();
    }
    publisher.publish(&Blob(vec![1])).await.unwrap();
    a.flush(Duration::from_secs(5)).await.unwrap();
    let (mut next, mut missing) = (1, 0);
    while next <= 201 {
        let delivery = tokio::time::timeout(Duration::from_secs(60), slow.try_next()).await;
        match delivery.expect("silence").unwrap().unwrap() {
            Delivery::Event(event) => {
                assert_eq!(event.seq(), next, "in order, and nothing silent");
                next += 1;
            }
            Delivery::Gap(gap) => {
                let Missing::Source { source, from: Some(from), to: Some(to), .. } = gap.missing else {
                    panic!()
                };
                assert_eq!((source, from, gap.reason), (a.me(), next, Reason::Overflow));
                missing += to - from;
                next = to;
            }
            Delivery::Foreign(_) => panic!(),
        }
    }
    assert!(missing > 100, "most did not fit: {missing}");
    assert_eq!(b.stats().asks_sent, 0, "repair does not feed an overload");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_an_error_for_those_who_do_not_wait_and_a_pause_for_those_who_do() {
    let space = Space::default();
    let a = join(&space, "a", 1);
    a.ready(Duration::from_secs(5)).await.unwrap();
    space.faults().server_down();
    let publisher = a.publisher(TOPIC).unwrap();
    let blob = Blob(vec![0; 100_000]);
    let full = (0..1000).find_map(|_| publisher.try_publish(&blob).err()).expect("memory is bounded");
    assert_eq!(full.kind(), ErrorKind::QueueFull);
    assert_eq!(a.stats().queue_full, 1);
    let waiting = tokio::spawn(publisher.publish(&blob));
    space.faults().server_up();
    waiting.await.unwrap().expect("there was room again before its deadline");
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_times_out_with_a_known_outcome() {
    let space = Space::default();
    let (a, b) = (join(&space, "a", 1), join(&space, "b", 2));
    let mut events = b.subscribe(TOPIC).start(Start::Live).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    publisher.publish(&Blob(vec![1])).await.unwrap();
    space.faults().server_down();
    let error = publisher.publish(&Blob(vec![2])).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome_known()), (ErrorKind::Timeout, true));
    space.faults().server_up();
    let receipt = publisher.publish(&Blob(vec![3])).await.unwrap();
    assert_eq!(receipt.seq, 2, "what was not formed takes no sequence");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let delivery = tokio::time::timeout(Duration::from_secs(60), events.try_next()).await;
        match delivery.expect("silence").unwrap().unwrap() {
            Delivery::Event(event) => seen.push(event.decode::<Blob>().unwrap().0[0]),
            other => panic!("no gap is owed: {other:?}"),
        }
    }
    assert_eq!(seen, [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn ready_says_why_it_is_not() {
    let space = Space::default();
    space.faults().server_down();
    let a = join(&space, "a", 1);
    let error = a.ready(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("link: down"), "{error}");
    space.faults().server_up();
    a.ready(Duration::from_secs(3)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_without_a_backend_ends_in_time_and_says_what_was_not_sent() {
    let space = Space::default();
    let a = join(&space, "a", 1);
    a.ready(Duration::from_secs(5)).await.unwrap();
    space.faults().server_down();
    let pending = a.publisher(TOPIC).unwrap().publish(&Blob(vec![1]));
    let error = a.close(Duration::from_millis(500)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("events not settled: 1"), "{error}");
    pending.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn too_large_is_said_before_anything_is_queued() {
    let space = Space::new(SpaceConfig { message_bytes_max: 10_000, ..SpaceConfig::default() });
    let a = join(&space, "a", 1);
    let publisher = a.publisher(TOPIC).unwrap();
    publisher.publish(&Blob(vec![0; 9_000])).await.unwrap();
    for (bytes, limit) in [(10_000, "the backend"), (2 << 20, "the body")] {
        let error = publisher.publish(&Blob(vec![0; bytes])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains(limit) || bytes > 1 << 20, "{error}");
    }
    assert_eq!(a.stats().published, 1);
    // Many small ones together stay below it too.
    for _ in 0..100 {
        publisher.try_publish(&Blob(vec![0; 900])).unwrap();
    }
    a.flush(Duration::from_secs(5)).await.unwrap();
    let stats = a.stats();
    assert_eq!(stats.failures_of(ErrorKind::TooLarge), 2, "those that were refused, and none beside them");
    assert_eq!((stats.publish_failed, stats.accepted), (2, 101));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_costs_nothing_and_a_new_one_begins_anew() {
    let space = Space::default();
    let (a, b) = (join(&space, "a", 1), join(&space, "b", 2));
    let publisher = a.publisher(TOPIC).unwrap();
    for turn in 1..=5u8 {
        let mut events = b.subscribe(TOPIC).start(Start::Live).await.unwrap();
        publisher.publish(&Blob(vec![turn])).await.unwrap();
        let Some(Delivery::Event(event)) = events.try_next().await.unwrap() else { panic!() };
        assert_eq!(event.decode::<Blob>().unwrap().0, [turn]);
        drop(events);
        publisher.publish(&Blob(vec![0])).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_frame_is_repaired_and_a_lost_tail_too() {
    let space = Space::new(SpaceConfig { echo_via_server: false, seed: 3, ..SpaceConfig::default() });
    let (a, b) = (join(&space, "a", 1), join(&space, "b", 2));
    let mut events = b.subscribe(TOPIC).start(Start::Live).await.unwrap();
    let publisher = a.publisher(TOPIC).unwrap();
    for n in 1..=6u8 {
        if n % 3 == 0 {
            space.faults().cut_one_way("a", "b");
        }
        publisher.publish(&Blob(vec![n])).await.unwrap();
        space.faults().heal_all();
    }
    for n in 1..=6u8 {
        let delivery = tokio::time::timeout(Duration::from_secs(60), events.try_next()).await;
        let Some(Delivery::Event(event)) = delivery.expect("silence").unwrap() else { panic!("a gap") };
        assert_eq!(event.decode::<Blob>().unwrap().0, [n]);
    }
    assert_eq!(b.stats().repaired, 2);
}

#[test]
fn outside_of_a_runtime_it_is_an_error_and_no_panic() {
    let config = config("a", 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let transport = runtime.block_on(async { Space::default().connect(&config.cluster, &config.node) });
    let error = Bus::open(transport, config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}
