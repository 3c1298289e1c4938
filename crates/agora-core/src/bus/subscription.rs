//! The subscribing handle.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use futures_core::Stream;

use super::Bus;
use super::backlog::{Backlog, Item};
use super::delivery::{Delivery, Gap, Missing, Received};
use super::log::LogReading;
use super::meter::Consuming;
use super::progress::{Durable, Place, Step, check_name, keep_saving, not_of};
use super::queue::closed;
use super::stats::add;
use super::topic::Piece;
use crate::codec::{Frame, Record, RecordCursor};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Events, Redriven};
use crate::id::{StreamId, TopicName};
use crate::live::Reason;
use crate::log::{Cursor, Progress, Reader};
use crate::transport::{LogStart, Support, TopicKind};

/// Where a subscription begins. More may come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what is published from now on. Without this node's own events, unless asked for.
    Live,
    /// With the oldest event that the log holds.
    Earliest,
    /// With the first event of the log that was stored at this time or later.
    Time(SystemTime),
    /// Where another subscription stood: see [`Subscription::cursor`].
    Cursor(Cursor),
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

    /// Asks that the place in the logs be kept at the backend under this name. The next subscription of the name goes
    /// on where this one stood, and this one ends with `Conflict` if it still lives. The place is saved about once a
    /// second, and by [`Subscription::save`] and [`Subscription::close`]; what was delivered after the last save is
    /// delivered again after a crash. One name is for one reader: each node of a cluster needs its own.
    pub fn durable(mut self, name: &str) -> Self {
        self.durable = Some(name.to_owned());
        self
    }

    /// Subscribes, and returns when the subscription is *established*: from then on it gets each event of every
    /// source once, in that source's order, or a [`Gap`] that says what is missing.
    ///
    /// # Errors
    /// - `Config`: a topic name is not valid, or there is none; a live topic is to be replayed; the cursor is of
    ///   another topic.
    /// - `Unsupported`: this backend cannot start there, or keep a place.
    /// - `Unreachable`: the backend cannot be reached.
    /// - `Closed`: the bus was closed.
    /// - whatever the backend says to the subscription.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is subscribed; a durable name may have been taken over from its reader.
    pub async fn start(self, start: Start) -> Result<Subscription<E>> {
        self.begin(start).await.map_err(|error| error.operation("subscribe"))
    }

    async fn begin(self, start: Start) -> Result<Subscription<E>> {
        let mut topics = self.topics?;
        // Named twice is meant once.
        topics.sort();
        topics.dedup();
        if topics.is_empty() {
            return Err(Error::new(ErrorKind::Config, "no topic was given"));
        }
        let (bus, durable) = (&self.bus, self.durable.as_deref());
        for topic in &topics {
            check(bus, topic, &start, durable).map_err(|error| error.context("topic", topic))?;
        }
        let backlog = Arc::new(Backlog::new(bus.shared().received.clone(), bus.config().clock));
        let meter = |topic: &TopicName| Arc::new(bus.shared().meter.consuming(topic));
        let mut subscription = Subscription {
            backlog: backlog.clone(),
            current: None,
            place: Arc::default(),
            step: None,
            durable: None,
            meters: topics.iter().map(|topic| (topic.clone(), meter(topic))).collect(),
            bus: bus.clone(),
            events: std::marker::PhantomData,
        };
        let mut lanes = BTreeMap::new();
        for topic in topics.iter().filter(|topic| bus.config().kind_of(topic) == TopicKind::Log) {
            lanes.insert(topic.clone(), bus.open_topic(topic).await?);
        }
        let saved = subscription.take_over(&topics, durable).await?;
        let (mut live, mut logs) = (Vec::new(), Vec::new());
        for topic in &topics {
            let Some(info) = lanes.remove(topic) else {
                live.push(bus.attach(topic, self.own, &backlog).await?);
                continue;
            };
            let known = info.lanes().max(1);
            let reading = LogReading {
                shared: bus.shared().clone(),
                topic: topic.clone(),
                backlog: backlog.clone(),
                place: subscription.place.clone(),
                hide_own: start == Start::Live && !self.own,
                held_bytes: bus.shared().held_share() / known as usize,
            };
            let cursor = subscription.begins_at(topic, known, &start, &saved)?;
            for lane in 0..known {
                let stream = bus.shared().stream_of(topic, lane);
                let reader = subscription.reader(stream, cursor, &start, reading.held_bytes);
                let (task, established) = reading.open(lane, reader).await?;
                bus.spawn(task.run())?;
                logs.push((stream, established));
            }
            if info.may_grow() {
                bus.spawn(reading.follow(info, known))?;
            }
        }
        for established in live {
            established.await.map_err(|_| closed())?;
        }
        for (stream, established) in logs {
            let progress = established.await.map_err(|_| closed())?;
            // A replay from a time has no place as long as nothing was read.
            if !matches!(start, Start::Time(_)) {
                subscription.place.take(&(stream, progress, None));
            }
        }
        if let Some(durable) = subscription.durable.clone() {
            let (shared, place) = (bus.shared().clone(), subscription.place.clone());
            bus.spawn(keep_saving(shared, durable, place, backlog))?;
        }
        Ok(subscription)
    }
}

