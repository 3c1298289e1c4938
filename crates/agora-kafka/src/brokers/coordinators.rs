//! Who coordinates a group or a transactional id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agora_core::Result;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::{Brokers, TRY_WAIT, Target};
use crate::error::Refusal;

/// The most coordinators that are remembered; beyond it all are asked for anew.
const KNOWN_MAX: usize = 4096;

/// What is coordinated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A group of consumers, by its id.
    Group,
    /// A transactional producer, by its id.
    Transaction,
}

impl Kind {
    /// The number of the protocol, `CoordinatorType` of Kafka.
    fn code(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Transaction => "transactional id",
        }
    }
}

#[derive(Default)]
pub(super) struct Coordinators(Mutex<BTreeMap<(Kind, String), i32>>);

impl Coordinators {
    fn known(&self) -> MutexGuard<'_, BTreeMap<(Kind, String), i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self, kind: Kind, key: &str) {
        self.known().remove(&(kind, key.to_owned()));
    }

    fn remember(&self, kind: Kind, key: &str, node: i32) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((kind, key.to_owned()), node);
    }
}

impl Brokers {
    /// The id of the broker that coordinates this. It is remembered until somebody [doubts](Brokers::doubt) it.
    ///
    /// # Errors
    /// `Unauthorized`: the access rules do not allow it. `Unreachable`: nobody coordinates it now, or no broker says.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn coordinator(self: &Arc<Self>, kind: Kind, key: &str, by: Instant) -> Result<i32> {
        let known = self.coordinators.known().get(&(kind, key.to_owned())).copied();
        if let Some(node) = known {
            return Ok(node);
        }
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_key_type(kind.code());
        let line = self.shared_line();
        let judge = |answer: &kafka_protocol::messages::FindCoordinatorResponse| {
            Refusal::check_with(answer.error_code, answer.error_message.as_ref())
        };
        let asking = Box::pin(line.ask(Target::Any, &request, TRY_WAIT, by, judge));
        let answer = asking.await.map_err(|error| error.context(kind.as_str(), key))?;
        let node = answer.node_id.0;
        if !self.view().brokers.contains_key(&node) {
            // It has come since the cluster was looked at.
            self.refresher.doubt_brokers();
            self.controller(by).await?;
        }
        self.coordinators.remember(kind, key, node);
        Ok(node)
    }
}
