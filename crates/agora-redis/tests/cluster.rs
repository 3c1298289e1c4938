//! A cluster of servers: masters die, slots move.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use agora_core::config::{Redis, RedisMode};
use agora_core::transport::{FromGroup, GroupSpec, GroupStart, Inbound, Link, LogStart, Settle, Transport};
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
    let slot = Moving::begin(servers, key).await;
    slot.move_keys().await;
    slot.end().await;
}

/// A slot that is being moved to the next master.
struct Moving<'a> {
    servers: &'a RedisCluster,
    source: u16,
    target: u16,
    target_id: String,
    slot: String,
}

impl<'a> Moving<'a> {
    async fn begin(servers: &'a RedisCluster, key: &str) -> Self {
        let from = servers.master_of(key).await.unwrap();
        let to = (from + 1) % 3;
        let (source, target) = (servers.nodes()[from].port(), servers.nodes()[to].port());
        let slot = ask(source, &["CLUSTER", "KEYSLOT", key]).await.unwrap().text().to_owned();
        let source_id = ask(source, &["CLUSTER", "MYID"]).await.unwrap();
        let target_id = ask(target, &["CLUSTER", "MYID"]).await.unwrap().text().to_owned();
        ask(target, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", source_id.text()]).await.unwrap();
        ask(source, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await.unwrap();
        Self { servers, source, target, target_id, slot }
    }

    /// Moves what is in it. It belongs to its old master all the same.
    async fn move_keys(&self) {
        let keys = ask(self.source, &["CLUSTER", "GETKEYSINSLOT", &self.slot, "100"]).await.unwrap();
        for key in keys.list() {
            let port = self.target.to_string();
            ask(self.source, &["MIGRATE", "127.0.0.1", &port, key.text(), "0", "5000"]).await.unwrap();
        }
    }

    async fn end(self) {
        for node in self.servers.nodes() {
            let words = ["CLUSTER", "SETSLOT", &self.slot, "NODE", &self.target_id];
            ask(node.port(), &words).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_slot_is_on_its_way_is_used_where_it_is() {
    let servers = RedisCluster::start(Program::Redis, 0).await.unwrap();
    let transport = connect_with(&cluster_config(&servers)).await;
    let log = topic("on.its.way");
    open_log(&transport, &log).await;
    send(&transport, &log, [1]).await;
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 3).await, ["beginning", "1", "end"]);
    let slot = Moving::begin(&servers, &names().stream(&log)).await;
    // Its keys are there still.
    send(&transport, &log, [2]).await;
    assert_eq!(tell(&mut *reader, 2).await, ["2", "end"]);
    slot.move_keys().await;
    // The old master is in charge, and sends everybody on: one by one, and as a whole.
    send(&transport, &log, [3]).await;
    send(&transport, &log, [4, 5]).await;
    open_log(&transport, &log).await;
    let cursors = transport.cursors().unwrap();
    let (fence, _) = cursors.take(&log, "reader").await.unwrap();
    cursors.save(&log, "reader", fence, b"here", &[]).await.unwrap();
    assert_eq!(tell(&mut *reader, 1).await, ["interrupted"]);
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 7).await, ["beginning", "1", "2", "3", "4", "5", "end"]);
    let spec = GroupSpec {
        name: agora_core::id::GroupName::new("workers").unwrap(),
        start: GroupStart::Earliest,
        lease: std::time::Duration::from_secs(60),
    };
    let mut member = transport.join_group(&log, &spec).await.unwrap();
    for due in 1..=6_u64 {
        if due == 6 {
            send(&transport, &log, [6]).await;
        }
        let mut into = Vec::new();
        soon("a record", member.recv(1, &mut into)).await.unwrap();
        let [FromGroup::Message { raw, token, attempt: 1, .. }] = &into[..] else { panic!("{into:?}") };
        assert_eq!(raw.payload, due.to_string());
        soon("an ack", member.settle(*token, Settle::Ack)).await.unwrap();
    }
    // The reader that has found its way there sees what comes, and stays when the slot is there as a whole.
    assert_eq!(tell(&mut *reader, 2).await, ["6", "end"]);
    slot.end().await;
    send(&transport, &log, [7]).await;
    assert_eq!(tell(&mut *reader, 2).await, ["7", "end"]);
    assert_eq!(cursors.take(&log, "reader").await.unwrap().1.as_deref(), Some(&b"here"[..]));
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
