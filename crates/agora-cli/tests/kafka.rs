//! The binary over Kafka: what an operator sees of topics, groups and brokers, for people and as JSON.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/process.rs"]
mod process;

use std::time::Instant;

use agora_testbed::{KafkaBroker, KafkaCluster};
use process::{Agora, SOON};
use serde_json::{Value, json};

/// Runs a command to its end: its status, what it printed, and what it said of errors.
fn attempt(url: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let (status, lines, errors) = Agora::start(&[words, &["--url", url]].concat()).end();
    (status.code(), lines.join("\n"), errors)
}

/// What it printed for people.
fn told(url: &str, words: &[&str]) -> String {
    let (status, lines, errors) = attempt(url, words);
    assert_eq!(status, Some(0), "{words:?}: {lines}\n{errors}");
    lines
}

/// The objects that it printed.
fn run(url: &str, words: &[&str]) -> Vec<Value> {
    objects(&told(url, &[words, &["--json"]].concat()))
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// It is refused, with this status and these words.
fn refused(url: &str, words: &[&str], status: i32, why: &str) {
    let (found, lines, errors) = attempt(url, words);
    assert_eq!(found, Some(status), "{words:?}: {lines}\n{errors}");
    assert!(errors.contains(why), "{words:?}: {errors}");
}

fn texts<'a>(lines: &'a [Value], name: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}"))).collect()
}

/// Each row of a table by its cells.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

fn started<T>(server: impl Future<Output = agora_testbed::Result<T>>) -> (tokio::runtime::Runtime, T) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(server).unwrap();
    (runtime, server)
}

/// Topics are made, changed and deleted.
fn topics(url: &str) {
    let create = ["topics", "create", "shop.orders", "--lanes", "2", "--retention", "1h"];
    let done = run(url, &[&create[..], &["--set", "max.message.bytes=2000000"]].concat());
    assert_eq!(done, [json!({"type": "done", "did": "created", "topic": "shop.orders"})]);
    refused(url, &create, 2, "shop.orders");
    refused(url, &["topics", "create", "too.many", "--replicas", "3"], 2, "replica");

    let alter = ["topics", "alter", "shop.orders"];
    refused(url, &alter, 2, "nothing is to be changed");
    refused(url, &[&alter[..], &["--lanes", "1"]].concat(), 2, "would not be an increase");
    refused(url, &[&alter[..], &["--set", "no.such.setting=1"]].concat(), 2, "no.such.setting");
    refused(url, &["topics", "alter", "shop.nothing", "--lanes", "9"], 1, "shop.nothing");
    assert_eq!(
        told(
            url,
            &[&alter[..], &["--lanes", "4", "--retention", "2h", "--set", "cleanup.policy=delete"]].concat()
        ),
        "altered shop.orders"
    );
    told(url, &[&alter[..], &["--unset", "max.message.bytes"]].concat());
    let described = &run(url, &["topics", "describe", "shop.orders"])[0];
    assert_eq!(described["retention_ms"], 7_200_000);
    assert_eq!(described["settings"]["cleanup.policy"], "delete");
    assert_eq!(described["settings"]["max.message.bytes"], Value::Null, "{described}");
    let lanes = described["lanes"].as_array().unwrap();
    assert_eq!(lanes.len(), 4);
    for lane in lanes {
        assert_eq!(
            (&lane["leader"], &lane["replicas"], &lane["in_sync"]),
            (&json!("0"), &json!(["0"]), &json!(["0"]))
        );
    }
}

/// Records are published, looked at from either end of a lane, and counted.
fn records(url: &str) {
    for (key, text) in [("a", "one"), ("k1", "two"), ("a", "three"), ("a", "four")] {
        told(url, &["publish", "shop.orders", text, "--key", key]);
    }
    let events = run(url, &["subscribe", "shop.orders", "--from", "earliest", "--count", "4"]);
    let lane_of = |key: &str| events.iter().find(|event| event["key"] == key).unwrap()["lane"].to_string();
    let (lane, other) = (lane_of("a"), lane_of("k1"));
    assert_ne!(lane, other, "the keys were chosen so");

    refused(url, &["peek", "shop.orders"], 2, "--lane");
    refused(url, &["peek", "shop.orders", "--lane", "4"], 2, "no lane 4");
    let peek = ["peek", "shop.orders", "--lane", &lane];
    assert_eq!(texts(&run(url, &peek), "text"), ["one", "three", "four"]);
    let last = run(url, &[&peek[..], &["--last", "2"]].concat());
    assert_eq!((texts(&last, "text"), texts(&last, "position")), (vec!["three", "four"], vec!["1", "2"]));
    assert_eq!(texts(&last, "key"), ["a", "a"]);
    let line = told(url, &[&peek[..], &["--from", "1", "--count", "1"]].concat());
    assert!(line.starts_with("1 ") && line.ends_with("agora.bytes key=a three"), "{line}");
    assert!(texts(&last, "time").iter().all(|time| time.ends_with('Z')), "{last:?}");

    let listed =
        rows(&told(url, &["topics"])).into_iter().find(|row| row[0] == "shop.orders").unwrap().join(" ");
    assert!(listed.starts_with("shop.orders 4 ") && listed.contains(" 4 "), "{listed}");
    let lanes = told(url, &["topics", "describe", "shop.orders"]);
    let row = rows(&lanes).into_iter().find(|row| row.first() == Some(&lane.as_str())).unwrap();
    assert_eq!((row[1], row.last()), ("3", Some(&"0")), "{lanes}");
}

