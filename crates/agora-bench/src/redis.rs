//! Redis: what a careful user of the client writes without agora, on a server of the benchmark's own.

use agora_core::config::{self, SecretUrl};
use agora_core::transport::mirror;
use agora_redis::RedisTransport;
use agora_testbed::{Program, RedisServer};
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client};
use tokio::sync::watch;

use crate::backend::{Backend, Messages, Part, Work, aims};
use crate::latency::{EVENTS, Epoch, Latency, pace};
use crate::sample::{Sample, sample};
use crate::{PATIENCE, ahead, bus, name};

/// Commands in one pipeline.
const PIPELINE: u64 = 128;
/// Pipelines at a time, where the order does not matter.
const PIPELINES: u64 = 4;
/// Entries that are read at once.
const COUNT: usize = 1000;

/// A server.
pub(crate) struct Redis(RedisServer);

impl Redis {
    /// As the research's baselines: written to a file, which the system flushes.
    pub(crate) async fn start() -> Self {
        let server = RedisServer::with(Program::Redis, &["--appendonly", "yes", "--appendfsync", "everysec"]);
        Self(server.await.unwrap())
    }
}

impl Backend for Redis {
    type Transport = RedisTransport;

    const LIVE: Option<Part> = Some(Part {
        title: "PUBLISH, 4 pipelines of 128",
        singles: 200_000,
        many: Some(800_000),
        aims: &aims(3.0),
        is_answered: true,
    });
    const LOG: Part = Part {
        title: "XADD in pipelines of 128, and XREAD",
        singles: 100_000,
        many: Some(400_000),
        aims: &aims(3.0),
        is_answered: true,
    };
    const GROUP: Part = Part {
        title: "A group: XREADGROUP and XACK",
        singles: 100_000,
        many: Some(400_000),
        aims: &aims(3.0),
        is_answered: true,
    };

    async fn transport(&self) -> RedisTransport {
        let mut config = config::Redis::default();
        config.urls = vec![SecretUrl::new(self.0.url())];
        RedisTransport::connect(&config, &bus::cluster(), PATIENCE).await.unwrap()
    }

    async fn raw(&self, work: Work, messages: Messages) -> Sample {
        let url = self.0.url();
        match work {
            Work::Live => pubsub(&url, &messages).await,
            Work::Log => stream(&url, &messages).await,
            Work::Group => group(&url, &messages).await,
        }
    }

    async fn latency(&self, log: bool) -> Latency {
        latency(&self.0.url(), log).await
    }
}

async fn connect(url: &str) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// Publishes in pipelines, several at a time on connections of their own; the messages of agora on one, so that their order
/// is kept.
async fn pubsub(url: &str, messages: &Messages) -> Sample {
    let channel = name();
    let mut pubsub = Client::open(url).unwrap().get_async_pubsub().await.unwrap();
    pubsub.subscribe(&channel).await.unwrap();
    let pipelines = if messages.is_dressed() { 1 } else { PIPELINES };
    let rounds = messages.count() / PIPELINE / pipelines;
    let mut writers = Vec::new();
    for _ in 0..pipelines {
        writers.push(connect(url).await);
    }
    let payload = messages.one.payload.clone();
    let count = rounds * pipelines * PIPELINE;
    let (progress, taken) = watch::channel(0);
    let sample = sample(count * messages.batch as u64, async {
        let mut writing = tokio::task::JoinSet::new();
        for mut writer in writers {
            let (channel, payload, mut taken) = (channel.clone(), payload.clone(), taken.clone());
            writing.spawn(async move {
                let mut pipeline = redis::pipe();
                for _ in 0..PIPELINE {
                    pipeline.publish(&channel, &payload[..]).ignore();
                }
                for round in 0..rounds {
                    let sent = (round + 1) * PIPELINE * pipelines;
                    taken
                        .wait_for(|taken| sent <= taken + ahead(payload.len()).max(PIPELINE * pipelines))
                        .await
                        .unwrap();
                    pipeline.exec_async(&mut writer).await.unwrap();
                }
            });
        }
        let mut arriving = pubsub.on_message();
        for taken in 1..=count {
            if taken % PIPELINE == 0 {
                progress.send_replace(taken);
            }
            std::hint::black_box(arriving.next().await.unwrap().get_payload_bytes().len());
        }
        while writing.join_next().await.is_some() {}
    });
    sample.await
}

