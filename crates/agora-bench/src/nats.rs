//! NATS: what a careful user of the client writes without agora. The server is that of `AGORA_NATS_URL`,
//! `nats://host:port` without credentials, or one of the benchmark's own.

use std::collections::VecDeque;
use std::time::Duration;

use agora_core::config;
use agora_core::transport::{OutFrame, mirror};
use agora_nats::NatsTransport;
use agora_testbed::Endpoint;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::backend::{Backend, Messages, Part, Work, aims};
use crate::latency::{EVENTS, Epoch, Latency, pace};
use crate::sample::{Sample, sample};
use crate::{PATIENCE, ahead, bus, name};

/// So long nothing comes any more.
const SILENCE: Duration = Duration::from_secs(5);
/// Acknowledgements in flight.
const WINDOW: usize = 1024;

/// A server, and where it is.
pub(crate) struct Nats {
    _server: Endpoint,
    address: String,
}

impl Nats {
    pub(crate) async fn start() -> Self {
        let server = Endpoint::nats().await.unwrap();
        let address = server.url().trim_start_matches("nats://").to_owned();
        Self { _server: server, address }
    }
}

impl Backend for Nats {
    type Transport = NatsTransport;

    const LIVE: Option<Part> = Some(Part {
        title: "Core",
        singles: 400_000,
        many: Some(1_600_000),
        aims: &aims(2.0),
        is_answered: false,
    });
    const LOG: Part = Part {
        title: "JetStream, 1,024 acknowledgements in flight",
        singles: 50_000,
        many: Some(400_000),
        aims: &aims(3.0),
        is_answered: true,
    };
    const GROUP: Part = Part {
        title: "JetStream, a group: pull and acknowledge",
        singles: 50_000,
        many: Some(400_000),
        aims: &aims(3.0),
        is_answered: true,
    };

    async fn transport(&self) -> NatsTransport {
        let mut config = config::Nats::default();
        config.addresses = vec![self.address.clone()];
        NatsTransport::connect(&config, &bus::cluster(), PATIENCE).await.unwrap()
    }

    async fn raw(&self, work: Work, messages: Messages) -> Sample {
        match work {
            Work::Live => core(&self.address, &messages).await,
            Work::Log => stream(&self.address, &messages).await,
            Work::Group => group(&self.address, &messages).await,
        }
    }

    async fn latency(&self, log: bool) -> Latency {
        latency(&self.address, log).await
    }
}

async fn connect(address: &str) -> Client {
    ConnectOptions::new().connect(address).await.unwrap()
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// The line of a message of agora; empty for others.
fn line_of(message: &OutFrame) -> String {
    let mut line = String::new();
    mirror::write(message, &mut line);
    line
}

/// Publishes on the core, no more than so many bytes ahead of the reader. Nothing tells a raw client of a loss: a run in
/// which messages stay out is said, and made again.
async fn core(address: &str, messages: &Messages) -> Sample {
    loop {
        match try_core(address, messages).await {
            Ok(sample) => return sample,
            Err(lost) => println!("(the raw client lost {lost} messages; once more)"),
        }
    }
}

async fn try_core(address: &str, messages: &Messages) -> Result<Sample, u64> {
    let (a, b, subject) = (connect(address).await, connect(address).await, name());
    let mut arriving = b.subscribe(subject.clone()).await.unwrap();
    b.flush().await.unwrap();
    let (count, message, line) = (messages.count(), messages.one.payload.clone(), line_of(&messages.one));
    let (progress, mut taken) = watch::channel(0);
    let publishing = tokio::spawn(async move {
        for sent in 0..count {
            // An error: the reader has given up.
            if sent % 128 == 0 && taken.wait_for(|taken| sent <= taken + ahead(message.len())).await.is_err()
            {
                return;
            }
            if line.is_empty() {
                a.publish(subject.clone(), message.clone()).await.unwrap();
            } else {
                let mut headers = HeaderMap::new();
                headers.insert("agora", line.clone());
                a.publish_with_headers(subject.clone(), headers, message.clone()).await.unwrap();
            }
        }
        a.flush().await.unwrap();
    });
    let mut lost = 0;
    let sample = sample(messages.events, async {
        for taken in 0..count {
            let Ok(message) = tokio::time::timeout(SILENCE, arriving.next()).await else {
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
async fn publish(jetstream: &jetstream::Context, subject: &str, messages: &Messages) {
    let mut window = VecDeque::with_capacity(WINDOW);
    let line = line_of(&messages.one);
    for number in 0..messages.count() {
        if window.len() == WINDOW
            && let Some(oldest) = window.pop_front()
        {
            let oldest: jetstream::context::PublishAckFuture = oldest;
            oldest.await.unwrap();
        }
        let (subject, payload) = (subject.to_owned(), messages.one.payload.clone());
        window.push_back(if line.is_empty() {
            jetstream.publish(subject, payload).await.unwrap()
        } else {
            let mut headers = HeaderMap::new();
            headers.insert("agora", line.clone());
            headers.insert("Nats-Msg-Id", format!("{subject}-5555555555555555-{number}"));
            jetstream.publish_with_headers(subject, headers, payload).await.unwrap()
        });
    }
    for one in window {
        one.await.unwrap();
    }
}

/// Publishes to a stream, and reads it with an ordered consumer.
async fn stream(address: &str, messages: &Messages) -> Sample {
    let (a, b, name) = (connect(address).await, connect(address).await, name());
    let (writer, reader) = (jetstream::new(a), jetstream::new(b));
    make_stream(&writer, &name).await;
    let stream = reader.get_stream(&name).await.unwrap();
    let consumer = stream.create_consumer(pull::OrderedConfig::default()).await.unwrap();
    let mut arriving = consumer.messages().await.unwrap();
    let subject = name.clone();
    let publishing = {
        let (writer, messages) = (writer.clone(), messages.clone());
        tokio::spawn(async move { publish(&writer, &subject, &messages).await })
    };
    let sample = sample(messages.events, async {
        for _ in 0..messages.count() {
            std::hint::black_box(arriving.next().await.unwrap().unwrap().payload.len());
        }
        publishing.await.unwrap();
    });
    let sample = sample.await;
    writer.delete_stream(&name).await.unwrap();
    sample
}

/// Pulls and acknowledges what was published before, without waiting for answers to the acknowledgements.
async fn group(address: &str, messages: &Messages) -> Sample {
    let (client, name) = (connect(address).await, name());
    let jetstream = jetstream::new(client.clone());
    let stream = make_stream(&jetstream, &name).await;
    publish(&jetstream, &name, messages).await;
    let config = pull::Config {
        durable_name: Some("workers".into()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 4096,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut arriving = consumer.stream().max_messages_per_batch(512).messages().await.unwrap();
    let sample = sample(messages.events, async {
        for _ in 0..messages.count() {
            let message = arriving.next().await.unwrap().unwrap();
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
async fn latency(address: &str, log: bool) -> Latency {
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
