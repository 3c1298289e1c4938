//! The commands, in one process over memory.
#![allow(clippy::unwrap_used, reason = "a test")]

mod commands;
mod support;

use serde_json::{Value, json};
use support::{World, run, start};

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn an_event_goes_from_publish_to_subscribe() {
    let url = "memory:cli-event";
    let mut subscriber = start(&["subscribe", "t.one", "--url", url, "--json", "--count", "3"]);
    let established = parse(&subscriber.error_with("established").await);
    assert_eq!(established["type"], "established");
    assert_eq!(established["topics"], json!(["t.one"]));

    let sent =
        run(&["--url", url, "publish", "t.one", "hello", "--key", "k", "--json", "--node", "pub-1"]).await;
    let sent = sent.assert_code(0);
    assert_eq!(sent.stderr, Vec::<String>::new(), "the subscriber was heard, though it is no member");
    let receipt = &sent.json()[0];
    assert_eq!(receipt["type"], "receipt");
    assert_eq!(receipt["seq"], 1);
    assert_eq!(receipt["node"], "pub-1");

    let event = parse(&subscriber.line().await);
    assert_eq!(event["type"], "event");
    assert_eq!(event["topic"], "t.one");
    assert_eq!(event["kind"], "agora.bytes");
    assert_eq!(event["text"], "hello");
    assert_eq!(event["key"], "k");
    // An observer is not introduced to anybody, so its name is not known.
    assert_eq!(event["node"].as_str().unwrap().len(), 16);
    assert_eq!(event["incarnation"], receipt["incarnation"]);
    assert_eq!(event["seq"], 1);
    assert_eq!(event["lane"], 0);
    event["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();

    let fields = r#"{"account":7,"mailbox":1,"change":"Added","state":12,"messages":[40]}"#;
    run(&["publish", "t.one", fields, "--kind", "agora.mailbox.changed", "--url", url]).await.assert_code(0);
    let line = subscriber.line().await;
    assert!(line.contains(&format!("\"body\":{fields}")), "the fields keep their order: {line}");
    assert_eq!(parse(&line)["key"], "7");

    World { stdin: "from a pipe", ..World::default() }
        .start(&["publish", "t.one", "--url", url])
        .end()
        .await
        .assert_code(0);
    assert_eq!(parse(&subscriber.line().await)["text"], "from a pipe");
    subscriber.end().await.assert_code(0);
}

#[tokio::test]
async fn a_count_and_lines_are_published_in_order() {
    let url = "memory:cli-count";
    let mut subscriber = start(&["subscribe", "t", "--url", url, "--count", "7"]);
    subscriber.error_with("listening to t in cluster default over memory").await;
    let sent =
        run(&["publish", "t", "again", "--count", "4", "--url", url, "--node", "p"]).await.assert_code(0);
    assert_eq!(sent.stdout, ["published 4 events on t"]);
    let input = World { stdin: "one\ntwo\nthree", ..World::default() };
    input.start(&["publish", "t", "--lines", "--url", url, "--node", "p"]).end().await.assert_code(0);
    let lines = subscriber.end().await.assert_code(0).stdout;
    let texts: Vec<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(texts, ["again", "again", "again", "again", "one", "two", "three"]);
    assert!(lines[0].contains("#1 agora.bytes again"), "{}", lines[0]);
}

#[tokio::test]
async fn what_comes_from_the_network_does_not_steer_the_terminal() {
    let url = "memory:cli-escape";
    let mut subscriber = start(&["subscribe", "t", "--url", url, "--count", "1"]);
    subscriber.error_with("listening").await;
    run(&["publish", "t", "a\u{1b}[2Jb\nc", "--key", "\u{7}", "--url", url]).await.assert_code(0);
    let line = subscriber.line().await;
    assert!(line.ends_with(r"key=\u{7} a\u{1b}[2Jb\nc"), "{line}");
}

#[tokio::test]
async fn a_node_is_seen_and_leaves_when_it_is_interrupted() {
    let url = "memory:cli-node";
    let mut watcher = start(&["node", "--url", url, "--node", "watcher", "--json"]);
    watcher.error_with("\"ready\"").await;
    let mut node = start(&["node", "--url", url, "--node", "imap-1", "--tag", "role=imap", "--topic", "t"]);
    node.error_with("listening to t").await;
    let joined = parse(&watcher.line_with("joined").await);
    assert_eq!((&joined["type"], &joined["node"]), (&json!("member"), &json!("imap-1")));
    assert_eq!(joined["tags"], json!({"role": "imap"}));

    let members =
        run(&["members", "--url", url, "--count", "2", "--wait", "20s", "--json"]).await.assert_code(0);
    let names: Vec<_> = members.json().iter().map(|m| m["node"].as_str().unwrap().to_owned()).collect();
    assert!(names.contains(&"imap-1".to_owned()) && names.contains(&"watcher".to_owned()), "{names:?}");
    assert_eq!(names.len(), 2, "the tool itself is no member");
    assert_eq!(members.json()[0]["state"], "alive");

    run(&["publish", "t", "for the node", "--url", url, "--node", "p"]).await.assert_code(0);
    node.line_with("for the node").await;

    node.interrupt();
    assert_eq!(node.end().await.code, 130);
    let left = parse(&watcher.line_with("\"left\",\"node\":\"imap-1\"").await);
    assert_eq!(left["incarnation"], joined["incarnation"]);
    watcher.interrupt();
    assert_eq!(watcher.end().await.code, 130);
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_run_quietly() {
    let url = "memory:cli-pipe";
    let world = World { stdout_lines: Some(1), ..World::default() };
    let mut subscriber = world.start(&["subscribe", "t", "--url", url]);
    subscriber.error_with("listening").await;
    run(&["publish", "t", "x", "--count", "50", "--url", url]).await.assert_code(0);
    let ended = subscriber.end().await.assert_code(0);
    assert_eq!(ended.stdout.len(), 1);
    assert_eq!(ended.stderr, Vec::<String>::new());
}

#[tokio::test]
async fn counts_and_times() {
    let url = "memory:cli-counts";
    run(&["subscribe", "t", "--url", url, "--timeout", "10ms"]).await.assert_code(0);
    run(&["subscribe", "t", "--url", url, "--timeout", "10ms", "--count", "1"]).await.assert_code(1);
    let nobody = run(&["members", "--url", url, "--wait", "10ms"]).await.assert_code(1);
    assert_eq!(nobody.stdout, ["no member was seen in cluster default"]);
    let alone =
        run(&["publish", "t", "x", "--url", url, "--wait", "10ms", "--cluster", "c"]).await.assert_code(0);
    assert!(alone.stderr[0].starts_with("warning: nobody was heard in cluster c"), "{alone:?}");
}

#[tokio::test]
async fn each_failure_has_its_code_and_says_what_to_do() {
    let memory = ["--url", "memory:cli-codes"];
    let cases: &[(&[&str], u8, &str, &str)] = &[
        (&["subscribe", "t", "--url", "pigeon:"], 2, "unknown backend \"pigeon\"", "zenoh:"),
        (&["subscribe", "t", "--url", "memory:"], 2, "the space has no name", "memory:NAME"),
        (&["subscribe", "a b", memory[0], memory[1]], 2, "not a valid topic name", "A-Z"),
        (&["subscribe", "_agora.control", memory[0], memory[1]], 2, "reserved", "take another"),
        (&["subscribe", "t", "--from", "noon", memory[0], memory[1]], 2, "not a place to begin", "earliest"),
        (
            &["subscribe", "t", "--from", "earliest", memory[0], memory[1]],
            2,
            "this topic is live",
            "make it a log",
        ),
        (
            &["subscribe", "t", "--log", "--from", "00ff", memory[0], memory[1]],
            2,
            "not a place to begin",
            "cursor",
        ),
        (&["node", "--node", "a b", memory[0], memory[1]], 2, "not a valid node name", "A-Z"),
        (&["node", "--cluster", "", memory[0], memory[1]], 2, "not a valid cluster name", "A-Z"),
        (
            &["publish", "t", "{}", "--kind", "shop.order", memory[0], memory[1]],
            2,
            "not a built-in kind",
            "agora.queue.resumed",
        ),
        (
            &["publish", "t", "{}", "--kind", "agora.queue.resumed", memory[0], memory[1]],
            2,
            "missing field",
            "it takes such as",
        ),
        (
            &["publish", "t", "{}", "--kind", "agora.queue.resumed", "--key", "k", memory[0], memory[1]],
            2,
            "--key",
            "leave --key out",
        ),
        (&["publish", "t", "x", "--timeout", "50ms", memory[0], memory[1]], 2, "publish_timeout", ""),
        (&["demo", memory[0], memory[1]], 4, "a demo over memory", "leave --url out"),
    ];
    for (args, code, says, helps) in cases {
        let plain = run(args).await;
        assert_eq!(plain.code, *code, "{args:?}: {plain:?}");
        assert!(
            plain.stderr[0].starts_with("error: ") && plain.stderr[0].contains(says),
            "{args:?}: {plain:?}"
        );
        if !helps.is_empty() {
            assert!(
                plain.stderr[1].starts_with("help: ") && plain.stderr[1].contains(helps),
                "{args:?}: {plain:?}"
            );
        }
        assert!(plain.stderr.len() <= 2 && plain.stdout.is_empty(), "{args:?}: {plain:?}");

        let json = run(&[*args, &["--json"]].concat()).await;
        assert_eq!(json.code, *code, "{args:?}: {json:?}");
        assert_eq!(json.stderr.len(), 1, "{args:?}: {json:?}");
        let error = parse(&json.stderr[0]);
        assert_eq!(error["type"], "error", "{args:?}");
        assert_eq!(error["exit"], *code, "{args:?}");
        assert!(error["message"].as_str().unwrap().contains(says), "{args:?}: {error}");
    }
}

#[tokio::test]
async fn usage() {
    for args in [
        &[][..],
        &["fly"],
        &["subscribe"],
        &["publish"],
        &["subscribe", "t", "--count", "0"],
        &["demo", "--nodes", "2"],
        &["subscribe", "t", "--timeout", "5"],
        &["node", "--tag", "role"],
        &["publish", "t", "x", "--lines"],
    ] {
        let ended = run(args).await;
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{args:?}: {ended:?}");
        let json = run(&[args, &["--json"]].concat()).await;
        assert_eq!(json.code, 2, "{args:?}");
        assert_eq!(parse(&json.stderr[0])["type"], "error", "{args:?}: {json:?}");
        assert_eq!(json.stderr.len(), 1, "{args:?}: {json:?}");
    }
    for args in [&["--help"][..], &["--version"], &["publish", "--help"], &["subscribe", "-h"]] {
        let ended = run(args).await;
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        assert!(!ended.stdout.is_empty() && ended.stderr.is_empty(), "{args:?}: {ended:?}");
    }
    let help = run(&["publish", "--help"]).await.stdout.join("\n");
    assert!(help.contains("agora.queue.paused"), "{help}");
}

#[tokio::test]
async fn a_terminal_without_data_is_asked_for_some() {
    let world = World { stdin_is_terminal: true, ..World::default() };
    let ended = world.start(&["publish", "t", "--url", "memory:cli-terminal"]).end().await.assert_code(2);
    assert!(ended.stderr[0].contains("no data was given"), "{ended:?}");
}

#[tokio::test]
async fn an_empty_input_is_no_event_and_an_empty_argument_is_one() {
    let url = ["--url", "memory:cli-empty"];
    let mut subscriber = start(&["subscribe", "t", "--json", "--count", "1", url[0], url[1]]);
    subscriber.error_with("established").await;
    for args in [&["publish", "t"][..], &["publish", "t", "-"], &["publish", "t", "--count", "2"]] {
        let ended = run(&[args, &url].concat()).await.assert_code(2);
        assert!(ended.stderr[0].contains("no data was given"), "{args:?}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{args:?}: {ended:?}");
    }
    let none = run(&["publish", "t", "--lines", url[0], url[1]]).await.assert_code(0);
    assert_eq!(none.stdout, ["published 0 events on t"]);
    run(&["publish", "t", "", url[0], url[1]]).await.assert_code(0);
    let events = subscriber.end().await.assert_code(0).json();
    assert_eq!(events.iter().map(|event| &event["text"]).collect::<Vec<_>>(), [""]);
}

#[tokio::test]
async fn the_url_comes_from_the_variable_where_no_argument_gives_one() {
    let world =
        || World { environment: vec![("AGORA_URL", "memory:cli-variable".to_owned())], ..World::default() };
    let mut subscriber = world().start(&["subscribe", "t", "--count", "1"]);
    subscriber.error_with("over memory").await;
    world().start(&["publish", "t", "x"]).end().await.assert_code(0);
    subscriber.end().await.assert_code(0);
    let ended = world().start(&["subscribe", "t", "--url", "pigeon:"]).end().await;
    assert_eq!(ended.code, 2, "the argument wins: {ended:?}");
}

#[tokio::test]
async fn an_interrupt_ends_a_read_of_the_standard_input() {
    // Nothing is ever typed, and the input does not end.
    let (sender, interrupt) = agora_cli::Interrupt::channel();
    let (_typed, stdin) = tokio::io::duplex(8);
    let io = agora_cli::Io {
        stdin: Box::new(stdin),
        stdout: Box::new(std::io::sink()),
        stderr: Box::new(std::io::sink()),
        stdin_is_terminal: false,
        stderr_is_terminal: false,
        color: false,
        environment: Vec::new(),
        interrupt,
        reader_gone: agora_cli::Interrupt::channel().1,
        logging: false,
    };
    let args = ["agora", "publish", "t", "-", "--url", "memory:cli-stdin"].map(Into::into);
    let run = tokio::spawn(agora_cli::run(args, io, agora_cli::Connector::by_url()));
    sender.send_replace(true);
    assert_eq!(run.await.unwrap(), 130);
}

#[tokio::test]
async fn a_log_is_read_from_its_beginning_from_a_cursor_and_under_a_name() {
    let url = "memory:cli-log";
    // The space lives as long as somebody is in it.
    let keeper = start(&["node", "--node", "keeper", "--url", url]);
    let args = ["publish", "orders", "placed", "--log", "--count", "5", "--url", url, "--json"];
    let receipts = run(&args).await.assert_code(0).json();
    assert_eq!(receipts[4]["durability"], "stored");
    let read = async |more: &[&str]| {
        let base = ["subscribe", "orders", "--log", "--url", url, "--json", "--count", "2"];
        run(&[&base[..], more].concat()).await.assert_code(0).json()
    };
    let sequences =
        |events: &[Value]| events.iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    let first = read(&["--from", "earliest"]).await;
    assert_eq!(sequences(&first), [1, 2]);
    let cursor = first[1]["cursor"].as_str().unwrap();
    assert_eq!(sequences(&read(&["--from", cursor]).await), [3, 4]);
    for expected in [[1, 2], [3, 4]] {
        let events = read(&["--from", "earliest", "--durable", "projector"]).await;
        assert_eq!(sequences(&events), expected);
    }
    keeper.interrupt();
    keeper.end().await.assert_code(130);
}
