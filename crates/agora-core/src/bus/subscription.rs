//! The subscribing handle.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use futures_core::Stream;

use super::Bus;
use super::backlog::{Backlog, Item};
use super::delivery::{Delivery, Gap, Missing, Received};
use super::stats::add;
use crate::codec::{Frame, Record, RecordCursor};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::id::TopicName;
use crate::live::Reason;
use crate::transport::Support;

/// Where a subscription begins. More may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what is published from now on. Without this node's own events, unless asked for.
    Live,
    /// With the oldest event that the log holds.
    Earliest,
    /// With the first event of the log that was published at this time or later.
    Time(SystemTime),
}

/// One or several topics, by name.
pub trait Topics {
    /// The names.
    ///
    /// # Errors
    /// `Config` for a name that is not valid.
    fn names(self) -> Result<Vec<TopicName>>;
}

impl Topics for &str {
    fn names(self) -> Result<Vec<TopicName>> {
        Ok(vec![TopicName::new(self)?])
    }
}

impl Topics for &TopicName {
    fn names(self) -> Result<Vec<TopicName>> {
        Ok(vec![self.clone()])
    }
}

impl<S: AsRef<str>> Topics for &[S] {
    fn names(self) -> Result<Vec<TopicName>> {
        self.iter().map(|name| TopicName::new(name.as_ref())).collect()
    }
}

impl<S: AsRef<str>, const N: usize> Topics for [S; N] {
    fn names(self) -> Result<Vec<TopicName>> {
        self.as_slice().names()
    }
}

/// A subscription that is being described: see [`Bus::subscribe`].
#[must_use = "nothing is subscribed before `start` is awaited"]
pub struct Subscribe<E = Record> {
    bus: Bus,
    topics: Result<Vec<TopicName>>,
    own: bool,
    durable: Option<String>,
    events: std::marker::PhantomData<fn() -> E>,
}

impl<E: Events> Subscribe<E> {
    pub(crate) fn new(bus: Bus, topics: Result<Vec<TopicName>>) -> Self {
        Self { bus, topics, own: false, durable: None, events: std::marker::PhantomData }
    }

    /// Asks for events of this type, or for one of these types where `T` is an enum made by
    /// [`events!`](crate::events). Kinds that it does not know are skipped, or are a [`Gap`] where their publisher
    /// said that they must not be.
    pub fn typed<T: Events>(self) -> Subscribe<T> {
        let Self { bus, topics, own, durable, .. } = self;
        Subscribe { bus, topics, own, durable, events: std::marker::PhantomData }
    }

    /// Asks for this node's own events too.
    pub fn include_own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Asks that the position be kept at the backend under this name, so that the next subscription of the name
    /// goes on where this one stood.
    pub fn durable(mut self, name: &str) -> Self {
        self.durable = Some(name.to_owned());
        self
    }

    /// Subscribes, and returns when the subscription is *established*: from then on it gets each event of every
    /// source once, in that source's order, or a [`Gap`] that says what is missing.
    ///
    /// # Errors
    /// - `Config`: a topic name is not valid, or there is none.
    /// - `Unsupported`: this backend cannot start there, or keep a position.
    /// - `Closed`: the bus was closed.
    /// - whatever the backend says to the subscription.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is subscribed.
    pub async fn start(self, start: Start) -> Result<Subscription<E>> {
        let mut topics = self.topics.map_err(|error| error.operation("subscribe"))?;
        // Named twice is meant once.
        topics.sort();
        topics.dedup();
        if topics.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no topic was given").operation("subscribe"));
        }
        let capabilities = self.bus.shared().transport.capabilities();
        let unsupported = |support: Support, what: String| match support {
            Support::Yes => Ok(()),
            Support::No { instead } => {
                Err(Error::unsupported(what, instead).operation("subscribe").backend(capabilities.backend))
            }
        };
        unsupported(capabilities.live, "live topics".into())?;
        if start != Start::Live {
            unsupported(capabilities.log, format!("a start at {start:?}: there is no log to read again"))?;
        }
        if self.durable.is_some() {
            unsupported(
                capabilities.cursors,
                "durable subscriptions: there is nowhere to keep a cursor".into(),
            )?;
        }
        let backlog = Arc::new(Backlog::new(self.bus.shared().received.clone(), self.bus.config().clock));
        let subscription = Subscription {
            backlog: backlog.clone(),
            current: None,
            bus: self.bus.clone(),
            events: std::marker::PhantomData,
        };
        self.bus.attach(&topics, self.own, &backlog).await.map_err(|error| error.operation("subscribe"))?;
        Ok(subscription)
    }
}

