//! The requests of a connection that await an answer, in the order in which they were sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::IN_FLIGHT_MAX;
use super::pending::Waiter;
use crate::error::error;
use crate::meter::Timings;

/// The longest that a broker can keep a connection quiet, whatever it says. `quota.window.size.seconds` is 1 s, and a
/// broker reckons with at most two windows or so.
const THROTTLE_MAX: Duration = Duration::from_secs(60);

/// What the two halves of a connection share.
pub(super) struct Flight {
    state: Mutex<State>,
    changed: Notify,
    emptied: Notify,
    room: Semaphore,
}

#[derive(Default)]
struct State {
    sent: VecDeque<Sent>,
    /// When the broker said anything last, be it a part of an answer.
    heard: Option<Instant>,
    quiet_until: Option<Instant>,
    timings: Timings,
}

struct Sent {
    correlation: i32,
    at: Instant,
    by: Instant,
    waiter: Box<dyn Waiter>,
}

impl State {
    /// Which answer is due first, and when.
    fn first_due(&self) -> Option<(Instant, &'static str)> {
        let late = self.sent.iter().min_by_key(|sent| sent.by).map(|sent| (sent.by, sent.waiter.name()));
        // What comes behind the first one is not worked on yet.
        let silent = self.sent.front().and_then(|sent| {
            let since = self.heard.map_or(sent.at, |heard| heard.max(sent.at));
            Some((since + sent.waiter.patience()?, sent.waiter.name()))
        });
        late.into_iter().chain(silent).min_by_key(|(due, _)| *due)
    }
}

impl Flight {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            emptied: Notify::new(),
            room: Semaphore::new(IN_FLIGHT_MAX),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more request may be sent: the broker does not want the connection quiet, and not too many await an
    /// answer.
    pub(super) async fn may_send(&self) {
        loop {
            match self.room.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) => std::future::pending().await,
            }
            let quiet_until = self.state().quiet_until;
            match quiet_until.filter(|at| *at > Instant::now()) {
                None => return,
                Some(at) => {
                    self.room.add_permits(1);
                    sleep_until(at).await;
                }
            }
        }
    }

    /// Nothing was sent after all.
    pub(super) fn did_not_send(&self) {
        self.room.add_permits(1);
    }

    /// Remembers a request that is about to be written.
    pub(super) fn push(&self, correlation: i32, by: Instant, waiter: Box<dyn Waiter>) {
        let at = Instant::now();
        self.state().sent.push_back(Sent { correlation, at, by, waiter });
        self.changed.notify_one();
    }

    /// Hands an answer to whoever waits for it.
    ///
    /// # Errors
    /// Nobody does, it is not the next in order, or it cannot be read: the connection is of no use any more.
    pub(super) fn answered(&self, correlation: i32, frame: Bytes) -> Result<()> {
        let next = {
            let mut state = self.state();
            if state.sent.front().is_none_or(|sent| sent.correlation != correlation) {
                return Err(error(ErrorKind::Backend, "the broker answered something that nobody asked"));
            }
            let next = state.sent.pop_front();
            if let Some(sent) = &next {
                state.timings.record(sent.waiter.name(), sent.at.elapsed());
            }
            next
        };
        let Some(next) = next else { return Ok(()) };
        let throttle = next.waiter.take(frame)?.min(THROTTLE_MAX);
        if !throttle.is_zero() {
            tracing::debug!(?throttle, "the broker asks for a pause");
            self.state().quiet_until = Some(Instant::now() + throttle);
        }
        // Behind the pause, so that nobody slips in between.
        self.room.add_permits(1);
        self.changed.notify_one();
        self.emptied.notify_one();
        Ok(())
    }

    /// The broker said something.
    pub(super) fn heard(&self) {
        self.state().heard = Some(Instant::now());
    }

    /// Waits until an answer is overdue, or the broker has been silent for too long. Returns what was asked.
    pub(super) async fn overdue(&self) -> &'static str {
        loop {
            let first = self.state().first_due().map(|(due, _)| due);
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => {
                    // It may have been heard of since.
                    if let Some((due, name)) = self.state().first_due() && due <= Instant::now() {
                        return name;
                    }
                }
            }
        }
    }

    /// Does nothing await an answer?
    pub(super) fn is_empty(&self) -> bool {
        self.state().sent.is_empty()
    }

    /// Waits until nothing awaits an answer. One task at a time may do so.
    pub(super) async fn emptied(&self) {
        while !self.is_empty() {
            self.emptied.notified().await;
        }
    }

    /// The connection is over: tells everybody who still waits.
    pub(super) fn end(&self, why: &Error) {
        let sent = std::mem::take(&mut self.state().sent);
        let now = Instant::now();
        for request in sent {
            let message = if request.by <= now {
                "no answer came in time"
            } else {
                "the connection was lost before the answer came"
            };
            request.waiter.fail(error(ErrorKind::OutcomeUnknown, message).source(why.clone()));
        }
    }
}
