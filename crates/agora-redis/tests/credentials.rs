//! Who may connect, and how it is said that somebody may not.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use agora_core::ErrorKind;
use agora_core::config::Secret;
use agora_core::transport::FromGroup;
use agora_core::transport::{GroupSpec, GroupStart, Link, LogStart, Settle, Transport};
use agora_redis::RedisTransport;
use agora_testbed::redis::ask;
use agora_testbed::{Program, RedisServer};
use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SECRET: &str = "not-for-your-eyes";

async fn guarded() -> RedisServer {
    RedisServer::with(Program::Redis, &["--requirepass", SECRET]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_give_a_password_is_understood() {
    let server = guarded().await;
    let port = server.port();
    connect(&format!("redis://:{SECRET}@127.0.0.1:{port}")).await;
    connect(&format!("redis://default:{SECRET}@127.0.0.1:{port}")).await;
    let mut with_password = config([server.url()]);
    with_password.password = Some(Secret::new(SECRET));
    up(&connect_with(&with_password).await).await;
    let file = server.data().join("password");
    std::fs::write(&file, format!("{SECRET}\nand more")).unwrap();
    let mut with_file = config([server.url()]);
    (with_file.password_file, with_file.user) = (Some(file), Some("default".into()));
    up(&connect_with(&with_file).await).await;
    for protocol in [agora_core::config::Protocol::Resp2, agora_core::config::Protocol::Resp3] {
        with_password.protocol = Some(protocol);
        up(&connect_with(&with_password).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_unauthorized_and_not_shown() {
    let server = guarded().await;
    let port = server.port();
    for (url, protocol) in [
        (format!("redis://127.0.0.1:{port}"), None),
        (format!("redis://:wrong-{SECRET}@127.0.0.1:{port}"), None),
        (format!("redis://nobody:wrong-{SECRET}@127.0.0.1:{port}"), None),
        (format!("redis://:wrong-{SECRET}@127.0.0.1:{port}"), Some(agora_core::config::Protocol::Resp2)),
        (format!("redis://127.0.0.1:{port}"), Some(agora_core::config::Protocol::Resp2)),
    ] {
        let mut config = config([url]);
        config.protocol = protocol;
        let error = RedisTransport::connect(&config, &cluster(), WAIT).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
        let shown = format!("{error:?} {error:#}");
        assert!(!shown.contains(SECRET), "{}", shown.replace(SECRET, "<secret>"));
        assert!(error.help_text().unwrap().contains("password"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_refused_at_once() {
    for (url, kind) in [
        ("redis://", ErrorKind::Config),
        ("http://127.0.0.1", ErrorKind::Config),
        ("redis://:hun ter2@host:port", ErrorKind::Config),
        ("redis://127.0.0.1/not-a-number", ErrorKind::Config),
        ("redis+unix:///tmp/socket", ErrorKind::Config),
        ("rediss://127.0.0.1#sure", ErrorKind::Config),
    ] {
        let error = RedisTransport::connect(&config([url.to_owned()]), &cluster(), WAIT).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{url}: {error:?}");
        assert!(!format!("{error:?}").contains("hun ter2"));
    }
    let mut missing = config(["redis://127.0.0.1".to_owned()]);
    missing.password_file = Some("/nowhere/at/all".into());
    let error = RedisTransport::connect(&missing, &cluster(), WAIT).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}

/// The rules of the page of this backend.
const RULES: &[&str] = &[
    "on",
    "resetkeys",
    "resetchannels",
    "nocommands",
    "~agora:tests:*",
    "&agora:tests:*",
    "+hello",
    "+auth",
    "+ping",
    "+select",
    "+publish",
    "+spublish",
    "+subscribe",
    "+ssubscribe",
    "+unsubscribe",
    "+sunsubscribe",
    "+multi",
    "+exec",
    "+eval",
    "+eval_ro",
    "+exists",
    "+del",
    "+hget",
    "+hset",
    "+hdel",
    "+hexists",
    "+hincrby",
    "+hmget",
    "+sadd",
    "+srem",
    "+smembers",
    "+xadd",
    "+xrange",
    "+xrevrange",
    "+xread",
    "+xreadgroup",
    "+xack",
    "+xclaim",
    "+xpending",
    "+xgroup",
    "+xinfo",
    "+xlen",
    "+xtrim",
    "+memory|usage",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_documented_rules_can_do_everything() {
    for program in [Program::Redis, Program::Valkey] {
        let server = RedisServer::with(program, &[]).await.unwrap();
        let password = format!(">{SECRET}");
        let rules = [&["ACL", "SETUSER", "service", &password], RULES].concat();
        ask(server.port(), &rules).await.unwrap();
        let transport = connect(&format!("redis://service:{SECRET}@127.0.0.1:{}", server.port())).await;
        let (live, log) = (topic("live"), topic("log"));
        let mut inbox = transport.subscribe(&live).await.unwrap();
        send(&transport, &live, [1]).await;
        soon("a message", inbox.recv(1, &mut Vec::new())).await.unwrap();
        open_log(&transport, &log).await;
        send(&transport, &log, 1..=3).await;
        let mut reader = transport.open_log(&log, 0, LogStart::Earliest).await.unwrap();
        assert_eq!(tell(&mut *reader, 5).await, ["beginning", "1", "2", "3", "end"]);
        let cursors = transport.cursors().unwrap();
        let (fence, _) = cursors.take(&log, "reader").await.unwrap();
        cursors.save(&log, "reader", fence, b"here", &[]).await.unwrap();
        let name = agora_core::id::GroupName::new("workers").unwrap();
        let spec = GroupSpec {
            name: name.clone(),
            start: GroupStart::Earliest,
            lease: std::time::Duration::from_secs(9),
        };
        let mut member = transport.join_group(&log, &spec).await.unwrap();
        for how in [Settle::Ack, Settle::Extend, Settle::Release] {
            let mut into = Vec::new();
            soon("a record", member.recv(1, &mut into)).await.unwrap();
            let FromGroup::Message { token, .. } = into[0] else { panic!("{into:?}") };
            soon("settling", member.settle(token, how)).await.unwrap();
        }
        soon("leaving", member.leave()).await.unwrap();
        let admin = transport.admin().unwrap();
        assert_eq!(admin.topics().await.unwrap(), std::slice::from_ref(&log));
        admin.describe_topic(&log).await.unwrap();
        admin.describe_group(&log, &name).await.unwrap();
        let to = agora_core::transport::ResetTo::Earliest;
        admin.reset_group(&log, &name, to, false).await.unwrap();
        admin.delete_group(&log, &name).await.unwrap();
        admin.delete_topic(&log).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rules_forbid_is_unauthorized_and_named() {
    let server = RedisServer::with(Program::Redis, &[]).await.unwrap();
    let password = format!(">{SECRET}");
    let rules =
        ["ACL", "SETUSER", "reader", "on", &password, "~*", "&agora:tests:{mine}:*", "+@all", "-xadd"];
    ask(server.port(), &rules).await.unwrap();
    let transport = connect(&format!("redis://reader:{SECRET}@127.0.0.1:{}", server.port())).await;
    let log = topic("log");
    open_log(&transport, &log).await;
    let to = agora_core::transport::Address { topic: log, lane: 0 };
    let by = tokio::time::Instant::now() + SOON;
    let failed = transport.publish(&to, vec![number(1), number(2)], by).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unauthorized, "{:?}", failed.error);
    assert_eq!(failed.outcome, agora_core::transport::Outcome::NotStored);
    assert!(failed.error.to_string().contains("xadd"), "{}", failed.error);
    let error = transport.subscribe(&topic("other")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    transport.subscribe(&topic("mine")).await.unwrap();
    up(&transport).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_revoked_take_the_link_down_and_it_says_why() {
    let server = RedisServer::with(Program::Redis, &[]).await.unwrap();
    let rules = ["ACL", "SETUSER", "service", "on", ">first", "~*", "&*", "+@all"];
    ask(server.port(), &rules).await.unwrap();
    let transport = connect(&format!("redis://service:first@127.0.0.1:{}", server.port())).await;
    let mut inbox = transport.subscribe(&topic("live")).await.unwrap();
    ask(server.port(), &["ACL", "DELUSER", "service"]).await.unwrap();
    let is_said =
        |link: &Link| matches!(link, Link::Down { why, .. } if why.contains("refused the credentials"));
    link_is(&transport, "the link says why", is_said).await;
    ask(server.port(), &rules).await.unwrap();
    up(&transport).await;
    let mut into = Vec::new();
    soon("the subscription is made anew", inbox.recv(1, &mut into)).await.unwrap();
    assert!(matches!(into[..], [agora_core::transport::Inbound::Resubscribed]), "{into:?}");
}

/// There is no old server to be had, so this one only says that it is old.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_server_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let old = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                while stream.read(&mut heard).await.is_ok_and(|length| length > 0) {
                    let hello = b"%3\r\n$7\r\nversion\r\n$6\r\n6.2.14\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n\
                                  $4\r\nrole\r\n$6\r\nmaster\r\n";
                    // As many answers as there were commands, whatever they were.
                    let commands = String::from_utf8_lossy(&heard).matches("\r\n$").count().max(1);
                    for _ in 0..commands {
                        stream.write_all(hello).await.unwrap();
                    }
                    heard = [0; 4096];
                }
            });
        }
    });
    let error =
        RedisTransport::connect(&config([format!("redis://127.0.0.1:{port}")]), &cluster(), WAIT).await.err();
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("6.2.14"), "{error}");
    old.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_taken_away_ends_alone() {
    let server = RedisServer::with(Program::Redis, &[]).await.unwrap();
    let all = ["ACL", "SETUSER", "service", "on", ">first", "~*", "&*", "+@all"];
    ask(server.port(), &all).await.unwrap();
    let transport = connect(&format!("redis://service:first@127.0.0.1:{}", server.port())).await;
    let mut lost = transport.subscribe(&topic("lost")).await.unwrap();
    let mut kept = transport.subscribe(&topic("kept")).await.unwrap();
    // The server cuts connections off that listen to what they may not any more.
    let rule = format!("&{}", names().channel(&topic("kept")));
    ask(server.port(), &["ACL", "SETUSER", "service", "resetchannels", &rule]).await.unwrap();
    let error = soon("the end of what is not allowed", lost.recv(1, &mut Vec::new())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error:?}");
    let mut into = Vec::new();
    soon("the other one is made anew", kept.recv(1, &mut into)).await.unwrap();
    assert!(matches!(into[..], [agora_core::transport::Inbound::Resubscribed]), "{into:?}");
    up(&transport).await;
    send(&transport, &topic("kept"), [1]).await;
    soon("a message", kept.recv(1, &mut into)).await.unwrap();
    assert!(matches!(into[1], agora_core::transport::Inbound::Message(_)), "{into:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_transactions_nothing_is_said_that_is_not_so() {
    let server = RedisServer::with(Program::Redis, &[]).await.unwrap();
    let rules = ["ACL", "SETUSER", "service", "on", ">first", "~*", "&*", "+@all", "-multi"];
    ask(server.port(), &rules).await.unwrap();
    let transport = connect(&format!("redis://service:first@127.0.0.1:{}", server.port())).await;
    let log = topic("log");
    open_log(&transport, &log).await;
    send(&transport, &log, 1..=3).await;
    let length = ask(server.port(), &["XLEN", &names().stream(&log)]).await.unwrap();
    assert_eq!(length.text(), "3", "the server executed each by itself, and each is accepted once");
}
