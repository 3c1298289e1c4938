//! The same subjects and streams in the hands of nats-py: what it writes arrives here as it is, and what is written here
//! it can read, headers and all.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Delivery, Foreign, Start, Subscription};
use agora_core::config::Nats;
use agora_core::event::{Event, Key, RawBytes};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::{Framing, TopicSettings, Wire};
use agora_nats::{NatsTransport, live_subject, log_subject};
use agora_testbed::{NatsServer, clients};
use serde::{Deserialize, Serialize};

const WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize, Deserialize)]
struct Order(String);

impl Event for Order {
    const KIND: &'static str = "test.order";
    const VERSION: u16 = 3;

    fn key(&self) -> Option<Key<'_>> {
        Some(self.0.as_str().into())
    }
}

fn cluster() -> ClusterName {
    ClusterName::new("prod.eu").unwrap()
}

fn topic() -> TopicName {
    TopicName::new("shop.orders").unwrap()
}

async fn bus(server: &NatsServer, settings: TopicSettings) -> Bus {
    let mut nats = Nats::default();
    nats.addresses = vec![format!("127.0.0.1:{}", server.port())];
    let transport = NatsTransport::connect(&nats, &cluster(), WAIT).await.unwrap();
    let mut config = BusConfig::new(cluster(), NodeName::new("rust").unwrap());
    config.topics.insert(topic(), settings);
    let bus = Bus::open(transport, config).unwrap();
    bus.ready(WAIT).await.unwrap();
    bus
}

/// The script, at work.
struct Python {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Python {
    fn run(server: &NatsServer, what: &str, subject: &str, argument: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop.py");
        let mut process = Command::new("python3")
            .env("PYTHONPATH", clients::nats_py().unwrap())
            .arg(script)
            .args([&server.url(), what, subject, argument])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Its next line.
    fn line(&mut self) -> String {
        self.lines.next().expect("it has ended").unwrap()
    }

    fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn done(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

async fn foreign(events: &mut Subscription) -> Foreign {
    match tokio::time::timeout(WAIT, events.try_next()).await.unwrap().unwrap().unwrap() {
        Delivery::Foreign(foreign) => foreign,
        other => panic!("{other:?}"),
    }
}

fn is_red(foreign: &Foreign) -> bool {
    foreign.raw.headers.iter().any(|(name, value)| name == "colour" && value == "red")
}

/// What the frame holds, according to the decoder that was written from the document.
fn decoded(message: &serde_json::Value) -> serde_json::Value {
    let decoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/decode_frame.py");
    let file =
        std::env::temp_dir().join(format!("agora-interop-{}-{}.hex", std::process::id(), fastrand::u64(..)));
    std::fs::write(&file, message["hex"].as_str().unwrap()).unwrap();
    let out = Command::new("python3").arg(decoder).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn check_headers(message: &serde_json::Value, seq: &str) {
    let line = message["headers"]["agora"].as_str().unwrap_or_else(|| panic!("{message}"));
    let word = |name| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(word("kind"), Some("test.order"), "{line}");
    assert_eq!(word("version"), Some("3"), "{line}");
    assert_eq!(word("key"), Some("k-1"), "{line}");
    assert_eq!(word("seq"), Some(seq), "{line}");
    assert!(word("source").is_some_and(|source| !source.is_empty()), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_topic_is_a_subject_that_python_hears_and_speaks_on() {
    let server = NatsServer::start().await.unwrap();
    let bus = bus(&server, TopicSettings::LIVE.framing(Framing::Each)).await;
    let subject = live_subject(&cluster(), &topic());
    assert_eq!(subject, "agora.prod~eu.live.shop.orders");

    let mut listening = Python::run(&server, "listen", &subject, "1");
    assert_eq!(listening.line(), "ready");
    bus.publisher(topic().as_str()).unwrap().publish(&Order("k-1".into())).await.unwrap();
    let message = listening.json();
    check_headers(&message, "1");
    assert_eq!(decoded(&message)["records"][0]["kind"], "test.order");
    listening.done();

    let mut events = bus.subscribe(topic().as_str()).start(Start::Live).await.unwrap();
    Python::run(&server, "say", &subject, "hello").done();
    let foreign = foreign(&mut events).await;
    assert_eq!(foreign.raw.payload, "hello");
    assert!(is_red(&foreign));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_a_stream_that_python_reads_and_appends_to() {
    let server = NatsServer::start().await.unwrap();
    let bus = bus(&server, TopicSettings::LOG.framing(Framing::Each)).await;
    bus.publisher(topic().as_str()).unwrap().publish(&Order("k-1".into())).await.unwrap();
    let subject = log_subject(&cluster(), &topic());
    assert_eq!(subject, "agora.prod~eu.log.shop.orders");

    let mut appending = Python::run(&server, "append", &subject, "hello");
    let answer = appending.json();
    assert_eq!((&answer["stream"], &answer["seq"]), (&"agora=prod~eu=shop~orders".into(), &2.into()));
    appending.done();

    let mut reading = Python::run(&server, "read", &subject, "2");
    let (ours, theirs) = (reading.json(), reading.json());
    check_headers(&ours, "1");
    assert_eq!(decoded(&ours)["records"][0]["kind"], "test.order");
    assert_eq!(theirs["hex"], "68656c6c6f");
    reading.done();

    let mut events = bus.subscribe(topic().as_str()).start(Start::Earliest).await.unwrap();
    let first = tokio::time::timeout(WAIT, events.try_next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(first, Delivery::Event(_)), "{first:?}");
    let foreign = foreign(&mut events).await;
    assert_eq!(foreign.raw.payload, "hello");
    assert!(is_red(&foreign));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_values_are_for_software_that_knows_nothing_of_agora() {
    let server = NatsServer::start().await.unwrap();
    let bus = bus(&server, TopicSettings::LOG.wire(Wire::Plain)).await;
    let publisher = bus.publisher(topic().as_str()).unwrap();
    publisher.publish(&RawBytes(b"just this".to_vec())).await.unwrap();
    let mut reading = Python::run(&server, "read", &log_subject(&cluster(), &topic()), "1");
    let message = reading.json();
    assert_eq!(message["hex"], "6a7573742074686973");
    reading.done();
}
