//! How events become messages, and what other software sees of them.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Delivery, Start};
use agora_core::event::{RawBytes, builtin::CacheInvalidated};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::memory::Space;
use agora_core::transport::{Durability, Framing};
use agora_core::transport::{FromLog, LogStart, Raw, TopicSettings, Transport, Wire};

const SOON: Duration = Duration::from_secs(60);

fn cluster() -> ClusterName {
    ClusterName::new("test").unwrap()
}

fn topic() -> TopicName {
    TopicName::new("shop.events.order").unwrap()
}

async fn join(space: &Space, node: &str, settings: TopicSettings) -> Bus {
    let mut config = BusConfig::new(cluster(), NodeName::new(node).unwrap());
    config.topics.insert(topic(), settings);
    let bus = Bus::open(space.connect(&config.cluster, &config.node), config).unwrap();
    bus.ready(SOON).await.unwrap();
    bus
}

/// What a reader sees that knows nothing of agora.
async fn read_natively(space: &Space, records: usize) -> Vec<Raw> {
    let reader = space.connect(&cluster(), &NodeName::new("native").unwrap());
    let mut log = reader.open_log(&topic(), 0, LogStart::Earliest).await.unwrap();
    let (mut told, mut found) = (Vec::new(), Vec::new());
    while found.len() < records {
        log.recv(10, &mut told).await.unwrap();
        found.extend(told.drain(..).filter_map(|one| match one {
            FromLog::Record { raw, .. } => Some(raw),
            _ => None,
        }));
    }
    found
}

fn stale(entry: u32) -> CacheInvalidated {
    CacheInvalidated { cache: "users".into(), entries: vec![entry.to_string()] }
}

#[tokio::test(start_paused = true)]
async fn each_event_is_a_message_with_its_key_and_kind() {
    let space = Space::default();
    let bus = join(&space, "a", TopicSettings::LOG.framing(Framing::Each)).await;
    let publisher = bus.publisher(topic().as_str()).unwrap();
    let sent: Vec<_> = (0..3).map(|n| publisher.publish(&stale(n))).collect();
    for one in sent {
        assert_eq!(one.await.unwrap().durability, Durability::Stored);
    }
    for (raw, seq) in read_natively(&space, 3).await.iter().zip(1u64..) {
        let header = |name: &str| {
            let (_, value) = raw.headers.iter().find(|(key, _)| key == name).unwrap();
            String::from_utf8(value.to_vec()).unwrap()
        };
        assert_eq!(raw.key.as_deref(), Some(b"users".as_slice()));
        assert_eq!(header("agora-kind"), "agora.cache.invalidated");
        assert_eq!(header("agora-version"), "1");
        assert_eq!(header("agora-source"), bus.me().to_string());
        assert_eq!(header("agora-seq"), seq.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_message_without_a_key() {
    let space = Space::default();
    let bus = join(&space, "a", TopicSettings::LOG).await;
    let publisher = bus.publisher(topic().as_str()).unwrap();
    let sent: Vec<_> = (0..3).map(|n| publisher.publish(&stale(n))).collect();
    for one in sent {
        one.await.unwrap();
    }
    let raw = &read_natively(&space, 1).await[0];
    assert_eq!((raw.key.as_ref(), raw.headers.len()), (None, 0));
    let mut events = bus.subscribe(topic().as_str()).start(Start::Earliest).await.unwrap();
    for n in 0..3 {
        match events.try_next().await.unwrap().unwrap() {
            Delivery::Event(event) => assert_eq!(event.decode::<CacheInvalidated>().unwrap(), stale(n)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_value_is_what_other_software_would_have_sent() {
    for settings in [TopicSettings::LIVE, TopicSettings::LOG] {
        let space = Space::default();
        let settings = settings.wire(Wire::Plain);
        let (a, b) = (join(&space, "a", settings).await, join(&space, "b", settings).await);
        let mut heard = b.subscribe(topic().as_str()).start(Start::Live).await.unwrap();
        let publisher = a.publisher(topic().as_str()).unwrap();
        publisher.publish(&RawBytes(b"temperature=21".to_vec())).await.unwrap();
        match heard.try_next().await.unwrap().unwrap() {
            Delivery::Foreign(foreign) => {
                assert_eq!(foreign.raw.payload, "temperature=21");
                assert_eq!(foreign.raw.headers, []);
            }
            other => panic!("{other:?}"),
        }
        // A source that nobody can understand says nothing of where it stands, and leaves no gap behind.
        a.close(SOON).await.unwrap();
        assert!(tokio::time::timeout(SOON, heard.try_next()).await.is_err());
    }
}
