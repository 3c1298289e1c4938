//! What this member has settled: it does not handle it again, however often it is given out anew.

use std::collections::{BTreeMap, VecDeque};

use super::frame::Origin;

/// What this member has settled of frames that it no longer holds. The latest frames only: an older one that comes again
/// is handled again, which a group may always do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Settled {
    frames: BTreeMap<Origin, Known>,
    order: VecDeque<Origin>,
    frames_max: usize,
}

/// What is settled of one frame. Nearly always all of it, which takes no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Known {
    /// So many events, from the first on.
    All(usize),
    Some(Box<[bool]>),
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
        let known = match events.contains(&false) {
            true => Known::Some(events.into()),
            false => Known::All(events.len()),
        };
        if self.frames.insert(origin, known).is_none() {
            self.order.push_back(origin);
        }
        while self.order.len() > self.frames_max {
            if let Some(oldest) = self.order.pop_front() {
                self.frames.remove(&oldest);
            }
        }
    }

    /// Is this event of a frame settled, as far as is known?
    pub(super) fn has(&self, origin: &Origin, index: usize) -> bool {
        match self.frames.get(origin) {
            None => false,
            Some(Known::All(events)) => index < *events,
            Some(Known::Some(events)) => events.get(index) == Some(&true),
        }
    }
}
