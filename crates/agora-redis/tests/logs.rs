//! Logs: what the suite cannot see of them.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use agora_core::transport::{
    Address, FromLog, GroupSpec, GroupStart, LogStart, OutFrame, Outcome, Position, TopicSettings, TopicSpec,
    Transport,
};
use agora_testbed::RedisServer;
use agora_testbed::redis::ask;
use bytes::Bytes;
use common::*;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_deleted_under_its_reader_interrupts_it() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("deleted"));
    open_log(&transport, &topic).await;
    send(&transport, &topic, 1..=2).await;
    for command in ["DEL", "FLUSHALL", "SET"] {
        open_log(&transport, &topic).await;
        send(&transport, &topic, 1..=2).await;
        let mut reader = transport.open_log(&topic, 0, LogStart::Last).await.unwrap();
        assert_eq!(tell(&mut *reader, 2).await, ["2", "end"]);
        match command {
            "DEL" => ask(server.port(), &["DEL", &names().stream(&topic)]).await.unwrap(),
            "FLUSHALL" => ask(server.port(), &["FLUSHALL"]).await.unwrap(),
            _ => ask(server.port(), &["HSET", &names().settings(&topic), "life", "another"]).await.unwrap(),
        };
        assert_eq!(tell(&mut *reader, 1).await, ["interrupted"], "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_made_anew_under_its_reader_interrupts_it_however_much_it_holds() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("anew"));
    open_log(&transport, &topic).await;
    send(&transport, &topic, 1..=3).await;
    let mut reader = transport.open_log(&topic, 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 5).await, ["beginning", "1", "2", "3", "end"]);
    // Deleted, and filled with more than there was, in one step: a reader that only waits for what is new sees records.
    let stream = names().stream(&topic);
    let script =
        "redis.call('DEL', KEYS[1]) for i = 1, 9 do redis.call('XADD', KEYS[1], '*', 'payload', i) end";
    ask(server.port(), &["EVAL", script, "1", &stream]).await.unwrap();
    assert_eq!(tell(&mut *reader, 1).await, ["interrupted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_went_between_two_reads_is_told() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("passed"));
    open_log(&transport, &topic).await;
    send(&transport, &topic, 1..=3).await;
    let mut reader = transport.open_log(&topic, 0, LogStart::Last).await.unwrap();
    assert_eq!(tell(&mut *reader, 2).await, ["3", "end"]);
    let stream = names().stream(&topic);
    let script = "for i = 4, 9 do redis.call('XADD', KEYS[1], 'MAXLEN', '=', 2, '*', 'payload', i) end";
    ask(server.port(), &["EVAL", script, "1", &stream]).await.unwrap();
    assert_eq!(tell(&mut *reader, 4).await, ["trimmed", "8", "9", "end"]);
    let script =
        "redis.call('XADD', KEYS[1], '*', 'payload', 10) redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', 0)";
    ask(server.port(), &["EVAL", script, "1", &stream]).await.unwrap();
    assert_eq!(tell(&mut *reader, 2).await, ["trimmed", "end"], "nothing is left that could show it");
    send(&transport, &topic, [11]).await;
    assert_eq!(tell(&mut *reader, 2).await, ["11", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_deleted_while_it_is_used_comes_back_as_it_was() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("back"));
    let mut settings = TopicSettings::LOG.framing(agora_core::transport::Framing::Each);
    settings.retention = Some(std::time::Duration::from_secs(600));
    transport.open(&TopicSpec { name: topic.clone(), settings }).await.unwrap();
    let spec = GroupSpec {
        name: agora_core::id::GroupName::new("workers").unwrap(),
        start: GroupStart::Earliest,
        lease: std::time::Duration::from_secs(60),
    };
    let all = [names().stream(&topic), names().settings(&topic)];
    // Whoever comes first after it was deleted: one message, several, a member of a group.
    for round in 0..3 {
        ask(server.port(), &["DEL", &all[0], &all[1]]).await.unwrap();
        ask(server.port(), &["SREM", &names().topics(), topic.as_str()]).await.unwrap();
        match round {
            0 => send(&transport, &topic, [1]).await,
            1 => send(&transport, &topic, 1..=3).await,
            _ => drop(transport.join_group(&topic, &spec).await.unwrap()),
        }
        let found = transport.admin().unwrap().describe_topic(&topic).await.unwrap();
        assert_eq!(found.settings.retention, settings.retention, "{round}");
        assert_eq!(found.settings.framing, settings.framing, "{round}");
        assert!(transport.admin().unwrap().topics().await.unwrap().contains(&topic), "{round}");
        let due: &[&str] = match round {
            0 => &["beginning", "1", "end"],
            1 => &["beginning", "1", "2", "3", "end"],
            _ => &["beginning", "end"],
        };
        let mut reader = transport.open_log(&topic, 0, LogStart::Earliest).await.unwrap();
        assert_eq!(tell(&mut *reader, due.len()).await, due, "{round}");
    }
    // Somebody else has made another log of it: it is not written to as if nothing had been.
    ask(server.port(), &["DEL", &all[0], &all[1]]).await.unwrap();
    ask(
        server.port(),
        &["HSET", &all[1], "life", "x", "framing", "batch", "wire", "frame", "retention_ms", ""],
    )
    .await
    .unwrap();
    let to = Address { topic: topic.clone(), lane: 0 };
    let failed = transport.publish(&to, vec![number(9)], Instant::now() + SOON).await.unwrap_err();
    assert_eq!(failed.error.kind(), agora_core::ErrorKind::Conflict, "{:?}", failed.error);
    assert_eq!(failed.outcome, Outcome::NotStored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_without_its_record_is_told_with_the_reason() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("place"));
    let stream = names().stream(&topic);
    for (script, due) in [
        // What a failover to a replica that was behind, a deletion and retention leave behind.
        (
            "redis.call('DEL', KEYS[1]) redis.call('XADD', KEYS[1], '1-1', 'payload', 1)",
            &["rewritten", "8", "end"][..],
        ),
        ("redis.call('DEL', KEYS[1])", &["rewritten", "8", "end"]),
        ("redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', 0)", &["8", "end"]),
    ] {
        ask(server.port(), &["DEL", &stream]).await.unwrap();
        open_log(&transport, &topic).await;
        send(&transport, &topic, 1..=3).await;
        let last = last_of(&transport, &topic).await;
        ask(server.port(), &["EVAL", script, "1", &stream]).await.unwrap();
        ask(server.port(), &["XADD", &stream, "*", "payload", "8"]).await.unwrap();
        let mut reader = transport.open_log(&topic, 0, LogStart::At(last)).await.unwrap();
        assert_eq!(tell(&mut *reader, due.len()).await, due, "{script}");
    }
    let last = last_of(&transport, &topic).await;
    ask(server.port(), &["XTRIM", &stream, "MAXLEN", "=", "0"]).await.unwrap();
    let mut reader = transport.open_log(&topic, 0, LogStart::At(last)).await.unwrap();
    assert_eq!(tell(&mut *reader, 2).await, ["trimmed", "end"], "nothing is left that could show it");
}

async fn last_of(transport: &dyn Transport, topic: &agora_core::id::TopicName) -> Position {
    let mut reader = transport.open_log(topic, 0, LogStart::Last).await.unwrap();
    let mut into = Vec::new();
    soon("the last record", reader.recv(1, &mut into)).await.unwrap();
    let [FromLog::Record { at, .. }, ..] = into[..] else { panic!("{into:?}") };
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_takes_what_is_old_and_a_reader_behind_it_is_told() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("retention"));
    let mut settings = TopicSettings::LOG;
    settings.retention = Some(std::time::Duration::from_millis(50));
    transport.open(&TopicSpec { name: topic.clone(), settings }).await.unwrap();
    send(&transport, &topic, 1..=400).await;
    let mut reader = transport.open_log(&topic, 0, LogStart::Earliest).await.unwrap();
    assert_eq!(tell(&mut *reader, 2).await, ["beginning", "1"]);
    // A server takes whole blocks of entries, and only when something is appended.
    let (stream, mut number) = (names().stream(&topic), 401);
    let trimmed = async {
        loop {
            send(&transport, &topic, [number]).await;
            number += 1;
            let left = ask(server.port(), &["XRANGE", &stream, "-", "+", "COUNT", "1"]).await.unwrap();
            let first = left.list()[0].list()[1].list()[1].text().parse::<u64>().unwrap();
            if first > 100 {
                return first;
            }
        }
    };
    let first = soon("retention takes something", trimmed).await;
    let mut told = tell(&mut *reader, 2).await;
    if told[0] == "2" {
        // It was on its way.
        while told[0] != "trimmed" {
            told = tell(&mut *reader, 1).await;
        }
        told.extend(tell(&mut *reader, 1).await);
    }
    assert_eq!(told[0], "trimmed");
    assert!(told[1].parse::<u64>().unwrap() >= first, "{told:?} after {first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_headers_and_entries_of_others_are_read_as_documented() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("shared"));
    open_log(&transport, &topic).await;
    let frame = OutFrame {
        payload: Bytes::from_static(b"ours"),
        key: Some(Bytes::from_static(b"\xff\0k")),
        headers: vec![("agora-kind", Bytes::from_static(b"a.kind"))],
    };
    let to = Address { topic: topic.clone(), lane: 0 };
    transport.publish(&to, vec![frame.clone()], Instant::now() + SOON).await.unwrap();
    let stream = names().stream(&topic);
    ask(server.port(), &["XADD", &stream, "*", "payload", "theirs", "key", "k", "from", "cli"])
        .await
        .unwrap();
    ask(server.port(), &["XADD", &stream, "*", "anything", "one"]).await.unwrap();
    let mut reader = transport.open_log(&topic, 0, LogStart::Earliest).await.unwrap();
    let mut found = Vec::new();
    while found.len() < 3 {
        let mut into = Vec::new();
        soon("a record", reader.recv(9, &mut into)).await.unwrap();
        found.extend(into.into_iter().filter_map(|one| match one {
            FromLog::Record { raw, .. } => Some(raw),
            _ => None,
        }));
    }
    assert_eq!((&found[0].payload, &found[0].key), (&frame.payload, &frame.key));
    assert_eq!(found[0].headers, [("agora-kind".to_owned(), Bytes::from_static(b"a.kind"))]);
    assert_eq!((&found[1].payload[..], found[1].key.as_deref()), (&b"theirs"[..], Some(&b"k"[..])));
    assert_eq!(found[1].headers, [("from".to_owned(), Bytes::from_static(b"cli"))]);
    assert_eq!(&found[2].payload[..], b"one");
    // And the other way: a person reads the fields of ours.
    let first = ask(server.port(), &["XRANGE", &stream, "-", "+", "COUNT", "1"]).await.unwrap();
    let fields = &first.list()[0].list()[1];
    assert_eq!(fields.field("payload"), Some("ours"));
    let line = fields.field("agora").unwrap();
    assert!(line.starts_with("append=") && line.ends_with(" key=%FF%00k kind=a.kind"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_thing_appended_again_has_another_stamp() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("stamps"));
    open_log(&transport, &topic).await;
    send(&transport, &topic, [1, 1]).await;
    let mut reader = transport.open_log(&topic, 0, LogStart::Earliest).await.unwrap();
    let mut stamps = Vec::new();
    while stamps.len() < 2 {
        let mut into = Vec::new();
        soon("a record", reader.recv(9, &mut into)).await.unwrap();
        for one in into {
            if let FromLog::Record { stamp, .. } = one {
                stamps.push(stamp);
            }
        }
    }
    assert_ne!(stamps[0], stamps[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_differ_are_refused_and_retention_is_kept_by_the_log() {
    let server = RedisServer::start().await.unwrap();
    let (transport, topic) = (connect(&server.url()).await, topic("settings"));
    let mut settings = TopicSettings::LOG;
    settings.retention = Some(std::time::Duration::from_secs(60));
    transport.open(&TopicSpec { name: topic.clone(), settings }).await.unwrap();
    open_log(&transport, &topic).await;
    settings.retention = Some(std::time::Duration::from_secs(61));
    let error = transport.open(&TopicSpec { name: topic.clone(), settings }).await.unwrap_err();
    assert_eq!(error.kind(), agora_core::ErrorKind::Conflict);
    let error = transport.open(&TopicSpec::live(topic)).await.unwrap_err();
    assert_eq!(error.kind(), agora_core::ErrorKind::Config);
}
