//! Handles the events of a group, several at a time.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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
    /// than `handler_timeout` count as failed tries. A handler begins where this is awaited, and gets a task of its own as
    /// soon as it waits: one that computes for long belongs into `spawn_blocking`, as in any task. Gaps are logged as warnings; [`run_with_gaps`](Self::run_with_gaps)
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
        let mut pace = Pace::default();
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
                        // What the handler does before its future is a part of the try.
                        match catch_unwind(AssertUnwindSafe(|| handler(attempt))) {
                            Ok(handling) => {
                                let handling = Box::pin(handling);
                                if let Some((handling, right)) = pace.begin(handling, right) {
                                    running.spawn(handle(handling, right, self.hub.job_timeout()));
                                }
                            }
                            Err(panic) => right.decide(Verdict::Retry(panicked(&*panic))),
                        }
                        // Handlers that are done at once never wait, and others want to run too.
                        tokio::task::coop::consume_budget().await;
                    }
                },
            }
        }
        // Nothing is begun any more; what runs may still end in good order.
        while running.join_next().await.is_some() {}
        Ok(())
    }
}

/// Which handlers are begun where they were made. Many are done as soon as they begin, and a task of its own would cost
/// such a one several times what it does itself. One that works for longer without waiting keeps the others from
/// beginning: after it some of them get tasks of their own at once, which the runtime spreads over its threads.
#[derive(Debug, Default)]
struct Pace {
    /// How many of the next get a task at once.
    spawn: u32,
}

impl Pace {
    /// So long a handler may work here.
    const WORK_MAX: Duration = Duration::from_micros(50);
    /// So many get tasks after one that worked for longer.
    const SPAWN: u32 = 64;

    /// Begins a handler. Gives it back where it is not done: to be run by a task.
    fn begin<H>(&mut self, mut handling: Pin<Box<H>>, right: Right) -> Option<(Pin<Box<H>>, Right)>
    where
        H: Future<Output = Result<(), Failed>>,
    {
        if self.spawn > 0 {
            self.spawn -= 1;
            return Some((handling, right));
        }
        // Whatever wakes it is not heard: the task polls it anew.
        let mut cx = Context::from_waker(Waker::noop());
        let begin = AssertUnwindSafe(|| match handling.as_mut().poll(&mut cx) {
            Poll::Pending => Err(handling),
            Poll::Ready(done) => {
                drop(handling);
                Ok(done)
            }
        });
        let begun = catch_unwind(begin);
        if right.lasts() > Self::WORK_MAX {
            self.spawn = Self::SPAWN;
        }
        match begun {
            Ok(Err(handling)) => return Some((handling, right)),
            Ok(Ok(done)) => right.decide(verdict_of(done)),
            Err(panic) => right.decide(Verdict::Retry(panicked(&*panic))),
        }
        None
    }
}

/// Runs a handler to its end, and says what came of it.
async fn handle(handling: impl Future<Output = Result<(), Failed>> + Send, right: Right, time: Duration) {
    let mut handling = pin!(handling);
    let caught = poll_fn(|cx| {
        let poll = AssertUnwindSafe(|| handling.as_mut().poll(cx));
        match catch_unwind(poll) {
            Ok(poll) => poll,
            // It is not polled again: after a panic it has no state that could be relied on.
            Err(panic) => Poll::Ready(Err(Failed::Retry(panicked(&*panic)))),
        }
    });
    right.decide(match tokio::time::timeout(time, caught).await {
        Ok(done) => verdict_of(done),
        Err(_) => Verdict::Retry(format!("the handler took longer than {time:?}")),
    });
}

fn verdict_of(done: Result<(), Failed>) -> Verdict {
    match done {
        Ok(()) => Verdict::Done,
        Err(Failed::Retry(reason)) => Verdict::Retry(reason),
        Err(Failed::Reject(reason)) => Verdict::Reject(reason),
    }
}

/// A panic is a failed try, with what it said.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let words = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
    format!("the handler panicked: {words}")
}
