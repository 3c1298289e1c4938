//! What the clients are to do. Each prints a record as `partition key value`.

use std::process::Command;

use agora_testbed::clients::kafka;

/// Writes each line of its input, `key value`, with a header and a time.
const PYTHON_WRITES: &str = "
import sys, kafka
address, topic = sys.argv[1:]
producer = kafka.KafkaProducer(bootstrap_servers=address, acks='all', compression_type='gzip')
for line in sys.stdin:
    key, value = line.rstrip('\\n').split(' ', 1)
    producer.send(topic, key=key.encode(), value=value.encode() if value else None,
                  headers=[('colour', b'red'), ('colour', b'\\xff')], timestamp_ms=1700000000000).get(timeout=60)
producer.close()
";

const PYTHON_READS: &str = "
import sys, kafka
address, topic, group, count = sys.argv[1:]
consumer = kafka.KafkaConsumer(topic, bootstrap_servers=address, group_id=group, auto_offset_reset='earliest',
                               session_timeout_ms=6000, heartbeat_interval_ms=500, auto_commit_interval_ms=200)
count = int(count)
for record in consumer:
    print(record.partition, (record.key or b'-').decode(), (record.value or b'').decode(), flush=True)
    count -= 1
    if count == 0:
        break
consumer.close()
";

const NODE_WRITES: &str = "
const [address, topic] = process.argv.slice(1);
const { Kafka, logLevel } = require('kafkajs');
const producer = new Kafka({ brokers: [address], logLevel: logLevel.ERROR }).producer();
(async () => {
  await producer.connect();
  for (const line of require('fs').readFileSync(0, 'utf8').trimEnd().split('\\n')) {
    const [key, ...rest] = line.split(' ');
    const value = rest.join(' ') || null;
    const headers = { colour: ['red', Buffer.from([255])] };
    await producer.send({ topic, acks: -1, messages: [{ key, value, headers, timestamp: '1700000000000' }] });
  }
  await producer.disconnect();
})().catch(error => { console.error(error); process.exit(1); });
";

const NODE_READS: &str = "
const [address, topic, groupId, count] = process.argv.slice(1);
const { Kafka, logLevel } = require('kafkajs');
const consumer = new Kafka({ brokers: [address], logLevel: logLevel.ERROR })
  .consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500 });
let left = Number(count);
(async () => {
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  process.on('SIGTERM', () => consumer.disconnect().then(() => process.exit(0)));
  await new Promise(resolve => consumer.run({ eachMessage: async ({ partition, message }) => {
    console.log(`${partition} ${message.key ?? '-'} ${message.value ?? ''}`);
    if (--left === 0) resolve();
  } }));
  await consumer.disconnect();
})().catch(error => { console.error(error); process.exit(1); });
";

/// A client of another maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Java,
    Kcat,
    Python,
    Node,
}

impl Other {
    pub(crate) const ALL: [Self; 4] = [Self::Java, Self::Kcat, Self::Python, Self::Node];

    /// Does it write the headers `colour=red` and `colour=\xff`, and give its records a time?
    pub(crate) fn dresses(self) -> bool {
        matches!(self, Self::Python | Self::Node)
    }

    /// One that writes each line of its input: `key value`, a tombstone where the value is empty.
    pub(crate) fn writer(self, address: &str, topic: &str) -> Command {
        let command = match self {
            Self::Java => {
                let keyed = ["parse.key=true", "key.separator= ", "null.marker="];
                let properties = keyed.iter().flat_map(|property| ["--property", property]);
                kafka::java_producer(
                    address,
                    &["--topic", topic].into_iter().chain(properties).collect::<Vec<_>>(),
                )
            }
            Self::Kcat => {
                // librdkafka deals keys out in its own way unless it is told.
                let keys = ["-K", " ", "-Z", "-X", "partitioner=murmur2_random"];
                kafka::kcat(&[&["-b", address, "-P", "-t", topic], &keys[..]].concat())
            }
            Self::Python => kafka::python(PYTHON_WRITES, &[address, topic]),
            Self::Node => kafka::node(NODE_WRITES, &[address, topic]),
        };
        command.unwrap()
    }

    /// A member of a group, or for kcat a reader without one, that ends after so many records.
    pub(crate) fn reader(self, address: &str, topic: &str, group: &str, count: usize) -> Command {
        let count = &count.to_string();
        let command = match self {
            Self::Java => {
                let shown = ["print.partition=true", "print.key=true", "key.separator= ", "null.literal=-"];
                let shown = shown.iter().flat_map(|property| ["--property", property]);
                let session =
                    ["session.timeout.ms=6000", "heartbeat.interval.ms=500", "auto.commit.interval.ms=200"];
                let session = session.iter().flat_map(|property| ["--consumer-property", property]);
                let what = ["--topic", topic, "--group", group, "--from-beginning", "--max-messages", count];
                kafka::java_consumer(
                    address,
                    &what.into_iter().chain(shown).chain(session).collect::<Vec<_>>(),
                )
            }
            Self::Kcat => {
                let format = ["-f", "%p %k %s\\n", "-o", "beginning", "-u", "-c", count];
                kafka::kcat(&[&["-b", address, "-C", "-t", topic], &format[..]].concat())
            }
            Self::Python => kafka::python(PYTHON_READS, &[address, topic, group, count]),
            Self::Node => kafka::node(NODE_READS, &[address, topic, group, count]),
        };
        command.unwrap()
    }
}

/// Partition, key and value of a line that a reader printed.
pub(crate) fn parts(line: &str) -> (u32, &str, &str) {
    // The Java client says `Partition:0`.
    let mut parts = line.trim_start_matches("Partition:").splitn(3, ' ');
    let mut next = || parts.next().unwrap_or_else(|| panic!("not a record: {line:?}"));
    (next().parse().unwrap(), next(), next())
}
