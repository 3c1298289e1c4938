//! The side of agora, the same on every backend.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agora_core::bus::{Attempt, Bus, BusConfig, Delivery, Publisher, Start};
use agora_core::codec::{FrameBuilder, FrameType, Stamp};
use agora_core::event::{Event, Key};
use agora_core::id::{ClusterName, Incarnation, NodeId, NodeName, SourceId, StreamId, TopicName};
use agora_core::transport::{Framing, OutFrame, TopicKind, TopicSettings, Transport};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::backend::Messages;
use crate::latency::{Epoch, Latency, pace};
use crate::sample::{Sample, sample};
use crate::{PATIENCE, ahead};

/// Events of which a caller awaits the last.
const STEP: u64 = 2048;
/// Handlers of a group at a time.
const HANDLERS: usize = 256;

/// An event of a size that the benchmark chooses.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    time: u64,
    text: String,
    #[serde(skip)]
    key: Option<u64>,
}

impl Event for Payload {
    const KIND: &'static str = "bench.payload";

    fn key(&self) -> Option<Key<'_>> {
        self.key.map(Key::from)
    }
}

pub(crate) fn payload(bytes: usize, time: u64) -> Payload {
    // Nine bytes of a large number, and three of the length of a text.
    Payload { time: time | 1 << 63, text: "x".repeat(bytes.saturating_sub(12)), key: None }
}

/// What agora sends where each event is a message, with one of so many keys, as a raw client may send it.
pub(crate) fn messages(events: u64, bytes: usize, keys: u64) -> Messages {
    let source = SourceId { node: NodeId(u64::MAX / 3), incarnation: Incarnation(u64::MAX / 5) };
    let seq = events / 2;
    let event = Payload { key: (keys > 0).then_some(keys / 2), ..payload(bytes, 0) };
    let mut builder = FrameBuilder::new();
    builder.push_event(&event).unwrap();
    let stamp = Stamp { source, stream: StreamId(u64::MAX / 7), seq, floor: seq, sent_us: 0 };
    let headers = vec![
        ("agora-kind", Payload::KIND.into()),
        ("agora-version", "1".into()),
        ("agora-source", source.to_string().into()),
        ("agora-seq", seq.to_string().into()),
    ];
    let key = event.key().map(|key| Bytes::copy_from_slice(key.as_bytes()));
    let one = OutFrame { key, headers, payload: builder.finish(&stamp, FrameType::Data) };
    Messages { events, batch: 1, one }
}

/// A topic that nobody used before.
pub(crate) fn topic(log: bool, framing: Framing) -> (TopicName, TopicSettings) {
    static TOPICS: AtomicU64 = AtomicU64::new(0);
    let name = format!("bench.t{}", TOPICS.fetch_add(1, Ordering::Relaxed));
    let settings = if log { TopicSettings::LOG } else { TopicSettings::LIVE };
    (TopicName::new(&name).unwrap(), settings.framing(framing))
}

/// A bus of a cluster that the benchmark has for itself.
pub(crate) async fn open(transport: impl Transport, node: &str, topic: &(TopicName, TopicSettings)) -> Bus {
    let mut config = BusConfig::new(cluster(), NodeName::new(node).unwrap());
    config.topics.insert(topic.0.clone(), topic.1);
    let bus = Bus::open(transport, config).unwrap();
    bus.ready(PATIENCE).await.unwrap();
    bus
}

/// The cluster of the benchmark.
pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("bench").unwrap()
}

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Events in one run.
    pub(crate) events: u64,
    /// Bytes of an event.
    pub(crate) bytes: usize,
    /// Events to a message.
    pub(crate) framing: Framing,
    /// How many keys they have, by turns; 0: none.
    pub(crate) keys: u64,
}

/// Publishes, no more than so many ahead of the reader. What became of the events is waited for step by step, behind those
/// that are under way.
async fn publish(publisher: &Publisher, load: Load, mut taken: watch::Receiver<u64>) {
    let mut event = payload(load.bytes, 0);
    let (mut sent, mut under_way) = (0, VecDeque::new());
    // One event to a message takes memory of its own: more of them than a few calls of the transport only wait.
    let under_way_max = if load.framing == Framing::Each { 1 } else { 8 };
    while sent < load.events {
        let step = (load.events - sent).min(STEP);
        taken.wait_for(|taken| sent + step <= taken + ahead(load.bytes)).await.unwrap();
        let mut last = None;
        for number in sent..sent + step {
            event.key = number.checked_rem(load.keys);
            last = Some(publisher.publish(&event));
        }
        under_way.extend(last);
        if under_way.len() > under_way_max
            && let Some(first) = under_way.pop_front()
        {
            first.await.unwrap();
        }
        sent += step;
    }
    for last in under_way {
        last.await.unwrap();
    }
}

