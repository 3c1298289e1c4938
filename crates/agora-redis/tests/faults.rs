//! A server that is not there, goes, comes back, or is cut off.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::transport::{
    Address, FromGroup, GroupSpec, GroupStart, Inbound, Inbox, LogStart, OutFrame, Outcome, Settle, Transport,
};
use agora_redis::RedisTransport;
use agora_testbed::redis::ask;
use agora_testbed::{Flow, Program, Proxy, RedisServer, Way};
use common::*;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_start_is_waited_for_in_the_background() {
    let mut server = RedisServer::start().await.unwrap();
    server.kill().unwrap();
    let wait = Duration::from_millis(200);
    let transport = RedisTransport::connect(&config([server.url()]), &cluster(), wait).await.unwrap();
    down_because(&transport, |why| why.contains("nothing listens there")).await;
    let error = transport.subscribe(&topic("early")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let to = Address { topic: topic("early"), lane: 0 };
    let failed = transport.publish(&to, vec![number(1)], Instant::now() + SOON).await.unwrap_err();
    assert_eq!((failed.outcome, failed.error.kind()), (Outcome::NotStored, ErrorKind::Unreachable));
    server.begin().await.unwrap();
    up(&transport).await;
    send(&transport, &topic("early"), [2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_load_loses_nothing_of_a_log_and_changes_no_order() {
    for program in [Program::Redis, Program::Valkey] {
        let args = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut server = RedisServer::with(program, &args).await.unwrap();
        let log = topic("load");
        let writer = bus("writer", connect(&server.url()).await, &log).await;
        let reader = bus("reader", connect(&server.url()).await, &log).await;
        let mut events = read(&reader, &log).await;
        const EVENTS: u64 = 20_000;
        let publishing = tokio::spawn({
            let (writer, log) = (writer.clone(), log.clone());
            async move {
                for part in 0..100 {
                    publish(&writer, &log, part * 200 + 1..=(part + 1) * 200).await;
                }
            }
        });
        for stop in [4000, 9000, 14_000] {
            let (numbers, gaps) = until(&mut events, stop).await;
            assert!(numbers.is_sorted() && gaps.is_empty(), "{gaps:?}");
            server.restart().await.unwrap();
        }
        let (numbers, gaps) = until(&mut events, EVENTS).await;
        assert!(gaps.is_empty(), "{gaps:?}");
        assert_eq!(numbers, (14_001..=EVENTS).collect::<Vec<_>>());
        publishing.await.unwrap();
        // What reads a log has a connection of its own, and may be back before the one for questions.
        soon("the link", reader.link().wait_for(|link| link.is_usable())).await.unwrap();
        let (numbers, gaps) = until(&mut read(&reader, &log).await, EVENTS).await;
        assert!(gaps.is_empty(), "{gaps:?}");
        assert_eq!(numbers, (1..=EVENTS).collect::<Vec<_>>(), "read again from the beginning");
    }
}

/// Reads until the subscription says that it was made anew, or a message comes.
async fn next(inbox: &mut dyn Inbox) -> Inbound {
    let mut into = Vec::new();
    soon("something on a live topic", inbox.recv(1, &mut into)).await.unwrap();
    into.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_is_noticed_and_said() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::to(server.port()).await.unwrap();
    let transport = connect(&format!("redis://127.0.0.1:{}", proxy.port())).await;
    let mut inbox = transport.subscribe(&topic("half")).await.unwrap();
    let mut log = transport.open_log(&topic("log"), 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *log, 2).await, ["beginning", "end"]);
    proxy.half_open().await;
    assert!(matches!(next(&mut *inbox).await, Inbound::Resubscribed));
    assert_eq!(tell(&mut *log, 1).await, ["interrupted"]);
    up(&transport).await;
    send(&transport, &topic("half"), [1]).await;
    assert!(matches!(next(&mut *inbox).await, Inbound::Message(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_resubscribes_in_both_protocols() {
    for protocol in ["resp2", "resp3"] {
        let server = RedisServer::start().await.unwrap();
        let proxy = Proxy::to(server.port()).await.unwrap();
        let mut config = config([format!("redis://127.0.0.1:{}", proxy.port())]);
        config.protocol = Some(match protocol {
            "resp2" => agora_core::config::Protocol::Resp2,
            _ => agora_core::config::Protocol::Resp3,
        });
        let (transport, live, log) = (connect_with(&config).await, topic("live"), topic("log"));
        let mut inbox = transport.subscribe(&live).await.unwrap();
        send(&transport, &live, [1]).await;
        assert!(matches!(next(&mut *inbox).await, Inbound::Message(_)), "{protocol}");
        open_log(&transport, &log).await;
        send(&transport, &log, 1..=2).await;
        let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
        assert_eq!(tell(&mut *reader, 4).await, ["beginning", "1", "2", "end"], "{protocol}");
        proxy.reset().await;
        assert!(matches!(next(&mut *inbox).await, Inbound::Resubscribed), "{protocol}");
        assert_eq!(tell(&mut *reader, 1).await, ["interrupted"], "{protocol}");
        // The connection that publishes may be the last to hear of it, from a publish.
        let to = Address { topic: live.clone(), lane: 0 };
        while let Err(failed) = transport.publish(&to, vec![number(2)], Instant::now() + SOON).await {
            assert!(failed.error.is_retryable(), "{protocol}: {:?}", failed.error);
            up(&transport).await;
        }
        assert!(matches!(next(&mut *inbox).await, Inbound::Message(_)), "{protocol}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_takes_the_link_down_and_it_comes_back() {
    let server = RedisServer::start().await.unwrap();
    let transport = connect(&server.url()).await;
    server.pause().unwrap();
    let to = Address { topic: topic("still"), lane: 0 };
    let by = Instant::now() + Duration::from_millis(500);
    let failed = soon("the end of a publish", transport.publish(&to, vec![number(1)], by)).await.unwrap_err();
    assert_eq!(failed.outcome, Outcome::Unknown, "it may lie in the server's socket");
    down(&transport).await;
    server.resume().unwrap();
    up(&transport).await;
    send(&transport, &topic("still"), [2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_server_refuses_is_certainly_not_stored() {
    let server = RedisServer::start().await.unwrap();
    let mut config = config([server.url()]);
    config.retry_attempts = Some(1);
    let (transport, log) = (connect_with(&config).await, topic("full"));
    open_log(&transport, &log).await;
    ask(server.port(), &["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    let to = Address { topic: log.clone(), lane: 0 };
    let frames = vec![number(1), number(2)];
    let failed = transport.publish(&to, frames, Instant::now() + SOON).await.unwrap_err();
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::NotStored));
    assert!(failed.error.is_retryable(), "{:?}", failed.error);
    ask(server.port(), &["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    send(&transport, &log, [3]).await;
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 3).await, ["beginning", "3", "end"]);
}

/// The first frames come while there is no memory left, the last ones when there is again.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_server_refuses_takes_along_what_stands_behind_it() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::to(server.port()).await.unwrap();
    let (transport, log) = (connect(&format!("redis://127.0.0.1:{}", proxy.port())).await, topic("full"));
    open_log(&transport, &log).await;
    ask(server.port(), &["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    proxy.set(Way::ToServer, Flow::Slow(20_000));
    let to = Address { topic: log.clone(), lane: 0 };
    let large: Vec<String> = (1..=8).map(|number| format!("{number:05000}")).collect();
    let frames = large.iter().cloned().map(OutFrame::new).collect();
    let publishing = transport.publish(&to, frames, Instant::now() + SOON);
    let relieving = soon("a refusal", async {
        while !format!("{:?}", ask(server.port(), &["INFO", "errorstats"]).await.unwrap()).contains("OOM") {}
        ask(server.port(), &["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    });
    let (published, ()) = tokio::join!(publishing, relieving);
    // All of them were refused, and are sent again.
    published.unwrap();
    let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
    let told = tell(&mut *reader, 10).await;
    assert!(
        told[1..9] == large,
        "{:?}",
        told.iter().map(|one| one.trim_start_matches('0')).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_held_that_was_cut_off_goes_to_another_when_its_lease_has_ended() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::to(server.port()).await.unwrap();
    let (cut, other, log) = (
        connect(&format!("redis://127.0.0.1:{}", proxy.port())).await,
        connect(&server.url()).await,
        topic("work"),
    );
    open_log(&other, &log).await;
    send(&other, &log, [1]).await;
    let spec = GroupSpec {
        name: agora_core::id::GroupName::new("workers").unwrap(),
        start: GroupStart::Earliest,
        lease: Duration::from_secs(1),
    };
    let mut first = cut.join_group(&log, &spec).await.unwrap();
    let mut second = other.join_group(&log, &spec).await.unwrap();
    let mut into = Vec::new();
    soon("a record", first.recv(1, &mut into)).await.unwrap();
    let [FromGroup::Message { token: lost, attempt: 1, .. }] = into[..] else { panic!("{into:?}") };
    proxy.cut();
    let mut taken = Vec::new();
    soon("the record", second.recv(1, &mut taken)).await.unwrap();
    let [FromGroup::Message { token, attempt: 2, .. }] = taken[..] else { panic!("{taken:?}") };
    soon("an ack", second.settle(token, Settle::Ack)).await.unwrap();
    into.clear();
    soon("the word of an interruption", first.recv(1, &mut into)).await.unwrap();
    assert!(matches!(into[..], [FromGroup::Interrupted]), "{into:?}");
    proxy.heal();
    up(&cut).await;
    let late = async {
        loop {
            match first.settle(lost, Settle::Release).await {
                // A connection of before the cut may still be in use.
                Err(error) if error.is_retryable() => tokio::task::yield_now().await,
                settled => return settled,
            }
        }
    };
    let error = soon("a late release", late).await;
    // It is done: there is nothing to give back, and nobody gets it again.
    assert!(error.is_err_and(|error| error.kind() == ErrorKind::Conflict));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_although_the_answer_that_said_so_was_lost() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::to(server.port()).await.unwrap();
    let (cut, other, log) = (
        connect(&format!("redis://127.0.0.1:{}", proxy.port())).await,
        connect(&server.url()).await,
        topic("told"),
    );
    open_log(&other, &log).await;
    send(&other, &log, 1..=10).await;
    let spec = GroupSpec {
        name: agora_core::id::GroupName::new("workers").unwrap(),
        start: GroupStart::Earliest,
        lease: Duration::from_secs(300),
    };
    let mut first = cut.join_group(&log, &spec).await.unwrap();
    let mut into = Vec::new();
    soon("a record", first.recv(1, &mut into)).await.unwrap();
    let [FromGroup::Message { token, .. }] = into[..] else { panic!("{into:?}") };
    soon("an ack", first.settle(token, Settle::Ack)).await.unwrap();
    proxy.set(Way::ToClient, Flow::Swallowed);
    ask(server.port(), &["XTRIM", &names().stream(&log), "MAXLEN", "=", "4"]).await.unwrap();
    let settings = names().settings(&log);
    let noted = async {
        loop {
            let _ = tokio::time::timeout(Duration::from_millis(10), first.recv(1, &mut Vec::new())).await;
            if ask(server.port(), &["HGET", &settings, "missing:workers"]).await.unwrap().text() == "5" {
                return;
            }
        }
    };
    soon("the server has written down what is missing", noted).await;
    drop(cut);
    let mut second = other.join_group(&log, &spec).await.unwrap();
    let mut told = Vec::new();
    soon("what is missing", second.recv(1, &mut told)).await.unwrap();
    assert!(matches!(told[0], FromGroup::Trimmed { records: Some(5), .. }), "{told:?}");
    let forgotten = async {
        loop {
            let _ = tokio::time::timeout(Duration::from_millis(10), second.recv(0, &mut Vec::new())).await;
            if ask(server.port(), &["HGET", &settings, "missing:workers"]).await.unwrap().text().is_empty() {
                return;
            }
        }
    };
    soon("what was told is not told again", forgotten).await;
}
