//! What this member has settled: it does not handle it again, however often it is given out anew.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use super::frame::Origin;
use super::index::Index;

/// What this member has settled of frames that it no longer holds. The latest frames only: an older one that comes again
/// is handled again, which a group may always do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    frames: Index<Origin, Known>,
    order: VecDeque<Origin>,
    frames_max: usize,
}

/// What is settled of one frame. Nearly always all of it, which takes no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Known {
    /// So many events, from the first on.
    All(usize),
    Some(Box<[bool]>),
}

impl Settled {
    pub(super) fn new(frames_max: usize) -> Self {
        Self { frames: Index::default(), order: VecDeque::new(), frames_max }
    }

    /// Remembers what of a frame is settled.
    pub(super) fn remember(&mut self, origin: Origin, known: Known) {
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

/// What is known stands in the index alone, which leaves itself out.
impl Hash for Settled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order.iter().for_each(|origin| (origin, self.frames.get(origin)).hash(state));
    }
}
