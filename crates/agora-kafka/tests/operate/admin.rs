//! What operators ask and do, with clients that nobody here wrote beside them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use agora_core::id::{ClusterName, GroupName, TopicName};
use agora_core::transport::{
    Admin, CursorStore, GroupStart, Position, ResetTo, TopicChange, TopicSettings, TopicSpec,
};
use agora_core::{ErrorKind, Result};
use agora_kafka::admin::Operator;
use agora_kafka::cursors::Cursors;
use agora_kafka::names::CURSOR_PREFIX;
use agora_testbed::clients::{Client, kafka};
use agora_testbed::{KafkaBroker, KafkaCluster};

use crate::support::{PATIENCE, cluster, connect, groups_tool, topic};

/// Writes so many records into a partition.
async fn write(address: &str, topic: &str, partition: &str, records: usize) {
    let command = kafka::kcat(&["-b", address, "-P", "-t", topic, "-p", partition]).unwrap();
    Client::run(command, &"record\n".repeat(records), PATIENCE).await.unwrap();
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn error<T: std::fmt::Debug>(what: &str, answer: Result<T>, kind: ErrorKind) {
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), kind, "{what}: {error:#}");
}

fn spec(name: &str, lanes: u32) -> TopicSpec {
    let mut settings = TopicSettings::LOG;
    settings.lanes = Some(lanes);
    TopicSpec { name: topic(name), settings }
}