struct Current {
    topic: TopicName,
    lane: u32,
    frame: Arc<Frame>,
    cursor: RecordCursor,
    from: u64,
}

/// An established subscription: a [`Stream`] of deliveries. An `Err` is the last item. Dropping it ends it.
pub struct Subscription<E = Record> {
    backlog: Arc<Backlog>,
    current: Option<Current>,
    bus: Bus,
    events: std::marker::PhantomData<fn() -> E>,
}

impl<E: Events> Subscription<E> {
    /// The next delivery; `None` when the bus was closed and everything was delivered.
    ///
    /// # Errors
    /// The error that ended the subscription; after it there is only `None`.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn try_next(&mut self) -> Result<Option<Delivery<E>>> {
        std::future::poll_fn(|cx| self.poll_delivery(cx)).await.transpose()
    }

    fn poll_delivery(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Delivery<E>>>> {
        loop {
            if let Some(delivery) = self.next_of_current() {
                return Poll::Ready(Some(Ok(delivery)));
            }
            let counters = &self.bus.shared().counters;
            match ready!(self.backlog.poll(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(Item::Frame { topic, lane, frame, from })) => {
                    let cursor = frame.cursor();
                    self.current = Some(Current { topic, lane, frame, cursor, from });
                }
                Some(Ok(Item::Gap(gap))) => {
                    add(&counters.gaps, 1);
                    return Poll::Ready(Some(Ok(Delivery::Gap(gap))));
                }
                Some(Ok(Item::Foreign(foreign))) => {
                    add(&counters.foreign, 1);
                    return Poll::Ready(Some(Ok(Delivery::Foreign(foreign))));
                }
            }
        }
    }

    fn next_of_current(&mut self) -> Option<Delivery<E>> {
        let current = self.current.as_mut()?;
        let counters = &self.bus.shared().counters;
        while let Some(record) = current.cursor.next(&current.frame) {
            if record.seq() < current.from {
                continue;
            }
            let reason = match E::from_record(&record) {
                Ok(Some(event)) => {
                    add(&counters.delivered, 1);
                    let topic = current.topic.clone();
                    return Some(Delivery::Event(Received { event, topic, record }));
                }
                Ok(None) if !record.resync() => {
                    add(&counters.skipped_unknown, 1);
                    continue;
                }
                Ok(None) => Reason::UnknownKind,
                Err(error) => {
                    tracing::warn!(topic = %current.topic, kind = record.kind(), %error, "an event cannot be decoded");
                    Reason::Undecodable
                }
            };
            add(&counters.gaps, 1);
            let (from, to) = (Some(record.seq()), Some(record.seq() + 1));
            let missing = Missing::Source { source: record.source(), lane: current.lane, from, to };
            return Some(Delivery::Gap(Gap { topic: current.topic.clone(), missing, reason }));
        }
        self.current = None;
        None
    }
}

impl<E: Events> Stream for Subscription<E> {
    type Item = Result<Delivery<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_delivery(cx)
    }
}

impl<E> Drop for Subscription<E> {
    fn drop(&mut self) {
        self.backlog.abandon();
        self.bus.detach();
    }
}

impl<E> std::fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
