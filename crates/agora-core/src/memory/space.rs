//! The space: what several nodes of one process share instead of a network.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::config::SpaceConfig;
use super::faults::Faults;
use super::node::MemoryTransport;
use super::state::State;
use crate::error::Result;
use crate::id::{ClusterName, NAME_BYTES_MAX, NodeName, check_words};

/// Spaces that are known by a name, as long as somebody uses them.
static NAMED: Mutex<BTreeMap<String, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// A network in memory, for any number of nodes in one process. Clones are the same space.
///
/// It needs no task and no thread of its own: it works on every tokio runtime, also across several, and with paused
/// time.
#[derive(Clone)]
pub struct Space {
    pub(super) shared: Arc<Shared>,
}

/// What all handles of a space share.
pub(super) struct Shared {
    state: Mutex<State>,
    name: Option<String>,
}

impl Shared {
    fn new(config: SpaceConfig, name: Option<String>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(config)), name })
    }

    /// Nothing waits while it holds this lock, and a panic elsewhere does not leave the state half changed in a way
    /// that matters here, so a poisoned lock is taken as it is.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have made the name anew between the end of the last handle and here.
        if named.get(name).is_some_and(|space| space.strong_count() == 0) {
            named.remove(name);
        }
    }
}

impl Space {
    /// A space of its own, known to those who get a clone.
    pub fn new(config: SpaceConfig) -> Self {
        Self { shared: Shared::new(config, None) }
    }

    /// The space of this name in this process, made with the default configuration when nobody has it yet. It ends
    /// with its last handle, transports included; the name then begins anew.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the name is empty, longer than 200 bytes or holds
    /// anything but words of `A-Z a-z 0-9 _ -` joined by dots.
    pub fn named(name: &str) -> Result<Self> {
        check_words("space", name, NAME_BYTES_MAX)?;
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = named.get(name).and_then(Weak::upgrade) {
            return Ok(Self { shared });
        }
        let shared = Shared::new(SpaceConfig::default(), Some(name.to_owned()));
        named.insert(name.to_owned(), Arc::downgrade(&shared));
        Ok(Self { shared })
    }

    /// Connects a node. Nodes of different clusters never hear each other. Two nodes of one name are two nodes,
    /// between which faults cannot tell.
    pub fn connect(&self, cluster: &ClusterName, node: &NodeName) -> MemoryTransport {
        MemoryTransport::new(Arc::clone(&self.shared), cluster, node)
    }

    /// The handle by which a test spoils this space.
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.shared))
    }
}

impl Default for Space {
    fn default() -> Self {
        Self::new(SpaceConfig::default())
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
