//! The configurations of Kafka that exist out there, as they stand, on a broker.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora::config::{Config, LoadOptions};
use agora::core::bus::Work;
use agora::core::event::Key;
use agora::{Bus, Delivery, ErrorKind, Event, Start};
use agora_testbed::clients::{Client, kafka};
use agora_testbed::kafka::USER;
use agora_testbed::{KafkaBroker, KafkaSetup};

const WAIT: Duration = Duration::from_secs(30);
const S: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, agora::serde::Serialize, agora::serde::Deserialize)]
#[serde(crate = "agora::serde")]
struct Joined {
    player: String,
}

impl Event for Joined {
    const KIND: &'static str = "player.joined";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.player.as_str().into())
    }
}

fn joined(player: &str) -> Joined {
    Joined { player: player.to_owned() }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

async fn connect(options: LoadOptions) -> (Bus, Config) {
    let config = Config::load(options).unwrap();
    let bus = Bus::from_config(config.clone()).await.unwrap();
    bus.ready(WAIT).await.unwrap();
    (bus, config)
}

async fn next(events: &mut agora::Subscription<Joined>) -> Joined {
    match soon("an event", events.try_next()).await.unwrap().unwrap() {
        Delivery::Event(event) => event.event,
        other => panic!("not an event: {other:?}"),
    }
}

/// One event of a group, done.
async fn job(group: &mut agora::Group<Joined>) -> Joined {
    match soon("work", group.try_next()).await.unwrap().unwrap() {
        Work::Job(job) => {
            let event = job.received().event.clone();
            job.ack();
            event
        }
        other => panic!("not an event: {other:?}"),
    }
}

/// The groups that the tool of the brokers lists.
async fn groups(broker: &KafkaBroker) -> String {
    Client::run(kafka::java_groups(&broker.address(), &["--list"]).unwrap(), "", WAIT).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_servers_store_is_a_bus_on_which_every_node_hears_everything() {
    let broker = KafkaBroker::start().await.unwrap();
    let file = format!(
        r#"
[cluster]
coordinator = "kafka-cluster"

[store."data"]
type = "rocksdb"
path = "/var/lib/data"

[store."kafka-cluster"]
type = "kafka"
brokers = ["{}"]
group-id = "mail"
"#,
        broker.address()
    );
    let node = |name: &str| LoadOptions::new().text("mail.toml", &*file).environment([("AGORA__NODE", name)]);
    let ((a, config), (b, _)) = tokio::join!(connect(node("a")), connect(node("b")));
    assert_eq!((config.model().kafka.session_timeout, config.model().limits.publish_timeout), (5 * S, 5 * S));

    // The group is no group of broadcast.
    let mut heard = Vec::new();
    for bus in [&a, &b] {
        heard.push(bus.subscribe("stwt.agora").typed::<Joined>().start(Start::Live).await.unwrap());
    }
    let mut durable =
        b.subscribe("stwt.agora").typed::<Joined>().durable("seen").start(Start::Earliest).await.unwrap();
    let third = connect(node("c")).await.0;
    third.publisher("stwt.agora").unwrap().publish(&joined("p1")).await.unwrap();
    for events in &mut heard {
        assert_eq!(next(events).await, joined("p1"));
    }
    assert_eq!(next(&mut durable).await, joined("p1"));
    durable.save().await.unwrap();

    // It is the one of those who share work. A stock broker allows sessions of 6 s and more, so that is what it gets.
    let name = config.group().unwrap().unwrap();
    let mut group = a.group("stwt.agora", name.as_str()).typed::<Joined>().await.unwrap();
    assert_eq!(job(&mut group).await, joined("p1"));
    group.leave(WAIT).await.unwrap();
    let groups = groups(&broker).await;
    for group in ["mail", "mail.seen"] {
        assert!(groups.lines().any(|line| line == group), "{groups}");
    }
    for bus in [a, b, third] {
        bus.close(WAIT).await.unwrap();
    }
}

#[test]
fn a_mail_servers_store_without_brokers_does_not_start_and_says_so() {
    let style = "[cluster]\ncoordinator = \"kafka-cluster\"\n[store.\"kafka-cluster\"]\ntype = \"kafka\"\n";
    for (brokers, says) in [
        ("", "`kafka.brokers` is not set, and the backend kafka is chosen"),
        ("brokers = []\n", "found: an empty list"),
        ("brokers = \"\"\n", "`kafka.brokers` has a value that is not allowed"),
        ("brokers = [\"\"]\n", "`kafka.brokers` has a value that is not allowed"),
    ] {
        let options = LoadOptions::new().text("mail.toml", format!("{style}{brokers}group-id = \"mail\"\n"));
        let error = Config::load(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(says), "{brokers:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frameworks_bus_and_the_variables_name_brokers_topics_and_the_group() {
    let broker = KafkaSetup::new().secured().start().await.unwrap();
    let address = &broker.address();
    let file = format!(
        r#"
[bus]
backend = "kafka"
[bus.kafka]
brokers = ["{address}"]
topic_prefix = "angzarr"
consumer_group = "angzarr-handlers"
[storage]
type = "sqlite"
"#
    );
    let (bus, config) = connect(LoadOptions::new().text("angzarr.toml", file)).await;
    let players = config.domain_topic("player").unwrap();
    assert_eq!(players.as_str(), "angzarr.events.player");
    bus.publisher(players.as_str()).unwrap().publish(&joined("player/1")).await.unwrap();
    let group = config.group().unwrap().unwrap();
    let mut handlers = bus.group(players.as_str(), group.as_str()).typed::<Joined>().await.unwrap();
    assert_eq!(job(&mut handlers).await, joined("player/1"));
    handlers.leave(WAIT).await.unwrap();
    bus.close(WAIT).await.unwrap();
    assert!(groups(&broker).await.lines().any(|line| line == "angzarr-handlers"));

    // The same by variables, and as a provider injects them.
    let papers = broker.papers();
    let secured = format!(
        "kafka+tls:?sasl=scram-sha-512&user={USER}&password_file={}&tls_ca_file={}",
        papers.password_file().display(),
        papers.ca().display()
    );
    let tls = &broker.tls_address();
    let brokers = ("KAFKA_BROKERS", address.as_str());
    let bootstrap = ("KAFKA_BOOTSTRAP_SERVERS", address.as_str());
    let (chosen, prefix) = (("BUS_BACKEND", "kafka"), ("KAFKA_TOPIC_PREFIX", "angzarr"));
    for variables in [
        &[chosen, prefix, brokers][..],
        &[chosen, prefix, bootstrap],
        &[chosen, prefix, brokers, bootstrap],
        &[("AGORA__URL", "kafka:"), prefix, bootstrap],
        &[("AGORA__URL", secured.as_str()), prefix, ("KAFKA_BOOTSTRAP_SERVERS", tls.as_str())],
    ] {
        let (bus, config) = connect(LoadOptions::new().environment(variables.iter().copied())).await;
        assert_eq!(config.domain_topic("player").unwrap(), players, "{variables:?}");
        let reading = bus.subscribe(players.as_str()).typed::<Joined>().start(Start::Earliest);
        assert_eq!(next(&mut reading.await.unwrap()).await, joined("player/1"), "{variables:?}");
        bus.close(WAIT).await.unwrap();
    }
}
