//! What a real NATS server, and the network before it, can do to a bus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agora_conformance::faults::{On, Rules, Run, World};
use agora_conformance::suite::{Fault, Verdict};
use agora_conformance_run::faults::{
    LOSES, NatsClusterWorld, NatsWorld, disk_full, is_refused_with, odd, overtaken, play_here, rolling,
    speaks_of_tls, unwritable_letters,
};
use agora_core::config::Secret;
use agora_core::transport::{BoxFuture, Link, TopicKind, TopicSettings};
use agora_nats::{STREAM_PREFIX, live_subject, log_subject, stream_name};
use async_nats::jetstream;

agora_conformance::fault_tests! { NatsWorld::start() }

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

/// The stream of a run, by another client.
async fn stream(world: &NatsWorld, run: &Run) -> Result<jetstream::stream::Stream, Fault> {
    let client = async_nats::connect(world.address().await).await.map_err(odd)?;
    let name = stream_name(STREAM_PREFIX, run.cluster(), run.topic())?;
    jetstream::new(client).get_stream(name).await.map_err(odd)
}

const USERS: &str = "authorization { users: [ {user: n, password: \"one-secret\"} ] }";
const OTHERS: &str = "authorization { users: [ {user: m, password: \"another\"} ] }";

#[tokio::test]
async fn wrong_credentials_are_an_error_at_once_that_does_not_show_them() {
    let world = NatsWorld::with(USERS).await.unwrap().adjusted(|config| {
        config.user = Some("n".into());
        config.password = Some(Secret::new("not-the-one"));
    });
    is_refused_with(&world, "not-the-one").await;
}

#[tokio::test]
async fn a_server_without_tls_is_not_talked_to_where_tls_is_asked_for() {
    let world = NatsWorld::start().await.unwrap().adjusted(|config| config.tls = true);
    speaks_of_tls(&world).await;
}

#[tokio::test]
async fn revoked_credentials_take_the_link_down_with_the_reason_and_restored_ones_bring_it_back() {
    let world = NatsWorld::with(USERS).await.unwrap().adjusted(|config| {
        config.user = Some("n".into());
        config.password = Some(Secret::new("one-secret"));
    });
    played(world, "revoked", On::Live, |run, server| Box::pin(revoked(run, server))).await;
}

async fn revoked(run: Run, server: Arc<NatsWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let _reading = b.read().await?;
    a.publish_all(5).await?;
    server.reconfigure(OTHERS).await?;
    let mut link = a.bus().link();
    let refused =
        |link: &Link| matches!(link, Link::Down { why, .. } if why.to_lowercase().contains("authori"));
    let told = async { link.wait_for(refused).await.is_ok() };
    run.soon("the link says why it is down", told).await?;
    a.publish(3)?;
    server.reconfigure(USERS).await?;
    run.finish(Rules::default()).await
}

#[tokio::test]
async fn retention_that_overtakes_a_reader_is_a_gap() {
    let world = NatsWorld::start().await.unwrap();
    played(world, "retention", On::Log, |run, server| Box::pin(retention(run, server))).await;
}

async fn retention(run: Run, server: Arc<NatsWorld>) -> Verdict {
    let own = run.clone();
    overtaken(run, async || stream(&server, &own).await?.purge().keep(5).await.map(drop).map_err(odd)).await
}

#[tokio::test]
async fn a_reader_whose_consumer_is_deleted_makes_another_and_misses_nothing() {
    let world = NatsWorld::start().await.unwrap();
    let case = |run, server| -> BoxFuture<Verdict> { Box::pin(consumer_deleted(run, server)) };
    played(world, "consumer_deleted", On::Log, case).await;
}

async fn consumer_deleted(run: Run, server: Arc<NatsWorld>) -> Verdict {
    use futures_util::TryStreamExt;
    let (a, b) = run.pair().await?;
    a.publish_all(20).await?;
    let reading = b.replay().await?;
    reading.has(&run, 20).await?;
    let stream = stream(&server, &run).await?;
    let names: Vec<String> = stream.consumer_names().try_collect().await.map_err(odd)?;
    run.remark(format!("these consumers are deleted: {names:?}"));
    for name in &names {
        stream.delete_consumer(name).await.map_err(odd)?;
    }
    run.ensure(!names.is_empty(), "the reader has no consumer")?;
    a.publish_all(20).await?;
    reading.has(&run, 40).await?;
    run.finish(Rules::default()).await
}

#[tokio::test]
async fn a_store_that_is_full_refuses_and_takes_again_when_there_is_room() {
    // JetStream's own limit.
    let small = "jetstream { store_dir: \"jetstream\", max_file_store: 2MB }";
    let world = NatsWorld::with(small).await.unwrap();
    played(world, "store_full", On::Log, |run, server| Box::pin(store_full(run, server))).await;
}

