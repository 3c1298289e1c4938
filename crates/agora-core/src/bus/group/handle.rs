//! A place in a group.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::content::{self, Content};
use super::hub::{Hub, Next};
use super::job::{Attempt, Job, Right};
use crate::bus::Bus;
use crate::bus::delivery::{Foreign, Gap, Received};
use crate::codec::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::group::{Begin, Verdict};
use crate::id::{GroupName, TopicName};

/// One thing that a group has for a member.
#[derive(Debug)]
pub enum Work<E = Record> {
    /// An event to be handled.
    Job(Job<E>),
    /// Something is missing that nobody of the group will get: what, and why.
    Gap(Gap),
    /// A message of other software on the same topic, to be handled.
    Foreign(ForeignJob),
}

/// A message of other software, and the right to say what came of it. Dropped without a word, it is released.
#[must_use = "a message that is dropped goes back to the group"]
pub struct ForeignJob {
    foreign: Foreign,
    number: u32,
    right: Right,
}

impl ForeignJob {
    /// The message.
    pub fn foreign(&self) -> &Foreign {
        &self.foreign
    }

    /// The how manieth try it is, from 1.
    pub fn attempt(&self) -> u32 {
        self.number
    }

    /// As [`Job::ack`].
    pub fn ack(self) {
        self.right.decide(Verdict::Done);
    }

    /// As [`Job::retry`].
    pub fn retry(self, reason: impl fmt::Display) {
        self.right.decide(Verdict::Retry(reason.to_string()));
    }

    /// As [`Job::reject`].
    pub fn reject(self, reason: impl fmt::Display) {
        self.right.decide(Verdict::Reject(reason.to_string()));
    }
}

impl fmt::Debug for ForeignJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForeignJob").field(&self.foreign).finish()
    }
}

/// A place in a group. Dropping it leaves the group: what was not begun goes to the others.
///
/// Each event is handled by one member, at least once. Events of one key are handled one after the other; across
/// members this holds where [`group_order`](crate::transport::Capabilities::group_order) says so, and as long as no
/// lease ends.
pub struct Group<E = Record> {
    /// A place in a group keeps its bus alive.
    _bus: Bus,
    pub(super) hub: Arc<Hub>,
    events: PhantomData<fn() -> E>,
}

impl<E: Events> Group<E> {
    pub(super) fn new(bus: Bus, hub: Arc<Hub>) -> Self {
        Self { _bus: bus, hub, events: PhantomData }
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.hub.topic
    }

    /// The name of the group.
    pub fn name(&self) -> &GroupName {
        &self.hub.name
    }

    /// The next event to be handled; of each key one at a time, so the next of a key comes when the one before is
    /// settled. `None` when the group was left or the bus was closed.
    ///
    /// # Errors
    /// The error that ended this place in the group.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn try_next(&mut self) -> Result<Option<Work<E>>> {
        loop {
            match self.hub.next().await {
                Next::Gap(gap) => return Ok(Some(Work::Gap(gap))),
                Next::Ended(None) => return Ok(None),
                Next::Ended(Some(error)) => return Err(error),
                Next::Begin(begin) => {
                    if let Some(work) = self.begin(&begin) {
                        return Ok(Some(work));
                    }
                }
            }
        }
    }

    /// What has begun, unless there is nothing in it for the application.
    fn begin(&self, begin: &Begin<content::Piece>) -> Option<Work<E>> {
        let piece = &begin.item;
        let right = Right::new(self.hub.clone(), begin.job);
        let (topic, group) = (self.hub.topic.as_str(), self.hub.name.as_str());
        match content::work::<E>(&piece.content, begin.index, topic, group) {
            content::Work::Event(event, record) => {
                let received = Received { event, topic: self.hub.topic.clone(), lane: piece.lane, record };
                let attempt = Attempt { received, number: begin.attempt };
                Some(Work::Job(Job { attempt, right: right.hand_over() }))
            }
            content::Work::Foreign(raw) => {
                let (topic, arrived) = (self.hub.topic.clone(), self.hub.shared.config.clock.now());
                let foreign = Foreign { topic, raw: (*raw).clone(), arrived };
                let right = right.hand_over();
                Some(Work::Foreign(ForeignJob { foreign, number: begin.attempt, right }))
            }
            content::Work::NotOurs => {
                right.decide(Verdict::Done);
                None
            }
            content::Work::Hopeless(reason) => {
                if let Content::Unreadable(..) = piece.content {
                    tracing::warn!(
                        topic,
                        group,
                        position = piece.at.0,
                        reason,
                        "a record goes to the dead letters"
                    );
                }
                right.decide(Verdict::Reject(reason));
                None
            }
        }
    }

    /// Leaves the group in an orderly way: nothing new is begun, what is handled now is waited for, and the rest goes
    /// to the others. Takes at most `within`.
    ///
    /// # Errors
    /// `Timeout` when something was still being handled, or not acknowledged, by then; the group is left all the same.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the group is left as by dropping.
    pub async fn leave(self, within: Duration) -> Result<()> {
        self.hub.leave();
        match tokio::time::timeout(within, self.hub.wait_ended()).await {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error.operation("leave")),
            Err(_) => {
                Err(Error::new(ErrorKind::Timeout, "not everything that was begun was settled in time")
                    .operation("leave")
                    .context("topic", &self.hub.topic)
                    .context("group", &self.hub.name)
                    .context("waited", format!("{within:?}"))
                    .help("what is left is given out again when its lease has ended"))
            }
        }
    }
}

impl<E> Drop for Group<E> {
    fn drop(&mut self) {
        self.hub.abandon();
    }
}

impl<E> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, name) = (&self.hub.topic, &self.hub.name);
        f.debug_struct("Group").field("topic", topic).field("name", name).finish_non_exhaustive()
    }
}
