//! `agora peek`

use serde_json::json;

use super::{World, error, field, json, lines, space};

async fn fill(space: &agora::memory::Space) {
    // One message each, so that each has a place of its own.
    for i in 1..=5 {
        let key = if i % 2 == 0 { "even" } else { "odd" };
        json(space, &["publish", "orders", &format!("order {i}"), "--log", "--key", key]).await;
    }
    let fields = r#"{"queue":"outbound"}"#;
    json(space, &["publish", "orders", fields, "--log", "--kind", "agora.queue.resumed"]).await;
}

#[tokio::test]
async fn a_log_is_shown_from_a_place_and_nothing_changes() {
    let space = space();
    fill(&space).await;
    let all = json(&space, &["peek", "orders"]).await;
    assert_eq!(all.len(), 6);
    assert_eq!(field(&all, "text"), ["order 1", "order 2", "order 3", "order 4", "order 5"]);
    assert_eq!(all[5]["body"], json!({"queue": "outbound"}));
    let place = all[3]["position"].as_str().unwrap();
    let rest = json(&space, &["peek", "orders", "--from", place]).await;
    assert_eq!(rest[0]["text"], "order 4");
    assert_eq!(json(&space, &["peek", "orders", "--from", "2026-01-01T00:00:00Z"]).await.len(), 6);
    let human = lines(&space, &["peek", "orders", "--from", place, "--count", "1"]).await;
    assert!(
        human[0].starts_with(&format!("{place} ")) && human[0].ends_with("key=even order 4"),
        "{human:?}"
    );
    assert_eq!(lines(&space, &["lag"]).await, ["there are no groups"], "it left none behind");
}

#[tokio::test]
async fn some_of_it_is_shown_and_that_there_is_more_is_said() {
    let space = space();
    fill(&space).await;
    let first = World::over(&space).run(&["peek", "orders", "--count", "2"]).await.assert_code(0);
    assert_eq!(first.stdout.len(), 2);
    assert!(first.stderr[0].starts_with("there is more: --from "), "{first:?}");
    let next = first.stderr[0].rsplit(' ').next().unwrap();
    let more = json(&space, &["peek", "orders", "--count", "1", "--from", next]).await;
    assert_eq!(more[0]["text"], "order 3");
    let last = json(&space, &["peek", "orders", "--last", "2"]).await;
    assert_eq!((&last[0]["text"], last.len()), (&json!("order 5"), 2));
    for (args, texts) in [
        (&["--key", "even"][..], &["order 2", "order 4"][..]),
        (&["--kind", "agora.bytes", "--last", "1"], &["order 5"]),
        (&["--grep", "er 3"], &["order 3"]),
        (&["--key", "odd", "--grep", "5"], &["order 5"]),
    ] {
        let found = json(&space, &[&["peek", "orders"], args].concat()).await;
        assert_eq!(field(&found, "text"), texts, "{args:?}");
    }
    let queues =
        json(&space, &["peek", "orders", "--kind", "agora.queue.resumed", "--grep", "outbound"]).await;
    assert_eq!(queues.len(), 1);
    let nothing = World::over(&space).run(&["peek", "orders", "--grep", "nobody"]).await.assert_code(1);
    assert_eq!(nothing.stderr, ["nothing in orders is like that"]);
}

#[tokio::test]
async fn what_cannot_be_shown_is_explained() {
    let space = space();
    let missing = World::over(&space).run(&["peek", "nowhere", "--json"]).await.assert_code(1);
    assert_eq!(error(&missing)["kind"], "not_found");
    assert_eq!(json(&space, &["topics", "list"]).await.len(), 0, "looking makes no log");
    for (args, says) in [
        (&["peek", "t", "--from", "latest"][..], "--last"),
        (&["peek", "t", "--from", "noon"], "position"),
        (&["peek", "t", "--count", "0"], ""),
        (&["peek", "t", "--last", "1", "--count", "1"], ""),
    ] {
        let ended = World::over(&space).run(args).await.assert_code(2);
        assert!(ended.stderr.join("\n").contains(says), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn messages_of_other_software_and_long_logs_are_shown_too() {
    let space = space();
    let stdin: String = (0..600).map(|i| format!("{i}\n")).collect();
    let world = World { stdin: stdin.leak(), ..World::over(&space) };
    world.run(&["publish", "raw", "--log", "--raw", "--lines"]).await.assert_code(0);
    let all = json(&space, &["peek", "raw", "--count", "1000"]).await;
    let texts: Vec<_> = field(&all, "text").iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (0..600).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(all[0]["type"], "foreign");
    let last = json(&space, &["peek", "raw", "--last", "3"]).await;
    assert_eq!(field(&last, "text"), ["597", "598", "599"]);
}