/// Appends in pipelines, one after the other, so that the order is kept.
async fn append(writer: &mut MultiplexedConnection, key: &str, messages: &Messages) {
    let mut pipeline = redis::pipe();
    let mut line = String::from("append=0123456789abcdef");
    mirror::write(&messages.one, &mut line);
    let payload = ("payload", &messages.one.payload[..]);
    if messages.is_dressed() {
        // All or nothing, as agora does: a refusal in the middle would change the order.
        pipeline.atomic();
    }
    for _ in 0..PIPELINE {
        match messages.is_dressed() {
            true => pipeline.xadd(key, "*", &[payload, ("agora", line.as_bytes())]).ignore(),
            false => pipeline.xadd(key, "*", &[payload]).ignore(),
        };
    }
    for _ in 0..messages.count() / PIPELINE {
        pipeline.exec_async(writer).await.unwrap();
    }
}

/// Appends to a stream and reads it from another connection.
async fn stream(url: &str, messages: &Messages) -> Sample {
    let (mut writer, mut reader, key) = (connect(url).await, connect(url).await, name());
    let count = messages.count() / PIPELINE * PIPELINE;
    let writing = {
        let (key, messages) = (key.clone(), messages.clone());
        async move {
            append(&mut writer, &key, &messages).await;
            writer
        }
    };
    let sample = sample(count * messages.batch as u64, async {
        let writing = tokio::spawn(writing);
        let options = StreamReadOptions::default().count(COUNT).block(10_000);
        let (mut taken, mut last) = (0, "0-0".to_owned());
        while taken < count {
            let reply: Option<StreamReadReply> =
                reader.xread_options(&[&key], &[&last], &options).await.unwrap();
            for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                let payload: Vec<u8> = entry.get("payload").unwrap();
                std::hint::black_box(payload.len());
                (taken, last) = (taken + 1, entry.id);
            }
        }
        writing.await.unwrap();
    });
    let sample = sample.await;
    let _: () = reader.del(&key).await.unwrap();
    sample
}

/// Reads what was appended before as a member of a group, and acknowledges each read as a whole.
async fn group(url: &str, messages: &Messages) -> Sample {
    let (mut client, key) = (connect(url).await, name());
    let count = messages.count() / PIPELINE * PIPELINE;
    let _: () = client.xgroup_create_mkstream(&key, "workers", "0").await.unwrap();
    append(&mut client, &key, messages).await;
    let sample = sample(count * messages.batch as u64, async {
        let options = StreamReadOptions::default().count(COUNT).block(10_000).group("workers", "a");
        let mut taken = 0;
        while taken < count {
            let reply: Option<StreamReadReply> =
                client.xread_options(&[&key], &[">"], &options).await.unwrap();
            let entries: Vec<_> =
                reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
            for entry in &entries {
                let payload: Vec<u8> = entry.get("payload").unwrap();
                std::hint::black_box(payload.len());
            }
            let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
            let acked: u64 = client.xack(&key, "workers", &ids).await.unwrap();
            taken += acked;
        }
    });
    let sample = sample.await;
    let _: () = client.del(&key).await.unwrap();
    sample
}

/// The latency at a thousand a second.
async fn latency(url: &str, log: bool) -> Latency {
    let (writer, mut reader, key) = (connect(url).await, connect(url).await, name());
    let epoch = Epoch::start();
    let nanos = move |payload: &[u8]| epoch.nanos() - u64::from_le_bytes(payload[..8].try_into().unwrap());
    let wanted = usize::try_from(EVENTS).unwrap();
    let reading = if log {
        let key = key.clone();
        tokio::spawn(async move {
            let options = StreamReadOptions::default().count(COUNT).block(10_000);
            let (mut times, mut last) = (Vec::new(), "0-0".to_owned());
            while times.len() < wanted {
                let reply: Option<StreamReadReply> =
                    reader.xread_options(&[&key], &[&last], &options).await.unwrap();
                for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                    let payload: Vec<u8> = entry.get("payload").unwrap();
                    times.push(nanos(&payload));
                    last = entry.id;
                }
            }
            times
        })
    } else {
        let mut pubsub = Client::open(url).unwrap().get_async_pubsub().await.unwrap();
        pubsub.subscribe(&key).await.unwrap();
        tokio::spawn(async move {
            let messages = pubsub.on_message();
            messages.map(|message| nanos(message.get_payload_bytes())).take(wanted).collect::<Vec<_>>().await
        })
    };
    pace(epoch, |time| {
        let (mut writer, key) = (writer.clone(), key.clone());
        let mut payload = [7u8; 100];
        payload[..8].copy_from_slice(&time.to_le_bytes());
        async move {
            tokio::spawn(async move {
                if log {
                    let _: String = writer.xadd(&key, "*", &[("payload", &payload[..])]).await.unwrap();
                } else {
                    let _: u64 = writer.publish(&key, &payload[..]).await.unwrap();
                }
            });
        }
    })
    .await;
    let nanos = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    Latency::of(&nanos)
}
