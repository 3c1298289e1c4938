//! A member's end of its place in a group.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::transport::{BoxFuture, FromGroup, GroupInbox, Settle, Token};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::desk::{Desk, Settled};
use super::reading::Readers;
use crate::brokers::Brokers;
use crate::error::{closed, error};

/// What the inbox and the task of a member share.
pub(super) struct Shared {
    brokers: Arc<Brokers>,
    state: Mutex<State>,
    /// There is something to receive.
    pub(super) received: Arc<Notify>,
    /// There is something to commit, or to end.
    pub(super) changed: Notify,
}

/// What a member has before it, and where that comes from.
#[derive(Default)]
pub(super) struct State {
    pub(super) desk: Desk,
    pub(super) readers: Readers,
}

impl Shared {
    pub(super) fn new(brokers: Arc<Brokers>) -> Self {
        Self { brokers, state: Mutex::default(), received: Arc::default(), changed: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever receives looks again.
    pub(super) fn tell(&self) {
        self.received.notify_one();
    }
}

impl State {
    /// Gives out what there is: what a member is to be told, and at most so many records.
    fn give(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()> {
        let now = Instant::now();
        let mut left = records_max;
        loop {
            left -= self.desk.give(now, left, into)?;
            if left == 0 {
                return Ok(());
            }
            match self.readers.fill(now, &mut self.desk, left) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(why) => self.desk.end(why),
            }
        }
    }
}

/// A member's end of its place in a group. Dropping it leaves the group, as well as that can be done without waiting.
pub(super) struct KafkaGroupInbox {
    shared: Arc<Shared>,
    /// How long an ack waits for its commit.
    patience: Duration,
    /// Tells the task that it is to leave, and is told when it has. The task leaves when this is dropped, too.
    leaving: mpsc::Sender<oneshot::Sender<Result<()>>>,
}

impl KafkaGroupInbox {
    pub(super) fn new(
        shared: Arc<Shared>,
        patience: Duration,
        leaving: mpsc::Sender<oneshot::Sender<Result<()>>>,
    ) -> Self {
        Self { shared, patience, leaving }
    }
}

#[async_trait]
impl GroupInbox for KafkaGroupInbox {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()> {
        tokio::task::consume_budget().await;
        let before = into.len();
        loop {
            if self.shared.brokers.is_closed() {
                return Err(closed().operation("recv"));
            }
            let given = self.shared.state().give(records_max, into);
            given.or_else(|error| if into.len() > before { Ok(()) } else { Err(error.operation("recv")) })?;
            // What was drawn may have to be committed before it is given out, or soon.
            self.shared.changed.notify_one();
            if into.len() > before {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = self.shared.brokers.closed() => {}
                () = self.shared.received.notified() => {}
            }
        }
    }

    /// Settles at once, not when the future is polled. An ack is answered when it is committed.
    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        if self.shared.brokers.is_closed() {
            return Box::pin(std::future::ready(Err(closed().operation("settle"))));
        }
        let settled = self.shared.state().desk.settle(Instant::now(), token, how);
        if how == Settle::Release {
            self.shared.tell();
        }
        self.shared.changed.notify_one();
        let (patience, brokers) = (self.patience, Arc::clone(&self.shared.brokers));
        Box::pin(async move {
            let later = match settled {
                Settled::At(result) => return result,
                Settled::Later(later) => later,
            };
            tokio::select! {
                biased;
                () = brokers.closed() => Err(closed()),
                told = timeout(patience, later) => match told {
                    Ok(told) => told.unwrap_or_else(|_| Err(no_answer())),
                    Err(_) => Err(no_answer()),
                },
            }
            .map_err(|error| error.operation("settle"))
        })
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        let (told, left) = oneshot::channel();
        if self.leaving.send(told).await.is_err() {
            return Ok(());
        }
        left.await.unwrap_or_else(|_| Err(closed())).map_err(|error| error.operation("leave"))
    }
}

/// An ack is kept until it is committed, or its lane is gone.
fn no_answer() -> Error {
    error(ErrorKind::OutcomeUnknown, "the commit was not answered in time")
        .help("it is tried again as long as the lane is this member's")
}
