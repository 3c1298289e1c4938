//! The side of agora, the same on every backend.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agora_core::bus::{Attempt, Bus, BusConfig, Delivery, Publisher, Start};
use agora_core::codec::{FrameBuilder, FrameType, Stamp};
use agora_core::event::Event;
use agora_core::id::{ClusterName, Incarnation, NodeId, NodeName, SourceId, StreamId, TopicName};
use agora_core::transport::{Framing, OutFrame, TopicSettings, Transport};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::backend::Messages;
use crate::latency::{Epoch, Latency, pace};
use crate::sample::{Sample, sample};
use crate::{PATIENCE, ahead};

/// Events that a caller has under way before it awaits the last of them.
const STEP: u64 = 2048;
/// Handlers of a group at a time.
const HANDLERS: usize = 256;

/// An event of a size that the benchmark chooses.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    time: u64,
    text: String,
}

impl Event for Payload {
    const KIND: &'static str = "bench.payload";
}

pub(crate) fn payload(bytes: usize, time: u64) -> Payload {
    // Nine bytes of a large number, and three of the length of a text.
    Payload { time: time | 1 << 63, text: "x".repeat(bytes.saturating_sub(12)) }
}

/// What agora sends where each event is a message, as a raw client may send it.
pub(crate) fn messages(events: u64, bytes: usize) -> Messages {
    let source = SourceId { node: NodeId(u64::MAX / 3), incarnation: Incarnation(u64::MAX / 5) };
    let seq = events / 2;
    let mut builder = FrameBuilder::new();
    builder.push_event(&payload(bytes, 0)).unwrap();
    let stamp = Stamp { source, stream: StreamId(u64::MAX / 7), seq, floor: seq, sent_us: 0 };
    let headers = vec![
        ("agora-kind", Payload::KIND.into()),
        ("agora-version", "1".into()),
        ("agora-source", source.to_string().into()),
        ("agora-seq", seq.to_string().into()),
    ];
    let one = OutFrame { headers, ..OutFrame::new(builder.finish(&stamp, FrameType::Data)) };
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
    /// On a log, or live.
    pub(crate) log: bool,
}

/// Publishes, no more than so many ahead of the reader.
async fn publish(publisher: &Publisher, load: Load, mut taken: watch::Receiver<u64>) {
    let event = payload(load.bytes, 0);
    let mut sent = 0;
    while sent < load.events {
        let step = (load.events - sent).min(STEP);
        taken.wait_for(|taken| sent + step <= taken + ahead(load.bytes)).await.unwrap();
        let mut last = None;
        for _ in 0..step {
            last = Some(publisher.publish(&event));
        }
        if let Some(last) = last {
            last.await.unwrap();
        }
        sent += step;
    }
}

/// One publisher to one subscriber, each on a connection of its own.
pub(crate) async fn one_to_one(a: impl Transport, b: impl Transport, load: Load) -> Sample {
    let topic = topic(load.log, load.framing);
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
    close(a, b).await;
    sample
}

/// A group of one member handles what was published before.
pub(crate) async fn group(a: impl Transport, b: impl Transport, load: Load) -> Sample {
    let topic = topic(true, load.framing);
    let (a, b) = (open(a, "a", &topic).await, open(b, "b", &topic).await);
    let publisher = a.publisher(topic.0.as_str()).unwrap();
    let (_progress, taken) = watch::channel(load.events);
    publish(&publisher, load, taken).await;
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
    close(a, b).await;
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
    close(a, b).await;
    Latency::of(&nanos)
}

pub(crate) async fn close(a: Bus, b: Bus) {
    for bus in [a, b] {
        bus.close(Duration::from_secs(10)).await.unwrap();
    }
}