async fn listed(admin: &Operator) -> Vec<String> {
    admin.topics().await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_described_changed_and_deleted() {
    let broker = KafkaBroker::start().await.unwrap();
    let address = broker.address();
    let brokers = connect(&address).await;
    let admin = Operator::new(&brokers, cluster());
    let mut made = spec("shop.orders", 2);
    (made.settings.retention, made.settings.replicas) = (Some(Duration::from_secs(3600)), Some(1));
    let own = BTreeMap::from([("min.insync.replicas".to_owned(), "1".to_owned())]);
    admin.create_topic_with(&made, &own).await.unwrap();
    error("made twice", admin.create_topic(&made).await, ErrorKind::Conflict);
    let odd = BTreeMap::from([("no.such.setting".to_owned(), "1".to_owned())]);
    error("no setting", admin.create_topic_with(&spec("odd", 1), &odd).await, ErrorKind::Config);
    let mut wide = spec("wide", 1);
    wide.settings.replicas = Some(7);
    error("too many replicas", admin.create_topic(&wide).await, ErrorKind::Config);

    // Kafka's own topics, the control topic and another cluster's are none of these.
    broker.create_topic("_agora.control", 1).await.unwrap();
    broker.create_topic("eu..t", 1).await.unwrap();
    groups_tool(&address, &["--list"]).await;
    assert_eq!(listed(&admin).await, ["shop.orders"]);
    let eu = Operator::new(&brokers, ClusterName::new("eu").unwrap());
    assert_eq!(listed(&eu).await, ["t"]);
    error("another cluster's", eu.delete_topic(&made.name).await, ErrorKind::NotFound);

    let found = admin.describe_topic(&made.name).await.unwrap();
    assert!(found.lanes.iter().all(|lane| lane.records == 0 && lane.first.is_none()), "{found:?}");
    write(&address, "shop.orders", "0", 5).await;
    write(&address, "shop.orders", "1", 2).await;
    let found = admin.describe_topic(&made.name).await.unwrap();
    assert_eq!(found.settings.retention, made.settings.retention);
    assert_eq!((found.settings.replicas, found.settings.lanes), (Some(1), Some(2)));
    assert_eq!(found.own.get("min.insync.replicas").map(String::as_str), Some("1"), "{:?}", found.own);
    let lane = &found.lanes[0];
    let places = (lane.first.map(|(at, _)| at), lane.last.map(|(at, _)| at));
    assert_eq!((lane.records, places), (5, (Some(Position(0)), Some(Position(4)))));
    let (first, last) = (lane.first.unwrap().1.unwrap(), lane.last.unwrap().1.unwrap());
    let now = SystemTime::now();
    assert!(first <= last && now - PATIENCE * 10 < first && last < now + PATIENCE, "{lane:?}");
    assert!(lane.bytes.is_some_and(|bytes| bytes > 0) && found.lanes[1].records == 2, "{found:?}");
    let servers = lane.servers.as_ref().unwrap();
    assert_eq!((servers.replicas.len(), servers.leader.is_some(), servers.is_short()), (1, true, false));
    assert_eq!(admin.short_lanes().await.unwrap(), Some(Vec::new()));

    let mut change =
        TopicChange { lanes: Some(4), retention: Some(Duration::from_secs(60)), ..TopicChange::default() };
    change.own.insert("segment.ms".into(), Some("30000".into()));
    change.own.insert("min.insync.replicas".into(), None);
    admin.alter_topic(&made.name, &change).await.unwrap();
    let found = admin.describe_topic(&made.name).await.unwrap();
    assert_eq!((found.settings.retention, found.lanes.len()), (change.retention, 4));
    let own: Vec<_> = found.own.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(own, ["retention.ms=60000", "segment.ms=30000"]);
    error("fewer lanes", admin.alter_topic(&made.name, &change).await, ErrorKind::Config);
    let nowhere = topic("nowhere");
    error("altered", admin.alter_topic(&nowhere, &change).await, ErrorKind::NotFound);
    error("described", admin.describe_topic(&nowhere).await, ErrorKind::NotFound);
    error("deleted", admin.delete_topic(&nowhere).await, ErrorKind::NotFound);
    error("groups", admin.groups(&nowhere).await, ErrorKind::NotFound);

    admin.delete_topic(&made.name).await.unwrap();
    error("described", admin.describe_topic(&made.name).await, ErrorKind::NotFound);
    assert!(listed(&admin).await.is_empty());
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_another_client_is_described_moved_and_deleted() {
    let broker = KafkaBroker::start().await.unwrap();
    let address = broker.address();
    let brokers = connect(&address).await;
    let admin = Operator::new(&brokers, cluster());
    let (t, g) = (topic("t"), group("readers"));
    admin.create_topic(&spec("t", 2)).await.unwrap();
    write(&address, "t", "0", 6).await;
    error("no group", admin.describe_group(&t, &g).await, ErrorKind::NotFound);
    error("no group", admin.reset_group(&t, &g, ResetTo::Earliest, true).await, ErrorKind::NotFound);

    let consumer = ["--topic", "t", "--group", "readers", "--from-beginning"];
    let mut consumer = Client::start(kafka::java_consumer(&address, &consumer).unwrap()).unwrap();
    for _ in 0..6 {
        assert_eq!(consumer.line(PATIENCE).await.unwrap().as_deref(), Some("record"));
    }
    assert_eq!(admin.groups(&t).await.unwrap(), vec![g.clone()]);
    let found = admin.describe_group(&t, &g).await.unwrap();
    assert_eq!((found.state.as_deref(), found.members.len()), (Some("Stable"), 1), "{found:?}");
    assert_eq!(found.members[0].lanes, [0, 1]);
    assert_eq!(found.members[0].host.as_deref(), Some("127.0.0.1"));
    error("with a member", admin.delete_group(&t, &g).await, ErrorKind::Conflict);
    error("with a member", admin.reset_group(&t, &g, ResetTo::Latest, false).await, ErrorKind::Conflict);
    admin.reset_group(&t, &g, ResetTo::Earliest, true).await.unwrap();
    // It commits what it has, and leaves; what it ends with is that of a signal.
    consumer.stop().unwrap();
    let _ = consumer.finish(PATIENCE).await;

    write(&address, "t", "0", 4).await;
    write(&address, "t", "1", 3).await;
    let before = admin.describe_group(&t, &g).await.unwrap();
    assert_eq!((before.members.len(), before.lag(), before.lanes[0].next), (0, 7, Position(6)), "{before:?}");
    assert_eq!(before.lanes[0].end, Some(Position(10)));
    let records = |to, dry_run| {
        let (admin, t, g) = (&admin, &t, &g);
        async move {
            let lanes = admin.reset_group(t, g, to, dry_run).await.unwrap();
            lanes.iter().map(|lane| (lane.lane, lane.to.0, lane.records)).collect::<Vec<_>>()
        }
    };
    assert_eq!(records(ResetTo::Earliest, true).await, [(0, 0, 6), (1, 0, 0)]);
    assert_eq!(records(ResetTo::Latest, true).await, [(0, 10, -4), (1, 3, -3)]);
    assert_eq!(admin.describe_group(&t, &g).await.unwrap(), before, "a dry run changes nothing");
    let at = ResetTo::At { lane: 0, position: Position(8) };
    assert_eq!(records(at, false).await, [(0, 8, -2)]);
    let nowhere = ResetTo::At { lane: 2, position: Position(0) };
    error("no lane", admin.reset_group(&t, &g, nowhere, true).await, ErrorKind::Config);
    let said = groups_tool(&address, &["--describe", "--group", "readers"]).await;
    let current = said.iter().find(|line| line.len() > 3 && line[1] == "t" && line[2] == "0").unwrap();
    assert_eq!(current[3], "8", "{said:?}");
    let old = ResetTo::Time(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    assert_eq!(records(old, false).await, [(0, 0, 8), (1, 0, 0)]);
    let later = ResetTo::Time(SystemTime::now() + PATIENCE);
    assert_eq!(records(later, false).await, [(0, 10, -10), (1, 3, -3)]);

    // What it has of another topic stays.
    admin.create_topic(&spec("u", 1)).await.unwrap();
    admin.create_group(&topic("u"), &g, GroupStart::Latest).await.unwrap();
    admin.delete_group(&t, &g).await.unwrap();
    error("deleted", admin.describe_group(&t, &g).await, ErrorKind::NotFound);
    assert_eq!(admin.groups(&t).await.unwrap(), Vec::new());
    assert_eq!(admin.groups(&topic("u")).await.unwrap(), vec![g.clone()]);
    admin.delete_group(&topic("u"), &g).await.unwrap();
    let said = groups_tool(&address, &["--list"]).await;
    assert!(!said.iter().flatten().any(|word| word == "readers"), "{said:?}");
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_deleted_with_its_groups_and_cursors() {
    let broker = KafkaBroker::start().await.unwrap();
    let brokers = connect(&broker.address()).await;
    let (admin, t) = (Operator::new(&brokers, cluster()), topic("t"));
    let cursors = Cursors::new(&brokers, cluster(), CURSOR_PREFIX.to_owned());
    admin.create_topic(&spec("t", 1)).await.unwrap();
    write(&broker.address(), "t", "0", 3).await;
    for (name, start, lag) in [("early", GroupStart::Earliest, 3), ("late", GroupStart::Latest, 0)] {
        admin.create_group(&t, &group(name), start).await.unwrap();
        error("made twice", admin.create_group(&t, &group(name), start).await, ErrorKind::Conflict);
        assert_eq!(admin.describe_group(&t, &group(name)).await.unwrap().lag(), lag);
    }
    let (fence, _) = cursors.take(&t, "reader").await.unwrap();
    cursors.save(&t, "reader", fence, b"of the old log", &[]).await.unwrap();
    assert_eq!(admin.groups(&t).await.unwrap(), [group("early"), group("late")], "a cursor is no group");
    admin.delete_topic(&t).await.unwrap();
    admin.create_topic(&spec("t", 1)).await.unwrap();
    assert_eq!(admin.groups(&t).await.unwrap(), Vec::new());
    assert_eq!(cursors.take(&t, "reader").await.unwrap().1, None);
    let late = cursors.save(&t, "reader", fence, b"late", &[]).await;
    error("the right to the cursor of the old log", late, ErrorKind::Conflict);
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_too_few_brokers_have_are_told() {
    let mut brokers_of = KafkaCluster::start(3).await.unwrap();
    let brokers = connect(&brokers_of.addresses()).await;
    let admin = Operator::new(&brokers, cluster());
    admin.create_topic(&spec("t", 3)).await.unwrap();
    brokers_of.in_sync("t").await.unwrap();
    assert_eq!(admin.short_lanes().await.unwrap(), Some(Vec::new()));
    write(&brokers_of.addresses(), "t", "0", 4).await;
    let victim = brokers_of.leader_of("t", 0).await.unwrap();
    brokers_of.node(victim).kill().unwrap();
    brokers_of.leader_after("t", 0, victim).await.unwrap();
    // Whichever is asked, it knows.
    brokers_of.ready().await.unwrap();
    // It is known of one lane after the other.
    let short = loop {
        let short = admin.short_lanes().await.unwrap().unwrap();
        if short.len() == 3 {
            break short;
        }
    };
    let one: &(TopicName, u32, _) = &short[0];
    assert_eq!((one.0.as_str(), one.1), ("t", 0));
    let gone = victim.to_string();
    assert!(one.2.replicas.contains(&gone) && !one.2.in_sync.contains(&gone), "{one:?}");
    let found = admin.describe_topic(&topic("t")).await.unwrap();
    assert_eq!(found.lanes[0].servers.as_ref(), Some(&one.2));
    assert_eq!(found.lanes[0].records, 4);
    // Groups are listed by those who are left.
    admin.create_group(&topic("t"), &group("g"), GroupStart::Earliest).await.unwrap();
    assert_eq!(admin.groups(&topic("t")).await.unwrap(), [group("g")]);
    brokers.end();
}
