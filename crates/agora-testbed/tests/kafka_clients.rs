//! Clients of Kafka that nobody here wrote write and read on its brokers, over links and where a password is asked for.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use agora_testbed::clients::{Client, kafka};
use agora_testbed::kafka::{PASSWORD, USER};
use agora_testbed::{KafkaBroker, KafkaSetup, KafkaVersion, Way};

const WITHIN: Duration = Duration::from_secs(60);

const PYTHON_WRITES: &str = "
import sys, kafka
address, topic = sys.argv[1:]
producer = kafka.KafkaProducer(bootstrap_servers=address, acks='all')
producer.send(topic, key=b'k', value=b'from python').get(timeout=20)
producer.close()
";

const PYTHON_READS: &str = "
import sys, kafka
address, topic = sys.argv[1:]
consumer = kafka.KafkaConsumer(topic, bootstrap_servers=address, group_id='python', auto_offset_reset='earliest')
record = next(consumer)
print(record.key.decode(), record.value.decode())
consumer.close()
";

const PYTHON_PROVES_ITSELF: &str = "
import sys, kafka
address, protocol, mechanism, user, password, ca, certificate, key = sys.argv[1:]
files = dict(ssl_cafile=ca, ssl_certfile=certificate, ssl_keyfile=key) if protocol == 'SASL_SSL' else {}
producer = kafka.KafkaProducer(bootstrap_servers=address, security_protocol=protocol, sasl_mechanism=mechanism,
                               sasl_plain_username=user, sasl_plain_password=password, **files)
producer.send('secret', value=b'x').get(timeout=20)
producer.close()
";

const NODE_WRITES: &str = "
const [address, topic] = process.argv.slice(1);
const { Kafka, logLevel } = require('kafkajs');
const producer = new Kafka({ brokers: [address], logLevel: logLevel.ERROR }).producer();
(async () => {
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: [{ key: 'k', value: 'from node' }] });
  await producer.disconnect();
})().catch(error => { console.error(error); process.exit(1); });
";

const NODE_READS: &str = "
const [address, topic] = process.argv.slice(1);
const { Kafka, logLevel } = require('kafkajs');
const consumer = new Kafka({ brokers: [address], logLevel: logLevel.ERROR }).consumer({ groupId: 'node' });
(async () => {
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const heard = new Promise(resolve => consumer.run({ eachMessage: async ({ message }) => resolve(message) }));
  const message = await heard;
  console.log(`${message.key} ${message.value}`);
  await consumer.disconnect();
})().catch(error => { console.error(error); process.exit(1); });
";

async fn run(command: agora_testbed::Result<Command>, input: &str) -> String {
    Client::run(command.unwrap(), input, WITHIN).await.unwrap()
}

