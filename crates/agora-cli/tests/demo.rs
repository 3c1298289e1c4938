//! The demo, as a stranger runs it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

#[cfg(target_os = "linux")]
#[path = "../../agora-zenoh/tests/support/net.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of zenoh use the rest of it")]
mod net;
#[path = "support/process.rs"]
mod process;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;

use nix::sys::signal::Signal;
use process::{Agora, wait_gone};
use serde_json::Value;

/// One demo after the other, but where two at once are what is tested: each is three processes that want to be on
/// time.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Ends a demo, and checks all that it claims.
fn check(demo: Agora, nodes: usize) -> Vec<Value> {
    let (status, lines, errors) = demo.end();
    let text = lines.join("\n");
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""), "{text}");
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |wanted: &str| lines.iter().filter(|line| line["type"] == wanted).collect::<Vec<_>>();

    let scenarios: Vec<_> = of("scenario").iter().map(|line| line["scenario"].as_u64().unwrap()).collect();
    assert_eq!(scenarios, [1, 2, 3, 4, 5, 6, 7], "{text}");
    let result = of("result")[0];
    assert_eq!((&result["balanced"], &result["scenarios_seen"]), (&Value::from(true), &Value::from(7)));
    assert!(result["seconds"].is_number(), "{text}");

    // The killed node has two lives.
    let books = of("books");
    assert_eq!(books.len(), nodes + 1, "{text}");
    let sum = |name: &str| books.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("silent"), 0, "{text}");
    assert!(sum("published") > 100 * nodes as u64, "{text}");
    for row in &books {
        let number = |name: &str| row[name].as_u64().unwrap();
        assert!(number("delivered") + number("named") >= number("owed"), "{row}");
    }
    let ends: Vec<_> = books.iter().filter_map(|row| row["end"].as_str()).collect();
    assert!(ends.contains(&"killed") && ends.contains(&"left"), "{text}");

    // What each scenario is there to show, by number.
    let timeline = of("timeline");
    let says = |scenario: u64, part: &str| {
        let count = timeline
            .iter()
            .filter(|line| line["scenario"] == scenario && line["text"].as_str().unwrap().contains(part))
            .count();
        assert!(count > 0, "{scenario} never says {part:?}: {text}");
        count
    };
    assert_eq!(says(0, "sees "), nodes);
    says(1, "told the IDLE session of account 7");
    says(2, "pushed state 12 to phone of account 7");
    assert_eq!(says(3, "REFUSES a connection"), nodes - 1);
    assert_eq!(says(4, "serves certificate"), nodes - 1);
    says(5, "0 are missing silently");
    assert_eq!(says(6, "reports node-b failed"), nodes - 1);
    assert_eq!(says(6, "in a new life"), nodes - 1);
    assert_eq!(says(7, "reports node-c left"), nodes - 1);
    let latencies = timeline.iter().filter(|line| line["after_us"].is_u64()).count();
    assert!(latencies >= 5, "{text}");
    lines
}

#[test]
fn two_demos_at_once_are_seen_through_and_do_not_mix() {
    let _alone = alone();
    let demos = [Agora::start(&["demo", "--json"]), Agora::start(&["demo", "--json"])];
    let lines = demos.map(|demo| check(demo, 3));
    let incarnations = lines.each_ref().map(|lines| {
        let books = lines.iter().filter(|line| line["type"] == "books");
        books.map(|row| row["incarnation"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    });
    let clusters = lines.each_ref().map(|lines| lines[0]["cluster"].as_str().unwrap().to_owned());
    assert_ne!(clusters[0], clusters[1]);
    assert!(incarnations[0].is_disjoint(&incarnations[1]));
    for (own, other) in [(0, 1), (1, 0)] {
        let text = lines[own].iter().map(Value::to_string).collect::<String>();
        assert!(!incarnations[other].iter().any(|incarnation| text.contains(incarnation)), "{text}");
    }
}

#[test]
fn a_url_and_a_cluster_that_are_given_are_those_on_which_it_plays() {
    let _alone = alone();
    let url = process::own_network();
    let lines = check(Agora::start(&["demo", "--json", "--url", &url, "--cluster", "given"]), 3);
    assert_eq!((lines[0]["url"].as_str(), lines[0]["cluster"].as_str()), (Some(url.as_str()), Some("given")));
}

/// As in a container without a network.
#[cfg(target_os = "linux")]
#[test]
fn it_needs_no_interface_but_loopback() {
    let _alone = alone();
    let space = net::Namespace::new();
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", &space.0, process::AGORA]);
    check(Agora::start_by(inside, &["demo", "--json"]), 3);
}

#[test]
fn over_kafka_it_plays_on_a_log() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let broker = runtime.block_on(agora_testbed::KafkaBroker::start()).unwrap();
    check(Agora::start(&["demo", "--json", "--url", &broker.url()]), 3);
}

#[test]
fn more_nodes_are_as_good() {
    let _alone = alone();
    check(Agora::start(&["demo", "--json", "--nodes", "5"]), 5);
}

/// Starts a demo and waits until a node is stopped: then returns the numbers of its processes too.
fn stopped() -> (Agora, Vec<i32>) {
    let demo = Agora::start(&["demo"]);
    let mut pids = Vec::new();
    for node in ["node-a", "node-b", "node-c"] {
        let line = demo.line_with(&format!("{node}   started as process "));
        pids.push(line.rsplit(' ').next().unwrap().parse().unwrap());
    }
    demo.line_with("node-c   is stopped");
    (demo, pids)
}

#[test]
fn an_interrupt_leaves_no_process_behind() {
    let _alone = alone();
    let (demo, pids) = stopped();
    demo.signal(Signal::SIGINT);
    let (status, _, errors) = demo.end();
    assert_eq!((status.code(), errors.as_str()), (Some(130), ""));
    wait_gone(&pids);
}

/// Also the node that is stopped at that moment. Elsewhere nothing tells a stopped process that its parent is gone.
#[cfg(target_os = "linux")]
#[test]
fn a_demo_that_is_killed_leaves_no_process_behind() {
    let _alone = alone();
    let (demo, pids) = stopped();
    demo.signal(Signal::SIGKILL);
    wait_gone(&pids);
}

#[test]
fn a_reader_that_goes_away_ends_the_demo() {
    let _alone = alone();
    let demo = Agora::start_read_by(&["demo"], Command::new("head").args(["-n", "4"]));
    let pid = demo.line_with("started as process").rsplit(' ').next().unwrap().parse().unwrap();
    let (status, _, errors) = demo.end();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    wait_gone(&[pid]);
}
