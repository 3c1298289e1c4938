//! What was fetched for a lane and waits for its reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agora_core::Error;
use tokio::sync::Notify;

use super::opened::Fetched;

/// The most that waits for the reader of one lane, in bytes as the broker sent them, where there are few lanes. One batch
/// is always taken, whatever its size.
pub const READ_AHEAD_BYTES: usize = 1 << 20;
/// The most answers that wait for the reader of one lane.
const ITEMS_MAX: usize = 512;

/// What the hub has for a lane.
#[derive(Debug)]
pub(super) enum Item {
    /// Records.
    Fetched(Fetched),
    /// These are gone: retention was faster.
    Trimmed { from: i64, until: i64 },
    /// What is known of the log is in doubt.
    Moved,
    /// The place is behind the end. Nothing more comes.
    Rewound,
}

/// Between the hub and the reader of one lane.
pub(super) struct Slot {
    state: Mutex<State>,
    /// Rung when something was put in. The reader may share it with those of its other lanes.
    bell: Arc<Notify>,
}

struct State {
    items: VecDeque<Item>,
    bytes: usize,
    /// How much may wait. It begins with one batch, and doubles with each answer that is read: who wants one record is not
    /// sent a megabyte.
    window: usize,
    /// The hub has left the lane out because there was no room under this limit.
    starved: Option<usize>,
    /// Nobody reads any more.
    is_gone: bool,
    ended: Option<Error>,
}

impl State {
    /// Room again: half of what may wait has been read.
    fn has_room(&self, bytes_max: usize) -> bool {
        self.bytes <= self.window.min(bytes_max) / 2 && self.items.len() < ITEMS_MAX
    }
}

impl Slot {
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        let state =
            State { items: VecDeque::new(), bytes: 0, window: 1, starved: None, is_gone: false, ended: None };
        Self { state: Mutex::new(state), bell }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bell(&self) -> &Notify {
        &self.bell
    }

    /// Puts something in. Doubts in a row are one.
    pub(super) fn push(&self, item: Item) {
        let mut state = self.state();
        if matches!((state.items.back(), &item), (Some(Item::Moved), Item::Moved)) {
            return;
        }
        if let Item::Fetched(fetched) = &item {
            state.bytes += fetched.bytes();
        }
        state.items.push_back(item);
        drop(state);
        self.bell.notify_one();
    }

    /// Puts nothing more in. What waits can still be read; then reading fails with this.
    pub(super) fn end(&self, why: Error) {
        self.state().ended.get_or_insert(why);
        self.bell.notify_one();
    }

    /// How many bytes may be fetched; `None`: none before something was read.
    pub(super) fn room(&self, bytes_max: usize) -> Option<usize> {
        let mut state = self.state();
        if state.has_room(bytes_max) {
            return Some(state.window.min(bytes_max) - state.bytes);
        }
        state.starved = Some(bytes_max);
        None
    }

    /// Takes what comes next. Also says whether the hub should hear that there is room again.
    pub(super) fn pop(&self) -> (Option<Item>, bool) {
        let mut state = self.state();
        let item = state.items.pop_front();
        if let Some(Item::Fetched(fetched)) = &item {
            state.bytes = state.bytes.saturating_sub(fetched.bytes());
            let grown = state.window.max(fetched.sent_bytes()).saturating_mul(2);
            state.window = grown.min(READ_AHEAD_BYTES);
        }
        let is_news = state.starved.is_some_and(|bytes_max| state.has_room(bytes_max));
        if is_news {
            state.starved = None;
        }
        (item, is_news)
    }

    /// Why nothing more is put in.
    pub(super) fn ended(&self) -> Option<Error> {
        self.state().ended.clone()
    }

    /// Nobody reads any more.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.is_gone = true;
        state.items.clear();
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state().is_gone
    }
}