/// Can this topic be read so?
fn check(bus: &Bus, topic: &TopicName, start: &Start, durable: Option<&str>) -> Result<()> {
    let capabilities = bus.capabilities();
    let unsupported = |support: Support, what: &str| match support {
        Support::Yes => Ok(()),
        Support::No { instead } => {
            Err(Error::unsupported(format!("it has no {what}"), instead).backend(capabilities.backend))
        }
    };
    if *start != Start::Live {
        unsupported(capabilities.log, "log that could be read again")?;
    }
    if let Some(name) = durable {
        unsupported(capabilities.cursors, "place to keep the cursor of a durable subscription")?;
        check_name(name)?;
    }
    let kind = bus.config().kind_of(topic);
    bus.supported(kind)?;
    if kind == TopicKind::Live && (*start != Start::Live || durable.is_some()) {
        return Err(Error::new(ErrorKind::Config, "this topic is live: nothing of it is kept").help(
            "make it a log, on every node (`topics` of the configuration), or start at `Start::Live`",
        ));
    }
    Ok(())
}

struct Current {
    topic: TopicName,
    lane: u32,
    frame: Arc<Frame>,
    cursor: RecordCursor,
    from: u64,
    /// What taking it changes in the place in a log.
    progress: Option<(StreamId, Progress)>,
    meter: Arc<Consuming>,
    /// Events that were returned, and that the meter was not told of.
    uncounted: u64,
}

impl Current {
    /// An event is returned. The meter is told once a frame, with the last event at the latest.
    fn count(&mut self) {
        self.uncounted += 1;
        if self.cursor.index() >= self.frame.records_count() {
            self.tell_meter();
        }
    }

    fn tell_meter(&mut self) {
        self.meter.consumed.add(std::mem::take(&mut self.uncounted));
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        self.tell_meter();
    }
}

/// An established subscription: a [`Stream`] of deliveries. An `Err` is the last item. Dropping it ends it.
pub struct Subscription<E = Record> {
    backlog: Arc<Backlog>,
    current: Option<Current>,
    /// Where it stands in its logs, without the delivery that was returned last.
    place: Arc<Place>,
    /// What that delivery changes.
    step: Option<Step>,
    durable: Option<Durable>,
    meters: BTreeMap<TopicName, Arc<Consuming>>,
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

    /// Where the subscription stands in its logs, behind everything that was returned. A subscription that begins
    /// there ([`Start::Cursor`]) goes on with the next event. Live topics have no place in it.
    pub fn cursor(&self) -> Cursor {
        self.place.cursor(self.step.as_ref())
    }

    /// Saves the place of a durable subscription now, behind everything that was returned.
    ///
    /// # Errors
    /// - `Config`: the subscription is not durable.
    /// - `Conflict`: another subscription has taken over the name.
    /// - `Unreachable`: the backend cannot be reached.
    /// - `Closed`: the bus was closed.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the place may have been saved.
    pub async fn save(&mut self) -> Result<()> {
        let Some(durable) = self.durable.clone() else {
            return Err(Error::new(
                ErrorKind::Config,
                "the subscription is not durable: it has no name to save under",
            )
            .operation("save")
            .help("give it one with `durable`, or keep its `cursor` yourself"));
        };
        self.take_step();
        let transport = &self.bus.shared().transport;
        let store = transport.cursors().ok_or_else(closed)?;
        durable.save(store, &self.place).await.map_err(|error| error.operation("save"))
    }

    /// Ends the subscription; a durable one saves its place first.
    ///
    /// # Errors
    /// As [`save`](Self::save); the subscription has ended all the same.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the place may have been saved; the subscription has ended.
    pub async fn close(mut self) -> Result<()> {
        match self.durable {
            Some(_) => self.save().await,
            None => Ok(()),
        }
    }

    /// Takes the durable name over on every topic, and gives what was saved.
    async fn take_over(
        &mut self,
        topics: &[TopicName],
        name: Option<&str>,
    ) -> Result<BTreeMap<TopicName, Cursor>> {
        let mut saved = BTreeMap::new();
        let Some(name) = name else { return Ok(saved) };
        let mut durable = Durable { name: name.to_owned(), topics: Vec::new() };
        let store = self.bus.shared().transport.cursors().ok_or_else(closed)?;
        for topic in topics {
            let (fence, bytes) = store.take(topic, name).await?;
            durable.topics.push((topic.clone(), fence));
            if let Some(bytes) = bytes {
                saved.insert(topic.clone(), Cursor::from_bytes(&bytes)?);
            }
        }
        self.durable = Some(durable);
        Ok(saved)
    }

