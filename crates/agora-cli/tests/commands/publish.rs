//! `agora publish`

use serde_json::{Value, json};

use super::{World, field, space};

/// A subscriber of the topic `t`, from whose output the test reads.
async fn listener(space: &agora::memory::Space, more: &[&str]) -> super::Running {
    let mut running = World::over(space).start(&[&["subscribe", "t", "--json"], more].concat());
    running.error_with("established").await;
    running
}

#[tokio::test]
async fn bodies_of_a_size_are_made_up_and_progress_is_drawn_where_somebody_watches() {
    let space = space();
    let listening = listener(&space, &["--count", "3"]).await;
    let world = World { stderr_is_terminal: true, ..World::over(&space) };
    let sent = world.run(&["publish", "t", "--size", "40", "--count", "3"]).await.assert_code(0);
    assert_eq!(sent.stdout, ["published 3 events on t"]);
    let texts = listening.end().await.assert_code(0).json();
    for text in field(&texts, "text") {
        assert_eq!(text.as_str().unwrap().len(), 40);
    }
    for args in [
        &["publish", "t", "x", "--size", "1"][..],
        &["publish", "t", "--size", "1", "--kind", "agora.queue.resumed"],
        &["publish", "t", "--size", "1048577"],
        &["publish", "t", "x", "--rate", "0"],
        &["publish", "t", "--ndjson", "--lines"],
        &["publish", "t", "--ndjson", "--count", "2"],
        &["publish", "t", "x", "--raw", "--kind", "agora.bytes"],
    ] {
        World::over(&space).run(args).await.assert_code(2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_without_drift() {
    let space = space();
    let begin = tokio::time::Instant::now();
    let args = ["publish", "t", "x", "--count", "101", "--rate", "10", "--log"];
    // The thread that writes does not live in paused time, so what it wrote is not looked at.
    World::over(&space).run(&args).await.assert_code(0);
    let took = begin.elapsed().as_secs();
    assert!((10..15).contains(&took), "100 pauses of 100 ms, and what joining and leaving take: {took} s");
}

#[tokio::test]
async fn what_subscribe_prints_can_be_published_again() {
    let space = space();
    // Of every sort: plain text, bytes that are none, a built-in event, and a kind that nobody knows here.
    let original = [
        json!({"text": "plain", "key": "k"}),
        json!({"base64": "/wAB", "key_base64": "/w=="}),
        json!({"kind": "agora.queue.resumed", "body": {"queue": "outbound"}}),
        json!({"kind": "shop.order.placed", "version": 3, "base64": "AQID", "resync": true,
               "event_id": "000102030405060708090a0b0c0d0e0f"}),
    ];
    let text: String = original.iter().map(|object| format!("{object}\n")).collect();
    let copy = async |from: String, name: &str| {
        let listening = listener(&space, &["--count", "4"]).await;
        let world = World { stdin: from.leak(), ..World::over(&space) };
        world.run(&["publish", "t", "--ndjson", "--node", name]).await.assert_code(0);
        listening.end().await.assert_code(0)
    };
    let first = copy(text, "one").await;
    let second = copy(first.stdout.join("\n"), "two").await;
    let without_origin = |objects: Vec<Value>| -> Vec<Value> {
        let strip = |mut object: Value| {
            for name in ["node", "incarnation", "seq", "time"] {
                object.as_object_mut().unwrap().remove(name).unwrap();
            }
            object
        };
        objects.into_iter().map(strip).collect()
    };
    let (first, second) = (without_origin(first.json()), without_origin(second.json()));
    assert_eq!(first, second);
    for (printed, given) in first.iter().zip(&original) {
        for (name, value) in given.as_object().unwrap() {
            assert_eq!(&printed[name], value, "{printed}");
        }
    }
    assert_eq!(first[2]["key"], "outbound");
}

#[tokio::test]
async fn objects_that_are_no_events_are_passed_over_and_a_bad_line_is_named() {
    let space = space();
    let listening = listener(&space, &["--count", "1"]).await;
    let stdin = "{\"type\":\"gap\",\"topic\":\"t\"}\n{\"text\":\"a\"}\n{\"type\":\"receipt\"}\n";
    let world = World { stdin, ..World::over(&space) };
    let ended = world.run(&["publish", "t", "--ndjson", "--json"]).await.assert_code(0);
    assert_eq!(ended.json().len(), 1);
    assert!(ended.stderr[0].contains("2 objects were no events"), "{ended:?}");
    listening.end().await.assert_code(0);

    for (stdin, says) in [
        ("{\"text\":\"a\"}\nhello\n", "line=2"),
        ("{\"text\":\"a\"}\n{\"text\":\"b\"}\n\n", "line=3"),
        ("{\"body\":{}}\n", "`body` holds the fields of a built-in kind"),
    ] {
        let world = World { stdin, ..World::over(&space) };
        let ended = world.run(&["publish", "log", "--log", "--ndjson"]).await.assert_code(2);
        let error = ended.stderr.iter().find(|line| line.starts_with("error: ")).unwrap();
        assert!(error.replace(": ", "=").contains(says) || error.contains(says), "{says}: {ended:?}");
    }
}

#[tokio::test]
async fn plain_payloads_go_to_other_software_and_come_from_it() {
    let space = space();
    let mut bare = World::over(&space).start(&["subscribe", "t", "--raw", "--count", "2"]);
    bare.error_with("listening").await;
    let objects = listener(&space, &["--raw", "--count", "2"]).await;
    let args = ["publish", "t", "--raw", "--lines", "--key", "k", "--json"];
    let world = World { stdin: "21.5\n\u{1b}\n", ..World::over(&space) };
    let receipts = world.run(&args).await.assert_code(0).json();
    assert_eq!(field(&receipts, "type"), ["receipt", "receipt"]);
    assert_eq!(bare.end().await.assert_code(0).stdout, ["21.5", "\u{1b}"], "as it is");
    let objects = objects.end().await.assert_code(0).json();
    assert_eq!(field(&objects, "type"), ["foreign", "foreign"]);
    assert_eq!(field(&objects, "text"), ["21.5", "\u{1b}"]);
}