/// One publisher to one subscriber, each on a connection of its own.
pub(crate) async fn one_to_one(a: impl Transport, b: impl Transport, load: Load, log: bool) -> Sample {
    let topic = topic(log, load.framing);
    let (a, b) = (open(a, "a", &topic).await, open(b, "b", &topic).await);
    let mut events = b.subscribe(topic.0.as_str()).start(Start::Live).await.unwrap();
    let publisher = a.publisher(topic.0.as_str()).unwrap();
    let (progress, taken) = watch::channel(0);
    let reading = async {
        let mut count = 0;
        while count < load.events {
            match events.try_next().await.unwrap().unwrap() {
                Delivery::Event(event) => {
                    std::hint::black_box(event.body().len());
                    count += 1;
                }
                other => panic!("not an event: {other:?}"),
            }
            if count % 1024 == 0 || count == load.events {
                progress.send_replace(count);
            }
        }
    };
    let publishing = tokio::spawn(async move { publish(&publisher, load, taken).await });
    let sample = sample(load.events, async {
        reading.await;
        publishing.await.unwrap();
    });
    let sample = sample.await;
    close(a, b, &topic).await;
    sample
}

/// Two buses on a log that holds the whole load already.
async fn published(
    a: impl Transport,
    b: impl Transport,
    load: Load,
) -> (Bus, Bus, (TopicName, TopicSettings)) {
    let topic = topic(true, load.framing);
    let (a, b) = (open(a, "a", &topic).await, open(b, "b", &topic).await);
    let publisher = a.publisher(topic.0.as_str()).unwrap();
    let (_progress, taken) = watch::channel(load.events);
    publish(&publisher, load, taken).await;
    (a, b, topic)
}

/// A subscriber reads what was published before.
pub(crate) async fn replay(a: impl Transport, b: impl Transport, load: Load) -> Sample {
    let (a, b, topic) = published(a, b, load).await;
    let subscribing = b.subscribe(topic.0.as_str()).typed::<Payload>();
    let mut events = subscribing.start(Start::Earliest).await.unwrap();
    let sample = sample(load.events, async {
        for _ in 0..load.events {
            match events.try_next().await.unwrap().unwrap() {
                Delivery::Event(event) => std::hint::black_box(&event.event),
                other => panic!("not an event: {other:?}"),
            };
        }
    });
    let sample = sample.await;
    drop(events);
    close(a, b, &topic).await;
    sample
}

/// A group of one member handles what was published before.
pub(crate) async fn group(a: impl Transport, b: impl Transport, load: Load) -> Sample {
    let (a, b, topic) = published(a, b, load).await;
    let mut jobs = b.group(topic.0.as_str(), "workers").typed::<Payload>().await.unwrap();
    let (done, mut finished) = watch::channel(0);
    let sample = sample(load.events, async {
        let handler = |job: Attempt<Payload>| {
            std::hint::black_box(&job.event);
            let done = done.clone();
            async move {
                done.send_modify(|done| *done += 1);
                Ok(())
            }
        };
        tokio::select! {
            ended = jobs.run(HANDLERS, handler) => panic!("the group ended: {ended:?}"),
            reached = finished.wait_for(|done| *done >= load.events) => drop(reached.unwrap()),
        }
    });
    let sample = sample.await;
    jobs.leave(PATIENCE).await.unwrap();
    close(a, b, &topic).await;
    sample
}

/// The latency of events at a thousand a second.
pub(crate) async fn latency(a: impl Transport, b: impl Transport, log: bool, is_answered: bool) -> Latency {
    let topic = topic(log, Framing::Batch);
    let (a, b) = (open(a, "a", &topic).await, open(b, "b", &topic).await);
    let mut events = b.subscribe(topic.0.as_str()).typed::<Payload>().start(Start::Live).await.unwrap();
    let publisher = a.publisher(topic.0.as_str()).unwrap();
    let epoch = Epoch::start();
    let reading = tokio::spawn(async move {
        let mut nanos = Vec::new();
        while nanos.len() < usize::try_from(crate::latency::EVENTS).unwrap() {
            match events.try_next().await.unwrap().unwrap() {
                Delivery::Event(event) => nanos.push(epoch.nanos() - (event.event.time & !(1 << 63))),
                other => panic!("not an event: {other:?}"),
            }
        }
        nanos
    });
    pace(epoch, |time| {
        let event = payload(100, time);
        if is_answered {
            // The pace is kept whatever the answer takes.
            tokio::spawn(publisher.publish(&event));
        } else {
            publisher.try_publish(&event).unwrap();
        }
        std::future::ready(())
    })
    .await;
    let nanos = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    close(a, b, &topic).await;
    Latency::of(&nanos)
}

/// Closes both. A log is deleted: many runs would fill a disk.
pub(crate) async fn close(a: Bus, b: Bus, (name, settings): &(TopicName, TopicSettings)) {
    let patience = Duration::from_secs(10);
    b.close(patience).await.unwrap();
    if settings.kind == TopicKind::Log {
        a.admin().unwrap().delete_topic(name).await.unwrap();
    }
    a.close(patience).await.unwrap();
}