    /// The cursor at which the reading of a log begins. What was saved under a durable name goes before `start`.
    fn begins_at<'a>(
        &self,
        topic: &TopicName,
        lanes: u32,
        start: &'a Start,
        saved: &'a BTreeMap<TopicName, Cursor>,
    ) -> Result<Option<&'a Cursor>> {
        let given = match start {
            Start::Cursor(cursor) => Some(cursor),
            _ => None,
        };
        let Some(cursor) = saved.get(topic).or(given) else { return Ok(None) };
        let shared = self.bus.shared();
        let is_of_it = (0..lanes).any(|lane| cursor.lane(shared.stream_of(topic, lane)).is_some());
        if is_of_it { Ok(Some(cursor)) } else { Err(not_of(topic)) }
    }

    /// The reader of a lane, where it begins. One of which the cursor says nothing is read from its start: it was not
    /// there, or nothing was read of it.
    fn reader(
        &self,
        stream: StreamId,
        cursor: Option<&Cursor>,
        start: &Start,
        held_bytes: usize,
    ) -> Reader<Piece> {
        if let Some(lane) = cursor.and_then(|cursor| cursor.lane(stream)) {
            self.place.begin(stream, lane.clone());
            return Reader::resume(lane, held_bytes);
        }
        let from = match start {
            // Nothing of what is older was asked for.
            Start::Time(time) => LogStart::Time(*time),
            Start::Live if cursor.is_none() => LogStart::Last,
            Start::Live | Start::Earliest | Start::Cursor(_) => LogStart::Earliest,
        };
        Reader::new(&from, held_bytes)
    }

    /// What was returned last counts as taken.
    fn take_step(&mut self) {
        if let Some(step) = self.step.take() {
            self.place.take(&step);
        }
    }

    fn poll_delivery(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Delivery<E>>>> {
        self.take_step();
        loop {
            if let Some(delivery) = self.next_of_current() {
                return Poll::Ready(Some(Ok(delivery)));
            }
            let counters = &self.bus.shared().counters;
            match ready!(self.backlog.poll(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok((item, progress))) => {
                    let step = |(stream, progress)| (stream, progress, None);
                    match item {
                        Item::Frame { topic, lane, frame, from } => {
                            let (cursor, meter) = (frame.cursor(), self.meter(&topic));
                            let uncounted = 0;
                            self.current = Some(Current {
                                topic,
                                lane,
                                frame,
                                cursor,
                                from,
                                progress,
                                meter,
                                uncounted,
                            });
                        }
                        Item::Gap(gap) => {
                            counters.gap(gap.reason);
                            self.meter(&gap.topic).gap(gap.reason);
                            self.step = progress.map(step);
                            return Poll::Ready(Some(Ok(Delivery::Gap(gap))));
                        }
                        Item::Foreign(foreign) => {
                            add(&counters.foreign, 1);
                            self.meter(&foreign.topic).foreign.add(1);
                            self.step = progress.map(step);
                            return Poll::Ready(Some(Ok(Delivery::Foreign(foreign))));
                        }
                        Item::Mark => {
                            if let Some(progress) = progress {
                                self.place.take(&step(progress));
                            }
                        }
                    }
                }
            }
        }
    }

    fn meter(&self, topic: &TopicName) -> Arc<Consuming> {
        match self.meters.get(topic) {
            Some(meter) => meter.clone(),
            // There is one for each topic of the subscription, and nothing comes from others.
            None => Arc::new(self.bus.shared().meter.consuming(topic)),
        }
    }

    fn next_of_current(&mut self) -> Option<Delivery<E>> {
        let current = self.current.as_mut()?;
        let counters = &self.bus.shared().counters;
        while let Some(record) = current.cursor.next(&current.frame) {
            if record.seq() < current.from {
                continue;
            }
            // It was here before, as itself; now it is for one group.
            if current.progress.is_some() && record.is::<Redriven>() {
                continue;
            }
            let reason = match E::from_record(&record) {
                Ok(Some(event)) => {
                    add(&counters.delivered, 1);
                    current.count();
                    self.step = step_of(&current.progress, Some(record.seq() + 1));
                    let topic = current.topic.clone();
                    let lane = current.lane;
                    return Some(Delivery::Event(Received { event, topic, lane, record }));
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
            counters.gap(reason);
            current.meter.gap(reason);
            self.step = step_of(&current.progress, Some(record.seq() + 1));
            let (from, to) = (Some(record.seq()), Some(record.seq() + 1));
            let missing = Missing::Source { source: record.source(), lane: current.lane, from, to };
            return Some(Delivery::Gap(Gap { topic: current.topic.clone(), missing, reason }));
        }
        if let Some(step) = step_of(&current.progress, None) {
            self.place.take(&step);
        }
        self.current = None;
        None
    }
}

fn step_of(progress: &Option<(StreamId, Progress)>, taken: Option<u64>) -> Option<Step> {
    progress.as_ref().map(|(stream, progress)| (*stream, progress.clone(), taken))
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
