//! A set of connections of one's own.

use std::fmt;
use std::sync::Arc;

use agora_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use super::{Brokers, Target};
use crate::error::{Cure, Refusal, closed, error};
use crate::wire::{Address, Api, Connection};

/// The number of the line that everybody shares.
pub(super) const SHARED: u64 = 0;

/// A set of connections of one's own, one to each broker that is needed. Dropping it closes them.
///
/// Requests to one broker go out and are answered in the order of the calls. What takes long there, such as a fetch that
/// waits for records or a member that joins a group, holds up what comes behind it on the same line, and on no other.
pub struct Line {
    brokers: Arc<Brokers>,
    number: u64,
    purpose: &'static str,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({}, {})", self.number, self.purpose)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.number != SHARED {
            self.brokers.pool.forget(self.number);
        }
    }
}

impl Line {
    pub(super) fn new(brokers: Arc<Brokers>, number: u64, purpose: &'static str) -> Self {
        Self { brokers, number, purpose }
    }

    /// The brokers to which it leads.
    pub fn brokers(&self) -> &Arc<Brokers> {
        &self.brokers
    }

    /// Sends one request, once, and waits for its answer until `by`. What the answer says is for the caller to look at.
    ///
    /// Where it fails, whom to ask is looked up anew by the next call.
    ///
    /// # Errors
    /// `Closed`. `Unreachable`, `Timeout`: it was not sent. `NotFound`: there is no such topic or partition.
    /// `OutcomeUnknown`: it was sent, and no answer came. `Unauthorized`, `Config`, `Unsupported`: the broker refused the
    /// connection.
    ///
    /// # Cancel safety
    /// Dropped before the request was sent, it never is; afterwards its answer is dropped when it comes.
    pub async fn call<R: Api>(&self, target: Target<'_>, request: &R, by: Instant) -> Result<R::Response> {
        let call = async {
            match target {
                Target::Any => self.any(request, by).await,
                _ => {
                    let address = self.resolve(target, by).await?;
                    self.call_address(&address, request, by).await
                }
            }
        };
        let outcome = self.brokers.unless_closed(call).await;
        if let Err(error) = &outcome {
            self.failed(target, error);
        }
        outcome
    }

    /// Where the broker of a target listens.
    async fn resolve(&self, target: Target<'_>, by: Instant) -> Result<Address> {
        let node = match target {
            Target::Node(node) => node,
            Target::Controller => self.brokers.controller(by).await?,
            Target::Leader(topic, partition) => self.brokers.leader(topic, partition, by).await?.0,
            Target::Coordinator(kind, key) => self.brokers.coordinator(kind, key, by).await?,
            Target::Any => return Err(error(ErrorKind::Config, "no broker is meant")),
        };
        self.brokers.address(node)
    }

    pub(super) async fn call_address<R: Api>(
        &self,
        address: &Address,
        request: &R,
        by: Instant,
    ) -> Result<R::Response> {
        let connection = self.connection(address, by).await?;
        match connection.call(request, by).await {
            // It was closed while nobody used it: nothing was sent, and another one can be made.
            Err(error) if error.kind() == ErrorKind::Unreachable && connection.is_over() => {
                self.connection(address, by).await?.call(request, by).await
            }
            outcome => outcome,
        }
    }

    async fn connection(&self, address: &Address, by: Instant) -> Result<Connection> {
        let brokers = &self.brokers;
        let connection = Box::pin(brokers.pool.connection(&brokers.plan, self.number, address, by)).await?;
        if brokers.is_closed() {
            // It was made while everything was dropped.
            brokers.pool.clear();
            return Err(closed());
        }
        Ok(connection)
    }

    pub(super) fn is_connected(&self, address: &Address) -> bool {
        self.brokers.pool.is_connected(self.number, address)
    }

    /// Whoever was asked may not be in charge any more.
    fn failed(&self, target: Target<'_>, error: &Error) {
        if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::OutcomeUnknown | ErrorKind::Timeout) {
            self.brokers.doubt(target);
            self.brokers.suspect();
        }
    }
}

impl Brokers {
    /// Does what helps against a refusal, so far as the brokers' part goes: what is known of the target is asked anew
    /// before the next call.
    pub fn cure(&self, target: Target<'_>, refusal: &Refusal) {
        if matches!(refusal.cure(), Cure::Metadata | Cure::Coordinator) {
            self.doubt(target);
        }
    }

    /// What is known of the target is asked anew before the next call.
    pub fn doubt(&self, target: Target<'_>) {
        match target {
            Target::Leader(topic, _) => self.refresher.doubt(topic),
            Target::Coordinator(kind, key) => self.coordinators.forget(kind, key),
            Target::Controller => self.refresher.doubt_brokers(),
            Target::Any | Target::Node(_) => {}
        }
    }
}