#[tokio::test]
async fn each_writes_what_it_reads_itself_and_what_kcat_reads() {
    for version in [KafkaVersion::V4_1, KafkaVersion::V3_9] {
        let broker = KafkaBroker::of(version).await.unwrap();
        let address = &broker.address();
        for topic in ["java", "kcat", "python", "node"] {
            broker.create_topic(topic, 1).await.unwrap();
        }

        let keyed = ["--property", "parse.key=true", "--property", "key.separator= "];
        let args = [&["--topic", "java"], &keyed[..]].concat();
        run(kafka::java_producer(address, &args), "k from java\n").await;
        let args = ["--topic", "java", "--group", "java", "--from-beginning", "--max-messages", "1"];
        let keyed = ["--property", "print.key=true", "--property", "key.separator= "];
        let heard = run(kafka::java_consumer(address, &[&args[..], &keyed].concat()), "").await;
        assert_eq!(heard, "k from java\n", "{version:?}");

        run(kafka::kcat(&["-b", address, "-P", "-t", "kcat", "-K", " "]), "k from kcat\n").await;
        run(kafka::python(PYTHON_WRITES, &[address, "python"]), "").await;
        assert_eq!(run(kafka::python(PYTHON_READS, &[address, "python"]), "").await, "k from python\n");
        run(kafka::node(NODE_WRITES, &[address, "node"]), "").await;
        assert_eq!(run(kafka::node(NODE_READS, &[address, "node"]), "").await, "k from node\n");

        for topic in ["java", "kcat", "python", "node"] {
            let args = ["-b", address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-K", " "];
            assert_eq!(run(kafka::kcat(&args), "").await, format!("k from {topic}\n"), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_member_of_a_group_that_is_asked_to_end_ends_and_leaves() {
    let broker = KafkaBroker::start().await.unwrap();
    broker.create_topic("shared", 2).await.unwrap();
    let address = &broker.address();
    let args = ["--topic", "shared", "--group", "group", "--from-beginning"];
    let mut member = Client::start(kafka::java_consumer(address, &args).unwrap()).unwrap();
    run(kafka::kcat(&["-b", address, "-P", "-t", "shared"]), "one\n").await;
    assert_eq!(member.line(WITHIN).await.unwrap().as_deref(), Some("one"));
    member.stop().unwrap();
    assert_eq!(member.line(WITHIN).await.unwrap(), None);
    let described =
        run(kafka::java_groups(address, &["--describe", "--group", "group", "--state"]), "").await;
    assert!(described.contains("Empty"), "{described}");
}

#[tokio::test]
async fn a_client_that_begins_on_a_link_stays_on_it() {
    let mut cluster = KafkaSetup::new().links(2).cluster(3).await.unwrap();
    cluster.create_topic("far", 6).await.unwrap();
    let link = cluster.url_of_link(1);
    let addresses = link.strip_prefix("kafka://").unwrap();
    let lines: String = (0..60).map(|number| format!("{number} x\n")).collect();
    run(kafka::kcat(&["-b", addresses, "-P", "-t", "far", "-K", " "]), &lines).await;
    for proxy in cluster.proxies(1) {
        assert!(proxy.passed(Way::ToServer) > 0, "each leads a third of the partitions");
    }
    assert!(cluster.proxies(0).all(|proxy| proxy.passed(Way::ToServer) == 0));
    assert_eq!(cluster.node(0).proxy(0).connections(), 0);
}

#[tokio::test]
async fn a_name_and_a_password_are_asked_for_and_the_authority_is_looked_at() {
    // Without the listener's name before it, Kafka ignores this where passwords are asked for.
    let demand = [("listener.name.sasl_ssl.ssl.client.auth", "required")];
    let broker = KafkaSetup::new().secured().with(&demand).start().await.unwrap();
    broker.create_topic("secret", 1).await.unwrap();
    let papers = broker.papers();
    let text = |path: PathBuf| path.display().to_string();
    let (ca, certificate, key) =
        (text(papers.ca()), text(papers.client_certificate()), text(papers.client_key()));
    let (tls, plain) = (broker.tls_address(), broker.sasl_address());
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] {
        for (address, protocol) in [(&tls, "SASL_SSL"), (&plain, "SASL_PLAINTEXT")] {
            let args = [address, protocol, mechanism, USER, PASSWORD, &ca, &certificate, &key];
            run(kafka::python(PYTHON_PROVES_ITSELF, &args), "").await;
        }
    }
    let address = broker.address();
    let args = ["-b", &address, "-C", "-t", "secret", "-o", "beginning", "-e", "-q"];
    assert_eq!(run(kafka::kcat(&args), "").await.lines().count(), 6);

    let other_ca = text(papers.other_ca());
    for (ca, certificate, password, why) in [
        (&other_ca, &certificate, PASSWORD, "certificate verify failed"),
        (&ca, &certificate, "no", "Invalid username or password"),
        (&ca, &String::new(), PASSWORD, "bad certificate"),
    ] {
        let settings = [
            "security.protocol=SASL_SSL".to_owned(),
            "sasl.mechanism=PLAIN".to_owned(),
            format!("sasl.username={USER}"),
            format!("sasl.password={password}"),
            format!("ssl.ca.location={ca}"),
            format!("ssl.certificate.location={certificate}"),
            format!("ssl.key.location={}", if certificate.is_empty() { "" } else { &key }),
        ];
        let settings = settings.iter().filter(|setting| !setting.ends_with('='));
        let settings = settings.flat_map(|setting| ["-X", setting]);
        let args: Vec<&str> = ["-b", &tls, "-L", "-m", "3"].into_iter().chain(settings).collect();
        let failure = Client::run(kafka::kcat(&args).unwrap(), "", WITHIN).await.unwrap_err().to_string();
        assert!(failure.contains(why), "{failure}");
    }
}
