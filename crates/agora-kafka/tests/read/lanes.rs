//! Lanes on a real broker.

use std::sync::Arc;
use std::time::Duration;

use agora_core::ErrorKind;
use agora_kafka::read::{FromLane, READ_AHEAD_BYTES};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::made::{Batch, CODECS, value_of};
use super::stage::{broker, next, soon, until};

fn bell() -> Arc<Notify> {
    Arc::new(Notify::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_codec_are_read_in_order_then_the_end_then_what_comes() {
    let (_broker, client) = broker("codecs", 1).await;
    for codec in CODECS {
        client.produce("codecs", 0, &Batch::of_values(0, &["a", "b"]).codec(codec)).await;
    }
    let mut lane = client.hub.lane("codecs", 0, 3, &bell());
    for due in ["3:b", "4:a", "5:b", "6:a", "7:b", "8:a", "9:b", "end"] {
        assert_eq!(next(&mut lane).await, due);
    }
    assert_eq!(lane.position(), 10);
    client.count("codecs", 0, [77]).await;
    assert_eq!(next(&mut lane).await, "10:77");
    assert_eq!(next(&mut lane).await, "end");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lanes_of_many_readers_each_get_everything_over_one_bell() {
    let (_broker, client) = broker("many", 8).await;
    let bell = bell();
    for partition in 0..8 {
        client.count("many", partition, [0]).await;
    }
    // Two of each, one of them from further on.
    let mut lanes: Vec<_> =
        (0..16).map(|number| client.hub.lane("many", number % 8, (number / 8).into(), &bell)).collect();
    for number in 0..80 {
        client.count("many", number % 8, [1]).await;
    }
    let mut heard = vec![Vec::new(); 16];
    let due = 8 * (11 + 10);
    while heard.iter().map(Vec::len).sum::<usize>() < due {
        let mut is_quiet = true;
        for (lane, heard) in lanes.iter_mut().zip(&mut heard) {
            let mut into = Vec::new();
            is_quiet &= !lane.take(3, &mut into).unwrap();
            heard.extend(into.into_iter().filter_map(|one| match one {
                FromLane::Record(record) => Some(record.offset),
                FromLane::CaughtUp => None,
                other => panic!("{other:?}"),
            }));
        }
        if is_quiet {
            soon("a bell", bell.notified()).await;
        }
    }
    for (number, heard) in (0..).zip(&heard) {
        let from = number / 8;
        assert!(heard.iter().copied().eq(from..from + heard.len() as i64), "{number}: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_whose_reader_waits_reads_ahead_so_far_and_stops_no_other() {
    let (_broker, client) = broker("slow", 2).await;
    let mut fast = client.hub.lane("slow", 1, 0, &bell());
    assert_eq!(next(&mut fast).await, "end");
    let value = "x".repeat(100_000);
    for _ in 0..40 {
        client.produce("slow", 0, &Batch::of(0, vec![value_of(&value)])).await;
    }
    let mut slow = client.hub.lane("slow", 0, 0, &bell());
    for number in 0..50 {
        client.count("slow", 1, [number]).await;
        assert_eq!(
            until(&mut fast, &format!("{number}:{number}")).await.last().unwrap(),
            &format!("{number}:{number}")
        );
    }
    // What it has not read ahead it never will.
    client.trim("slow", 0, 40).await;
    let (mut bytes, mut is_told) = (0, false);
    while !is_told {
        let mut into = Vec::new();
        soon("a record or the loss", slow.recv(1, &mut into)).await.unwrap();
        for one in &into {
            match one {
                FromLane::Record(record) => bytes += record.raw.payload.len(),
                FromLane::Trimmed { until, .. } => is_told = *until == 40,
                _ => {}
            }
        }
    }
    assert!(bytes > 0 && bytes <= READ_AHEAD_BYTES + value.len(), "{bytes} bytes were read ahead");
    client.count("slow", 0, [7]).await;
    assert_eq!(until(&mut slow, "40:7").await.last().unwrap(), "40:7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_larger_than_what_is_read_ahead_comes_all_the_same() {
    let broker = agora_testbed::KafkaBroker::with(&[("message.max.bytes", "20000000")]).await.unwrap();
    broker.create_topic("large", 2).await.unwrap();
    let client = super::stage::Client::of(&broker.address()).await;
    let value = "x".repeat(5 << 20);
    for partition in 0..2 {
        for _ in 0..3 {
            client.produce("large", partition, &Batch::of(0, vec![value_of(&value)])).await;
        }
    }
    let mut lanes = [client.hub.lane("large", 0, 0, &bell()), client.hub.lane("large", 1, 0, &bell())];
    for lane in &mut lanes {
        let mut into = Vec::new();
        while !matches!(into.last(), Some(FromLane::CaughtUp)) {
            soon("large records", lane.recv(1, &mut into)).await.unwrap();
        }
        let sizes: Vec<_> = into
            .iter()
            .filter_map(|one| match one {
                FromLane::Record(record) => Some((record.offset, record.raw.payload.len())),
                _ => None,
            })
            .collect();
        assert_eq!(sizes, [(0, value.len()), (1, value.len()), (2, value.len())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_has_taken_is_told_with_its_place() {
    let (_broker, client) = broker("trimmed", 1).await;
    client.count("trimmed", 0, 0..10).await;
    client.trim("trimmed", 0, 6).await;
    let mut lane = client.hub.lane("trimmed", 0, 2, &bell());
    for due in ["2..6 trimmed", "6:6", "7:7", "8:8", "9:9", "end"] {
        assert_eq!(next(&mut lane).await, due);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_recv_loses_nothing() {
    let (_broker, client) = broker("cancel", 1).await;
    let mut lane = client.hub.lane("cancel", 0, 0, &bell());
    let mut into = Vec::new();
    for number in 0..100 {
        let _ = timeout(Duration::ZERO, lane.recv(1, &mut into)).await;
        client.count("cancel", 0, [number]).await;
        let _ = timeout(Duration::ZERO, lane.recv(1, &mut into)).await;
    }
    let records = |into: &[FromLane]| -> Vec<i64> {
        into.iter()
            .filter_map(|one| match one {
                FromLane::Record(record) => Some(record.offset),
                _ => None,
            })
            .collect()
    };
    while records(&into).len() < 100 {
        soon("what is left", lane.recv(10, &mut into)).await.unwrap();
    }
    assert!(records(&into).into_iter().eq(0..100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_deleted_and_made_anew_with_less_in_it_is_told_apart() {
    let (broker, client) = broker("anew", 1).await;
    client.count("anew", 0, 0..10).await;
    let mut lane = client.hub.lane("anew", 0, 0, &bell());
    until(&mut lane, "end").await;
    client.delete_topic("anew").await;
    assert_eq!(next(&mut lane).await, "moved");
    broker.create_topic("anew", 1).await.unwrap();
    client.count("anew", 0, 0..3).await;
    let heard = until(&mut lane, "rewound").await;
    assert!(heard.iter().all(|word| word == "moved" || word == "rewound"), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_with_more_in_it_is_never_read_in_place_of_the_old_one() {
    let (broker, client) = broker("anew", 1).await;
    let value = "x".repeat(400_000);
    for _ in 0..8 {
        client.produce("anew", 0, &Batch::of(0, vec![value_of(&value)])).await;
    }
    let mut lane = client.hub.lane("anew", 0, 0, &bell());
    let mut into = Vec::new();
    soon("the first", lane.recv(1, &mut into)).await.unwrap();
    // It has read ahead as far as it may, and asks for nothing.
    client.delete_topic("anew").await;
    broker.create_topic("anew", 1).await.unwrap();
    client.count("anew", 0, 0..20).await;
    while !matches!(into.last(), Some(FromLane::Rewound)) {
        soon("the end of the old one", lane.recv(1, &mut into)).await.unwrap();
    }
    for one in &into {
        assert!(
            !matches!(one, FromLane::Record(record) if record.raw.payload.len() < value.len()),
            "{one:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_brokers_ends_every_lane() {
    let (_broker, client) = broker("ended", 1).await;
    let mut lane = client.hub.lane("ended", 0, 0, &bell());
    assert_eq!(next(&mut lane).await, "end");
    let brokers = Arc::clone(&client.brokers);
    let waiting = tokio::spawn(async move { lane.recv(1, &mut Vec::new()).await });
    brokers.end();
    let error = soon("the end", waiting).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}
