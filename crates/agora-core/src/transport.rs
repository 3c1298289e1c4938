//! The contract between the engine and a backend: bytes in, bytes out.
//!
//! A transport carries opaque frames and knows nothing of events. It may lose, repeat and reorder what it carries
//! on a live topic: the engine mends that, or names it. What it must not do is stay silent about what it *knows*
//! that it lost ([`Inbound::Dropped`], [`Inbound::Resubscribed`]), accept what it cannot send, or block a receive
//! thread on a slow reader.
//!
//! Batches cross this boundary, never single events, so that dynamic dispatch costs nothing that can be measured.

mod admin;
pub mod calls;
mod group;
mod log;
pub mod mirror;
mod queue;
mod shared;
mod topic;

use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::id::{SourceId, TopicName};

pub use admin::{
    Admin, GroupDescription, GroupLane, GroupMember, LaneDescription, LaneReset, LaneServers, ResetTo,
    TopicChange, TopicDescription,
};
pub use group::{FromGroup, GroupInbox, GroupOrder, GroupSpec, GroupStart, Settle, Token};
pub use log::{CursorStore, Fence, FromLog, LogInbox, LogStart, Position};
pub use queue::InboxQueue;
pub use topic::{Framing, ONE_LANE, TopicInfo, TopicKind, TopicSettings, TopicSpec, Wire, check_only_lane};

/// A boxed future that owns what it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whether a backend can do something, or what to use where it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Yes,
    /// It cannot; `instead` tells the user what does.
    No {
        /// A sentence for the help of an `Unsupported` error.
        instead: &'static str,
    },
}

/// What an accepted event has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It was handed to a link that was up. No copy is kept but the source's own, for repair.
    Sent,
    /// The backend has stored it as its settings for the topic say.
    Stored,
}

/// What a transport can do. Nothing that is absent here is emulated.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The backend's name, as errors and metrics show it.
    pub backend: &'static str,
    /// Live topics: every subscriber gets what is published from now on.
    pub live: Support,
    /// Log topics: replay from the earliest, a time or a cursor.
    pub log: Support,
    /// Groups that share work.
    pub group: Support,
    /// Groups on topics whose messages hold many events ([`Framing::Batch`]).
    pub group_on_batch: Support,
    /// Logs of several lanes ([`TopicSettings::lanes`]). Where it cannot, every topic has one.
    pub lanes: Support,
    /// In which order a group gets what was published. Without meaning where there are no groups.
    pub group_order: GroupOrder,
    /// Somewhere to keep a durable subscription's cursor.
    pub cursors: Support,
    /// Looking into topics and groups, and changing them: [`Transport::admin`].
    pub admin: Support,
    /// What a publish that returned `Ok` has reached on a live topic.
    pub live_durability: Durability,
    /// Does one's own message come back through the backend? Then one that does not come back shows that one's own
    /// link is broken. Where peers talk directly, an echo proves nothing.
    pub echo_via_server: bool,
    /// Does [`Transport::announce`] return hints?
    pub failure_hints: bool,
    /// The largest message, in bytes.
    pub message_bytes_max: usize,
}

/// The state of the connection, with the reason in words that an operator can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Messages flow.
    Up,
    /// Messages flow, but not to or from everyone, or not as they should.
    Degraded {
        /// When it began.
        since: SystemTime,
        /// What is wrong.
        why: String,
    },
    /// Nothing can be sent.
    Down {
        /// When it began.
        since: SystemTime,
        /// What is wrong.
        why: String,
    },
}

impl Link {
    /// May something be sent?
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::Down { .. })
    }

    /// What follows on this state when something is wrong, noticed at this time: degraded, since when it is so.
    pub fn degraded(&self, why: String, now: SystemTime) -> Self {
        let since = match self {
            Self::Degraded { since, .. } => *since,
            _ => now,
        };
        Self::Degraded { since, why }
    }

    /// What follows on this state when nothing can be sent, noticed at this time: down, since when it is so.
    pub fn down(&self, why: String, now: SystemTime) -> Self {
        let since = match self {
            Self::Down { since, .. } => *since,
            _ => now,
        };
        Self::Down { since, why }
    }
}

/// Where to publish: one lane of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The topic.
    pub topic: TopicName,
    /// The lane, from 0.
    pub lane: u32,
}

/// One message to send.
#[derive(Clone, Debug)]
pub struct OutFrame {
    /// The bytes, as they shall arrive.
    pub payload: Bytes,
    /// The backend's own key, where a message is one event and that has a key.
    pub key: Option<Bytes>,
    /// What stands in the frame, for those who read the backend's own headers; each name begins with `agora-`. Left out
    /// where it has none. Where each header has its price, key and headers may go out as one: see [`mirror`].
    pub headers: Vec<(&'static str, Bytes)>,
}

impl OutFrame {
    /// A message without a key and headers.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), key: None, headers: Vec::new() }
    }
}

/// One message as it arrived.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The bytes.
    pub payload: Bytes,
    /// The lane it arrived on.
    pub lane: u32,
    /// The backend's own key, where it has one. May be left out where the bytes begin like a frame of agora
    /// ([`codec::begins_like_frame`](crate::codec::begins_like_frame)): the key stands in there, and is believed there alone.
    pub key: Option<Bytes>,
    /// The backend's own headers, where it has them. May be left out where the key may.
    pub headers: Vec<(String, Bytes)>,
    /// The backend's own time of the message, where it has one.
    pub time: Option<SystemTime>,
}

