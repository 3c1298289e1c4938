//! What a careful user of the client writes without agora.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agora_bench::latency::{EVENTS, Epoch, Latency, pace};
use agora_bench::sample::{Sample, sample};
use agora_bench::{PATIENCE, ahead};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;

/// So long nothing comes any more.
const SILENCE: Duration = Duration::from_secs(5);
/// Acknowledgements in flight.
const WINDOW: usize = 1024;

async fn connect(address: &str) -> Client {
    ConnectOptions::new().connect(address).await.unwrap()
}

/// A name that nobody used before.
fn name() -> String {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    format!("raw-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

fn message(bytes: usize, batch: usize) -> Bytes {
    vec![7; bytes * batch].into()
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// Publishes on the core, no more than so many bytes ahead of the reader. Nothing tells a raw client of a loss: a run in
/// which messages stay out is said, and made again.
pub(crate) async fn core(address: &str, events: u64, bytes: usize, batch: usize) -> Sample {
    loop {
        match try_core(address, events, bytes, batch).await {
            Ok(sample) => return sample,
            Err(lost) => println!("(the raw client lost {lost} messages; once more)"),
        }
    }
}

async fn try_core(address: &str, events: u64, bytes: usize, batch: usize) -> Result<Sample, u64> {
    let (a, b, subject) = (connect(address).await, connect(address).await, name());
    let mut messages = b.subscribe(subject.clone()).await.unwrap();
    b.flush().await.unwrap();
    let (count, message) = (events / batch as u64, message(bytes, batch));
    let (progress, mut taken) = watch::channel(0);
    let publishing = tokio::spawn(async move {
        for sent in 0..count {
            // An error: the reader has given up.
            if sent % 128 == 0 && taken.wait_for(|taken| sent <= taken + ahead(message.len())).await.is_err()
            {
                return;
            }
            a.publish(subject.clone(), message.clone()).await.unwrap();
        }
        a.flush().await.unwrap();
    });
    let mut lost = 0;
    let sample = sample(count * batch as u64, async {
        for taken in 0..count {
            let Ok(message) = tokio::time::timeout(SILENCE, messages.next()).await else {
                lost = count - taken;
                return;
            };
            std::hint::black_box(message.unwrap().payload.len());
            if taken % 128 == 0 {
                progress.send_replace(taken);
            }
        }
    });
    let sample = sample.await;
    drop(progress);
    publishing.await.unwrap();
    if lost == 0 { Ok(sample) } else { Err(lost) }
}

async fn make_stream(jetstream: &jetstream::Context, name: &str) -> stream::Stream {
    let config =
        stream::Config { name: name.into(), subjects: vec![name.into()], ..stream::Config::default() };
    jetstream.create_stream(config).await.unwrap()
}

/// Publishes with a window of acknowledgements.
async fn publish(jetstream: &jetstream::Context, subject: &str, count: u64, message: &Bytes) {
    let mut window = VecDeque::with_capacity(WINDOW);
    for _ in 0..count {
        if window.len() == WINDOW
            && let Some(oldest) = window.pop_front()
        {
            let oldest: jetstream::context::PublishAckFuture = oldest;
            oldest.await.unwrap();
        }
        window.push_back(jetstream.publish(subject.to_owned(), message.clone()).await.unwrap());
    }
    for one in window {
        one.await.unwrap();
    }
}

/// Publishes to a stream, and reads it with an ordered consumer.
pub(crate) async fn stream(address: &str, events: u64, bytes: usize, batch: usize) -> Sample {
    let (a, b, name) = (connect(address).await, connect(address).await, name());
    let (writer, reader) = (jetstream::new(a), jetstream::new(b));
    make_stream(&writer, &name).await;
    let stream = reader.get_stream(&name).await.unwrap();
    let consumer = stream.create_consumer(pull::OrderedConfig::default()).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let (count, message) = (events / batch as u64, message(bytes, batch));
    let subject = name.clone();
    let publishing = {
        let writer = writer.clone();
        tokio::spawn(async move { publish(&writer, &subject, count, &message).await })
    };
    let sample = sample(count * batch as u64, async {
        for _ in 0..count {
            std::hint::black_box(messages.next().await.unwrap().unwrap().payload.len());
        }
        publishing.await.unwrap();
    });
    let sample = sample.await;
    writer.delete_stream(&name).await.unwrap();
    sample
}

/// Pulls and acknowledges what was published before, without waiting for answers to the acknowledgements.
pub(crate) async fn group(address: &str, events: u64, bytes: usize, batch: usize) -> Sample {
    let (client, name) = (connect(address).await, name());
    let jetstream = jetstream::new(client.clone());
    let stream = make_stream(&jetstream, &name).await;
    let count = events / batch as u64;
    publish(&jetstream, &name, count, &message(bytes, batch)).await;
    let config = pull::Config {
        durable_name: Some("workers".into()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 4096,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = consumer.stream().max_messages_per_batch(512).messages().await.unwrap();
    let sample = sample(count * batch as u64, async {
        for _ in 0..count {
            let message = messages.next().await.unwrap().unwrap();
            std::hint::black_box(message.payload.len());
            message.ack().await.unwrap();
        }
        client.flush().await.unwrap();
    });
    let sample = sample.await;
    jetstream.delete_stream(&name).await.unwrap();
    sample
}

/// The latency at a thousand a second.
pub(crate) async fn latency(address: &str, log: bool) -> Latency {
    let (a, b, name) = (connect(address).await, connect(address).await, name());
    let (writer, reader) = (jetstream::new(a.clone()), jetstream::new(b.clone()));
    let epoch = Epoch::start();
    let nanos = move |payload: &Bytes| epoch.nanos() - u64::from_le_bytes(payload[..8].try_into().unwrap());
    let reading = if log {
        make_stream(&writer, &name).await;
        let stream = reader.get_stream(&name).await.unwrap();
        let consumer = stream.create_consumer(pull::OrderedConfig::default()).await.unwrap();
        let messages = consumer.messages().await.unwrap();
        let times = messages.map(move |message| nanos(&message.unwrap().payload)).take(usize_of(EVENTS));
        tokio::spawn(times.collect::<Vec<u64>>())
    } else {
        let messages = b.subscribe(name.clone()).await.unwrap();
        b.flush().await.unwrap();
        tokio::spawn(messages.map(move |message| nanos(&message.payload)).take(usize_of(EVENTS)).collect())
    };
    pace(epoch, |time| {
        let (a, writer, name) = (a.clone(), writer.clone(), name.clone());
        let mut payload = vec![7; 100];
        payload[..8].copy_from_slice(&time.to_le_bytes());
        async move {
            if log {
                let ack = writer.publish(name, payload.into()).await.unwrap();
                tokio::spawn(async move { ack.await.unwrap() });
            } else {
                a.publish(name, payload.into()).await.unwrap();
            }
        }
    })
    .await;
    let nanos = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    Latency::of(&nanos)
}
