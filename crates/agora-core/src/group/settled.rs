//! What this member has settled: it does not handle it again, however often it is given out anew.

use std::collections::{BTreeMap, VecDeque};

use super::frame::Origin;

/// What this member has settled of frames that it no longer holds. The latest frames only: an older one that comes again
/// is handled again, which a group may always do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settled {
    frames: BTreeMap<Origin, Vec<bool>>,
    order: VecDeque<Origin>,
    frames_max: usize,
}

impl Settled {
    pub(super) fn new(frames_max: usize) -> Self {
        Self { frames: BTreeMap::new(), order: VecDeque::new(), frames_max }
    }

    /// Remembers which events of a frame are settled.
    pub(super) fn remember(&mut self, origin: Origin, events: Vec<bool>) {
        if !events.contains(&true) {
            return;
        }
        if self.frames.insert(origin, events).is_none() {
            self.order.push_back(origin);
        }
        while self.order.len() > self.frames_max {
            if let Some(oldest) = self.order.pop_front() {
                self.frames.remove(&oldest);
            }
        }
    }

    /// Which events of a frame are settled; none where nothing is known of it.
    pub(super) fn of(&self, origin: &Origin) -> &[bool] {
        self.frames.get(origin).map_or(&[], Vec::as_slice)
    }
}
