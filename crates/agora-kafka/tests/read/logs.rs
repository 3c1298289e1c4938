//! Logs and live topics on a real broker.

use std::time::{Duration, UNIX_EPOCH};

use agora_core::ErrorKind;
use agora_core::transport::{FromLog, Inbound, Inbox, LogInbox, LogStart, Position};
use agora_kafka::read::{LiveInbox, LogReader};

use super::made::Batch;
use super::stage::{Client, broker, soon};

/// What a log tells up to the end, as text.
async fn to_end(reader: &mut LogReader) -> String {
    let mut words = Vec::new();
    loop {
        let mut into = Vec::new();
        soon("something", reader.recv(2, &mut into)).await.unwrap();
        for one in into {
            match one {
                FromLog::Record { raw, at, .. } => {
                    words.push(format!("{}:{}", at.0, String::from_utf8_lossy(&raw.payload)));
                }
                FromLog::Beginning => words.push("beginning".into()),
                FromLog::Trimmed => words.push("trimmed".into()),
                FromLog::Rewritten => words.push("rewritten".into()),
                FromLog::CaughtUp => return words.join(" "),
                FromLog::Interrupted => panic!("interrupted behind {words:?}"),
            }
        }
    }
}

async fn read(client: &Client, topic: &str, from: LogStart) -> String {
    let mut reader = LogReader::open(&client.hub, topic, 0, &from).await.unwrap();
    to_end(&mut reader).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_from_wherever_one_wants() {
    let (_broker, client) = broker("log", 2).await;
    for (number, ms) in [(0, 1000), (1, 2000), (2, 3000)] {
        let mut batch = Batch::of_values(0, &[&number.to_string()]);
        (batch.base_time, batch.max_time) = (1_700_000_000_000 + ms, 1_700_000_000_000 + ms);
        client.produce("log", 0, &batch).await;
    }
    let at = |ms: u64| LogStart::Time(UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + ms));
    for (from, due) in [
        (LogStart::Earliest, "beginning 0:0 1:1 2:2"),
        (LogStart::Last, "2:2"),
        (at(0), "0:0 1:1 2:2"),
        (at(2000), "1:1 2:2"),
        (at(2001), "2:2"),
        (at(3001), ""),
        (LogStart::Time(UNIX_EPOCH - Duration::from_secs(1)), "0:0 1:1 2:2"),
        (LogStart::At(Position(1)), "1:1 2:2"),
        (LogStart::At(Position(3)), ""),
        (LogStart::At(Position(4)), "rewritten"),
        (LogStart::At(Position(u128::MAX)), "rewritten"),
    ] {
        assert_eq!(read(&client, "log", from.clone()).await, due, "{from:?}");
    }
    client.trim("log", 0, 2).await;
    assert_eq!(read(&client, "log", LogStart::Earliest).await, "2:2");
    assert_eq!(read(&client, "log", LogStart::At(Position(0))).await, "trimmed 2:2");
    client.trim("log", 0, 3).await;
    assert_eq!(read(&client, "log", LogStart::Last).await, "");
    let mut reader = LogReader::open(&client.hub, "log", 0, &LogStart::Last).await.unwrap();
    assert_eq!(to_end(&mut reader).await, "");
    client.count("log", 0, [3]).await;
    assert_eq!(to_end(&mut reader).await, "3:3");

    let error = LogReader::open(&client.hub, "log", 2, &LogStart::Last).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_retention_overtakes_is_told() {
    let (_broker, client) = broker("overtaken", 1).await;
    // More than is read ahead.
    let large = "x".repeat(700_000);
    for _ in 0..6 {
        client.produce("overtaken", 0, &Batch::of_values(0, &[&large])).await;
    }
    let mut reader = LogReader::open(&client.hub, "overtaken", 0, &LogStart::Earliest).await.unwrap();
    let mut into = Vec::new();
    while into.len() < 2 {
        soon("the first record", reader.recv(1, &mut into)).await.unwrap();
    }
    client.trim("overtaken", 0, 5).await;
    let told = to_end(&mut reader).await.replace(&large, "x");
    assert!(told.ends_with("trimmed 5:x"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_deleted_is_interrupted_and_then_not_found() {
    let (_broker, client) = broker("gone", 1).await;
    client.count("gone", 0, 0..3).await;
    let mut reader = LogReader::open(&client.hub, "gone", 0, &LogStart::Earliest).await.unwrap();
    assert_eq!(to_end(&mut reader).await, "beginning 0:0 1:1 2:2");
    client.delete_topic("gone").await;
    for _ in 0..2 {
        let mut into = Vec::new();
        soon("the interruption", reader.recv(1, &mut into)).await.unwrap();
        assert!(matches!(&into[..], [FromLog::Interrupted]), "{into:?}");
    }
    let error = LogReader::open(&client.hub, "gone", 0, &LogStart::Earliest).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_topic_gives_what_comes_and_tells_what_it_lost() {
    let (broker, client) = broker("live", 1).await;
    client.count("live", 0, 0..3).await;
    let mut inbox = LiveInbox::open(&client.hub, "live").await.unwrap();
    client.count("live", 0, 3..5).await;
    for due in ["3", "4"] {
        let mut into = Vec::new();
        soon("a message", inbox.recv(1, &mut into)).await.unwrap();
        assert!(matches!(&into[..], [Inbound::Message(raw)] if raw.payload == due), "{into:?}");
    }
    client.delete_topic("live").await;
    broker.create_topic("live", 1).await.unwrap();
    let mut into = Vec::new();
    soon("the loss", inbox.recv(1, &mut into)).await.unwrap();
    assert!(matches!(&into[..], [Inbound::Resubscribed]), "{into:?}");
    client.count("live", 0, [8]).await;
    into.clear();
    soon("a message", inbox.recv(1, &mut into)).await.unwrap();
    assert!(matches!(&into[..], [Inbound::Message(raw)] if raw.payload == "8"), "{into:?}");
}
