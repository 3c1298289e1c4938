//! The examples run, and do what they say.
#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code)]
#[path = "../examples/custom_event.rs"]
mod custom_event;
#[cfg(feature = "zenoh")]
#[allow(dead_code)]
#[path = "../examples/direct_backend.rs"]
mod direct_backend;
#[allow(dead_code)]
#[path = "../examples/event_sourced.rs"]
mod event_sourced;
#[allow(dead_code)]
#[path = "../examples/mail_cluster.rs"]
mod mail_cluster;
#[allow(dead_code)]
#[path = "../examples/testing_your_service.rs"]
mod testing_your_service;

#[tokio::test]
async fn mail_cluster_tells_those_whom_it_concerns() {
    let said = mail_cluster::run("memory:examples-mail").await.unwrap();
    assert_eq!(
        said,
        [
            "imap-1: tells the IDLE session of account 7: Added",
            "web-1: no session of account 7",
            "imap-1: refuses 203.0.113.9 from now on (200 wrong passwords)",
        ]
    );
}

#[tokio::test]
async fn custom_event_arrives_in_order() {
    let said = custom_event::run().await.unwrap();
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("shop.price.changed: Price("), "{said:?}");
    assert!(said[1].starts_with("shop.order.placed: Placed("), "{said:?}");
}

#[tokio::test]
async fn event_sourced_builds_the_same_table_anew() {
    assert_eq!(
        event_sourced::run().await.unwrap(),
        [
            "15 orders are open",
            "a table built anew from 65 events is the same",
            "in the dead letters of debt-projector: an order without a price",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn testing_your_service_finds_the_service_right() {
    assert_eq!(testing_your_service::run().await.unwrap().len(), 2);
}

#[cfg(feature = "zenoh")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn direct_backend_joins_and_leaves() {
    assert_eq!(direct_backend::run().await.unwrap(), "direct-1 over zenoh");
}
