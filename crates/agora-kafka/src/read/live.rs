//! A live topic: the tail of a topic of one partition, from its end at the subscription. Every node reads it by itself,
//! without a group.
//!
//! A reader that falls behind is held back by nobody, and loses nothing as long as the broker keeps what was published.

use std::sync::Arc;

use agora_core::Result;
use agora_core::transport::{Inbound, Inbox};
use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::hub::Hub;
use super::lane::{FromLane, Lane};
use super::log::OPEN_WAIT;
use super::offsets;

/// The partition of a live topic.
const ONLY: u32 = 0;

/// A subscription to a live topic.
pub struct LiveInbox {
    hub: Arc<Hub>,
    topic: String,
    /// Kept, so that the brokers are asked about the topic as long as it is read.
    _count: watch::Receiver<u32>,
    bell: Arc<Notify>,
    lane: Lane,
    taken: Vec<FromLane>,
    /// The place was lost: the end is looked for anew.
    is_lost: bool,
}

impl LiveInbox {
    /// Subscribes to a topic, by its name on the server. What is published from then on arrives.
    ///
    /// # Errors
    /// `NotFound`: there is no such topic. `Unauthorized`; `Unreachable`; `Closed`.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is subscribed.
    pub async fn open(hub: &Arc<Hub>, topic: &str) -> Result<Self> {
        let by = Instant::now() + OPEN_WAIT;
        let count = Box::pin(hub.questions().brokers().partitions(topic, by)).await?;
        let bell = Arc::new(Notify::new());
        let lane = at_end(hub, topic, &bell).await?;
        let (hub, topic) = (Arc::clone(hub), topic.to_owned());
        Ok(Self { hub, topic, _count: count, bell, lane, taken: Vec::new(), is_lost: false })
    }

    /// Appends what was told to `into`.
    fn translate(&mut self, into: &mut Vec<Inbound>) {
        for one in self.taken.drain(..) {
            match one {
                FromLane::Record(record) => into.push(Inbound::Message(record.raw)),
                FromLane::Trimmed { .. } | FromLane::Unreadable { .. } => into.push(Inbound::Dropped(None)),
                FromLane::CaughtUp | FromLane::Moved => {}
                FromLane::Rewound => self.is_lost = true,
            }
        }
    }
}

async fn at_end(hub: &Hub, topic: &str, bell: &Arc<Notify>) -> Result<Lane> {
    let by = Instant::now() + OPEN_WAIT;
    let end = offsets::bounds(hub.questions(), topic, 0, by).await?.end;
    Ok(hub.lane(topic, ONLY, end, bell))
}

#[async_trait]
impl Inbox for LiveInbox {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        let before = into.len();
        loop {
            self.translate(into);
            if into.len() > before {
                return Ok(());
            }
            if self.is_lost {
                match at_end(&self.hub, &self.topic, &self.bell).await {
                    Ok(lane) => {
                        (self.lane, self.is_lost) = (lane, false);
                        into.push(Inbound::Resubscribed);
                        return Ok(());
                    }
                    Err(error) if error.is_retryable() || error.kind() == agora_core::ErrorKind::NotFound => {
                        tracing::debug!(topic = self.topic, %error, "a live topic is not there now");
                        continue;
                    }
                    Err(error) => return Err(error.operation("recv")),
                }
            }
            self.lane.recv(messages_max, &mut self.taken).await?;
        }
    }
}
