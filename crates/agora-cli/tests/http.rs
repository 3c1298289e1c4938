//! The signs of life of a node, asked for by HTTP, in one process over memory.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use agora::memory::Space;
use serde_json::Value;
use support::http::{ask, becomes, get, leave, node, sum};
use support::{SOON, run};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// The recorder is one for the process: tests that read levels must not meet.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

#[tokio::test]
async fn a_scrape_tells_what_was_published_and_consumed() {
    let _alone = alone().await;
    let url = "memory:http-scrape";
    let (mut a, at_a) = node(&["--url", url, "--node", "http-a", "--topic", "http.scrape"]).await;
    let (mut b, _) = node(&["--url", url, "--node", "http-b", "--topic", "http.scrape"]).await;
    a.error_with("established").await;
    b.error_with("established").await;
    let sent = ["publish", "http.scrape", "x", "--key", "k-secret", "--count", "7", "--url", url];
    run(&[&sent[..], &["--node", "publisher-1"]].concat()).await.assert_code(0);
    for node in [&mut a, &mut b] {
        node.line_with("\"seq\":7").await;
    }
    // Two nodes are in this process, and its one recorder adds them up.
    becomes(&at_a, "agora_members", &["state=\"alive\""], 2.0).await;
    becomes(&at_a, "agora_backlog_bytes", &[], 0.0).await;
    let scrape = get(&at_a, "/metrics").await;
    assert_eq!(scrape.status, 200);
    assert!(scrape.head.contains("content-type: text/plain; version=0.0.4"), "{}", scrape.head);
    let body = &scrape.body;
    let topic = ["messaging_destination_name=\"http.scrape\"", "messaging_system=\"memory\""];
    let of_topic = |name: &str| sum(body, name, &topic);
    assert_eq!(of_topic("messaging_client_sent_messages_total"), Some(7.0), "{body}");
    assert_eq!(of_topic("messaging_client_consumed_messages_total"), Some(14.0), "{body}");
    let publishing = [topic[0], "messaging_operation_name=\"publish\""];
    assert_eq!(sum(body, "messaging_client_sent_messages_total", &publishing), Some(7.0));
    let frames = sum(body, "messaging_client_operation_duration_seconds_count", &publishing).unwrap();
    assert!((1.0..=7.0).contains(&frames), "{frames} frames");
    let slowest = [topic[0], "le=\"+Inf\""];
    assert_eq!(sum(body, "messaging_client_operation_duration_seconds_bucket", &slowest), Some(frames));
    for (name, zero) in [
        ("agora_gaps_total", "reason=\"source_failed\""),
        ("agora_publish_failures_total", "error_type=\"timeout\""),
        ("agora_rejected_frames_total", "reason=\"corrupt\""),
        ("agora_repair_requests_total", ""),
        ("agora_repair_frames_total", ""),
        ("agora_duplicate_frames_total", ""),
        ("agora_overflowed_frames_total", ""),
    ] {
        // A series that begins with its first event would hide that event from every rate.
        assert_eq!(sum(body, name, &[topic[0], zero]), Some(0.0), "{name}:\n{body}");
    }
    assert_eq!(sum(body, "agora_link_up", &[]), Some(2.0));
    for name in ["agora_queue_bytes", "agora_held_bytes"] {
        assert_eq!(sum(body, name, &[]), Some(0.0), "{name}");
    }
    assert!(sum(body, "agora_queue_max_bytes", &[]) > Some(0.0));
    let help = "# HELP messaging_client_sent_messages_total Events handed to the backend";
    assert!(body.contains(help), "{body}");
    assert_eq!(body.matches("# HELP ").count(), body.matches("# TYPE ").count(), "all are described");
    for forbidden in ["key=", "id=", "source=", "incarnation=", "k-secret", "publisher-1", "http-a"] {
        assert!(!body.contains(forbidden), "{forbidden}:\n{body}");
    }
    leave(b).await;
    becomes(&at_a, "agora_link_up", &[], 1.0).await;
    becomes(&at_a, "agora_members", &["state=\"left\""], 1.0).await;
    leave(a).await;
    assert!(TcpStream::connect(at_a).await.is_err(), "the server ends with its node");
}

