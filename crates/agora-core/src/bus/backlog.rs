//! What a subscription has not taken yet: bounded, and what does not fit becomes a gap.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::clock::Clock;
use super::delivery::{Foreign, Gap, Missing};
use super::queue::lock;
use crate::codec::Frame;
use crate::error::Error;
use crate::id::{SourceId, StreamId, TopicName};
use crate::live::Reason;
use crate::log::Progress;

/// What an entry costs in memory beyond its bytes.
const ITEM_OVERHEAD: usize = 128;
/// Of so many sources at most it is noted one by one what did not fit; of further ones, only since when.
const DROPPED_MAX: usize = 1024;

/// The memory for what was received and not taken, shared by all subscriptions of a bus in equal parts.
#[derive(Debug)]
pub(crate) struct Shares {
    bytes: usize,
    subscriptions: AtomicUsize,
    in_use: AtomicUsize,
}

impl Shares {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes, subscriptions: AtomicUsize::new(0), in_use: AtomicUsize::new(0) })
    }

    pub(crate) fn bytes_in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    /// A backlog holds so much now, and held so much before.
    fn changed(&self, before: usize, now: usize) {
        if now >= before {
            self.in_use.fetch_add(now - before, Relaxed);
        } else {
            self.in_use.fetch_sub(before - now, Relaxed);
        }
    }

    fn each(&self) -> usize {
        self.bytes / self.subscriptions.load(Relaxed).max(1)
    }
}

#[derive(Debug)]
pub(crate) enum Item {
    /// The records of a frame from sequence `from` on.
    Frame {
        topic: TopicName,
        lane: u32,
        frame: Arc<Frame>,
        from: u64,
    },
    Gap(Gap),
    Foreign(Foreign),
    /// Nothing to deliver: only where the reading of a log stands.
    Mark,
}

impl Item {
    fn cost(&self) -> usize {
        ITEM_OVERHEAD
            + match self {
                Self::Frame { frame, .. } => frame.bytes().len(),
                Self::Gap(_) | Self::Mark => 0,
                Self::Foreign(foreign) => foreign.raw.payload.len(),
            }
    }
}

/// An item, and what taking it changes in the place in a log.
pub(crate) type Taken = (Item, Option<(StreamId, Progress)>);

#[derive(Debug)]
struct Dropped {
    lane: u32,
    from: Option<u64>,
    to: Option<u64>,
    reason: Reason,
}

#[derive(Debug, Default)]
struct Inner {
    /// With what taking it changes in the place in a log.
    items: VecDeque<Taken>,
    bytes: usize,
    /// What did not fit, by source. While this is not empty, nothing more is queued: order is kept.
    dropped: BTreeMap<(TopicName, SourceId), Dropped>,
    /// What did not fit and has no sequence, or too many sources: since when, by topic.
    dropped_unknown: BTreeMap<TopicName, SystemTime>,
    ended: Option<Result<(), Error>>,
    waker: Option<Waker>,
}

impl Inner {
    fn has_dropped(&self) -> bool {
        !self.dropped.is_empty() || !self.dropped_unknown.is_empty()
    }

    fn push(&mut self, item: Item) {
        self.push_with(item, None);
    }

    fn push_with(&mut self, item: Item, progress: Option<(StreamId, Progress)>) {
        self.bytes += item.cost();
        self.items.push_back((item, progress));
    }

    /// Turns what was dropped into gaps, where it stood.
    fn declare_dropped(&mut self) {
        for ((topic, source), d) in std::mem::take(&mut self.dropped) {
            let missing = Missing::Source { source, lane: d.lane, from: d.from, to: d.to };
            self.push(Item::Gap(Gap { topic, missing, reason: d.reason }));
        }
        for (topic, since) in std::mem::take(&mut self.dropped_unknown) {
            self.push(Item::Gap(Gap {
                topic,
                missing: Missing::Unknown { since },
                reason: Reason::Overflow,
            }));
        }
    }

