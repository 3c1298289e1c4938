//! A cluster of servers: masters die, slots move.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use agora_core::config::{Redis, RedisMode};
use agora_core::transport::{Inbound, Link, LogStart, Transport};
use agora_testbed::redis::ask;
use agora_testbed::{Program, RedisCluster};
use common::*;

fn cluster_config(servers: &RedisCluster) -> Redis {
    let mut config = config(servers.nodes().iter().take(3).map(|node| node.url()));
    config.mode = RedisMode::Cluster;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_dies_is_replaced_and_nobody_is_restarted() {
    let mut servers = RedisCluster::start(Program::Valkey, 1).await.unwrap();
    let config = cluster_config(&servers);
    let log = topic("failover");
    let writer = bus("writer", connect_with(&config).await, &log).await;
    let reader = bus("reader", connect_with(&config).await, &log).await;
    let mut events = read(&reader, &log).await;
    publish(&writer, &log, 1..=500).await;
    let (numbers, gaps) = until(&mut events, 500).await;
    assert_eq!((numbers, gaps.len()), ((1..=500).collect(), 0));
    let stream = names().stream(&log);
    let master = servers.master_of(&stream).await.unwrap();
    // The replicas of the masters stand behind them, in their order.
    replicated(&servers, master, master + 3).await;
    servers.node(master).kill().unwrap();
    publish(&writer, &log, 501..=1000).await;
    let (numbers, gaps) = until(&mut events, 1000).await;
    assert_eq!((numbers, gaps.len()), ((501..=1000).collect(), 0));
    assert_ne!(servers.master_of(&stream).await.unwrap(), master);
}

/// Waits until a replica has what its master has now.
async fn replicated(servers: &RedisCluster, master: usize, replica: usize) {
    let due: u64 =
        ask(servers.nodes()[master].port(), &["ROLE"]).await.unwrap().list()[1].text().parse().unwrap();
    let caught_up = async {
        loop {
            let role = ask(servers.nodes()[replica].port(), &["ROLE"]).await.unwrap();
            if role.list()[4].text().parse::<u64>().is_ok_and(|offset| offset >= due) {
                return;
            }
        }
    };
    soon("a replica has caught up", caught_up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_takes_its_topics_along() {
    let servers = RedisCluster::start(Program::Redis, 0).await.unwrap();
    let transport = connect_with(&cluster_config(&servers)).await;
    let (live, log) = (topic("moving"), topic("moving.log"));
    let mut inbox = transport.subscribe(&live).await.unwrap();
    open_log(&transport, &log).await;
    send(&transport, &log, 1..=3).await;
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 5).await, ["beginning", "1", "2", "3", "end"]);
    for key in [names().channel(&live), names().stream(&log)] {
        move_slot(&servers, &key).await;
    }
    let mut into = Vec::new();
    soon("the subscription is made anew", inbox.recv(1, &mut into)).await.unwrap();
    assert!(matches!(into[..], [Inbound::Resubscribed]), "{into:?}");
    assert_eq!(tell(&mut *reader, 1).await, ["interrupted"]);
    send(&transport, &live, [1]).await;
    send(&transport, &log, [4]).await;
    into.clear();
    soon("a message", inbox.recv(1, &mut into)).await.unwrap();
    assert!(matches!(into[..], [Inbound::Message(_)]), "{into:?}");
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 6).await, ["beginning", "1", "2", "3", "4", "end"]);
}

/// Moves the slot of a key, with what is in it, to the next master.
async fn move_slot(servers: &RedisCluster, key: &str) {
    let from = servers.master_of(key).await.unwrap();
    let to = (from + 1) % 3;
    let (source, target) = (servers.nodes()[from].port(), servers.nodes()[to].port());
    let slot = ask(source, &["CLUSTER", "KEYSLOT", key]).await.unwrap();
    let source_id = ask(source, &["CLUSTER", "MYID"]).await.unwrap();
    let target_id = ask(target, &["CLUSTER", "MYID"]).await.unwrap();
    ask(target, &["CLUSTER", "SETSLOT", slot.text(), "IMPORTING", source_id.text()]).await.unwrap();
    ask(source, &["CLUSTER", "SETSLOT", slot.text(), "MIGRATING", target_id.text()]).await.unwrap();
    let keys = ask(source, &["CLUSTER", "GETKEYSINSLOT", slot.text(), "100"]).await.unwrap();
    for key in keys.list() {
        let port = target.to_string();
        ask(source, &["MIGRATE", "127.0.0.1", &port, key.text(), "0", "5000"]).await.unwrap();
    }
    for node in servers.nodes() {
        ask(node.port(), &["CLUSTER", "SETSLOT", slot.text(), "NODE", target_id.text()]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lacks_a_master_says_so() {
    let mut servers = RedisCluster::start(Program::Redis, 0).await.unwrap();
    let transport = connect_with(&cluster_config(&servers)).await;
    up(&transport).await;
    servers.node(2).kill().unwrap();
    let link = link_is(&transport, "the link is not whole", |link| *link != Link::Up).await;
    let (Link::Degraded { why, .. } | Link::Down { why, .. }) = link else { panic!("{link:?}") };
    assert!(!why.is_empty());
    servers.node(2).begin().await.unwrap();
    up(&transport).await;
}
