//! Kafka: what a careful user of rskafka writes without agora, on a broker of the benchmark's own. With the feature
//! `rdkafka` the reference client runs beside it.

#[cfg(feature = "rdkafka")]
mod rdkafka;

use std::sync::Arc;
use std::time::SystemTime;

use agora_core::config;
use agora_kafka::KafkaTransport;
use agora_testbed::{KafkaBroker, KafkaSetup};
use chrono::DateTime;
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};
use tokio::task::JoinSet;

#[cfg(feature = "rdkafka")]
use crate::backend::Reference;
use crate::backend::{AGORA, BROADCAST, Backend, DRESSED, EACH, FRAMES, Messages, Part, RAW, Work};
use crate::contest::Aim;
use crate::latency::{EVENTS, Epoch, Latency, pace};
use crate::sample::{Sample, sample};
use crate::{PATIENCE, bus, name, scaled};

/// As many as a log of agora has where nobody says otherwise.
const PARTITIONS: u32 = 4;
/// Records in one request: of one event, and of many.
const RECORDS: (u64, u64) = (500, 16);
/// The most that one fetch brings, and how long the broker waits for the first of it.
const FETCH_BYTES: i32 = 1 << 20;
const FETCH_WAIT_MS: i32 = 500;
/// Events before anything is measured: Java is slow until it has compiled what it runs.
const WARM_UP: u64 = 2_000_000;

/// A broker, and what is compared on it.
pub(crate) struct Kafka {
    broker: Arc<KafkaBroker>,
    #[cfg(feature = "rdkafka")]
    reference: rdkafka::Rdkafka,
}

impl Kafka {
    /// Deleted topics give their room back at once.
    pub(crate) async fn start() -> Self {
        let setup = KafkaSetup::new().for_speed().with(&[("log.segment.delete.delay.ms", "100")]);
        let broker = Arc::new(setup.start().await.unwrap());
        if !cfg!(feature = "rdkafka") {
            println!("(without librdkafka; with it: `cargo xtask bench kafka --features rdkafka`)");
        }
        let kafka = Self {
            #[cfg(feature = "rdkafka")]
            reference: rdkafka::Rdkafka::new(Arc::clone(&broker)),
            broker,
        };
        kafka.raw(Work::Log, Messages::bare(scaled(WARM_UP), 100, 1)).await;
        kafka
    }
}

impl Backend for Kafka {
    type Transport = KafkaTransport;

    const LIVE: Option<Part> = None;
    const LOG: Part = Part {
        title: "4 partitions, all replicas, in order",
        singles: 400_000,
        many: Some(1_600_000),
        aims: &[
            Aim { of: AGORA, to: RAW, least: 1.5 },
            Aim { of: AGORA, to: FRAMES, least: 0.8 },
            Aim { of: EACH, to: DRESSED, least: 0.8 },
        ],
        is_answered: true,
    };
    const GROUP: Part = Part {
        title: "A group of one member, where there is one (rskafka has none: it reads)",
        singles: 400_000,
        many: None,
        aims: &[Aim { of: EACH, to: BROADCAST, least: 0.8 }],
        is_answered: true,
    };
    /// With 100 a request of 500 is one of those that take rskafka 44 ms on loopback: it does not set `TCP_NODELAY`, and the
    /// last part of what it writes waits until the part before it was acknowledged. Nothing would be compared with it.
    const BYTES: [usize; 2] = [200, 512];
    /// Enough that each partition gets as much as the others.
    const KEYS: u64 = 1000;

    async fn transport(&self) -> KafkaTransport {
        let mut config = config::Kafka::default();
        config.brokers = vec![self.broker.address()];
        KafkaTransport::connect(&config, &bus::cluster(), PATIENCE).await.unwrap()
    }

    async fn raw(&self, work: Work, messages: Messages) -> Sample {
        let topic = make(&self.broker, PARTITIONS).await;
        let (writer, reader) = (connect(&self.broker).await, connect(&self.broker).await);
        let count = messages.count();
        let sample = match work {
            Work::Live | Work::Log => {
                let mut writing = write(&writer, &topic, &messages).await;
                let reading = read(&reader, &topic, count).await;
                let both = async {
                    reading.await;
                    while writing.join_next().await.is_some_and(|wrote| wrote.is_ok()) {}
                };
                sample(messages.events, both).await
            }
            Work::Group => {
                write(&writer, &topic, &messages).await.join_all().await;
                sample(messages.events, read(&reader, &topic, count).await).await
            }
        };
        delete(&self.broker, &topic).await;
        sample
    }

    async fn latency(&self, _log: bool) -> Latency {
        latency(&self.broker).await
    }

