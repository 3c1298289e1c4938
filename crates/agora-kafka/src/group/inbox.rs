//! A member's end of its place in a group.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::transport::{BoxFuture, FromGroup, GroupInbox, Settle, Token};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::desk::{Desk, Settled};
use super::lane::Found;
use crate::brokers::Brokers;
use crate::error::{closed, error};

/// What the inbox, the task and the readers of a member share.
pub(super) struct Shared {
    brokers: Arc<Brokers>,
    desk: Mutex<Desk>,
    /// There is something to receive.
    received: Notify,
    /// There is something to commit, or to end.
    pub(super) changed: Notify,
    /// There is room to read on.
    room: Notify,
}

impl Shared {
    pub(super) fn new(brokers: Arc<Brokers>) -> Self {
        Self {
            brokers,
            desk: Mutex::default(),
            received: Notify::new(),
            changed: Notify::new(),
            room: Notify::new(),
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever receives looks again.
    pub(super) fn tell(&self) {
        self.received.notify_one();
    }

    /// Something of a lane was read.
    pub(super) fn find(&self, lane: u32, serial: u64, found: Vec<Found>) {
        if !found.is_empty() {
            self.desk().find(lane, serial, found);
            self.tell();
        }
    }

    /// Waits until less than this was read of a lane and not given out. `false`: it is not this member's any more.
    pub(super) async fn has_room(&self, lane: u32, serial: u64, ahead_max: usize) -> bool {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            match self.desk().ahead(lane, serial) {
                None => return false,
                Some(ahead) if ahead < ahead_max => return true,
                Some(_) => {}
            }
            room.await;
        }
    }

    /// What the log was is not what it is: the group is to be joined anew.
    pub(super) fn interrupt(&self) {
        self.desk().interrupt();
        self.tell();
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
            let given = self.shared.desk().give(Instant::now(), records_max, into);
            let given = given.map_err(|error| error.operation("recv"))?;
            if given > 0 {
                self.shared.room.notify_waiters();
            }
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
        let settled = self.shared.desk().settle(Instant::now(), token, how);
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
