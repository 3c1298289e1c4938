//! What other clients write, compressed as they do it, and within transactions.

use std::process::Command;
use std::time::Duration;

use agora_core::transport::{FromLog, LogInbox, LogStart};
use agora_kafka::read::LogReader;
use agora_testbed::clients::{Client as Other, kafka};

use super::stage::{Client, broker, soon};

const WITHIN: Duration = Duration::from_secs(120);

const NODE_COMPRESSES: &str = "
const [address, topic] = process.argv.slice(1);
const { Kafka, CompressionTypes, logLevel } = require('kafkajs');
const producer = new Kafka({ brokers: [address], logLevel: logLevel.ERROR }).producer();
(async () => {
  await producer.connect();
  await producer.send({ topic, acks: -1, compression: CompressionTypes.GZIP,
                        messages: [{ key: 'k', value: 'from node', headers: { a: 'b' } }] });
  await producer.disconnect();
})().catch(error => { console.error(error); process.exit(1); });
";

const NODE_GIVES_UP: &str = "
const [address, topic] = process.argv.slice(1);
const { Kafka, logLevel } = require('kafkajs');
const producer = new Kafka({ brokers: [address], logLevel: logLevel.ERROR })
  .producer({ transactionalId: 'node', maxInFlightRequests: 1, idempotent: true });
(async () => {
  await producer.connect();
  for (const [value, ending] of [['one', 'commit'], ['two', 'abort'], ['three', 'commit'], ['four', 'abort']]) {
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: [{ value: value + ' a' }] });
    await transaction.send({ topic, messages: [{ value: value + ' b' }] });
    await transaction[ending]();
  }
  await producer.disconnect();
})().catch(error => { console.error(error); process.exit(1); });
";

async fn run(command: agora_testbed::Result<Command>, input: &str) -> String {
    Other::run(command.unwrap(), input, WITHIN).await.unwrap()
}

/// The values of a log, joined by commas.
async fn values(client: &Client, topic: &str, from: LogStart) -> String {
    let mut reader = LogReader::open(&client.hub, topic, 0, &from).await.unwrap();
    let mut values = Vec::new();
    loop {
        let mut into = Vec::new();
        soon("records", reader.recv(10, &mut into)).await.unwrap();
        for one in into {
            match one {
                FromLog::Record { raw, .. } => {
                    values.push(String::from_utf8_lossy(&raw.payload).into_owned())
                }
                FromLog::Beginning => {}
                FromLog::CaughtUp => return values.join(", "),
                other => panic!("{other:?} behind {values:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_clients_compress_is_read() {
    let (broker, client) = broker("node", 1).await;
    let address = broker.address();
    let lines: String = (0..500).map(|number| format!("line {number} of some length\n")).collect();
    let due = lines.trim_end().replace('\n', ", ");
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        for client_name in ["java", "kcat"] {
            let topic = format!("{client_name}-{codec}");
            broker.create_topic(&topic, 1).await.unwrap();
            if client_name == "java" {
                run(
                    kafka::java_producer(&address, &["--topic", &topic, "--compression-codec", codec]),
                    &lines,
                )
                .await;
            } else {
                run(kafka::kcat(&["-b", &address, "-P", "-t", &topic, "-z", codec]), &lines).await;
            }
            assert!(values(&client, &topic, LogStart::Earliest).await == due, "{topic}");
        }
    }
    run(kafka::node(NODE_COMPRESSES, &[&address, "node"]), "").await;
    assert_eq!(values(&client, "node", LogStart::Earliest).await, "from node");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_gave_up_is_not_read_and_the_last_record_is_found_before_it() {
    let (broker, client) = broker("given-up", 1).await;
    run(kafka::node(NODE_GIVES_UP, &[&broker.address(), "given-up"]), "").await;
    let from_start = values(&client, "given-up", LogStart::Earliest).await;
    assert_eq!(from_start, "one a, one b, three a, three b");
    assert_eq!(values(&client, "given-up", LogStart::Last).await, "three b");
}
