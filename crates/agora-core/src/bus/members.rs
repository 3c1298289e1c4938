//! The members of the cluster, as the application sees them.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::shared::Shared;
use crate::membership::{Member, MemberEvent};

/// Changes that are kept for a slow reader, at most.
pub(crate) const NOTICES_KEPT: usize = 1024;

/// Something that happened among the members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberChange {
    /// What the failure detector saw.
    Event(MemberEvent),
    /// The reader was too slow, and so many changes were dropped: look at [`Members::snapshot`].
    Missed(u64),
}

/// The other members: as they are now, and as they change.
#[derive(Debug)]
pub struct Members {
    snapshot: watch::Receiver<Arc<Vec<Member>>>,
    changes: broadcast::Receiver<MemberEvent>,
}

impl Members {
    pub(crate) fn new(shared: &Shared) -> Self {
        // In this order: what happens in between is in both, and never in neither.
        let changes = shared.member_events.subscribe();
        Self { snapshot: shared.members.subscribe(), changes }
    }

    /// The other members now, and those that failed or left lately. This node is not among them.
    pub fn snapshot(&self) -> Arc<Vec<Member>> {
        self.snapshot.borrow().clone()
    }

    /// The next change; `None` when the bus was closed.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<MemberChange> {
        match self.changes.recv().await {
            Ok(event) => Some(MemberChange::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(MemberChange::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
