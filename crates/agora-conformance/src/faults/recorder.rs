//! Writes the history of a run on real servers. Times are those of the wall clock: no two runs are equal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agora_core::id::SourceId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::history::{Entry, History, Life, Sub, What};

/// Shared by everything that takes part in a run.
#[derive(Clone, Debug)]
pub(super) struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    state: Mutex<State>,
    /// How many entries there are.
    grown: watch::Sender<usize>,
    /// Held while a node opens.
    naming: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    lives: BTreeMap<SourceId, Life>,
    turns: BTreeMap<u8, u8>,
    subs: u32,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let grown = watch::Sender::new(0);
        Self(Arc::new(Inner {
            start: Instant::now(),
            state: Mutex::default(),
            grown,
            naming: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, what: What) {
        let mut state = self.lock();
        // Read under the lock, so that times never go back.
        let at = self.0.start.elapsed();
        state.history.entries.push(Entry { at, what });
        let length = state.history.entries.len();
        self.0.grown.send_replace(length);
    }

    pub(super) fn remark(&self, text: impl Into<String>) {
        self.record(What::Remark(text.into()));
    }

    /// The next life of a node.
    pub(super) fn life(&self, node: u8) -> Life {
        let mut state = self.lock();
        let turn = state.turns.entry(node).or_insert(0);
        *turn += 1;
        Life { node, turn: *turn }
    }

    /// A number for a subscription.
    pub(super) fn sub(&self) -> Sub {
        let mut state = self.lock();
        state.subs += 1;
        Sub(state.subs)
    }

    pub(super) fn name(&self, source: SourceId, life: Life) {
        self.lock().lives.insert(source, life);
    }

    /// To be held from before a node opens until it has its name: others may hear of it sooner.
    pub(super) fn naming(&self) -> MutexGuard<'_, ()> {
        self.0.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn life_of(&self, source: SourceId) -> Option<Life> {
        let known = self.lock().lives.get(&source).copied();
        known.or_else(|| {
            let _named = self.naming();
            self.lock().lives.get(&source).copied()
        })
    }

    /// Looks at the history so far.
    pub(super) fn look<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.lock().history)
    }

    /// Waits until something in the history so far is as it should be.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&History) -> Option<T>) -> T {
        let mut grown = self.0.grown.subscribe();
        loop {
            grown.borrow_and_update();
            if let Some(found) = self.look(&mut look) {
                return found;
            }
            // The sender lives as long as this.
            let _ = grown.changed().await;
        }
    }
}
