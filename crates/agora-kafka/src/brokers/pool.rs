//! The connections of all lines, made when they are needed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex as Turn;
use tokio::time::{Instant, timeout_at};

use super::too_late;
use crate::keeper::{REFUSED_PAUSE, is_final};
use crate::plan::Plan;
use crate::wire::{self, Address, Connection};

/// The longest that one try to connect may take, with its handshakes.
const CONNECT_WAIT: Duration = Duration::from_secs(3);
/// For how long a broker is not tried again after a try has failed, at first and at the most. It doubles in between, and
/// half of it is drawn, so that a cluster of nodes does not return to its broker in one moment.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A connection of a line, by the number of the line and the address of the broker.
type Key = (u64, Address);

#[derive(Default)]
pub(super) struct Pool {
    slots: Mutex<BTreeMap<Key, Arc<Slot>>>,
    /// A broker has taken this node.
    is_proven: AtomicBool,
}

/// The place of one connection.
#[derive(Default)]
struct Slot {
    /// What is in it: to be looked at without waiting.
    now: Mutex<Option<Connection>>,
    /// Whoever has it may make the connection.
    turn: Turn<Tries>,
}

#[derive(Default)]
struct Tries {
    failed: u32,
    /// Until then, this is the answer to everybody.
    resting: Option<(Instant, Error)>,
}

impl Pool {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of a line to a broker; where there is none, it is made.
    ///
    /// # Errors
    /// As [`wire::dial`]; `Timeout`: others have tried until the deadline. What refuses a node that was taken before is
    /// `Unreachable`: a password that is being changed, or a certificate that has run out, will be mended, and whoever
    /// waits for the broker goes on waiting.
    pub(super) async fn connection(
        &self,
        plan: &Plan,
        line: u64,
        address: &Address,
        by: Instant,
    ) -> Result<Connection> {
        let slot = Arc::clone(self.slots().entry((line, address.clone())).or_default());
        if let Some(connection) = slot.current() {
            return Ok(connection);
        }
        let mut tries = timeout_at(by, slot.turn.lock()).await.map_err(|_| too_late())?;
        // Somebody else may have made it meanwhile.
        if let Some(connection) = slot.current() {
            return Ok(connection);
        }
        let now = Instant::now();
        if let Some((_, error)) = tries.resting.as_ref().filter(|(until, _)| *until > now) {
            return Err(error.clone());
        }
        match wire::dial(plan, address, by.min(now + CONNECT_WAIT)).await {
            Ok(connection) => {
                *tries = Tries::default();
                self.is_proven.store(true, Relaxed);
                tracing::debug!(broker = %address, line, "connected");
                slot.set(Some(connection.clone()));
                Ok(connection)
            }
            Err(error) => {
                tracing::debug!(%error, "cannot connect");
                let mut pause = BACKOFF.0.saturating_mul(1 << tries.failed.min(10)).min(BACKOFF.1);
                let mut error = error;
                if is_final(&error) && self.is_proven.load(Relaxed) {
                    pause = REFUSED_PAUSE;
                    error = refused(error);
                }
                let pause = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                tries.failed = tries.failed.saturating_add(1);
                tries.resting = Some((Instant::now() + pause, error.clone()));
                Err(error)
            }
        }
    }

    /// Is there a connection of this line to this broker?
    pub(super) fn is_connected(&self, line: u64, address: &Address) -> bool {
        let slot = self.slots().get(&(line, address.clone())).map(Arc::clone);
        slot.is_some_and(|slot| slot.current().is_some())
    }

    /// Drops the connections of a line.
    pub(super) fn forget(&self, line: u64) {
        self.slots().retain(|(number, _), _| *number != line);
    }

    /// Drops the places of brokers that are gone, so that the pool does not grow with every address that ever was.
    pub(super) fn keep_only(&self, is_known: impl Fn(&Address) -> bool) {
        self.slots().retain(|(_, address), slot| slot.current().is_some() || is_known(address));
    }

    /// Drops every connection.
    pub(super) fn clear(&self) {
        self.slots().clear();
    }
}

/// The same words, of something that passes.
fn refused(error: Error) -> Error {
    crate::error::error(ErrorKind::Unreachable, error.message()).source(error)
}

impl Slot {
    fn current(&self) -> Option<Connection> {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.as_ref().filter(|connection| !connection.is_over()).cloned()
    }

    fn set(&self, connection: Option<Connection>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }
}
