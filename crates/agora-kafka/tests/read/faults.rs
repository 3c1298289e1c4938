//! Lanes and logs while brokers go and leaders move.

use std::sync::Arc;

use agora_core::transport::{FromLog, LogInbox, LogStart, Position};
use agora_kafka::read::LogReader;
use tokio::sync::Notify;

use super::stage::{Client, cluster, soon, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_follows_its_leader_and_loses_and_repeats_nothing() {
    let (mut cluster, client) = cluster("led", 1).await;
    let mut lane = client.hub.lane("led", 0, 0, &Arc::new(Notify::new()));
    client.count("led", 0, 0..5).await;
    until(&mut lane, "4:4").await;

    cluster.move_leader("led", 0).await.unwrap();
    client.count("led", 0, 5..10).await;
    let moved = until(&mut lane, "9:9").await;
    assert!(moved.iter().any(|word| word == "moved"), "{moved:?}");

    let leader = cluster.leader_of("led", 0).await.unwrap();
    cluster.node(leader).kill().unwrap();
    cluster.leader_after("led", 0, leader).await.unwrap();
    client.count("led", 0, 10..15).await;
    let killed = until(&mut lane, "14:14").await;
    assert!(killed.iter().any(|word| word == "moved"), "{killed:?}");
    let records = [moved, killed].concat();
    let records: Vec<_> = records.iter().filter(|word| word.contains(':')).collect();
    let due: Vec<_> = (5..15).map(|number| format!("{number}:{number}")).collect();
    assert_eq!(records, due.iter().collect::<Vec<_>>());
}

/// Reads a log as the engine does: where it is interrupted, it is opened anew behind what was read last.
async fn follow(client: &Client, topic: &str, records: usize) -> (Vec<u64>, usize) {
    let (mut heard, mut interruptions, mut from) = (Vec::new(), 0, LogStart::Earliest);
    while heard.len() < records {
        let opened = soon("the log", LogReader::open(&client.hub, topic, 0, &from)).await;
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(error) if error.is_retryable() => continue,
            Err(error) => panic!("{error}"),
        };
        'read: while heard.len() < records {
            let mut into = Vec::new();
            soon("records", reader.recv(3, &mut into)).await.unwrap();
            for one in into {
                match one {
                    FromLog::Record { raw, at, .. } => {
                        heard.push(std::str::from_utf8(&raw.payload).unwrap().parse().unwrap());
                        from = LogStart::At(Position(at.0 + 1));
                    }
                    FromLog::Interrupted => {
                        interruptions += 1;
                        break 'read;
                    }
                    FromLog::Beginning | FromLog::CaughtUp => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    (heard, interruptions)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_interrupted_when_its_leader_dies_and_goes_on_where_it_stood() {
    let (mut cluster, client) = cluster("log", 1).await;
    let client = Arc::new(client);
    let reading = tokio::spawn({
        let client = Arc::clone(&client);
        async move { follow(&client, "log", 40).await }
    });
    client.count("log", 0, 0..20).await;
    let leader = cluster.leader_of("log", 0).await.unwrap();
    cluster.node(leader).kill().unwrap();
    client.count("log", 0, 20..40).await;
    let (heard, interruptions) = soon("all of it", reading).await.unwrap();
    assert!(heard.iter().copied().eq(0..40), "{heard:?}");
    assert!(interruptions > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_stopped_does_not_hold_its_lanes_up_once_another_leads() {
    let (mut cluster, client) = cluster("stopped", 1).await;
    let mut lane = client.hub.lane("stopped", 0, 0, &Arc::new(Notify::new()));
    until(&mut lane, "end").await;
    let leader = cluster.leader_of("stopped", 0).await.unwrap();
    cluster.node(leader).pause().unwrap();
    cluster.leader_after("stopped", 0, leader).await.unwrap();
    client.count("stopped", 0, [1]).await;
    let heard = until(&mut lane, "0:1").await;
    assert_eq!(heard.first().map(String::as_str), Some("moved"), "{heard:?}");
    cluster.node(leader).resume().unwrap();
}