/// A group is looked at, and moved when nobody is in it.
fn groups(url: &str) {
    let worked = run(url, &["subscribe", "shop.orders", "--group", "shipping", "--count", "4"]);
    assert_eq!(worked.len(), 4);
    assert_eq!(run(url, &["groups", "list", "shop.orders"])[0]["group"], "shipping");
    assert!(run(url, &["lag", "shop.orders"]).iter().all(|lane| lane["lag"] == 0));

    let describe = ["groups", "describe", "shop.orders", "shipping"];
    let reset = ["groups", "reset", "shop.orders", "shipping", "--yes", "--to"];
    let delete = ["groups", "delete", "shop.orders", "shipping", "--yes"];
    let member = Agora::start(&["subscribe", "shop.orders", "--group", "shipping", "--json", "--url", url]);
    told(url, &["publish", "shop.orders", "five", "--key", "a"]);
    member.line_with("five");
    let active = &run(url, &describe)[0];
    assert_eq!(
        (&active["state"], active["members"].as_array().unwrap().len()),
        (&json!("Stable"), 1),
        "{active}"
    );
    assert_eq!(active["members"][0]["lanes"], json!([0, 1, 2, 3]), "{active}");
    refused(url, &[&reset[..], &["earliest"]].concat(), 2, "members");
    refused(url, &delete, 2, "members");
    member.signal(nix::sys::signal::Signal::SIGTERM);
    member.end();

    // Where its word was late, its session has to end first.
    let begun = Instant::now();
    while run(url, &describe)[0]["state"] != "Empty" {
        assert!(begun.elapsed() < SOON, "the group is never empty: {:?}", run(url, &describe));
    }
    let moves = |words: &[&str]| {
        let lanes = run(url, &[&reset[..], words].concat());
        lanes.iter().map(|lane| lane["records"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!(moves(&["earliest", "--dry-run"]), 5);
    assert!(run(url, &["lag", "shop.orders"]).iter().all(|lane| lane["lag"] == 0), "it was dry");
    assert_eq!(moves(&["earliest"]), 5);
    refused(url, &["lag", "shop.orders", "--max", "4"], 1, "");
    told(url, &["lag", "shop.orders", "--max", "5"]);
    assert_eq!(moves(&["latest"]), -5);
    assert_eq!(moves(&["1h"]), 5, "to a time");
    refused(url, &[&reset[..], &["2"]].concat(), 2, "--lane");
    let lane =
        run(url, &["subscribe", "shop.orders", "--from", "earliest", "--count", "1"])[0]["lane"].to_string();
    run(url, &[&reset[..], &["1", "--lane", &lane]].concat());
    let table = told(url, &describe);
    assert!(table.contains("Empty") && table.contains("shipping"), "{table}");

    assert_eq!(told(url, &delete), "deleted the group shipping of shop.orders");
    assert_eq!(run(url, &["groups", "list", "shop.orders"]), [] as [Value; 0]);
    refused(url, &describe, 1, "shipping");
}

#[test]
fn an_operator_looks_into_topics_and_groups_and_changes_them() {
    let (_runtime, broker) = started(KafkaBroker::start());
    let url = &broker.url();
    let report = run(url, &["doctor"]);
    assert!(report.iter().all(|line| line["status"] != "red"), "{report:#?}");
    topics(url);
    records(url);
    groups(url);
    told(url, &["topics", "delete", "shop.orders", "--yes"]);
    refused(url, &["topics", "describe", "shop.orders"], 1, "shop.orders");
}

#[test]
fn the_doctor_and_the_topics_show_which_brokers_are_missing() {
    let (runtime, mut cluster) = started(KafkaCluster::start(3));
    let url = &cluster.url();
    told(url, &["topics", "create", "shop.orders", "--lanes", "3", "--replicas", "3"]);
    let replicas = |report: &[Value]| {
        let check = report.iter().find(|check| check["check"] == "replicas").unwrap();
        (check["status"].as_str().unwrap().to_owned(), check["found"].as_str().unwrap().to_owned())
    };
    assert_eq!(replicas(&run(url, &["doctor"])).0, "green");

    cluster.node(2).kill().unwrap();
    runtime.block_on(cluster.leader_after("shop.orders", 0, 2)).unwrap();
    runtime.block_on(cluster.ready()).unwrap();
    let report = run(url, &["doctor"]);
    let (status, found) = replicas(&report);
    assert_eq!(status, "yellow", "{report:#?}");
    assert!(found.contains("lane 0 of shop.orders"), "{found}");
    let described = told(url, &["topics", "describe", "shop.orders"]);
    assert_eq!(described.matches("(short)").count(), 3, "{described}");
    for lane in run(url, &["topics", "describe", "shop.orders"])[0]["lanes"].as_array().unwrap() {
        assert_eq!(
            (lane["replicas"].as_array().unwrap().len(), lane["in_sync"].as_array().unwrap().len()),
            (3, 2)
        );
        assert_ne!(lane["leader"], "2", "{lane}");
    }
}