    fn drop_range(&mut self, now: SystemTime, topic: TopicName, missing: &Missing, reason: Reason) {
        let known = |source| self.dropped.contains_key(&(topic.clone(), source));
        match *missing {
            Missing::Source { source, .. } if self.dropped.len() >= DROPPED_MAX && !known(source) => {
                self.dropped_unknown.entry(topic).or_insert(now);
            }
            Missing::Source { source, lane, from, to } => {
                self.dropped
                    .entry((topic, source))
                    // A range begins where its first part began, and ends where its last part ends.
                    .and_modify(|d| d.to = to)
                    .or_insert(Dropped { lane, from, to, reason });
            }
            // Logs wait for room: see `Backlog::push_log`.
            Missing::Log { .. } => {}
            Missing::Unknown { since } => {
                self.dropped_unknown.entry(topic).or_insert(since);
            }
        }
    }
}

/// The way from a topic's task to one subscription.
#[derive(Debug)]
pub(crate) struct Backlog {
    inner: Mutex<Inner>,
    shares: Arc<Shares>,
    clock: Clock,
    abandoned: AtomicBool,
    /// Told when something was taken, and when the reader is gone.
    taken: Notify,
}

impl Backlog {
    pub(crate) fn new(shares: Arc<Shares>, clock: Clock) -> Self {
        shares.subscriptions.fetch_add(1, Relaxed);
        Self {
            inner: Mutex::default(),
            shares,
            clock,
            abandoned: AtomicBool::new(false),
            taken: Notify::new(),
        }
    }

    /// Queues an item, or notes that it did not fit. Never waits. Answers whether it was queued.
    pub(crate) fn push(&self, item: Item) -> bool {
        if self.is_abandoned() {
            return true;
        }
        let limit = self.shares.each();
        let mut inner = lock(&self.inner);
        if inner.ended.is_some() {
            // An error is the last thing that the reader hears.
            return true;
        }
        let before = inner.bytes;
        // Room is given back at half, so that a slow reader sees few long gaps and not many short ones.
        let has_room = match inner.has_dropped() {
            true => inner.bytes <= limit / 2,
            false => inner.items.is_empty() || inner.bytes + item.cost() <= limit,
        };
        if has_room {
            inner.declare_dropped();
            inner.push(item);
        } else {
            let now = self.clock.now();
            match item {
                Item::Frame { topic, lane, frame, from } => {
                    let (source, to) = (frame.header().source, frame.end());
                    let missing = Missing::Source { source, lane, from: Some(from), to: Some(to) };
                    inner.drop_range(now, topic, &missing, Reason::Overflow);
                }
                Item::Gap(gap) => inner.drop_range(now, gap.topic, &gap.missing, gap.reason),
                // Logs wait for room: see `push_log`.
                Item::Mark => {}
                Item::Foreign(foreign) => {
                    let missing = Missing::Unknown { since: foreign.arrived };
                    inner.drop_range(now, foreign.topic, &missing, Reason::Overflow);
                }
            }
        }
        self.shares.changed(before, inner.bytes);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        has_room
    }

    /// Waits until there is room for an item of a log, or the reader is gone.
    pub(crate) async fn wait_room(&self, item: &Item) {
        loop {
            let mut taken = pin!(self.taken.notified());
            taken.as_mut().enable();
            {
                let inner = lock(&self.inner);
                let fits = inner.items.is_empty() || inner.bytes + item.cost() <= self.shares.each();
                if fits || inner.ended.is_some() || self.is_abandoned() {
                    return;
                }
            }
            taken.await;
        }
    }