#[tokio::test]
async fn a_node_whose_link_is_cut_lives_and_is_not_ready() {
    let _alone = alone().await;
    let url = "memory:http-cut";
    let faults = Space::named("http-cut").unwrap().faults();
    let (mut node, at) = node(&["--url", url, "--node", "cut-off", "--topic", "http.cut"]).await;
    node.error_with("established").await;
    let ready = get(&at, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    faults.isolate("cut-off");
    let ready = get(&at, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.starts_with("the link is down: "), "{}", ready.body);
    let json =
        ask(&at, "GET /readyz HTTP/1.1\r\nHost: x\r\nAccept: text/html, application/json\r\n\r\n").await;
    assert!(json.head.contains("content-type: application/json"), "{}", json.head);
    let said: Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!((json.status, &said["ready"]), (503, &Value::Bool(false)));
    assert_eq!(said["reason"], ready.body.trim_end());
    assert_eq!(get(&at, "/livez").await.status, 200);
    becomes(&at, "agora_link_up", &[], 0.0).await;
    faults.rejoin("cut-off");
    assert_eq!(get(&at, "/readyz").await.status, 200);
    becomes(&at, "agora_link_up", &[], 1.0).await;
    leave(node).await;
}

#[tokio::test]
async fn a_node_that_has_not_joined_yet_lives_and_is_not_ready() {
    let _alone = alone().await;
    let faults = Space::named("http-early").unwrap().faults();
    faults.isolate("early");
    let args = ["--url", "memory:http-early", "--node", "early", "--connect-timeout", "10ms"];
    let (mut node, at) = node(&args).await;
    assert_eq!(get(&at, "/livez").await.status, 200);
    node.error_with("trying on").await;
    assert_eq!(get(&at, "/readyz").await.status, 503);
    faults.rejoin("early");
    let joined = timeout(SOON, async { while get(&at, "/readyz").await.status != 200 {} });
    assert!(joined.await.is_ok(), "{}", get(&at, "/readyz").await.body);
    leave(node).await;
}

#[tokio::test]
async fn only_three_pages_are_read_and_nothing_is_written() {
    let _alone = alone().await;
    let (node, at) = node(&["--url", "memory:http-pages", "--node", "pages"]).await;
    for (request, status) in [
        ("GET /livez?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET /livez/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 405),
        ("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("no HTTP at all\r\n\r\n", 400),
    ] {
        let answer = ask(&at, request).await;
        assert_eq!(answer.status, status, "{request:?}: {}", answer.head);
        assert!(!request.starts_with("HEAD") || answer.body.is_empty(), "{request:?}");
        assert_eq!(answer.head.contains("allow: get, head"), status == 405, "{}", answer.head);
    }
    let long = format!("GET /livez HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(15 << 10));
    assert_eq!(ask(&at, &long).await.status, 200, "a head that is large, and not too large");
    leave(node).await;
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let url = ["--url", "memory:http-taken"];
    let ended = run(&["node", "--http", &taken, url[0], url[1]]).await.assert_code(2);
    assert!(ended.stderr[0].contains("cannot listen for HTTP"), "{ended:?}");
    assert!(ended.stderr[0].contains(&taken), "{ended:?}");
    assert!(ended.stderr[1].contains("port 0 takes a free one"), "{ended:?}");
    for wrong in ["9464", "localhost", "localhost:9464", "127.0.0.1", "127.0.0.1:70000"] {
        let ended = run(&["node", "--http", wrong, url[0], url[1]]).await.assert_code(2);
        assert!(ended.stderr[0].contains("127.0.0.1:9464"), "{ended:?}");
    }
}
