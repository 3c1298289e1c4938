//! What a real Redis server, and the network before it, can do to a bus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;

use agora_conformance::faults::{On, Rules, Run, World};
use agora_conformance::history::{Entry, What};
use agora_conformance::suite::Verdict;
use agora_conformance_run::faults::{
    LOSES, RedisClusterWorld, RedisWorld, SentinelWorld, disk_full, is_refused_with, odd, overtaken,
    play_here, rolling, speaks_of_tls, unwritable_letters,
};
use agora_core::config::{Secret, SecretUrl};
use agora_core::live::Reason;
use agora_core::transport::{BoxFuture, Link};
use agora_redis::Names;
use agora_testbed::Program;

agora_conformance::fault_tests! { RedisWorld::start(Program::Redis) }

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults")
}

/// Plays a case that does something to its own world.
async fn played<W: World>(
    world: W,
    name: &str,
    on: On,
    case: impl FnOnce(Run, Arc<W>) -> BoxFuture<Verdict>,
) {
    play_here(world, &format!("{}-{name}", on.as_str()), on.settings(), &directory(), case).await;
}

const PASSWORD: [&str; 2] = ["--requirepass", "one-secret"];

#[tokio::test]
async fn wrong_credentials_are_an_error_at_once_that_does_not_show_them() {
    let world = RedisWorld::with(Program::Redis, &PASSWORD).await.unwrap();
    let world = world.adjusted(|config| config.password = Some(Secret::new("not-the-one")));
    is_refused_with(&world, "not-the-one").await;
}

#[tokio::test]
async fn a_server_without_tls_is_not_talked_to_where_tls_is_asked_for() {
    let world = RedisWorld::start(Program::Redis).await.unwrap().adjusted(|config| {
        config.urls =
            config.urls.iter().map(|url| SecretUrl::new(url.expose().replace("redis:", "rediss:"))).collect();
    });
    speaks_of_tls(&world).await;
}

#[tokio::test]
async fn revoked_credentials_take_the_link_down_with_the_reason_and_restored_ones_bring_it_back() {
    let world = RedisWorld::with(Program::Redis, &PASSWORD).await.unwrap();
    let world = world.adjusted(|config| config.password = Some(Secret::new("one-secret")));
    played(world, "revoked", On::Live, |run, server| Box::pin(revoked(run, server))).await;
}

