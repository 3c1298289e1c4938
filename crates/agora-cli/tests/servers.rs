//! The binary over servers: the demo, and what an operator asks.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/process.rs"]
mod process;

use agora_testbed::{NatsServer, Program, RedisServer};
use process::Agora;
use serde_json::Value;

/// Runs a command to its end, and gives the objects that it printed.
fn run(url: &str, words: &[&str]) -> Vec<Value> {
    let (status, lines, errors) = attempt(url, words);
    assert_eq!(status, Some(0), "{words:?}: {lines:#?}\n{errors}");
    lines
}

fn attempt(url: &str, words: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let common = ["--url", url, "--cluster", "test", "--json"];
    let (status, lines, errors) = Agora::start(&[words, &common].concat()).end();
    (status.code(), lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect(), errors)
}

/// The demo as a whole: its own books decide.
fn demo(url: &str) {
    let lines = run(url, &["demo"]);
    let result = lines.last().unwrap();
    assert_eq!((&result["balanced"], &result["scenarios_seen"]), (&true.into(), &7.into()), "{lines:#?}");
}

/// An operator looks, moves a group, and deletes.
fn operate(url: &str) {
    let report = run(url, &["doctor"]);
    assert!(report.iter().all(|line| line["state"] != "red"), "{report:#?}");
    assert_eq!(
        run(url, &["publish", "shop.orders", "hello", "--log", "--key", "k", "--count", "5"]).len(),
        5
    );
    let events = run(url, &["subscribe", "shop.orders", "--log", "--from", "earliest", "--count", "5"]);
    let sequences: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    let topics = run(url, &["topics"]);
    assert_eq!(topics.iter().map(|topic| &topic["topic"]).collect::<Vec<_>>(), ["shop.orders"]);

    let worked = run(url, &["subscribe", "shop.orders", "--log", "--group", "shipping", "--count", "5"]);
    assert_eq!(worked.len(), 5);
    assert_eq!(run(url, &["groups", "list", "shop.orders"])[0]["group"], "shipping");
    assert_eq!(run(url, &["lag", "shop.orders"])[0]["lag"], 0);
    assert_eq!(run(url, &["peek", "shop.orders", "--count", "1"])[0]["text"], "hello");
    // What destroys is asked about, and nobody is there to answer.
    let reset = ["groups", "reset", "shop.orders", "shipping", "--to", "earliest"];
    assert_eq!(attempt(url, &reset).0, Some(2));
    run(url, &[&reset[..], &["--yes"]].concat());
    assert!(run(url, &["lag", "shop.orders"])[0]["lag"].as_u64() > Some(0));
    run(url, &["groups", "delete", "shop.orders", "shipping", "--yes"]);
    run(url, &["topics", "delete", "shop.orders", "--yes"]);
    assert_eq!(run(url, &["topics"]), [] as [Value; 0]);
}

fn started<T>(server: impl Future<Output = agora_testbed::Result<T>>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(server).unwrap()
}

#[test]
fn nats() {
    let server = started(NatsServer::start());
    operate(&server.url());
    demo(&server.url());
}

#[test]
fn redis() {
    let server = started(RedisServer::start());
    operate(&server.url());
    demo(&server.url());
}

#[test]
fn valkey() {
    operate(&started(RedisServer::with(Program::Valkey, &[])).url());
}
