//! The whole engine over the in-memory transport: one publisher, one subscriber, events of 100 bytes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use agora_core::bus::{Bus, BusConfig, Delivery, Publisher, Start, Subscription};
use agora_core::event::Event;
use agora_core::group::{Action, Answer, Origin, Policy, Record, Tracker, Verdict};
use agora_core::id::{ClusterName, Incarnation, NodeId, NodeName, SourceId, TopicName};
use agora_core::memory::Space;
use agora_core::transport::{Framing, Position, Token, TopicSettings};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

const TOPIC: &str = "bench";
/// Events under way at most: the subscriber must keep up, since what it does not take in time is a gap.
const WINDOW: u64 = 16_384;

/// 100 bytes on the wire, body alone.
#[derive(Serialize, Deserialize)]
struct Payload {
    account: u64,
    text: String,
}

impl Event for Payload {
    const KIND: &'static str = "bench.payload";
}

fn payload() -> Payload {
    Payload { account: u64::MAX, text: "x".repeat(90) }
}

async fn pair(space: &Space) -> (Bus, Bus) {
    let join = |node: &str| {
        let config = BusConfig::new(ClusterName::new("bench").unwrap(), NodeName::new(node).unwrap());
        Bus::open(space.connect(&config.cluster, &config.node), config).unwrap()
    };
    let (a, b) = (join("a"), join("b"));
    for bus in [&a, &b] {
        bus.ready(Duration::from_secs(5)).await.unwrap();
    }
    (a, b)
}

/// Publishes in steps, each awaited by its last event: what a caller does that wants its outcomes and its speed.
async fn publish(publisher: Publisher, events: u64) {
    let event = payload();
    let mut left = events;
    while left > 0 {
        let step = left.min(WINDOW / 2);
        let mut last = None;
        for _ in 0..step {
            last = Some(publisher.publish(&event));
        }
        if let Some(last) = last {
            last.await.unwrap();
        }
        left -= step;
    }
}

async fn take<E: agora_core::event::Events>(events: &mut Subscription<E>, count: u64) {
    for _ in 0..count {
        match events.try_next().await.unwrap().unwrap() {
            Delivery::Event(event) => drop(black_box(event)),
            other => panic!("{other:?}", other = std::mem::discriminant(&other)),
        }
    }
}

fn throughput(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("engine");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(5));
    for typed in [false, true] {
        let name = if typed { "one to one, decoded" } else { "one to one, raw" };
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                runtime.block_on(async {
                    let space = Space::default();
                    let (a, b) = pair(&space).await;
                    let publisher = a.publisher(TOPIC).unwrap();
                    if typed {
                        let mut events =
                            b.subscribe(TOPIC).typed::<Payload>().start(Start::Live).await.unwrap();
                        let began = Instant::now();
                        let publishing = tokio::spawn(publish(publisher, count));
                        take(&mut events, count).await;
                        let took = began.elapsed();
                        publishing.await.unwrap();
                        took
                    } else {
                        let mut events = b.subscribe(TOPIC).start(Start::Live).await.unwrap();
                        let began = Instant::now();
                        let publishing = tokio::spawn(publish(publisher, count));
                        take(&mut events, count).await;
                        let took = began.elapsed();
                        publishing.await.unwrap();
                        took
                    }
                })
            });
        });
    }
    group.finish();
}

/// A group: what is published already is handled by one member, 64 at a time.
fn group(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("group");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(5));
    for framing in [Framing::Each, Framing::Batch] {
        group.bench_function(format!("{framing:?}"), |bencher| {
            bencher.iter_custom(|count| runtime.block_on(handle(framing, count)));
        });
    }
    group.finish();
}

/// How long it takes to handle so many events, in portions that the space can keep.
async fn handle(framing: Framing, events: u64) -> Duration {
    const LOG_EVENTS: u64 = 4096;
    let space = Space::default();
    let topic = TopicName::new(TOPIC).unwrap();
    let mut config = BusConfig::new(ClusterName::new("bench").unwrap(), NodeName::new("a").unwrap());
    config.topics.insert(topic, TopicSettings::LOG.framing(framing));
    let bus = Bus::open(space.connect(&config.cluster, &config.node), config).unwrap();
    bus.ready(Duration::from_secs(5)).await.unwrap();
    let mut jobs = bus.group(TOPIC, "workers").typed::<Payload>().await.unwrap();
    let (done, mut finished) = tokio::sync::watch::channel(0);
    let working = tokio::spawn(async move {
        let handler = |job: agora_core::bus::Attempt<Payload>| {
            black_box(&job.account);
            let done = done.clone();
            async move {
                done.send_modify(|done| *done += 1);
                Ok(())
            }
        };
        jobs.run(64, handler).await
    });
    let (mut took, mut sent) = (Duration::ZERO, 0);
    while sent < events {
        let step = LOG_EVENTS.min(events - sent);
        let began = Instant::now();
        publish(bus.publisher(TOPIC).unwrap(), step).await;
        sent += step;
        finished.wait_for(|done| *done >= sent).await.unwrap();
        took += began.elapsed();
    }
    bus.close(Duration::from_secs(5)).await.unwrap();
    working.await.unwrap().unwrap();
    took
}

/// What a group decides, without tasks: records of one event in portions of 256, each of one of 1,000 keys.
fn tracker(c: &mut Criterion) {
    const PORTION: u64 = 256;
    let mut group = c.benchmark_group("tracker");
    group.throughput(Throughput::Elements(PORTION));
    group.bench_function("records of one event", |bencher| {
        let (mut tracker, now, mut seq) = (Tracker::new(Policy::default()), tokio::time::Instant::now(), 0);
        bencher.iter(|| {
            for _ in 0..PORTION {
                seq += 1;
                let source = SourceId { node: NodeId(1), incarnation: Incarnation(1) };
                let (origin, at) = (Origin::Frame { source, lane: 0, seq }, Position(seq.into()));
                let (token, keys) = (Token(seq), vec![Some(seq % 1000)]);
                let record = Record { origin, lane: 0, at, token, attempt: 1, keys, bytes: 200, item: () };
                tracker.handle_record(now, record);
            }
            while let Some(begin) = tracker.next_job(now) {
                assert!(tracker.handle_verdict(now, begin.job, Verdict::Done));
            }
            while let Some(action) = tracker.poll() {
                let Action::Settle(token, how) = action else { panic!("{action:?}") };
                tracker.handle_answer(now, token, how, Answer::Done);
            }
        });
        assert_eq!(tracker.records(), 0);
    });
    group.finish();
}

criterion_group!(benches, throughput, group, tracker);
criterion_main!(benches);
