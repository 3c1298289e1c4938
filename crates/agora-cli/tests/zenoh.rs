//! The binary over Zenoh: real processes, with no server.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/process.rs"]
mod process;

use std::process::Command;

use nix::sys::signal::Signal;
use process::{AGORA, Agora, own_network};
use serde_json::Value;

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn three_processes_hear_each_other_and_a_signal_is_a_leave() {
    let url = own_network();
    let node = |name: &str| {
        Agora::start(&["node", "--url", &url, "--node", name, "--topic", "t", "--json", "--cluster", "test"])
    };
    let mut a = node("a");
    a.error_with("established");
    let mut b = node("b");
    b.error_with("established");
    a.line_with(r#""event":"joined","node":"b""#);

    let publisher = Agora::start(&[
        "publish",
        "t",
        "hello",
        "--count",
        "3",
        "--url",
        &url,
        "--cluster",
        "test",
        "--json",
        "--wait",
        "30s",
    ]);
    let (status, receipts, errors) = publisher.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    let sequences: Vec<_> = receipts.iter().map(|line| parse(line)["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 2, 3]);
    for node in [&a, &b] {
        for seq in 1..=3 {
            let event = parse(&node.line_with(r#""type":"event""#));
            assert_eq!((event["text"].as_str(), event["seq"].as_u64()), (Some("hello"), Some(seq)));
        }
    }

    let members = Agora::start(&[
        "members",
        "--url",
        &url,
        "--cluster",
        "test",
        "--count",
        "2",
        "--wait",
        "30s",
        "--json",
    ]);
    let (status, lines, errors) = members.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    let mut names: Vec<_> =
        lines.iter().map(|line| parse(line)["node"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);

    // Neither tool was ever a member: all that a hears until b leaves is of b, which may yet tell what it reads.
    b.signal(Signal::SIGINT);
    loop {
        let next = parse(&a.line_with(r#""type":"member""#));
        assert_eq!(next["node"].as_str(), Some("b"), "{next}");
        match next["event"].as_str() {
            Some("changed") => {}
            other => break assert_eq!(other, Some("left")),
        }
    }
    let (status, _, errors) = b.end();
    assert_eq!(status.code(), Some(130), "{errors}");
    a.signal(Signal::SIGTERM);
    let (status, _, errors) = a.end();
    assert_eq!((status.code(), errors.as_str()), (Some(130), ""));
}

#[test]
fn a_broken_pipe_ends_a_subscription_quietly() {
    let url = own_network();
    let mut subscriber =
        Agora::start_read_by(&["subscribe", "t", "--url", &url], Command::new("head").args(["-n", "1"]));
    subscriber.error_with("Ctrl-C ends");
    // One event: nothing is written after the reader has gone that could tell.
    let publisher = Agora::start(&["publish", "t", "hello", "--url", &url, "--wait", "30s"]);
    assert_eq!(publisher.end().0.code(), Some(0));
    subscriber.line_with("#1 ");
    let (status, _, errors) = subscriber.end();
    assert_eq!((status.code(), errors.trim()), (Some(0), ""));
}

#[test]
fn nobody_there_is_an_answer_and_unreachable_is_an_error() {
    let (status, lines, _) = Agora::start(&["members", "--url", &own_network(), "--wait", "100ms"]).end();
    assert_eq!((status.code(), lines), (Some(1), vec!["no member was seen in cluster default".to_owned()]));
    for mode in ["peer", "client"] {
        // Nobody listens on port 1.
        let url = format!("zenoh://127.0.0.1:1?mode={mode}");
        for args in [&["members"][..], &["publish", "t", "x"]] {
            let args = [args, &["--url", &url, "--connect-timeout", "500ms", "--json"]].concat();
            let (status, lines, errors) = Agora::start(&args).end();
            assert_eq!((status.code(), lines.len()), (Some(3), 0), "{args:?}: {errors}");
            let error = parse(errors.trim());
            assert_eq!(
                (error["type"].as_str(), error["kind"].as_str()),
                (Some("error"), Some("unreachable"))
            );
        }
    }
}

#[test]
fn what_zenoh_cannot_do_says_what_can() {
    let args = ["subscribe", "t", "--from", "earliest", "--url", &own_network()];
    let (status, _, errors) = Agora::start(&args).end();
    assert_eq!(status.code(), Some(4), "{errors}");
    assert!(errors.contains("help: ") && errors.contains("NATS"), "{errors}");
}

#[test]
fn a_closed_standard_input_ends_nobody_and_is_no_event() {
    let url = own_network();
    let closed = |args: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"exec "$0" "$@" <&-"#, AGORA]);
        Agora::start_by(shell, &[args, &["--url", &url]].concat())
    };
    let mut node = closed(&["node", "--topic", "t"]);
    node.error_with("Ctrl-C ends");
    let mut subscriber = closed(&["subscribe", "t", "--count", "1"]);
    subscriber.error_with("Ctrl-C ends");
    let (status, lines, errors) = closed(&["publish", "t"]).end();
    assert_eq!((status.code(), lines.len()), (Some(2), 0), "{errors}");
    assert!(errors.contains("no data was given"), "{errors}");
    let (status, lines, errors) = closed(&["publish", "t", "--lines", "--wait", "30s"]).end();
    assert_eq!((status.code(), lines.join("").as_str()), (Some(0), "published 0 events on t"), "{errors}");

    // Both are still there, and this is the first event that they hear.
    assert_eq!(closed(&["publish", "t", "hello", "--wait", "30s"]).end().0.code(), Some(0));
    node.line_with("#1 agora.bytes hello");
    subscriber.line_with("#1 agora.bytes hello");
    assert_eq!(subscriber.end().0.code(), Some(0));
    node.signal(Signal::SIGINT);
    assert_eq!(node.end().0.code(), Some(130));
}