/// What an [`Inbox`] has to tell.
#[derive(Clone, Debug)]
pub enum Inbound {
    /// A message.
    Message(Raw),
    /// The transport had to drop messages that had reached this process, because the reader was too slow; how many,
    /// where it knows. Stands where they would have stood.
    Dropped(Option<u64>),
    /// The subscription was interrupted and made anew: what was sent meanwhile did not arrive.
    Resubscribed,
}

/// A word from the backend that a source is probably gone. Never proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The backend has lost sight of this source.
    Gone(SourceId),
    /// The backend sees this source (again).
    Seen(SourceId),
}

/// A publish that did not succeed as a whole.
#[derive(Clone, Debug)]
pub struct PublishFailed {
    /// So many of the first frames were accepted.
    pub accepted: usize,
    /// What is known of the others.
    pub outcome: Outcome,
    /// Why.
    pub error: Error,
}

/// What is known of a frame whose publish failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is certain that it was not accepted.
    NotStored,
    /// It may have been accepted, and may still be.
    Unknown,
}

/// A backend, connected or trying to be.
///
/// Dropping a transport without [`close`](Transport::close) is a crash as far as others can tell, and must leave
/// no task behind.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// What it can do. Never changes.
    fn capabilities(&self) -> &Capabilities;

    /// The state of the connection, now and whenever it changes.
    fn link(&self) -> watch::Receiver<Link>;

    /// Verifies that the topic exists and is as the spec says, or makes it so where that needs no permission; and says
    /// how many lanes it has.
    ///
    /// A live topic has one lane on every backend: repair asks each source for what is missing, and has one order of its
    /// events to go by. A log may have several, and more may be added while it is in use; whoever opened it is told by
    /// the [`TopicInfo`]. They are read from their start, so that nothing is missed that was published before the news
    /// came.
    ///
    /// # Errors
    /// `Unsupported` for a kind that the backend has not; `Unreachable` while the link is down; `Closed`. The engine
    /// tries again what [`Error::is_retryable`] says, and gives the topic up for anything else.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the topic may have been made; opening it again must find it.
    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo>;

    /// Sends frames in order, in the order of the calls, whichever future is polled first. The future owns what it
    /// needs and ends by `by`. Between lanes there is no order: a lane that is stuck holds no other one up.
    ///
    /// # Errors
    /// `Config` for a lane that the topic has not;
    /// [`PublishFailed`]: how many of the first frames were accepted, and whether the others may have been. `NotStored`
    /// only where that is certain.
    ///
    /// # Cancel safety
    /// Dropped before it ends, the outcome of its frames is unknown.
    fn publish(
        &self,
        to: &Address,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>>;

    /// Subscribes to a live topic. When this returns, what is published from now on arrives, as far as the backend
    /// can tell.
    ///
    /// # Errors
    /// As [`open`](Transport::open).
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is subscribed.
    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>>;

    /// Opens one lane of a log for reading. The engine opens each lane that [`open`](Transport::open) told of, and joins
    /// what comes; a backend may well read many lanes over one connection.
    ///
    /// # Errors
    /// As [`open`](Transport::open); `Config` for a lane that the log has not. By default `Unsupported`, with what [`Capabilities::log`] says.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is opened.
    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        let _ = (lane, from);
        Err(lacks(self.capabilities(), "log topics", self.capabilities().log, "open_log", topic))
    }

    /// Where cursors are kept; `None`, the default, where [`Capabilities::cursors`] says that they are not.
    fn cursors(&self) -> Option<&dyn CursorStore> {
        None
    }

    /// Joins a group of a log, as one more member.
    ///
    /// # Errors
    /// As [`open`](Transport::open). By default `Unsupported`, with what [`Capabilities::group`] says.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the group may have been made; this process is no member of it.
    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        Err(lacks(self.capabilities(), "groups", self.capabilities().group, "join_group", topic)
            .context("group", &group.name))
    }

    /// What an operator may ask and do; `None`, the default, where [`Capabilities::admin`] says that it is not there.
    fn admin(&self) -> Option<&dyn Admin> {
        None
    }

    /// Tells the backend who this process is, so that others get a hint when it goes, and returns the hints about
    /// others. `None` where the backend has none. A second call replaces the first.
    ///
    /// # Errors
    /// As [`open`](Transport::open).
    ///
    /// # Cancel safety
    /// Dropped before it returns, this process may have been announced; the next call makes up for it.
    async fn announce(&self, me: SourceId) -> Result<Option<mpsc::Receiver<Hint>>>;

    /// Ends everything in an orderly way, by `by` at the latest. Later calls fail with `Closed`; inboxes end.
    ///
    /// # Errors
    /// `Timeout` when something is still ending at `by`; nothing of it can be used any more all the same.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the transport is closed, and what is left of it ends when it is dropped.
    async fn close(&self, by: Instant) -> Result<()>;
}

fn lacks(
    capabilities: &Capabilities,
    what: &str,
    support: Support,
    operation: &'static str,
    topic: &TopicName,
) -> Error {
    let instead = match support {
        Support::No { instead } => instead,
        Support::Yes => "it says that it can, and does not: a fault of the backend",
    };
    Error::unsupported(format!("it has no {what}"), instead)
        .backend(capabilities.backend)
        .operation(operation)
        .context("topic", topic)
}

/// One subscription at the transport. Dropping it ends the subscription.
#[async_trait]
pub trait Inbox: Send {
    /// Waits until there is something, then appends what is there to `into`, at most `messages_max`.
    ///
    /// # Errors
    /// `Closed` when the transport was closed; any other error is final too.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()>;
}
