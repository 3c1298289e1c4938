//! Sentinels: the primary changes, and what a replica that was behind has lost is told.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use agora_core::ErrorKind;
use agora_core::bus::Missing;
use agora_core::config::{Redis, RedisMode};
use agora_core::live::Reason;
use agora_core::transport::{LogStart, Transport};
use agora_redis::RedisTransport;
use agora_testbed::{Program, RedisSentinel};
use common::*;

/// What the URL of the sentinels says, as a configuration.
fn sentinel_config(servers: &RedisSentinel) -> Redis {
    let url = servers.url();
    let (hosts, master) = url.strip_prefix("redis+sentinel://").unwrap().rsplit_once('/').unwrap();
    let mut config = config(hosts.split(',').map(|host| format!("redis://{host}")));
    (config.mode, config.master) = (RedisMode::Sentinel, Some(master.to_owned()));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn another_primary_takes_over_and_nobody_is_restarted() {
    let mut servers = RedisSentinel::start(Program::Redis, 3).await.unwrap();
    let config = sentinel_config(&servers);
    let log = topic("failover");
    let writer = bus("writer", connect_with(&config).await, &log).await;
    let reader = bus("reader", connect_with(&config).await, &log).await;
    let mut events = read(&reader, &log).await;
    publish(&writer, &log, 1..=500).await;
    servers.replicated(1).await.unwrap();
    let (numbers, gaps) = until(&mut events, 500).await;
    assert_eq!((numbers, gaps.len()), ((1..=500).collect(), 0));
    servers.fail_over().await.unwrap();
    publish(&writer, &log, 501..=1000).await;
    let (numbers, gaps) = until(&mut events, 1000).await;
    assert_eq!((numbers, gaps.len()), ((501..=1000).collect(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_that_was_behind_has_lost_is_a_gap() {
    let mut servers = RedisSentinel::start(Program::Redis, 3).await.unwrap();
    let config = sentinel_config(&servers);
    let log = topic("behind");
    let writer = bus("writer", connect_with(&config).await, &log).await;
    let reader = bus("reader", connect_with(&config).await, &log).await;
    let mut events = read(&reader, &log).await;
    publish(&writer, &log, 1..=10).await;
    until(&mut events, 10).await;
    servers.replicated(1).await.unwrap();
    servers.leave_replica_behind().await.unwrap();
    publish(&writer, &log, 11..=20).await;
    let (numbers, gaps) = until(&mut events, 20).await;
    assert_eq!((numbers, gaps.len()), ((11..=20).collect(), 0), "the reader has seen what will be lost");
    servers.server(0).kill().unwrap();
    servers.server(1).resume().unwrap();
    servers.promoted(1).await.unwrap();
    publish(&writer, &log, 21..=30).await;
    let (numbers, gaps) = until(&mut events, 30).await;
    assert_eq!(numbers, (21..=30).collect::<Vec<_>>());
    // Where something new stands there already, it looks as if retention had been there.
    let is_reason = |reason| matches!(reason, Reason::Rewritten | Reason::Retention);
    let is_told = gaps.iter().any(|gap| matches!(gap.missing, Missing::Log { .. }) && is_reason(gap.reason));
    assert!(is_told, "the log lost its end, and nobody was told: {gaps:?}");
    // A new reader finds a hole, and is told of it too.
    let (numbers, gaps) = until(&mut read(&reader, &log).await, 30).await;
    assert_eq!(numbers, (1..=10).chain(21..=30).collect::<Vec<_>>());
    assert_eq!(gaps.iter().filter_map(|gap| gap.events()).sum::<u64>(), 10, "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_do_not_know_the_name_say_so_and_one_that_answers_is_enough() {
    let servers = RedisSentinel::start(Program::Valkey, 1).await.unwrap();
    let mut config = sentinel_config(&servers);
    config.urls.insert(0, agora_core::config::SecretUrl::new("redis://127.0.0.1:1"));
    let transport = connect_with(&config).await;
    up(&transport).await;
    open_log(&transport, &topic("log")).await;
    let mut reader = transport.open_log(&topic("log"), 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 2).await, ["beginning", "end"]);
    config.master = Some("somebody-else".into());
    let error = RedisTransport::connect(&config, &cluster(), WAIT).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("somebody-else"), "{error}");
}
