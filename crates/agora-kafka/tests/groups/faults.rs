//! Servers and connections that fail.

use std::time::Duration;

use agora_core::transport::FromGroup;
use agora_testbed::KafkaSetup;

use crate::crew::Crew;
use crate::support::{Node, cluster, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_cut_off_for_longer_than_its_session_settles_nothing_any_more() {
    let broker = KafkaSetup::new().links(1).start().await.unwrap();
    broker.create_topic("work", 1).await.unwrap();
    let link = broker.url_of_link(0);
    let far = Node::connect(link.strip_prefix("kafka://").unwrap(), "work", "group").await;
    let near = Node::connect(&broker.address(), "work", "group").await;
    near.write(0, [1, 2]).await;
    let mut broker = broker;
    let mut zombie = far.join().await;
    let job = zombie.job().await;
    broker.proxy(0).cut();
    let mut other = near.join().await;
    let again = other.job().await;
    assert_eq!((again.number, again.attempt), (1, 2));
    other.ack(&again).await;
    broker.proxy(0).heal();
    let lost = soon("the loss", async {
        loop {
            if let FromGroup::Lost { lanes } = zombie.next(0).await.unwrap() {
                return lanes;
            }
        }
    });
    assert_eq!(lost.await, [0]);
    zombie.refuses(&job).await;
    assert_eq!(near.committed(0).await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_of_a_member_that_was_cut_off_is_refused_by_the_coordinator() {
    let mut broker = KafkaSetup::new().links(1).start().await.unwrap();
    broker.create_topic("work", 1).await.unwrap();
    let link = broker.url_of_link(0);
    let far = Node::connect(link.strip_prefix("kafka://").unwrap(), "work", "group").await;
    let near = Node::connect(&broker.address(), "work", "group").await;
    near.write(0, [1, 2]).await;
    let mut zombie = far.join().await;
    let job = zombie.job().await;
    broker.proxy(0).cut();
    // It is on its way while the lane becomes another's.
    let late = tokio::spawn(zombie.inbox.settle(job.token, agora_core::transport::Settle::Ack));
    let mut other = near.join().await;
    let again = other.job().await;
    assert_eq!(again.number, 1);
    broker.proxy(0).heal();
    let refused = soon("an answer", late).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), agora_core::ErrorKind::Conflict, "{refused:#}");
    assert_eq!(near.committed(0).await.0, 0);
    other.ack(&again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coordinator_is_killed_and_each_record_is_done_once() {
    let (mut cluster, node) = cluster("work", 3).await;
    let other = Node::connect(&cluster.addresses(), "work", "group").await;
    let mut crew = Crew::new();
    let write = async |from: u64| {
        for lane in 0..3 {
            node.write(lane, (from..from + 60).filter(|number| *number as i32 % 3 == lane)).await;
        }
    };
    write(1).await;
    let first = crew.employ(node.join().await);
    let second = crew.employ(other.join().await);
    crew.does(30).await;
    let coordinator = cluster.coordinator_of("group").await.unwrap();
    cluster.node(coordinator).kill().unwrap();
    write(61).await;
    crew.does(120).await;
    // And while a new member joins.
    cluster.node(coordinator).begin().await.unwrap();
    cluster.ready().await.unwrap();
    // What the group has committed too: another one may die.
    cluster.whole().await.unwrap();
    let coordinator = cluster.coordinator_of("group").await.unwrap();
    let third = crew.employ(node.join().await);
    cluster.node(coordinator).kill().unwrap();
    write(121).await;
    crew.does(180).await;
    crew.has_done(1..=180);
    for worker in [first, second, third] {
        let _ = tokio::time::timeout(Duration::from_secs(20), worker.stop().await.inbox.leave()).await;
    }
}
