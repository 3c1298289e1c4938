//! What the tests have in common.

use std::time::Duration;

use agora_core::config::Nats;
use agora_core::id::{ClusterName, TopicName};
use agora_core::transport::{
    Address, FromLog, Inbound, Inbox, Link, LogInbox, LogStart, OutFrame, PublishFailed, Raw, TopicSpec,
    Transport,
};
use agora_nats::NatsTransport;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

/// Long enough for everything that must happen, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config(port: u16) -> Nats {
    let mut config = Nats::default();
    config.addresses = vec![format!("127.0.0.1:{port}")];
    config
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("tests.of-nats").unwrap()
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(crate) async fn try_connect(config: &Nats) -> agora_core::Result<NatsTransport> {
    NatsTransport::connect(config, &cluster(), PATIENCE).await
}

/// Connects, and is up.
pub(crate) async fn connect(config: &Nats) -> NatsTransport {
    let transport = try_connect(config).await.unwrap();
    assert_eq!(*transport.link().borrow(), Link::Up);
    transport
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

pub(crate) async fn up(transport: &NatsTransport) {
    link_is(transport, |link| *link == Link::Up).await;
}

/// Waits until the link is down.
pub(crate) async fn down(transport: &NatsTransport) {
    link_is(transport, |link| !link.is_usable()).await;
}

/// Waits until the link is down for such a reason. On a busy machine the first reason may be that nothing was found out yet.
pub(crate) async fn down_because(transport: &NatsTransport, is_it: impl Fn(&str) -> bool) {
    link_is(transport, |link| matches!(link, Link::Down { why, .. } if is_it(why))).await;
}

/// Waits until the link is degraded for such a reason.
pub(crate) async fn degraded_because(transport: &NatsTransport, is_it: impl Fn(&str) -> bool) {
    link_is(transport, |link| matches!(link, Link::Degraded { why, .. } if is_it(why))).await;
}

/// Waits for such a state of the link, and says which one it was instead.
async fn link_is(transport: &NatsTransport, is_it: impl Fn(&Link) -> bool) {
    let mut link = transport.link();
    match timeout(PATIENCE, link.wait_for(is_it)).await {
        Ok(found) => drop(found.unwrap()),
        Err(_) => panic!("the link is not as it should be: {:?}", *transport.link().borrow()),
    }
}

pub(crate) async fn publish(
    transport: &NatsTransport,
    topic: &TopicName,
    frames: Vec<OutFrame>,
) -> Result<(), PublishFailed> {
    let to = Address { topic: topic.clone(), lane: 0 };
    soon("a publish", transport.publish(&to, frames, Instant::now() + PATIENCE / 2)).await
}

pub(crate) async fn open_log(transport: &NatsTransport, name: &str) -> TopicName {
    let topic = topic(name);
    transport.open(&TopicSpec::log(topic.clone())).await.unwrap();
    topic
}

/// All that a log holds.
pub(crate) async fn read_all(transport: &NatsTransport, topic: &TopicName) -> Vec<Bytes> {
    let mut reader = transport.open_log(topic, 0, LogStart::Earliest).await.unwrap();
    let mut payloads = Vec::new();
    loop {
        for one in read(&mut *reader).await {
            match one {
                FromLog::Record { raw, .. } => payloads.push(raw.payload),
                FromLog::CaughtUp => return payloads,
                FromLog::Beginning => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) async fn read(reader: &mut dyn LogInbox) -> Vec<FromLog> {
    let mut into = Vec::new();
    soon("something of a log", reader.recv(100, &mut into)).await.unwrap();
    into
}

/// The next thing of a live topic.
pub(crate) async fn hear(inbox: &mut dyn Inbox) -> Inbound {
    let mut into = Vec::new();
    soon("something of a live topic", inbox.recv(1, &mut into)).await.unwrap();
    into.remove(0)
}

pub(crate) async fn message(inbox: &mut dyn Inbox) -> Raw {
    match hear(inbox).await {
        Inbound::Message(raw) => raw,
        other => panic!("{other:?}"),
    }
}

/// A message that holds a number.
pub(crate) fn numbered(number: u64) -> OutFrame {
    OutFrame::new(number.to_string())
}

pub(crate) fn number_of(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}
