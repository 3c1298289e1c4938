//! One record of a group's log that this member holds, and its events.

use tokio::time::Instant;

use super::rights::Rights;
use super::settled::Known;
use crate::id::SourceId;
use crate::transport::Position;

/// Which record it is, wherever and however often it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A frame. Sent again, it stands in the log twice and is one piece of work.
    Frame {
        /// Who published it.
        source: SourceId,
        /// On which lane.
        lane: u32,
        /// The sequence of its first event.
        seq: u64,
    },
    /// A message of other software, which is known by its place alone.
    Foreign {
        /// On which lane.
        lane: u32,
        /// Its place.
        at: Position,
        /// The check value of its bytes: in a log that was made anew, another message may stand in its place.
        crc: u32,
    },
}

/// One event: of which frame, by this member's count, and which of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) frame: u64,
    pub(super) index: usize,
}

/// How far an event is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// It waits for its turn.
    Todo,
    /// The application works on it.
    Running { job: u64, until: Instant },
    /// It failed, and is tried again then.
    Waiting { until: Instant },
    /// It is to be stored among the dead letters, as soon as `again` has passed. `storing`: the job that is about it. That
    /// failed so often already.
    Dead { reason: String, storing: Option<u64>, again: Option<Instant>, failures: u32 },
    /// Nothing is to be done with it as long as the frame is not given out anew.
    Parked,
    /// It is done, or stored among the dead letters.
    Settled,
}

impl State {
    /// When it changes by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Running { until, .. } | Self::Waiting { until } => Some(*until),
            Self::Dead { again, .. } => *again,
            Self::Todo | Self::Parked | Self::Settled => None,
        }
    }

    /// Is it worked on, by the application or on its way to the dead letters?
    fn is_busy(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Dead { storing: Some(_), .. })
    }

    /// Is it to be stored among the dead letters now?
    pub(super) fn is_to_bury(&self) -> bool {
        matches!(self, Self::Dead { storing: None, again: None, .. })
    }
}

/// How many events of a frame are how far: asked after each verdict, of frames of a thousand events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Counts {
    busy: usize,
    to_bury: usize,
    settled: usize,
}

impl Counts {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut counts = Self::default();
        events.iter().for_each(|event| counts.enter(&event.state));
        counts
    }

    fn enter(&mut self, state: &State) {
        self.busy += usize::from(state.is_busy());
        self.to_bury += usize::from(state.is_to_bury());
        self.settled += usize::from(*state == State::Settled);
    }

    fn leave(&mut self, state: &State) {
        self.busy -= usize::from(state.is_busy());
        self.to_bury -= usize::from(state.is_to_bury());
        self.settled -= usize::from(*state == State::Settled);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event {
    pub(super) key: Option<u64>,
    pub(super) state: State,
    /// How often it failed at this member.
    pub(super) failures: u32,
}

/// One record that this member holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame<T> {
    pub(super) origin: Origin,
    pub(super) item: T,
    pub(super) bytes: usize,
    /// Each place where it stands, and the right to settle it there.
    pub(super) held: Rights,
    /// How often the backend gave it out.
    pub(super) attempt: u32,
    pub(super) events: Vec<Event>,
    pub(super) counts: Counts,
    /// It goes back as soon as nothing of it is worked on.
    pub(super) releasing: bool,
}

impl<T> Frame<T> {
    /// Is any of its events worked on?
    pub(super) fn is_busy(&self) -> bool {
        self.counts.busy > 0
    }

    pub(super) fn is_settled(&self) -> bool {
        self.counts.settled == self.events.len()
    }

    /// The events that are to be stored among the dead letters now.
    pub(super) fn to_bury(&self) -> Vec<usize> {
        if self.counts.to_bury == 0 {
            return Vec::new();
        }
        (0..self.events.len()).filter(|&index| self.events[index].state.is_to_bury()).collect()
    }

    /// Puts an event into another state, and answers in which it was.
    pub(super) fn set(&mut self, index: usize, state: State) -> Option<State> {
        let event = self.events.get_mut(index)?;
        self.counts.leave(&event.state);
        self.counts.enter(&state);
        Some(std::mem::replace(&mut event.state, state))
    }

    pub(super) fn is_on(&self, lanes: &[u32]) -> bool {
        self.held.places().any(|(lane, _)| lanes.contains(&lane))
    }

    /// How often an event was tried, with the try that is running or comes next.
    pub(super) fn attempt_of(&self, index: usize) -> u32 {
        let failures = self.events.get(index).map_or(0, |event| event.failures);
        self.attempt.max(1).saturating_add(failures)
    }

    /// What of it is settled.
    pub(super) fn known(&self) -> Option<Known> {
        match self.counts.settled {
            0 => None,
            all if all == self.events.len() => Some(Known::All(all)),
            _ => Some(Known::Some(self.events.iter().map(|event| event.state == State::Settled).collect())),
        }
    }
}
