//! What a careful user of the client writes without agora.

use std::sync::atomic::{AtomicU64, Ordering};

use agora_bench::latency::{EVENTS, Epoch, Latency, pace};
use agora_bench::sample::{Sample, sample};
use agora_bench::{PATIENCE, ahead};
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client};
use tokio::sync::watch;

/// Commands in one pipeline.
const PIPELINE: u64 = 128;
/// Pipelines at a time, where the order does not matter.
const PIPELINES: u64 = 4;
/// Entries that are read at once.
const COUNT: usize = 1000;

async fn connect(url: &str) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    Client::open(url).unwrap().get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// A name that nobody used before.
fn name() -> String {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    format!("raw-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// Publishes in pipelines, several at a time on connections of their own.
pub(crate) async fn pubsub(url: &str, events: u64, bytes: usize, batch: usize) -> Sample {
    let channel = name();
    let mut pubsub = Client::open(url).unwrap().get_async_pubsub().await.unwrap();
    pubsub.subscribe(&channel).await.unwrap();
    let rounds = events / batch as u64 / PIPELINE / PIPELINES;
    let mut writers = Vec::new();
    for _ in 0..PIPELINES {
        writers.push(connect(url).await);
    }
    let payload = vec![7u8; bytes * batch];
    let count = rounds * PIPELINES * PIPELINE;
    let (progress, taken) = watch::channel(0);
    let sample = sample(count * batch as u64, async {
        let mut writing = tokio::task::JoinSet::new();
        for mut writer in writers {
            let (channel, payload, mut taken) = (channel.clone(), payload.clone(), taken.clone());
            writing.spawn(async move {
                let mut pipeline = redis::pipe();
                for _ in 0..PIPELINE {
                    pipeline.publish(&channel, &payload).ignore();
                }
                for round in 0..rounds {
                    let sent = (round + 1) * PIPELINE * PIPELINES;
                    taken
                        .wait_for(|taken| sent <= taken + ahead(payload.len()).max(PIPELINE * PIPELINES))
                        .await
                        .unwrap();
                    pipeline.exec_async(&mut writer).await.unwrap();
                }
            });
        }
        let mut messages = pubsub.on_message();
        for taken in 1..=count {
            if taken % PIPELINE == 0 {
                progress.send_replace(taken);
            }
            std::hint::black_box(messages.next().await.unwrap().get_payload_bytes().len());
        }
        while writing.join_next().await.is_some() {}
    });
    sample.await
}

/// Appends in pipelines, one after the other, so that the order is kept.
async fn append(writer: &mut MultiplexedConnection, key: &str, count: u64, payload: &[u8]) {
    let mut pipeline = redis::pipe();
    for _ in 0..PIPELINE {
        pipeline.xadd(key, "*", &[("payload", payload)]).ignore();
    }
    for _ in 0..count / PIPELINE {
        pipeline.exec_async(writer).await.unwrap();
    }
}

/// Appends to a stream and reads it from another connection.
pub(crate) async fn stream(url: &str, events: u64, bytes: usize, batch: usize) -> Sample {
    let (mut writer, mut reader, key) = (connect(url).await, connect(url).await, name());
    let count = events / batch as u64 / PIPELINE * PIPELINE;
    let payload = vec![7u8; bytes * batch];
    let writing = {
        let key = key.clone();
        async move {
            append(&mut writer, &key, count, &payload).await;
            writer
        }
    };
    let sample = sample(count * batch as u64, async {
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
pub(crate) async fn group(url: &str, events: u64, bytes: usize, batch: usize) -> Sample {
    let (mut client, key) = (connect(url).await, name());
    let count = events / batch as u64 / PIPELINE * PIPELINE;
    let _: () = client.xgroup_create_mkstream(&key, "workers", "0").await.unwrap();
    append(&mut client, &key, count, &vec![7u8; bytes * batch]).await;
    let sample = sample(count * batch as u64, async {
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
pub(crate) async fn latency(url: &str, log: bool) -> Latency {
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
