//! Handles the events of a group, several at a time.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::task::JoinSet;

use super::handle::{Group, Work};
use super::job::{Attempt, Right};
use crate::bus::delivery::Gap;
use crate::error::Result;
use crate::event::Events;
use crate::group::Verdict;

/// Why a handler did not succeed.
///
/// Any error becomes [`Retry`](Failed::Retry) by `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It may succeed another time.
    Retry(String),
    /// It never will: straight to the dead letters.
    Reject(String),
}

impl Failed {
    /// Straight to the dead letters, with this reason.
    pub fn reject(reason: impl fmt::Display) -> Self {
        Self::Reject(reason.to_string())
    }

    /// Once more after a pause, with this reason.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry(reason.to_string())
    }
}

/// `Failed` is no `Error` itself, so that this can be.
impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason.push_str(": ");
            reason.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::Retry(reason)
    }
}

impl<E: Events> Group<E> {
    /// Handles events until the bus is closed: at most `concurrency` at a time, of each key one after the other. `Ok`
    /// acknowledges, an error is tried again or rejected as [`Failed`] says, a panic and a handler that takes longer
    /// than `handler_timeout` count as failed tries. Gaps are logged as warnings; [`run_with_gaps`](Self::run_with_gaps)
    /// hands them over. Messages of other software go to the dead letters: take them with [`try_next`](Self::try_next).
    ///
    /// # Errors
    /// The error that ended this place in the group.
    ///
    /// # Cancel safety
    /// When the future is dropped, handlers that run are stopped where they wait, and their events go back to the
    /// group. [`leave`](Group::leave) after that is an orderly end.
    pub async fn run<F, R>(&mut self, concurrency: usize, handler: F) -> Result<()>
    where
        F: FnMut(Attempt<E>) -> R,
        R: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        let warn = |gap: Gap| tracing::warn!(%gap, "a group will never get some events");
        self.run_with_gaps(concurrency, handler, warn).await
    }

    /// As [`run`](Self::run), and hands over what the group will never get.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_with_gaps<F, R>(
        &mut self,
        concurrency: usize,
        mut handler: F,
        mut on_gap: impl FnMut(Gap),
    ) -> Result<()>
    where
        F: FnMut(Attempt<E>) -> R,
        R: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        let concurrency = concurrency.max(1);
        self.hub.demand(concurrency);
        // Dropped, they are stopped where they wait, and their events released.
        let mut running = JoinSet::new();
        loop {
            let free = running.len() < concurrency;
            tokio::select! {
                biased;
                Some(_) = running.join_next() => {}
                work = self.try_next(), if free => match work? {
                    None => break,
                    Some(Work::Gap(gap)) => on_gap(gap),
                    Some(Work::Foreign(foreign)) => {
                        foreign.reject("a message of other software, which this group does not take");
                    }
                    Some(Work::Job(job)) => {
                        let (attempt, right) = job.into_parts();
                        let handling = handler(attempt);
                        running.spawn(handle(handling, right, self.hub.job_timeout()));
                    }
                },
            }
        }
        // Nothing is begun any more; what runs may still end in good order.
        while running.join_next().await.is_some() {}
        Ok(())
    }
}

/// Runs a handler to its end, and says what came of it.
async fn handle(
    handling: impl Future<Output = Result<(), Failed>> + Send,
    right: Right,
    time: std::time::Duration,
) {
    let mut handling = pin!(handling);
    let caught = poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| handling.as_mut().poll(cx));
        match catch_unwind(poll) {
            Ok(poll) => poll,
            // It is not polled again: after a panic it has no state that could be relied on.
            Err(panic) => {
                Poll::Ready(Err(Failed::retry(format!("the handler panicked: {}", words(&*panic)))))
            }
        }
    });
    right.decide(match tokio::time::timeout(time, caught).await {
        Ok(Ok(())) => Verdict::Done,
        Ok(Err(Failed::Retry(reason))) => Verdict::Retry(reason),
        Ok(Err(Failed::Reject(reason))) => Verdict::Reject(reason),
        Err(_) => Verdict::Retry(format!("the handler took longer than {time:?}")),
    });
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}