async fn revoked(run: Run, server: Arc<RedisWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let _reading = b.read().await?;
    a.publish_all(5).await?;
    server.order_as("one-secret", &["CONFIG", "SET", "requirepass", "another"]).await.map_err(odd)?;
    for kind in ["normal", "pubsub"] {
        // Who asks is of one of the kinds, and does not kill itself.
        server.order_as("another", &["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await.map_err(odd)?;
    }
    let mut link = a.bus().link();
    let refused = |link: &Link| match link {
        Link::Down { why, .. } => {
            ["password", "auth", "credential"].iter().any(|word| why.to_lowercase().contains(word))
        }
        _ => false,
    };
    let told = async { link.wait_for(refused).await.is_ok() };
    run.soon("the link says why it is down", told).await?;
    a.publish(3)?;
    server.order_as("another", &["CONFIG", "SET", "requirepass", "one-secret"]).await.map_err(odd)?;
    run.finish(Rules::default()).await
}

#[tokio::test]
async fn retention_that_overtakes_a_reader_is_a_gap() {
    let world = RedisWorld::start(Program::Redis).await.unwrap();
    played(world, "retention", On::Each, |run, server| Box::pin(retention(run, server))).await;
}

async fn retention(run: Run, server: Arc<RedisWorld>) -> Verdict {
    let stream = Names::new(run.cluster()).stream(run.topic());
    let trim = async || server.order(&["XTRIM", &stream, "MAXLEN", "5"]).await.map(drop).map_err(odd);
    overtaken(run, trim).await
}

#[tokio::test]
async fn a_store_that_is_full_refuses_and_takes_again_when_there_is_room() {
    // The memory that the server may use.
    let world = RedisWorld::with(Program::Redis, &["--maxmemory-policy", "noeviction"]).await.unwrap();
    played(world, "store_full", On::Log, |run, server| Box::pin(store_full(run, server))).await;
}

async fn store_full(run: Run, server: Arc<RedisWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(3).await?;
    server.order(&["CONFIG", "SET", "maxmemory", "1000000"]).await.map_err(odd)?;
    a.publish_large(20, 50_000)?;
    let failed = |entry: &Entry| matches!(entry.what, What::Published(_, Err(_)));
    run.until("a publish is refused", |history| history.entries.iter().any(failed)).await?;
    reading.has(&run, 3).await?;
    run.remark("room is made");
    server.order(&["CONFIG", "SET", "maxmemory", "0"]).await.map_err(odd)?;
    run.finish(Rules::default()).await
}

/// A disk with room for little more than what a server makes at its start.
const DISK: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_cannot_be_stored_and_loses_nothing_that_was() {
    let world = RedisWorld::on_small_disk(Program::Redis, DISK).await.unwrap();
    played(world, "disk_full", On::Log, |run, server| Box::pin(disk_full(run, server, false))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_missed_when_it_took_over_is_a_gap() {
    let world = SentinelWorld::start(Program::Redis).await.unwrap();
    played(world, "failover_loses", On::Log, |run, servers| Box::pin(failover_loses(run, servers))).await;
}

async fn failover_loses(run: Run, servers: Arc<SentinelWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.replay().await?;
    a.publish_all(10).await?;
    reading.has(&run, 10).await?;
    servers.servers().await.leave_replica_behind().await.map_err(odd)?;
    run.remark("from here on the replica misses everything");
    a.publish_all(10).await?;
    reading.has(&run, 20).await?;
    let mut watched = servers.servers().await;
    run.remark("the primary dies, and the replica takes over");
    watched.server(0).kill().map_err(odd)?;
    watched.server(1).resume().map_err(odd)?;
    watched.promoted(1).await.map_err(odd)?;
    drop(watched);
    a.publish_all(10).await?;
    // It had read what is gone.
    reading.misses(&run, Some(Reason::Rewritten)).await?;
    let late = b.replay().await?;
    late.has(&run, 20).await?;
    run.finish(LOSES).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_without_a_loss_is_survived() {
    for (name, on) in [("failover", On::Live), ("failover", On::Log)] {
        let world = SentinelWorld::start(Program::Redis).await.unwrap();
        played(world, name, on, |run, servers| Box::pin(failover(run, servers))).await;
    }
}

async fn failover(run: Run, servers: Arc<SentinelWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(10).await?;
    reading.has(&run, 10).await?;
    servers.servers().await.replicated(1).await.map_err(odd)?;
    run.remark("the primary dies");
    servers.servers().await.fail_over().await.map_err(odd)?;
    a.publish_all(10).await?;
    reading.has(&run, 20).await?;
    run.finish(Rules::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_a_cluster_restart_one_after_the_other() {
    for on in [On::Live, On::Log] {
        let world = RedisClusterWorld::start(Program::Redis, 0).await.unwrap();
        played(world, "rolling", on, |run, servers| Box::pin(rolling(run, servers))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_master_of_a_topic_dies_and_its_replica_takes_over() {
    let world = RedisClusterWorld::start(Program::Redis, 1).await.unwrap();
    played(world, "master_dies", On::Log, |run, servers| Box::pin(master_dies(run, servers))).await;
}

async fn master_dies(run: Run, servers: Arc<RedisClusterWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(10).await?;
    reading.has(&run, 10).await?;
    let stream = Names::new(run.cluster()).stream(run.topic());
    let mut cluster = servers.servers().await;
    let master = cluster.master_of(&stream).await.map_err(odd)?;
    run.remark(format!("server {master} dies"));
    cluster.node(master).kill().map_err(odd)?;
    cluster.master_of(&stream).await.map_err(odd)?;
    cluster.ready().await.map_err(odd)?;
    drop(cluster);
    a.publish_all(10).await?;
    reading.has(&run, 15).await?;
    run.finish(Rules::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_that_cannot_be_written_keep_their_events_in_the_group() {
    let world = RedisWorld::start(Program::Redis).await.unwrap();
    played(world, "unwritable", On::Each, |run, server| Box::pin(unwritable(run, server))).await;
}

async fn unwritable(run: Run, server: Arc<RedisWorld>) -> Verdict {
    let pair = run.pair().await?;
    let letters = Names::new(run.cluster()).stream(&run.dead_letters()?);
    run.remark("where the dead letters are to go stands something else");
    server.order(&["SET", &letters, "something else"]).await.map_err(odd)?;
    unwritable_letters(run, pair, async || server.order(&["DEL", &letters]).await.map(drop).map_err(odd))
        .await
}
