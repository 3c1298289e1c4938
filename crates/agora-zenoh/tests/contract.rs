//! What the contract says of one transport alone, in this process.

#![allow(clippy::unwrap_used)] // A test.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::id::{ClusterName, TopicName};
use agora_core::limits::FRAME_BYTES_MAX;
use agora_core::transport::{Address, Inbound, OutFrame, Outcome, Support, TopicSpec, Transport};
use agora_zenoh::{ZenohConfig, ZenohTransport};
use bytes::Bytes;
use tokio::time::Instant;

const WAIT: Duration = Duration::from_secs(10);

fn cluster() -> ClusterName {
    ClusterName::new("alone").unwrap()
}

async fn alone() -> ZenohTransport {
    let config = ZenohConfig::from_url("zenoh:?multicast=off&listen=127.0.0.1:0").unwrap();
    ZenohTransport::connect(&config, &cluster(), WAIT).await.unwrap()
}

fn mail() -> Address {
    Address { topic: TopicName::new("mail").unwrap(), lane: 0 }
}

fn frame(len: usize) -> OutFrame {
    OutFrame::new(Bytes::from(vec![7; len]))
}

#[test]
fn a_runtime_of_one_thread_is_refused_with_what_to_use() {
    let config = ZenohConfig::from_url("zenoh:?multicast=off").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(ZenohTransport::connect(&config, &cluster(), WAIT)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(error.help_text().unwrap().contains("multi_thread"), "{error:#}");
}

#[test]
fn no_runtime_is_refused_too() {
    let config = ZenohConfig::from_url("zenoh:?multicast=off").unwrap();
    let cluster = cluster();
    let mut connecting = Box::pin(ZenohTransport::connect(&config, &cluster, WAIT));
    let waker = std::task::Waker::noop();
    match connecting.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
        std::task::Poll::Ready(Err(error)) => assert_eq!(error.kind(), ErrorKind::Runtime),
        _ => panic!("it went on without a runtime"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_installed_a_log() {
    let transport = alone().await;
    assert!(!tracing::dispatcher::has_been_set(), "a library must leave the log to the application");
    transport.close(Instant::now() + WAIT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_can_do_is_said_and_what_not_is_unsupported() {
    let transport = alone().await;
    let can = transport.capabilities();
    assert_eq!(can.backend, "zenoh");
    assert_eq!(can.live, Support::Yes);
    assert!(can.failure_hints && !can.echo_via_server);
    for absent in [can.log, can.group, can.cursors] {
        assert!(matches!(absent, Support::No { instead } if instead.contains("NATS")), "{absent:?}");
    }
    let live = TopicSpec::live(mail().topic);
    assert_eq!(transport.open(&live).await.unwrap().lanes(), 1);
    let log = TopicSpec::log(live.name);
    let error = transport.open(&log).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.help_text().unwrap().contains("Kafka"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_frame_arrives_and_a_larger_one_is_refused_whole() {
    let transport = alone().await;
    let mut inbox = transport.subscribe(&mail().topic).await.unwrap();
    let by = || Instant::now() + WAIT;
    let failed =
        transport.publish(&mail(), vec![frame(1), frame(FRAME_BYTES_MAX + 1)], by()).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::TooLarge);
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::NotStored));
    transport.publish(&mail(), vec![frame(FRAME_BYTES_MAX), frame(0)], by()).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        tokio::time::timeout(WAIT, inbox.recv(10, &mut got)).await.unwrap().unwrap();
    }
    let lens = got.iter().map(|inbound| match inbound {
        Inbound::Message(raw) => raw.payload.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(lens.collect::<Vec<_>>(), [FRAME_BYTES_MAX, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_has_passed_and_a_lane_that_is_not_send_nothing() {
    let transport = alone().await;
    let failed = transport.publish(&mail(), vec![frame(1)], Instant::now() - WAIT).await.unwrap_err();
    // Whichever came first, the caller's clock or the sending thread, it is certain that nothing was sent.
    assert_eq!(failed.error.kind(), ErrorKind::Timeout, "{failed:?}");
    assert_eq!((failed.accepted, failed.outcome), (0, Outcome::NotStored));
    let nowhere = Address { lane: 1, ..mail() };
    let failed = transport.publish(&nowhere, vec![frame(1)], Instant::now() + WAIT).await.unwrap_err();
    assert_eq!((failed.error.kind(), failed.outcome), (ErrorKind::Config, Outcome::NotStored));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_sent_in_their_order_even_when_they_are_awaited_in_another() {
    let transport = alone().await;
    let mut inbox = transport.subscribe(&mail().topic).await.unwrap();
    let by = Instant::now() + WAIT;
    let mut calls: Vec<_> = (1..=100).map(|len| transport.publish(&mail(), vec![frame(len)], by)).collect();
    while let Some(last) = calls.pop() {
        last.await.unwrap();
    }
    let mut got = Vec::new();
    while got.len() < 100 {
        tokio::time::timeout(WAIT, inbox.recv(7, &mut got)).await.unwrap().unwrap();
    }
    for (i, inbound) in got.iter().enumerate() {
        assert!(matches!(inbound, Inbound::Message(raw) if raw.payload.len() == i + 1), "{i}: {inbound:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_subscription_ends_and_others_go_on() {
    let transport = alone().await;
    let mut kept = transport.subscribe(&mail().topic).await.unwrap();
    drop(transport.subscribe(&mail().topic).await.unwrap());
    transport.publish(&mail(), vec![frame(3)], Instant::now() + WAIT).await.unwrap();
    let mut got = Vec::new();
    tokio::time::timeout(WAIT, kept.recv(10, &mut got)).await.unwrap().unwrap();
    assert_eq!(got.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_close_everything_says_so() {
    let transport = alone().await;
    let mut inbox = transport.subscribe(&mail().topic).await.unwrap();
    transport.close(Instant::now() + WAIT).await.unwrap();
    transport.close(Instant::now() + WAIT).await.expect("a second close has nothing to do");
    let live = TopicSpec::live(mail().topic);
    let closed = [
        transport.open(&live).await.unwrap_err(),
        transport.subscribe(&mail().topic).await.err().unwrap(),
        transport.publish(&mail(), vec![frame(1)], Instant::now() + WAIT).await.unwrap_err().error,
        tokio::time::timeout(WAIT, inbox.recv(1, &mut Vec::new())).await.unwrap().unwrap_err(),
    ];
    for error in closed {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
    }
    assert!(!transport.link().borrow().is_usable());
}
