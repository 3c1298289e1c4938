//! A space in memory, seen through a flaw.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agora_conformance::suite::{Ability, Carries, MemorySubject, Subject};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::{Capabilities, GroupInbox, Raw, Support, TopicSpec, Transport};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;

use super::flaw::Flaw;
use super::transport::Flawed;

/// What a subject was given and must not show.
pub(crate) const SECRET: &str = "correct-horse-battery-staple";

/// What all nodes of a flawed space share.
#[derive(Default)]
pub(crate) struct World {
    pub ended: AtomicBool,
    pub calls: AtomicU64,
    pub names: Mutex<BTreeSet<(ClusterName, NodeName)>>,
    pub opened: Mutex<Vec<TopicSpec>>,
    pub said: Mutex<Vec<(TopicName, Raw)>>,
    /// Members that are gone, and hold on to what they had.
    pub undead: Mutex<Vec<Box<dyn GroupInbox>>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct FlawedSubject {
    inner: MemorySubject,
    flaw: Flaw,
    world: Arc<World>,
}

impl FlawedSubject {
    pub(crate) fn new(flaw: Flaw) -> Self {
        let inner = if flaw == Flaw::TakesLanesAway {
            MemorySubject::by_lane()
        } else {
            MemorySubject::with_server()
        };
        Self { inner, flaw, world: Arc::default() }
    }

    fn capabilities(&self, mut can: Capabilities) -> Capabilities {
        let no = |instead| Support::No { instead };
        match self.flaw {
            Flaw::ClaimsToStore => {
                can.live_durability = agora_core::transport::Durability::Stored;
                (can.log, can.group, can.group_on_batch, can.lanes) = (no("x"), no("x"), no("x"), no("x"));
            }
            Flaw::DeniesLogs => {
                (can.log, can.group, can.group_on_batch, can.lanes) = (no("x"), no("x"), no("x"), no("x"))
            }
            Flaw::RefusesWithoutHelp => (can.group, can.group_on_batch) = (no(""), no("")),
            Flaw::RefusesWithAnotherKind => (can.group, can.group_on_batch) = (no("x"), no("x")),
            _ => {}
        }
        can
    }
}

#[async_trait]
impl Subject for FlawedSubject {
    fn name(&self) -> &str {
        "flawed"
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let place = (cluster.clone(), node.clone());
        if self.flaw == Flaw::NamesAreSpent && !lock(&self.world.names).insert(place) {
            return Err(Error::new(ErrorKind::Conflict, "there was a node of this name"));
        }
        let mut name = cluster.as_str().to_owned();
        match self.flaw {
            Flaw::MixesClusters => name = name.trim_end_matches("-other").to_owned(),
            Flaw::ForgetsAtTheEnd if self.world.ended.load(Ordering::Relaxed) => name += "-anew",
            _ => {}
        }
        let inner = self.inner.connect(&ClusterName::new(&name)?, node).await?;
        let capabilities = self.capabilities(inner.capabilities().clone());
        Ok(Box::new(Flawed::new(Arc::from(inner), capabilities, self.flaw, self.world.clone())))
    }

    fn minimum(&self) -> usize {
        0
    }

    fn carries(&self) -> Carries {
        self.inner.carries()
    }

    fn secret(&self) -> Option<&str> {
        Some(SECRET)
    }

    async fn cut(&self, node: &NodeName) -> Ability {
        self.inner.cut(node).await
    }

    async fn heal(&self, node: &NodeName) -> Ability {
        self.inner.heal(node).await
    }

    async fn restart_server(&self) -> Ability {
        self.world.ended.store(true, Ordering::Relaxed);
        self.inner.restart_server().await
    }

    async fn grow(&self, cluster: &ClusterName, topic: &TopicName, lanes: u32) -> Ability {
        self.inner.grow(cluster, topic, lanes).await
    }

    async fn trim(&self, cluster: &ClusterName, topic: &TopicName, keep: usize) -> Ability {
        self.inner.trim(cluster, topic, keep).await
    }
}
