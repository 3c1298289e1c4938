//! The reference client: librdkafka as it comes, idempotent, all replicas asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agora_testbed::KafkaBroker;
use futures_util::future::LocalBoxFuture;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::{PARTITIONS, delete, make};
use crate::PATIENCE;
use crate::backend::{Messages, Reference, Work};
use crate::latency::{EVENTS, Epoch, Latency, pace};
use crate::sample::{Sample, sample};

/// How long a publisher rests when the client's queue is full.
const REST: Duration = Duration::from_millis(1);

/// The reference client on a broker.
pub(super) struct Rdkafka(Arc<KafkaBroker>);

impl Rdkafka {
    pub(super) fn new(broker: Arc<KafkaBroker>) -> Self {
        Self(broker)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.0.address());
        config
    }

    /// `linger_ms`: how long a record waits for others.
    fn producer(&self, linger_ms: Option<&str>) -> Writer {
        let mut config = self.config();
        config.set("acks", "all").set("enable.idempotence", "true");
        if let Some(linger_ms) = linger_ms {
            config.set("linger.ms", linger_ms);
        }
        config.create_with_context(Failed::default()).unwrap()
    }

    /// Reads all partitions from their beginning.
    fn reader(&self, topic: &str, partitions: u32) -> StreamConsumer {
        let reader: StreamConsumer = self.config().set("group.id", topic).create().unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).unwrap() {
            all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        reader.assign(&all).unwrap();
        reader
    }

    async fn measure(&self, work: Work, messages: Messages) -> Sample {
        let topic = make(&self.0, PARTITIONS).await;
        let (writer, count) = (self.producer(None), messages.count());
        let sample = match work {
            Work::Live | Work::Log => {
                let reader = self.reader(&topic, PARTITIONS);
                let (topic, payload) = (topic.clone(), messages.one.payload);
                sample(messages.events, async {
                    let writing =
                        tokio::task::spawn_blocking(move || write(&writer, &topic, &payload, count));
                    read(&reader, count).await;
                    writing.await.unwrap();
                })
                .await
            }
            Work::Group => {
                let (written, payload) = (topic.clone(), messages.one.payload);
                let writing = tokio::task::spawn_blocking(move || write(&writer, &written, &payload, count));
                writing.await.unwrap();
                let mut config = self.config();
                config.set("group.id", &topic).set("auto.offset.reset", "earliest");
                let reader: StreamConsumer = config.create().unwrap();
                reader.subscribe(&[&topic]).unwrap();
                // What comes first says that the group was joined.
                read(&reader, 1).await;
                sample(messages.events, read(&reader, count - 1)).await
            }
        };
        delete(&self.0, &topic).await;
        sample
    }

    /// Without lingering: as it comes, each record would wait 5 ms for others.
    async fn latencies(&self) -> Latency {
        let topic = make(&self.0, 1).await;
        let (writer, reader) = (self.producer(Some("0")), self.reader(&topic, 1));
        let epoch = Epoch::start();
        let reading = tokio::spawn(async move {
            let mut times = Vec::new();
            while times.len() < usize::try_from(EVENTS).unwrap() {
                let read = reader.recv().await.unwrap();
                let sent = read.payload().unwrap()[..8].try_into().unwrap();
                times.push(epoch.nanos() - u64::from_le_bytes(sent));
            }
            times
        });
        pace(epoch, |time| {
            let mut payload = [7; 100];
            payload[..8].copy_from_slice(&time.to_le_bytes());
            writer
                .send(BaseRecord::<(), _>::to(&topic).payload(&payload))
                .map_err(|(error, _)| error)
                .unwrap();
            std::future::ready(())
        })
        .await;
        let nanos = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
        delete(&self.0, &topic).await;
        Latency::of(&nanos)
    }
}

impl Reference for Rdkafka {
    fn name(&self) -> &'static str {
        "rdkafka, one event a message"
    }

    fn run(&self, work: Work, messages: Messages) -> LocalBoxFuture<'_, Sample> {
        Box::pin(self.measure(work, messages))
    }

    fn latency(&self) -> LocalBoxFuture<'_, Latency> {
        Box::pin(self.latencies())
    }
}

/// A thread of its own hears what became of each record.
type Writer = ThreadedProducer<Failed>;

/// How many records were not stored.
#[derive(Default)]
struct Failed(AtomicU64);

impl ClientContext for Failed {}

impl ProducerContext for Failed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes so many messages, to each partition in its turn, and waits until all are stored.
fn write(writer: &Writer, topic: &str, payload: &[u8], count: u64) {
    for number in 0..count {
        let partition = i32::try_from(number % u64::from(PARTITIONS)).unwrap();
        let mut record = BaseRecord::<(), _>::to(topic).partition(partition).payload(payload);
        while let Err((error, back)) = writer.send(record) {
            let is_full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            assert!(is_full, "{error}");
            std::thread::sleep(REST);
            record = back;
        }
    }
    writer.flush(PATIENCE).unwrap();
    assert_eq!(writer.context().0.load(Ordering::Relaxed), 0, "records were not stored");
}

async fn read(reader: &StreamConsumer, count: u64) {
    for _ in 0..count {
        std::hint::black_box(reader.recv().await.unwrap().payload_len());
    }
}