    /// Queues an item of a log, whether there is room or not: whoever calls has waited for it.
    pub(crate) fn push_log(&self, item: Item, stream: StreamId, progress: Progress) {
        let mut inner = lock(&self.inner);
        if inner.ended.is_some() || self.is_abandoned() {
            return;
        }
        let before = inner.bytes;
        inner.declare_dropped();
        inner.push_with(item, Some((stream, progress)));
        self.shares.changed(before, inner.bytes);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the reader is gone.
    pub(crate) async fn wait_abandoned(&self) {
        loop {
            let mut taken = pin!(self.taken.notified());
            taken.as_mut().enable();
            if self.is_abandoned() {
                return;
            }
            taken.await;
        }
    }

    /// Nothing more comes: regularly, or for this reason. What is queued can still be taken.
    pub(crate) fn end(&self, how: Result<(), Error>) {
        let mut inner = lock(&self.inner);
        inner.ended.get_or_insert(how);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next item, or `None` at the end.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<Taken, Error>>> {
        let mut inner = lock(&self.inner);
        let before = inner.bytes;
        if inner.items.is_empty() {
            inner.declare_dropped();
        }
        if let Some((item, progress)) = inner.items.pop_front() {
            inner.bytes -= item.cost();
            self.shares.changed(before, inner.bytes);
            drop(inner);
            self.taken.notify_waiters();
            return Poll::Ready(Some(Ok((item, progress))));
        }
        match &mut inner.ended {
            Some(Ok(())) => Poll::Ready(None),
            Some(failed) => match std::mem::replace(failed, Ok(())) {
                Ok(()) => Poll::Ready(None),
                Err(error) => Poll::Ready(Some(Err(error))),
            },
            None => {
                inner.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The reader is gone.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Relaxed);
        self.shares.subscriptions.fetch_sub(1, Relaxed);
        let mut inner = lock(&self.inner);
        inner.items.clear();
        self.shares.changed(inner.bytes, 0);
        inner.bytes = 0;
        drop(inner);
        self.taken.notify_waiters();
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Relaxed)
    }
}

/// What was queued while the reader left goes with the last who holds this.
impl Drop for Backlog {
    fn drop(&mut self) {
        let left = lock(&self.inner).bytes;
        self.shares.changed(left, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::error::ErrorKind;
    use crate::id::{Incarnation, NodeId};

    fn gap(node: u64) -> Item {
        let source = SourceId { node: NodeId(node), incarnation: Incarnation(1) };
        let missing = Missing::Source { source, lane: 0, from: None, to: None };
        Item::Gap(Gap { topic: TopicName::new("t").unwrap(), missing, reason: Reason::TooManySources })
    }

    /// Everything that is there: gaps that name a source, and gaps that name nobody.
    fn take(backlog: &Backlog) -> (usize, usize) {
        let (mut known, mut unknown) = (0, 0);
        while let Poll::Ready(Some(Ok((Item::Gap(gap), _)))) =
            backlog.poll(&Context::from_waker(Waker::noop()))
        {
            match gap.missing {
                Missing::Source { .. } => known += 1,
                Missing::Log { .. } | Missing::Unknown { .. } => unknown += 1,
            }
        }
        (known, unknown)
    }

    #[test]
    fn sources_without_number_are_dropped_without_names() {
        let backlog = Backlog::new(Shares::new(10 * ITEM_OVERHEAD), Clock::System);
        for node in 0..100_000 {
            backlog.push(gap(node));
        }
        assert!(lock(&backlog.inner).dropped.len() <= DROPPED_MAX);
        assert_eq!(take(&backlog), (10 + DROPPED_MAX, 1), "and nothing is silent");
    }

    #[test]
    fn an_error_is_the_last_thing_that_is_heard() {
        let backlog = Backlog::new(Shares::new(1 << 20), Clock::System);
        backlog.push(gap(1));
        backlog.end(Err(Error::new(ErrorKind::Backend, "one topic is gone")));
        // Another topic of the same subscription goes on.
        backlog.push(gap(2));
        let poll = || backlog.poll(&Context::from_waker(Waker::noop()));
        assert!(matches!(poll(), Poll::Ready(Some(Ok((Item::Gap(_), _))))));
        assert!(matches!(poll(), Poll::Ready(Some(Err(error))) if error.kind() == ErrorKind::Backend));
        assert!(matches!(poll(), Poll::Ready(None)));
    }
}
