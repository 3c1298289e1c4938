//! A request that every broker can answer.

use agora_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use super::{Brokers, Line, too_late};
use crate::error::error;
use crate::wire::{Address, Api};

impl Line {
    /// Asks one broker after the other until one has been reached.
    pub(super) async fn any<R: Api>(&self, request: &R, by: Instant) -> Result<R::Response> {
        let mut worst: Option<Error> = None;
        for address in self.candidates() {
            if Instant::now() >= by {
                break;
            }
            match self.call_address(&address, request, by).await {
                Ok(answer) => return Ok(answer),
                // It was sent: another one would get it as well.
                Err(error) if error.kind() == ErrorKind::OutcomeUnknown => return Err(error),
                // A refusal by one broker is no reason to call another one unreachable.
                Err(error) if worst.as_ref().is_none_or(|worst| worst.kind() == ErrorKind::Unreachable) => {
                    worst = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(worst.unwrap_or_else(too_late))
    }

    /// Whom to ask, the best first: those to whom this line has a connection, those that the cluster names, those that the
    /// configuration names; each kind in a drawn order.
    fn candidates(&self) -> Vec<Address> {
        let view = self.brokers().view();
        let mut known: Vec<_> = view.brokers.values().cloned().collect();
        fastrand::shuffle(&mut known);
        known.sort_by_key(|address| !self.is_connected(address));
        let mut named = self.brokers().plan.brokers.clone();
        fastrand::shuffle(&mut named);
        let others: Vec<_> = named.into_iter().filter(|address| !known.contains(address)).collect();
        known.extend(others);
        known
    }
}

impl Brokers {
    /// Where the broker of this id listens.
    pub(super) fn address(&self, node: i32) -> Result<Address> {
        let known = self.view().brokers.get(&node).cloned();
        known.ok_or_else(|| {
            self.refresher.doubt_brokers();
            error(ErrorKind::Unreachable, "a broker that is in charge is not there now")
                .context("broker id", node)
        })
    }
}
