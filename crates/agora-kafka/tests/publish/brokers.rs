//! What a publish promises, on one broker.

use std::time::Duration;

use agora_core::transport::{Outcome, Transport};
use agora_core::{Error, ErrorKind};
use agora_testbed::{KafkaBroker, KafkaSetup};
use bytes::Bytes;
use tokio::time::Instant;

use crate::support::{PATIENCE, connect, each, numbered, numbers, publish, read_all, soon, to};

#[tokio::test]
async fn calls_keep_their_order_whichever_future_is_polled_first() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&each("ordered", 2)).await.unwrap();
    let by = Instant::now() + PATIENCE;
    let mut calls = Vec::new();
    for number in 0..400 {
        let lane = u32::from(number % 2 == 1);
        calls.push(transport.publish(&to("ordered", lane), vec![numbered(number)], by));
    }
    while let Some(last) = calls.pop() {
        soon("a publish", last).await.unwrap();
    }
    let even: Vec<u64> = (0..400).step_by(2).collect();
    assert_eq!(numbers(&broker.url(), "ordered", 0).await, even);
    assert_eq!(numbers(&broker.url(), "ordered", 1).await, (1..400).step_by(2).collect::<Vec<_>>());
}

#[tokio::test]
async fn keys_and_headers_are_the_records_own() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&each("dressed", 1)).await.unwrap();
    let mut frame = numbered(7);
    frame.key = Some(Bytes::from_static(b"player/1"));
    frame.headers =
        vec![("agora-kind", Bytes::from_static(b"a.kind")), ("agora-seq", Bytes::from_static(b"7"))];
    publish(&transport, &to("dressed", 0), vec![frame, numbered(8)]).await.unwrap();
    let records = read_all(&broker.url(), "dressed", 0).await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].key.as_deref(), Some(b"player/1".as_slice()));
    let headers: Vec<_> =
        records[0].headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(
        headers,
        [("agora-kind", Some(Bytes::from_static(b"a.kind"))), ("agora-seq", Some(Bytes::from_static(b"7")))]
    );
    assert_eq!((records[1].key.clone(), records[1].headers.len()), (None, 0));
    assert!(records[0].producer_id >= 0 && records[0].sequence == 0);
}

#[tokio::test]
async fn a_past_deadline_sends_nothing() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&each("late", 1)).await.unwrap();
    let past = Instant::now() - Duration::from_secs(1);
    let failed = transport.publish(&to("late", 0), vec![numbered(1)], past).await.unwrap_err();
    assert_eq!(
        (failed.accepted, failed.outcome, failed.error.kind()),
        (0, Outcome::NotStored, ErrorKind::Timeout)
    );
    publish(&transport, &to("late", 0), vec![numbered(2)]).await.unwrap();
    assert_eq!(numbers(&broker.url(), "late", 0).await, [2]);
}

#[tokio::test]
async fn a_lane_that_the_topic_has_not_is_refused() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    let lanes = transport.open(&each("narrow", 3)).await.unwrap().lanes();
    assert_eq!(lanes, 3);
    let failed = publish(&transport, &to("narrow", lanes), vec![numbered(1)]).await.unwrap_err();
    assert_eq!(
        (failed.accepted, failed.outcome, failed.error.kind()),
        (0, Outcome::NotStored, ErrorKind::Config)
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_sent_also_where_the_topic_takes_less() {
    let broker = KafkaSetup::new().with(&[("message.max.bytes", "300000")]).start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&each("small", 1)).await.unwrap();
    let max = transport.capabilities().message_bytes_max;
    assert_eq!(max, 300_000 - (8 << 10));
    let large = agora_core::transport::OutFrame::new(vec![b'1'; max + 1]);
    let failed = publish(&transport, &to("small", 0), vec![numbered(1), large]).await.unwrap_err();
    assert_eq!(
        (failed.accepted, failed.outcome, failed.error.kind()),
        (0, Outcome::NotStored, ErrorKind::TooLarge)
    );
    let largest = agora_core::transport::OutFrame::new(vec![b'1'; max]);
    publish(&transport, &to("small", 0), vec![largest]).await.unwrap();
    let records = read_all(&broker.url(), "small", 0).await;
    assert_eq!(records.iter().map(|r| r.value.as_ref().unwrap().len()).collect::<Vec<_>>(), [max]);
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_named_and_nothing_is_stored() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    let failed = publish(&transport, &to("nowhere", 0), vec![numbered(1)]).await.unwrap_err();
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::NotStored));
    let error: Error = failed.error;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
async fn what_was_handed_over_is_decided_before_the_end() {
    let broker = KafkaBroker::start().await.unwrap();
    let transport = connect(&broker.url()).await;
    transport.open(&each("closing", 1)).await.unwrap();
    let by = Instant::now() + PATIENCE;
    let calls: Vec<_> =
        (0..50).map(|number| transport.publish(&to("closing", 0), vec![numbered(number)], by)).collect();
    transport.close(by).await.unwrap();
    for call in calls {
        soon("a publish", call).await.unwrap();
    }
    let refused = publish(&transport, &to("closing", 0), vec![numbered(99)]).await.unwrap_err();
    assert_eq!((refused.outcome, refused.error.kind()), (Outcome::NotStored, ErrorKind::Closed));
    assert_eq!(numbers(&broker.url(), "closing", 0).await, (0..50).collect::<Vec<_>>());
}