async fn store_full(run: Run, server: Arc<NatsWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(3).await?;
    a.publish_large(100, 50_000)?;
    let failed = |entry: &agora_conformance::history::Entry| {
        matches!(entry.what, agora_conformance::history::What::Published(_, Err(_)))
    };
    run.until("a publish is refused", |history| history.entries.iter().any(failed)).await?;
    reading.has(&run, 10).await?;
    run.remark("room is made");
    stream(&server, &run).await?.purge().await.map_err(odd)?;
    run.finish(LOSES).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_headers_are_none_costs_a_connection_and_no_more() {
    for on in On::ALL {
        let world = NatsWorld::start().await.unwrap();
        played(world, "odd_headers", on, |run, server| Box::pin(odd_headers(run, server))).await;
    }
}

async fn odd_headers(run: Run, server: Arc<NatsWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    let subject = match run.settings().kind {
        TopicKind::Live => live_subject(run.cluster(), run.topic()),
        TopicKind::Log => log_subject(run.cluster(), run.topic()),
    };
    a.publish_all(5).await?;
    for number in 1..=3 {
        run.remark("a message comes with a header block that is none");
        server.process().await.publish_raw(&subject, b"no header block", b"odd").await.map_err(odd)?;
        a.publish_all(5).await?;
        // On a live topic what was under way may be lost, and is repaired or named.
        if run.settings().kind == TopicKind::Log {
            reading.has(&run, 5 * (number + 1)).await?;
        }
    }
    if run.settings().kind == TopicKind::Live {
        run.finish(Rules::default()).await?;
        return run.nobody_failed();
    }
    // Whoever comes later meets them too.
    let late = b.replay().await?;
    late.has(&run, 20).await?;
    run.finish(Rules::default()).await?;
    run.nobody_failed()
}

/// A disk with room for little more than what a server makes at its start.
const DISK: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_cannot_be_stored_and_loses_nothing_that_was() {
    let world = NatsWorld::on_small_disk(DISK).await.unwrap();
    // A server that could not write has shut JetStream down, until it is started again.
    played(world, "disk_full", On::Log, |run, server| Box::pin(disk_full(run, server, true))).await;
}

fn replicated() -> TopicSettings {
    let mut settings = TopicSettings::LOG;
    settings.replicas = Some(3);
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_a_cluster_restart_one_after_the_other() {
    for (name, settings) in [("live-rolling", TopicSettings::LIVE), ("log-rolling", replicated())] {
        let world = NatsClusterWorld::start().await.unwrap();
        let case = |run, servers| -> BoxFuture<Verdict> { Box::pin(rolling(run, servers)) };
        play_here(world, name, settings, &directory(), case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_of_a_stream_steps_down_and_dies() {
    let world = NatsClusterWorld::start().await.unwrap();
    let case = |run, servers| -> BoxFuture<Verdict> { Box::pin(leader_moves(run, servers)) };
    play_here(world, "log-leader_moves", replicated(), &directory(), case).await;
}

async fn leader_moves(run: Run, servers: Arc<NatsClusterWorld>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(5).await?;
    let publishing = a.publish_on(Duration::from_millis(5))?;
    let name = stream_name(STREAM_PREFIX, run.cluster(), run.topic())?;
    let leader = servers.servers().await.move_leader(&name).await.map_err(odd)?;
    run.remark(format!("server {leader} leads"));
    let before = reading.events();
    reading.has(&run, before + 5).await?;
    run.remark(format!("server {leader} dies"));
    servers.servers().await.node(leader).kill().map_err(odd)?;
    let before = reading.events();
    reading.has(&run, before + 5).await?;
    servers.servers().await.node(leader).begin().await.map_err(odd)?;
    servers.servers().await.ready().await.map_err(odd)?;
    drop(publishing);
    run.finish(Rules::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_that_cannot_be_written_keep_their_events_in_the_group() {
    let world = NatsWorld::with(USERS).await.unwrap().adjusted(|config| {
        config.user = Some("n".into());
        config.password = Some(Secret::new("one-secret"));
    });
    played(world, "unwritable", On::Each, |run, server| Box::pin(unwritable(run, server))).await;
}

async fn unwritable(run: Run, server: Arc<NatsWorld>) -> Verdict {
    let subject = log_subject(run.cluster(), &run.dead_letters()?);
    let denied = format!(
        "authorization {{ users: [ {{user: n, password: \"one-secret\", permissions: {{ publish: {{ deny: \
         \"{subject}\" }} }} }} ] }}"
    );
    server.reconfigure(&denied).await?;
    let pair = run.pair().await?;
    unwritable_letters(run, pair, async || server.reconfigure(USERS).await.map_err(Into::into)).await
}
