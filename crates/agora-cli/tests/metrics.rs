//! What a service in the same process records, as a scrape shows it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use agora::core::bus::Work;
use agora::memory::Space;
use agora::{Bus, Delivery, ErrorKind, RawBytes, Reason, Start};
use support::SOON;
use support::http::{becomes, get, grows, leave, node, sum};
use tokio::time::timeout;

async fn bus(url: &str, node: &str) -> Bus {
    let bus = Bus::builder().url(url).node(node).log("metrics.work").connect().await.unwrap();
    bus.ready(SOON).await.unwrap();
    bus
}

fn event(text: &str) -> RawBytes {
    RawBytes(text.as_bytes().to_vec())
}

#[tokio::test]
async fn the_work_of_a_group_is_measured_by_what_came_of_it() {
    let url = "memory:metrics-work";
    let (scraped, at) = node(&["--url", url, "--node", "scraped"]).await;
    let service = bus(url, "service").await;
    let publisher = service.publisher("metrics.work").unwrap();
    for text in ["a", "b", "c", "bad"] {
        publisher.publish(&event(text)).await.unwrap();
    }
    let mut group = service.group("metrics.work", "workers").attempts(2).await.unwrap();
    let labels = ["messaging_destination_name=\"metrics.work\"", "messaging_consumer_group_name=\"workers\""];
    // The backend is asked as soon as somebody is in the group, and nothing is done yet.
    becomes(&at, "agora_consumer_lag_messages", &labels, 4.0).await;
    // Of the bad one the first try is to be made again, and the second one is rejected.
    for _ in 0..5 {
        let work = timeout(SOON, group.try_next()).await.expect("an event").unwrap();
        let Some(Work::Job(job)) = work else { panic!("{work:?}") };
        match (job.record().body() == b"bad", job.attempt()) {
            (false, _) => job.ack(),
            (true, 1) => job.retry("not now"),
            (true, _) => job.reject("never"),
        }
    }
    becomes(&at, "agora_dead_letters_total", &labels, 1.0).await;
    let body = get(&at, "/metrics").await.body;
    assert_eq!(sum(&body, "messaging_client_consumed_messages_total", &labels), Some(5.0), "{body}");
    let processed = "messaging_process_duration_seconds_count";
    assert_eq!(sum(&body, processed, &labels), Some(5.0), "{body}");
    for (outcome, count) in [("error_type=\"retry\"", 1.0), ("error_type=\"reject\"", 1.0)] {
        assert_eq!(sum(&body, processed, &[labels[1], outcome]), Some(count), "{outcome}:\n{body}");
    }
    let letters = "messaging_destination_name=\"metrics.work.workers.dead\"";
    assert_eq!(sum(&body, "messaging_client_sent_messages_total", &[letters]), Some(1.0), "{body}");
    assert_eq!(sum(&body, "agora_redeliveries_total", &labels), Some(0.0), "{body}");
    let stats = service.stats();
    assert_eq!((stats.handled, stats.retried, stats.dead_lettered, stats.accepted), (3, 1, 1, 5));
    assert_eq!((stats.link_up, stats.members_alive), (1, 1));
    group.leave(SOON).await.unwrap();
    service.close(SOON).await.unwrap();
    leave(scraped).await;
}

/// What the engine cannot see: the transport records it.
#[tokio::test]
async fn the_answers_of_kafka_are_timed_its_lag_is_told_and_missing_replicas_are_counted() {
    let mut cluster = agora_testbed::KafkaCluster::start(3).await.unwrap();
    // The topic in which groups are kept is made for the first one, which takes longer than joining waits.
    cluster.coordinator_of("a.group").await.unwrap();
    let url = &cluster.url();
    let (scraped, at) = node(&["--url", url, "--node", "scraped"]).await;
    let service = Bus::builder().url(url).node("service").connect().await.unwrap();
    service.ready(SOON).await.unwrap();
    let publisher = service.publisher("metrics.kafka").unwrap();
    for text in ["a", "b", "c"] {
        publisher.publish(&event(text)).await.unwrap();
    }
    let group = service.group("metrics.kafka", "workers").await.unwrap();
    let labels =
        ["messaging_destination_name=\"metrics.kafka\"", "messaging_consumer_group_name=\"workers\""];
    becomes(&at, "agora_consumer_lag_messages", &labels, 3.0).await;
    let kafka = "messaging_system=\"kafka\"";
    becomes(&at, "agora_under_replicated_partitions", &[kafka], 0.0).await;
    for request in ["Metadata", "InitProducerId", "Produce", "Fetch", "JoinGroup", "SyncGroup", "OffsetFetch"]
    {
        let labels = [kafka, &format!("messaging_operation_name=\"{request}\"")];
        grows(&at, "agora_request_duration_seconds_count", &labels).await;
    }
    cluster.node(2).kill().unwrap();
    cluster.ready().await.unwrap();
    // Four of the topic and the control topic as the service sees them, and the control topic as the scraped node does.
    becomes(&at, "agora_under_replicated_partitions", &[kafka], 6.0).await;
    group.leave(SOON).await.unwrap();
    service.close(SOON).await.unwrap();
    // Who has left counts nothing any more.
    becomes(&at, "agora_under_replicated_partitions", &[kafka], 1.0).await;
    leave(scraped).await;
}

#[tokio::test]
async fn gaps_and_failures_are_counted_by_their_reason() {
    let url = "memory:metrics-gaps";
    let (scraped, at) = node(&["--url", url, "--node", "scraped"]).await;
    let faults = Space::named("metrics-gaps").unwrap().faults();
    let (reader, doomed) = (bus(url, "reader").await, bus(url, "doomed").await);
    let mut events = reader.subscribe("metrics.gaps").start(Start::Live).await.unwrap();
    doomed.publisher("metrics.gaps").unwrap().publish(&event("last words")).await.unwrap();
    let mut next = async || timeout(SOON, events.try_next()).await.expect("a delivery").unwrap().unwrap();
    assert!(matches!(next().await, Delivery::Event(_)));
    faults.crash("doomed");
    let gap = next().await;
    let Delivery::Gap(gap) = gap else { panic!("{gap:?}") };
    assert_eq!(gap.reason, Reason::SourceFailed);
    let topic = "messaging_destination_name=\"metrics.gaps\"";
    becomes(&at, "agora_gaps_total", &[topic, "reason=\"source_failed\""], 1.0).await;
    let stats = reader.stats();
    assert_eq!((stats.gaps, stats.gaps_of(Reason::SourceFailed), stats.gaps_of(Reason::Lost)), (1, 1, 0));
    assert_eq!(stats.delivered, 1);

    let large = RawBytes(vec![0; 32 << 20]);
    let error = reader.publisher("metrics.gaps").unwrap().publish(&large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let stats = reader.stats();
    assert_eq!((stats.publish_failed, stats.failures_of(ErrorKind::TooLarge)), (1, 1));
    becomes(&at, "agora_publish_failures_total", &[topic, "error_type=\"too_large\""], 1.0).await;
    drop(events);
    reader.close(Duration::from_secs(5)).await.unwrap();
    leave(scraped).await;
}
