//! The same channels and streams in the hands of redis-cli: what it writes arrives here as it is, and what is written here
//! it can read, fields and all.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Delivery, Foreign, Start, Subscription};
use agora_core::config::{Redis, SecretUrl};
use agora_core::event::{Event, Key, RawBytes};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::{Framing, TopicSettings, Wire};
use agora_redis::RedisTransport;
use agora_testbed::{RedisServer, clients};
use serde::{Deserialize, Serialize};

const WAIT: Duration = Duration::from_secs(20);
const CHANNEL: &str = "agora:prod.eu:{shop.orders}:live";
const STREAM: &str = "agora:prod.eu:{shop.orders}:log";

#[derive(Debug, Serialize, Deserialize)]
struct Order(String);

impl Event for Order {
    const KIND: &'static str = "test.order";
    const VERSION: u16 = 3;

    fn key(&self) -> Option<Key<'_>> {
        Some(self.0.as_str().into())
    }
}

fn topic() -> TopicName {
    TopicName::new("shop.orders").unwrap()
}

async fn bus(server: &RedisServer, settings: TopicSettings) -> Bus {
    let mut redis = Redis::default();
    redis.urls = vec![SecretUrl::new(server.url())];
    let cluster = ClusterName::new("prod.eu").unwrap();
    let transport = RedisTransport::connect(&redis, &cluster, WAIT).await.unwrap();
    let mut config = BusConfig::new(cluster, NodeName::new("rust").unwrap());
    config.topics.insert(topic(), settings);
    let bus = Bus::open(transport, config).unwrap();
    bus.ready(WAIT).await.unwrap();
    bus
}

/// What redis-cli prints for a command: text and numbers one to a line, as scripts read them.
fn cli(server: &RedisServer, words: &[&str]) -> Vec<String> {
    let out = clients::redis_cli(server.port()).unwrap().arg("--no-raw").args(words).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

async fn foreign(events: &mut Subscription) -> Foreign {
    match tokio::time::timeout(WAIT, events.try_next()).await.unwrap().unwrap().unwrap() {
        Delivery::Foreign(foreign) => foreign,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_topic_is_a_channel_that_redis_cli_hears_and_speaks_on() {
    let server = RedisServer::start().await.unwrap();
    let bus = bus(&server, TopicSettings::LIVE.wire(Wire::Plain)).await;
    let mut events = bus.subscribe(topic().as_str()).start(Start::Live).await.unwrap();
    assert_eq!(cli(&server, &["PUBLISH", CHANNEL, "hello"]), ["(integer) 1"]);
    assert_eq!(foreign(&mut events).await.raw.payload, "hello");

    let mut listening = clients::redis_cli(server.port()).unwrap();
    let mut listening = listening.args(["SUBSCRIBE", CHANNEL]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listening.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.by_ref().take(3).collect::<Vec<_>>(), ["subscribe", CHANNEL, "1"]);
    bus.publisher(topic().as_str()).unwrap().publish(&RawBytes(b"just this".to_vec())).await.unwrap();
    assert_eq!(lines.by_ref().take(3).collect::<Vec<_>>(), ["message", CHANNEL, "just this"]);
    listening.kill().unwrap();
    listening.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_a_stream_that_redis_cli_reads_and_appends_to() {
    let server = RedisServer::start().await.unwrap();
    let bus = bus(&server, TopicSettings::LOG.framing(Framing::Each)).await;
    bus.publisher(topic().as_str()).unwrap().publish(&Order("k-1".into())).await.unwrap();
    let lines = cli(&server, &["XRANGE", STREAM, "-", "+"]);
    let field = |name: &str| {
        let at = lines.iter().position(|line| line.ends_with(&format!("\"{name}\"")));
        let value = at.and_then(|at| lines.get(at + 1)).unwrap_or_else(|| panic!("no {name} in {lines:#?}"));
        value.split_once(") ").map(|(_, value)| value.trim_matches('"').to_owned()).unwrap()
    };
    let line = field("agora");
    let word = |name| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(word("key"), Some("k-1"), "{line}");
    assert_eq!(word("kind"), Some("test.order"), "{line}");
    assert_eq!(word("version"), Some("3"), "{line}");
    assert_eq!(word("seq"), Some("1"), "{line}");
    assert!(word("source").is_some_and(|source| !source.is_empty()), "{line}");
    assert!(word("append").is_some_and(|append| append.len() == 16), "{line}");
    // The magic of a frame, which is no text.
    assert!(field("payload").starts_with("\\xa6gor"), "{lines:#?}");

    cli(&server, &["XADD", STREAM, "*", "payload", "hello", "colour", "red"]);
    let mut events = bus.subscribe(topic().as_str()).start(Start::Earliest).await.unwrap();
    let first = tokio::time::timeout(WAIT, events.try_next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(first, Delivery::Event(_)), "{first:?}");
    let foreign = foreign(&mut events).await;
    assert_eq!(foreign.raw.payload, "hello");
    assert!(foreign.raw.headers.iter().any(|(name, value)| name == "colour" && value == "red"));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cli_works_as_a_member_of_a_group() {
    let server = RedisServer::start().await.unwrap();
    let bus = bus(&server, TopicSettings::LOG.wire(Wire::Plain)).await;
    let publisher = bus.publisher(topic().as_str()).unwrap();
    publisher.publish(&RawBytes(b"first".to_vec())).await.unwrap();
    publisher.publish(&RawBytes(b"second".to_vec())).await.unwrap();
    cli(&server, &["XGROUP", "CREATE", STREAM, "shipping", "0"]);
    let read =
        cli(&server, &["XREADGROUP", "GROUP", "shipping", "cli", "COUNT", "1", "STREAMS", STREAM, ">"]);
    assert!(read.iter().any(|line| line.ends_with("\"first\"")), "{read:#?}");
    let mut group = bus.group(topic().as_str(), "shipping").typed::<RawBytes>().await.unwrap();
    match tokio::time::timeout(WAIT, group.try_next()).await.unwrap().unwrap().unwrap() {
        agora_core::bus::Work::Foreign(job) => {
            assert_eq!(job.foreign().raw.payload, "second");
            job.ack();
        }
        other => panic!("{other:?}"),
    }
    group.leave(WAIT).await.unwrap();
    let pending = cli(&server, &["XPENDING", STREAM, "shipping"]);
    assert_eq!(pending[0], "1) (integer) 1", "what redis-cli holds is still its own: {pending:#?}");
}
