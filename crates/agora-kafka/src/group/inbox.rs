//! A member's end of its place in a group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::transport::{BoxFuture, FromGroup, GroupInbox, Settle, Token};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::desk::{Answer, Desk, Settling};
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

    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        let settling = self.settle_all(vec![(token, how)]);
        Box::pin(async move { settling.await.pop().unwrap_or_else(|| Err(no_answer())) })
    }

    /// Settles at once, not when the future is polled. Acks are answered when they are committed, those of a lane together.
    fn settle_all(&self, words: Vec<(Token, Settle)>) -> BoxFuture<Vec<Result<()>>> {
        if self.shared.brokers.is_closed() {
            let closed = Err(closed().operation("settle"));
            return Box::pin(std::future::ready(vec![closed; words.len()]));
        }
        let Settling { answers, commits } = self.shared.state().desk.settle(Instant::now(), &words);
        if words.iter().any(|(_, how)| *how == Settle::Release) {
            self.shared.tell();
        }
        self.shared.changed.notify_one();
        let (by, brokers) = (Instant::now() + self.patience, Arc::clone(&self.shared.brokers));
        Box::pin(async move {
            let mut committed = BTreeMap::new();
            for (lane, told) in commits {
                let answer = tokio::select! {
                    biased;
                    () = brokers.closed() => Err(closed()),
                    told = timeout_at(by, told) => match told {
                        Ok(told) => told.unwrap_or_else(|_| Err(no_answer())),
                        Err(_) => Err(no_answer()),
                    },
                };
                committed.insert(lane, answer.map_err(|error| error.operation("settle")));
            }
            let of = |lane| committed.get(&lane).cloned().unwrap_or_else(|| Err(no_answer()));
            let answers = answers.into_iter().map(|answer| match answer {
                Answer::At(result) => result,
                Answer::Committed(lane) => of(lane),
            });
            answers.collect()
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
