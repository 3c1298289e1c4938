//! What the tests of this backend share.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use agora_core::bus::{Bus, BusConfig, Delivery, Gap, Start, Subscription};
use agora_core::config::{Redis, SecretUrl};
use agora_core::event::RawBytes;
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::{
    Address, FromLog, Link, LogInbox, OutFrame, TopicSettings, TopicSpec, Transport,
};
use agora_redis::{Names, RedisTransport};
use tokio::time::Instant;

/// How long something may take that must come. A test that fails waits for so long.
pub const SOON: Duration = Duration::from_secs(30);
/// How long a connection may take.
pub const WAIT: Duration = Duration::from_secs(10);

pub fn cluster() -> ClusterName {
    ClusterName::new("tests").unwrap()
}

pub fn names() -> Names {
    Names::new(&cluster())
}

pub fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// A configuration that tries again soon.
pub fn config(urls: impl IntoIterator<Item = String>) -> Redis {
    let mut config = Redis::default();
    config.urls = urls.into_iter().map(SecretUrl::new).collect();
    config.retry_min_wait = Duration::from_millis(20);
    config.retry_max_wait = Duration::from_millis(200);
    config
}

pub async fn connect(url: &str) -> RedisTransport {
    connect_with(&config([url.to_owned()])).await
}

pub async fn connect_with(config: &Redis) -> RedisTransport {
    RedisTransport::connect(config, &cluster(), WAIT).await.unwrap()
}

/// Waits for what must come.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing came within {SOON:?}"),
    }
}

pub async fn link_is(transport: &dyn Transport, what: &str, is: impl FnMut(&Link) -> bool) -> Link {
    let mut link = transport.link();
    match tokio::time::timeout(SOON, link.wait_for(is)).await {
        Ok(found) => found.unwrap().clone(),
        Err(_) => panic!("{what}: it is {:?}", *transport.link().borrow()),
    }
}

pub async fn up(transport: &dyn Transport) {
    link_is(transport, "the link is up", |link| *link == Link::Up).await;
}

pub async fn down(transport: &dyn Transport) {
    link_is(transport, "the link is down", |link| matches!(link, Link::Down { .. })).await;
}

/// Waits until the link is down for such a reason. On a busy machine the first reason may be that nothing was found out yet.
pub async fn down_because(transport: &dyn Transport, is_it: impl Fn(&str) -> bool) {
    let is = |link: &Link| matches!(link, Link::Down { why, .. } if is_it(why));
    link_is(transport, "the link says what is wrong", is).await;
}

pub async fn open_log(transport: &dyn Transport, topic: &TopicName) {
    transport.open(&TopicSpec::log(topic.clone())).await.unwrap();
}

pub fn number(number: u64) -> OutFrame {
    OutFrame::new(number.to_string())
}

pub async fn send(transport: &dyn Transport, topic: &TopicName, numbers: impl IntoIterator<Item = u64>) {
    let to = Address { topic: topic.clone(), lane: 0 };
    let frames = numbers.into_iter().map(number).collect();
    transport.publish(&to, frames, Instant::now() + SOON).await.unwrap();
}

/// What a log tells: `1`, `beginning`, `trimmed`, `end`, `interrupted`.
pub async fn tell(inbox: &mut dyn LogInbox, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < count {
        let mut into = Vec::new();
        soon("something of a log", inbox.recv(1, &mut into)).await.unwrap();
        told.extend(into.into_iter().map(|one| match one {
            FromLog::Record { raw, .. } => String::from_utf8_lossy(&raw.payload).into_owned(),
            FromLog::Beginning => "beginning".into(),
            FromLog::Trimmed => "trimmed".into(),
            FromLog::Rewritten => "rewritten".into(),
            FromLog::CaughtUp => "end".into(),
            FromLog::Interrupted => "interrupted".into(),
        }));
    }
    told
}

/// A bus over a transport, with one log.
pub async fn bus(node: &str, transport: RedisTransport, log: &TopicName) -> Bus {
    let mut config = BusConfig::new(cluster(), NodeName::new(node).unwrap());
    config.topics.insert(log.clone(), TopicSettings::LOG);
    let bus = Bus::open(Arc::new(transport), config).unwrap();
    bus.ready(SOON).await.unwrap();
    bus
}

pub async fn read(bus: &Bus, topic: &TopicName) -> Subscription {
    soon("a subscription", bus.subscribe(topic).include_own().start(Start::Earliest)).await.unwrap()
}

/// Publishes numbers as events, as fast as they are taken, and waits until all were accepted.
pub async fn publish(bus: &Bus, topic: &TopicName, numbers: std::ops::RangeInclusive<u64>) {
    let publisher = bus.publisher(topic.as_str()).unwrap();
    let mut receipts = Vec::new();
    for number in numbers {
        receipts.push(publisher.publish(&RawBytes(number.to_string().into_bytes())));
    }
    for receipt in receipts {
        soon("a receipt", receipt).await.unwrap();
    }
}

/// Reads events until this number comes. Answers with the numbers and the gaps before it, in their order.
pub async fn until(subscription: &mut Subscription, last: u64) -> (Vec<u64>, Vec<Gap>) {
    let (mut numbers, mut gaps) = (Vec::new(), Vec::new());
    loop {
        match soon("an event", subscription.try_next()).await.unwrap() {
            Some(Delivery::Event(event)) => {
                let number = String::from_utf8_lossy(event.record().body()).parse().unwrap();
                numbers.push(number);
                if number == last {
                    return (numbers, gaps);
                }
            }
            Some(Delivery::Gap(gap)) => gaps.push(gap),
            Some(Delivery::Foreign(_)) => {}
            None => panic!("the subscription ended at {numbers:?}"),
        }
    }
}
