//! The in-memory transport as its users see it. Time is paused throughout.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::{MemoryTransport, Space, SpaceConfig};
use crate::ErrorKind;
use crate::id::{ClusterName, NodeName, TopicName};
use crate::transport::{Address, Inbound, Inbox, OutFrame, Outcome, PublishFailed, Transport};

mod admin;
mod groups;
mod lanes;
mod links;
mod nodes;
mod plain;
mod publishing;
mod retention;
mod whole;

const TOPIC: &str = "t";

fn topic() -> TopicName {
    TopicName::new(TOPIC).unwrap()
}

fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

fn connect(space: &Space, node: &str) -> MemoryTransport {
    space.connect(&cluster("c"), &NodeName::new(node).unwrap())
}

fn with_server(echo_via_server: bool) -> Space {
    Space::new(SpaceConfig { echo_via_server, ..SpaceConfig::default() })
}

async fn publish_all(from: &MemoryTransport, texts: &[&str]) -> Result<(), PublishFailed> {
    let frames = texts.iter().map(|text| OutFrame::new(Bytes::from((*text).to_owned()))).collect();
    let by = Instant::now() + Duration::from_secs(1);
    from.publish(&Address { topic: topic(), lane: 0 }, frames, by).await
}

async fn publish(from: &MemoryTransport, text: &str) {
    publish_all(from, &[text]).await.unwrap();
}

fn text(inbound: &Inbound) -> String {
    match inbound {
        Inbound::Message(raw) => String::from_utf8(raw.payload.to_vec()).unwrap(),
        Inbound::Dropped(count) => format!("dropped {}", count.unwrap()),
        Inbound::Resubscribed => "resubscribed".to_owned(),
    }
}

/// All that has arrived, without waiting for more.
async fn arrived(inbox: &mut Box<dyn Inbox>) -> Vec<String> {
    let mut into = Vec::new();
    while let Ok(result) = timeout(Duration::ZERO, inbox.recv(100_000, &mut into)).await {
        result.unwrap();
    }
    into.iter().map(text).collect()
}
