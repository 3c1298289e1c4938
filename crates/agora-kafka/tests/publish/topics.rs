//! Topics are found as they are asked for, or made.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::transport::{TopicSettings, TopicSpec, Transport};
use agora_kafka::{KafkaTransport, LANES};
use agora_testbed::KafkaBroker;

use crate::support::{PATIENCE, cluster, config, connect, topic};

fn spec(name: &str, change: impl FnOnce(&mut TopicSettings)) -> TopicSpec {
    let mut settings = TopicSettings::LOG;
    change(&mut settings);
    TopicSpec { name: topic(name), settings }
}

#[tokio::test]
async fn a_topic_that_is_made_is_as_it_was_asked_for_and_another_wish_is_refused() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    let day = Some(Duration::from_secs(24 * 3600));
    let asked = |settings: &mut TopicSettings| (settings.lanes, settings.retention) = (Some(3), day);
    assert_eq!(transport.open(&spec("made", asked)).await.unwrap().lanes(), 3);
    assert_eq!(broker.topic("made").await.unwrap().partitions.len(), 3);
    // Fewer lanes, and nothing of retention: it is as it is.
    let fewer = spec("made", |settings| settings.lanes = Some(1));
    assert_eq!(transport.open(&fewer).await.unwrap().lanes(), 3);
    assert_eq!(transport.open(&TopicSpec::log(topic("usual"))).await.unwrap().lanes(), LANES);
    for (setting, other) in [
        ("lanes", spec("made", |settings| settings.lanes = Some(4))),
        ("replicas", spec("made", |settings| settings.replicas = Some(2))),
        ("retention", spec("made", |settings| settings.retention = Some(Duration::from_secs(60)))),
        ("lanes", TopicSpec::live(topic("made"))),
    ] {
        let error = transport.open(&other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains(&format!("setting: {setting}")), "{error}");
    }
    let live = transport.open(&TopicSpec::live(topic("live"))).await.unwrap();
    assert_eq!((live.lanes(), live.may_grow()), (1, false));
}

#[tokio::test]
async fn where_nothing_may_be_made_it_says_how_to_make_it() {
    let broker = KafkaBroker::start().await.unwrap();
    let mut config = config(&broker.url());
    config.auto_create = Some(false);
    let transport = KafkaTransport::connect(&config, &cluster(), PATIENCE).await.unwrap();
    let error = transport.open(&TopicSpec::log(topic("absent"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let told = format!("{error:#}");
    assert!(told.contains("kafka-topics --create --topic absent --partitions 4"), "{told}");
    broker.create_topic("absent", 2).await.unwrap();
    assert_eq!(transport.open(&TopicSpec::log(topic("absent"))).await.unwrap().lanes(), 2);
}

#[tokio::test]
async fn ten_nodes_that_open_a_new_topic_at_once_open_one() {
    let broker = KafkaBroker::start().await.unwrap();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let url = broker.url();
        opening.spawn(async move {
            let transport = connect(&url).await;
            transport.open(&TopicSpec::log(topic("raced"))).await.unwrap().lanes()
        });
    }
    assert_eq!(opening.join_all().await, [LANES; 10]);
}