    #[cfg(feature = "rdkafka")]
    fn reference(&self) -> Option<&dyn Reference> {
        Some(&self.reference)
    }
}

async fn connect(broker: &KafkaBroker) -> Client {
    ClientBuilder::new(vec![broker.address()]).build().await.unwrap()
}

/// Makes a topic that nobody used before.
async fn make(broker: &KafkaBroker, partitions: u32) -> String {
    let topic = name();
    broker.create_topic(&topic, partitions).await.unwrap();
    topic
}

/// Many runs would fill a disk.
async fn delete(broker: &KafkaBroker, topic: &str) {
    let client = connect(broker).await;
    client.controller_client().unwrap().delete_topic(topic, 5_000).await.unwrap();
}

/// A connection for each partition: the client has no other way.
async fn partitions(client: &Client, topic: &str, count: u32) -> Vec<PartitionClient> {
    let mut all = Vec::new();
    for partition in 0..i32::try_from(count).unwrap() {
        all.push(client.partition_client(topic, partition, UnknownTopicHandling::Retry).await.unwrap());
    }
    all
}

/// The message as a record, of now.
fn record(messages: &Messages) -> Record {
    let one = &messages.one;
    let headers = one.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
    Record {
        key: one.key.as_ref().map(|key| key.to_vec()),
        value: Some(one.payload.to_vec()),
        headers: headers.collect(),
        timestamp: DateTime::UNIX_EPOCH + SystemTime::UNIX_EPOCH.elapsed().unwrap(),
    }
}

/// Begins to write, the same number of messages to each partition. One request at a time to each, so that the order is
/// kept: rskafka gives a request no number that would tell the broker what came first.
async fn write(client: &Client, topic: &str, messages: &Messages) -> JoinSet<()> {
    let at_once = if messages.batch == 1 { RECORDS.0 } else { RECORDS.1 };
    let share = messages.count() / u64::from(PARTITIONS);
    let record = Arc::new(record(messages));
    let mut writing = JoinSet::new();
    for partition in partitions(client, topic, PARTITIONS).await {
        let record = Arc::clone(&record);
        writing.spawn(async move {
            let mut left = share;
            while left > 0 {
                let count = left.min(at_once);
                let records = (0..count).map(|_| Record::clone(&record)).collect();
                partition.produce(records, Compression::NoCompression).await.unwrap();
                left -= count;
            }
        });
    }
    writing
}

/// Reads so many messages, the same number from each partition.
async fn read(client: &Client, topic: &str, count: u64) -> impl Future<Output = ()> + use<> {
    let share = i64::try_from(count / u64::from(PARTITIONS)).unwrap();
    let partitions = partitions(client, topic, PARTITIONS).await;
    async move {
        let mut reading = JoinSet::new();
        for partition in partitions {
            reading.spawn(async move {
                let mut next = 0;
                while next < share {
                    for read in fetch(&partition, next).await {
                        std::hint::black_box(read.record.value.unwrap().len());
                        next = read.offset + 1;
                    }
                }
            });
        }
        reading.join_all().await;
    }
}

async fn fetch(partition: &PartitionClient, from: i64) -> Vec<RecordAndOffset> {
    partition.fetch_records(from, 1..FETCH_BYTES, FETCH_WAIT_MS).await.unwrap().0
}

/// The latency at a thousand a second, over one partition.
async fn latency(broker: &KafkaBroker) -> Latency {
    let topic = make(broker, 1).await;
    let (writer, reader) = (connect(broker).await, connect(broker).await);
    let writing = Arc::new(partitions(&writer, &topic, 1).await.remove(0));
    let reading = partitions(&reader, &topic, 1).await.remove(0);
    let epoch = Epoch::start();
    let reading = tokio::spawn(async move {
        let (mut times, mut next) = (Vec::new(), 0);
        while times.len() < usize::try_from(EVENTS).unwrap() {
            for read in fetch(&reading, next).await {
                let sent = read.record.value.unwrap()[..8].try_into().unwrap();
                times.push(epoch.nanos() - u64::from_le_bytes(sent));
                next = read.offset + 1;
            }
        }
        times
    });
    let messages = Messages::bare(1, 100, 1);
    pace(epoch, |time| {
        let (writing, mut record) = (Arc::clone(&writing), record(&messages));
        if let Some(value) = &mut record.value {
            value[..8].copy_from_slice(&time.to_le_bytes());
        }
        async move {
            tokio::spawn(async move {
                writing.produce(vec![record], Compression::NoCompression).await.unwrap();
            });
        }
    })
    .await;
    let nanos = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    delete(broker, &topic).await;
    Latency::of(&nanos)
}
