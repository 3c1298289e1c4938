//! One event of a group, in the hands of the application.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::hub::Hub;
use crate::bus::delivery::Received;
use crate::group::{JobId, Verdict};

/// One try of one event of a group. Dereferences to the event as it was received.
#[derive(Clone, Debug)]
pub struct Attempt<E> {
    pub(crate) received: Received<E>,
    pub(crate) number: u32,
}

impl<E> Attempt<E> {
    /// The how manieth try it is, from 1: those of this member, and how often the backend gave the event out before.
    pub fn attempt(&self) -> u32 {
        self.number
    }

    /// The event as it was received.
    pub fn received(&self) -> &Received<E> {
        &self.received
    }
}

impl<E> Deref for Attempt<E> {
    type Target = Received<E>;

    fn deref(&self) -> &Received<E> {
        &self.received
    }
}

/// An event of a group to be handled, and the right to say what came of it. Dereferences to its [`Attempt`].
///
/// What is said takes effect behind it: the acknowledgement goes to the backend when all events of its message are
/// settled, and a dead letter is stored before that. Dropped without a word, the event is released: it goes back to the
/// group, with what else of its message was not begun.
#[must_use = "an event that is dropped goes back to the group"]
pub struct Job<E> {
    pub(crate) attempt: Attempt<E>,
    pub(crate) right: Right,
}

impl<E> Job<E> {
    /// It is done.
    pub fn ack(self) {
        self.right.decide(Verdict::Done);
    }

    /// It failed, and is to be tried again after a pause; after the last try it goes to the dead letters, with this
    /// reason.
    pub fn retry(self, reason: impl fmt::Display) {
        self.right.decide(Verdict::Retry(reason.to_string()));
    }

    /// It will never succeed: it goes to the dead letters, with this reason.
    pub fn reject(self, reason: impl fmt::Display) {
        self.right.decide(Verdict::Reject(reason.to_string()));
    }

    pub(super) fn into_parts(self) -> (Attempt<E>, Right) {
        (self.attempt, self.right)
    }
}

impl<E> Deref for Job<E> {
    type Target = Attempt<E>;

    fn deref(&self) -> &Attempt<E> {
        &self.attempt
    }
}

impl<E: fmt::Debug> fmt::Debug for Job<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.attempt).finish()
    }
}

/// The right to say what came of a try. Dropped, it says that nothing was decided.
pub(crate) struct Right {
    hub: Arc<Hub>,
    job: JobId,
    decided: bool,
    /// When the application got it.
    began: Option<Instant>,
}

impl Right {
    pub(crate) fn new(hub: Arc<Hub>, job: JobId) -> Self {
        Self { hub, job, decided: false, began: None }
    }

    /// The application gets it, and has it until it decides.
    pub(crate) fn hand_over(mut self) -> Self {
        self.began = Some(Instant::now());
        self.hub.meter.consumed.add(1);
        self
    }

    /// How long the application has had it.
    pub(crate) fn lasts(&self) -> Duration {
        self.began.map(|began| began.elapsed()).unwrap_or_default()
    }

    pub(crate) fn decide(mut self, verdict: Verdict) {
        self.decided = true;
        if let Some(began) = self.began {
            self.hub.meter.processed(began.elapsed(), &verdict);
        }
        self.hub.verdict(self.job, verdict);
    }
}

impl Drop for Right {
    fn drop(&mut self) {
        if !self.decided {
            self.hub.verdict(self.job, Verdict::Release);
        }
    }
}
