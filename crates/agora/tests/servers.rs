//! The same service over each backend that has servers, by its URL alone: live, log, durable, group, dead letter.
//! `AGORA_KAFKA_URL`, `AGORA_NATS_URL` and `AGORA_REDIS_URL` name servers to do it on; without them each test starts its
//! own.
#![cfg(any(feature = "kafka", feature = "nats", feature = "redis"))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora::builtin::AddressBlocked;
use agora::core::event::Key;
use agora::{Attempt, Bus, DeadLetter, Delivery, Event, Failed, Framing, Start, TopicSettings};

const WAIT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, agora::serde::Serialize, agora::serde::Deserialize)]
#[serde(crate = "agora::serde")]
struct OrderPlaced {
    order: u64,
    is_poison: bool,
}

impl Event for OrderPlaced {
    const KIND: &'static str = "shop.order.placed";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.order.into())
    }
}

async fn join(url: &str, cluster: &str, node: &str) -> Bus {
    let mut orders = TopicSettings::LOG.framing(Framing::Each);
    // Orders of several keys are compared in their order, which only one lane keeps.
    orders.lanes = Some(1);
    let bus = Bus::builder().url(url).cluster(cluster).node(node).topic("shop.orders", orders);
    let bus = bus.connect().await.unwrap();
    bus.ready(WAIT).await.unwrap();
    bus
}

async fn next<E: agora::core::event::Events>(events: &mut agora::Subscription<E>) -> E {
    match tokio::time::timeout(WAIT, events.try_next()).await.unwrap().unwrap().unwrap() {
        Delivery::Event(event) => event.event,
        other => panic!("not an event: {:?}", std::mem::discriminant(&other)),
    }
}

/// All that a service does, on two nodes.
async fn serve(url: &str) {
    // A server that was named by somebody may remember an earlier run.
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let cluster = format!("shop-{since}");
    let (a, b) = (join(url, &cluster, "a").await, join(url, &cluster, "b").await);

    let mut live = b.subscribe("shop.live").typed::<AddressBlocked>().start(Start::Live).await.unwrap();
    let blocked = AddressBlocked {
        address: "192.0.2.7".parse().unwrap(),
        prefix_bits: None,
        reason: "guessing".into(),
        expires_ms: Some(1),
    };
    a.publisher("shop.live").unwrap().publish(&blocked).await.unwrap();
    assert_eq!(next(&mut live).await, blocked);

    let publisher = a.publisher("shop.orders").unwrap();
    let orders: Vec<_> = (1..=6).map(|order| OrderPlaced { order, is_poison: order == 3 }).collect();
    for order in &orders {
        publisher.publish(order).await.unwrap();
    }
    for _ in 0..2 {
        let events = b.subscribe("shop.orders").typed::<OrderPlaced>();
        let mut replay = events.start(Start::Earliest).await.unwrap();
        for order in &orders {
            assert_eq!(&next(&mut replay).await, order);
        }
    }
    let durable = || b.subscribe("shop.orders").typed::<OrderPlaced>().durable("view").start(Start::Earliest);
    let mut view = durable().await.unwrap();
    for order in &orders[..5] {
        assert_eq!(&next(&mut view).await, order);
    }
    view.save().await.unwrap();
    drop(view);
    assert_eq!(next(&mut durable().await.unwrap()).await, orders[5]);

    let mut workers = b.group("shop.orders", "shipping").typed::<OrderPlaced>().attempts(2).await.unwrap();
    let (shipped, mut shipping) = tokio::sync::mpsc::unbounded_channel();
    let working = tokio::spawn(async move {
        let handler = |order: Attempt<OrderPlaced>| {
            let shipped = shipped.clone();
            async move {
                if order.event.is_poison {
                    return Err(Failed::retry("nobody lives there"));
                }
                shipped.send(order.event.order).unwrap();
                Ok(())
            }
        };
        workers.run(4, handler).await
    });
    let mut done = Vec::new();
    while done.len() < 5 {
        done.push(tokio::time::timeout(WAIT, shipping.recv()).await.unwrap().unwrap());
    }
    done.sort_unstable();
    assert_eq!(done, [1, 2, 4, 5, 6]);
    let letters = a.subscribe("shop.orders.shipping.dead").typed::<DeadLetter>();
    let letter = next(&mut letters.start(Start::Earliest).await.unwrap()).await;
    assert_eq!((letter.reason.as_str(), letter.attempts), ("nobody lives there", 2));
    a.close(WAIT).await.unwrap();
    b.close(WAIT).await.unwrap();
    working.await.unwrap().unwrap();
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread")]
async fn over_kafka() {
    let server = agora_testbed::Endpoint::kafka().await.unwrap();
    serve(server.url()).await;
}

#[cfg(feature = "nats")]
#[tokio::test(flavor = "multi_thread")]
async fn over_nats() {
    let server = agora_testbed::Endpoint::nats().await.unwrap();
    serve(server.url()).await;
}

#[cfg(feature = "nats")]
#[tokio::test(flavor = "multi_thread")]
async fn over_nats_with_a_user_and_a_password_in_the_url() {
    let server =
        agora_testbed::NatsServer::with("authorization { user: agora, password: \"p w\" }").await.unwrap();
    let port = server.port();
    serve(&format!("nats://agora:p%20w@127.0.0.1:{port}")).await;
    let refused = Bus::connect(&format!("nats://agora:wrong-secret@127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!(refused.kind(), agora::ErrorKind::Unauthorized, "{refused:#}");
    assert!(!format!("{refused:?}{refused:#}").contains("wrong-secret"), "{refused:?}");
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn over_redis() {
    let server = agora_testbed::Endpoint::redis().await.unwrap();
    serve(server.url()).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn over_valkey_with_a_password_in_the_url() {
    let program = agora_testbed::Program::Valkey;
    let server = agora_testbed::RedisServer::with(program, &["--requirepass", "p w"]).await.unwrap();
    let port = server.port();
    serve(&format!("redis://:p%20w@127.0.0.1:{port}")).await;
    let refused = Bus::connect(&format!("redis://:wrong-secret@127.0.0.1:{port}")).await.unwrap_err();
    assert_eq!(refused.kind(), agora::ErrorKind::Unauthorized, "{refused:#}");
    assert!(!format!("{refused:?}{refused:#}").contains("wrong-secret"), "{refused:?}");
}
