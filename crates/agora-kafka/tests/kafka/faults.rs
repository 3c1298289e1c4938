//! Brokers that are not there, that die, and that do not answer.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::transport::Link;
use agora_kafka::brokers::Target;
use agora_kafka::error::Refusal;
use agora_testbed::{KafkaBroker, KafkaSetup};
use kafka_protocol::messages::{ListGroupsRequest, MetadataRequest};
use tokio::time::Instant;

use crate::support::{by, config, connect, link, soon, try_connect};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back_costs_nothing_but_time() {
    let mut broker = KafkaBroker::start().await.unwrap();
    let brokers = connect(&config(broker.address())).await;
    let line = brokers.line("test");
    let request = ListGroupsRequest::default();
    line.call(Target::Any, &request, by()).await.unwrap();
    broker.kill().unwrap();
    let down = link(&brokers, "the link is down", |link| !link.is_usable()).await;
    let Link::Down { why, .. } = down else { panic!("{down:?}") };
    assert!(why.contains(&broker.address()), "{why}");
    let error = line.call(Target::Any, &request, by()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    broker.begin().await.unwrap();
    link(&brokers, "the link is up", |link| *link == Link::Up).await;
    // A question is asked until it is answered.
    let judge = |answer: &kafka_protocol::messages::ListGroupsResponse| Refusal::check(answer.error_code);
    line.ask(Target::Any, &request, Duration::from_secs(3), by(), judge).await.unwrap();
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_at_the_start_is_waited_for_in_the_background() {
    let mut broker = KafkaBroker::start().await.unwrap();
    broker.kill().unwrap();
    let brokers = try_connect(&config(broker.address())).await.unwrap();
    assert!(matches!(&*brokers.link().borrow(), Link::Down { .. }));
    broker.begin().await.unwrap();
    link(&brokers, "the link is up", |link| *link == Link::Up).await;
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_answer_costs_the_connection_and_not_more_than_the_deadline() {
    let broker = KafkaBroker::start().await.unwrap();
    let brokers = connect(&config(broker.address())).await;
    let line = brokers.line("test");
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    line.call(Target::Any, &request, by()).await.unwrap();
    broker.pause().unwrap();
    let soon_by = Instant::now() + Duration::from_secs(2);
    let (first, second) = tokio::join!(
        line.call(Target::Any, &request, soon_by),
        // It has time enough, and the connection is gone all the same.
        line.call(Target::Any, &request, by()),
    );
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    }
    link(&brokers, "the link is down", |link| !link.is_usable()).await;
    broker.resume().unwrap();
    link(&brokers, "the link is up", |link| *link == Link::Up).await;
    brokers.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broker_of_three_may_be_stopped_or_die() {
    // Long enough that the others still name it when it is seen that it does not answer.
    let session = ("broker.session.timeout.ms", "20000");
    let mut cluster = KafkaSetup::new().with(&[session]).cluster(3).await.unwrap();
    cluster.create_topic("t", 3).await.unwrap();
    let mut settings = config("");
    settings.brokers = cluster.addresses().split(',').map(str::to_owned).collect();
    let brokers = connect(&settings).await;
    let before = brokers.leader("t", 0, by()).await.unwrap().0;
    let victim = cluster.leader_of("t", 0).await.unwrap();
    assert_eq!(i32::try_from(victim).unwrap(), before);

    cluster.node(victim).pause().unwrap();
    let degraded = link(&brokers, "one does not answer", |link| matches!(link, Link::Degraded { .. })).await;
    let Link::Degraded { why, .. } = degraded else { panic!("{degraded:?}") };
    assert!(why.contains(&format!("broker {before}")), "{why}");
    // The others elect a leader, and who asks for it finds it.
    let moved = async {
        loop {
            brokers.doubt(Target::Leader("t", 0));
            if brokers.leader("t", 0, by()).await.is_ok_and(|(now, _)| now != before) {
                break;
            }
        }
    };
    soon("another leader", moved).await;
    cluster.node(victim).resume().unwrap();
    link(&brokers, "the link is up", |link| *link == Link::Up).await;

    let coordinator = brokers.coordinator(agora_kafka::brokers::Kind::Group, "g", by()).await.unwrap();
    cluster.node(usize::try_from(coordinator).unwrap()).kill().unwrap();
    let request = kafka_protocol::messages::HeartbeatRequest::default()
        .with_group_id(kafka_protocol::messages::GroupId("g".into()))
        .with_member_id("nobody".into());
    let target = Target::Coordinator(agora_kafka::brokers::Kind::Group, "g");
    let line = brokers.line("test");
    let judge = |answer: &kafka_protocol::messages::HeartbeatResponse| Refusal::check(answer.error_code);
    let refused = line.ask(target, &request, Duration::from_secs(3), by(), judge).await.unwrap_err();
    // The next coordinator answers, and knows no such member.
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    brokers.end();
}
