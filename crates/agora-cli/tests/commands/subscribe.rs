//! `agora subscribe`, without a group

use super::{World, error, field, json, lines, space};

#[tokio::test]
async fn a_log_is_read_from_where_it_is_asked_for() {
    let space = space();
    json(&space, &["publish", "orders", "x", "--log", "--count", "3"]).await;
    let read = async |more: &[&str]| {
        json(&space, &[&["subscribe", "orders", "--log", "--timeout", "100ms"], more].concat()).await
    };
    let all = async |from: &str, count: &str| {
        json(&space, &["subscribe", "orders", "--log", "--from", from, "--count", count]).await
    };
    assert_eq!(all("earliest", "3").await.len(), 3);
    assert_eq!(all("2026-01-01T00:00:00Z", "3").await.len(), 3);
    assert_eq!(read(&["--from", "latest"]).await.len(), 0);
    assert_eq!(read(&["--from", "live"]).await.len(), 0);
    assert_eq!(read(&[]).await.len(), 0);
    let first = all("earliest", "1").await;
    let cursor = first[0]["cursor"].as_str().unwrap();
    assert_eq!(field(&all(cursor, "2").await, "seq"), [2, 3]);
}

#[tokio::test]
async fn a_configuration_says_that_a_topic_is_a_log() {
    let space = space();
    let file = super::tools::file("log.toml", "url = \"memory:unused\"\n[topics.orders]\nkind = \"log\"\n");
    let configured = ["--config", file.as_str()];
    lines(&space, &[&["publish", "orders", "x"], &configured[..]].concat()).await;
    let args = ["subscribe", "orders", "--from", "earliest", "--count", "1"];
    let events = json(&space, &[&args, &configured[..]].concat()).await;
    assert!(events[0]["cursor"].is_string(), "{events:?}");
    let durable = ["subscribe", "orders", "--durable", "d", "--from", "earliest", "--count", "1"];
    assert_eq!(json(&space, &[&durable, &configured[..]].concat()).await.len(), 1);
}

#[tokio::test]
async fn a_live_topic_is_not_read_again_and_the_error_says_what_to_do() {
    let space = space();
    for args in [["--from", "earliest"], ["--from", "15m"], ["--durable", "d"]] {
        let ended = World::over(&space).run(&[&["subscribe", "t", "--json"], &args[..]].concat()).await;
        let error = error(&ended.assert_code(2));
        assert!(error["message"].as_str().unwrap().contains("this topic is live"), "{error}");
        assert!(error["message"].as_str().unwrap().contains(args[0]), "{error}");
        assert!(error["help"].as_str().unwrap().contains("--log"), "{error}");
    }
}

#[tokio::test]
async fn a_gap_is_shown_as_such() {
    let space = space();
    let begin = ["subscribe", "orders", "--log", "--from", "earliest", "--json", "--count", "1"];
    json(&space, &["publish", "orders", "a", "--log", "--count", "3"]).await;
    let first = World::over(&space).run(&begin).await.assert_code(0).json();
    let cursor = first[0]["cursor"].as_str().unwrap().to_owned();
    // The log is made anew: what the cursor was to go on with is gone.
    lines(&space, &["topics", "delete", "orders", "--yes"]).await;
    json(&space, &["publish", "orders", "b", "--log"]).await;
    let args = ["subscribe", "orders", "--log", "--from", &cursor, "--count", "1"];
    let again = json(&space, &args).await;
    assert!(field(&again, "type").contains(&&serde_json::json!("gap")), "{again:?}");
    let human = lines(&space, &args).await;
    assert!(human.iter().any(|line| line.contains("GAP: ")), "{human:?}");
}
