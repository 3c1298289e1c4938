//! Repair of holes on a live topic, with time: one source and two receivers, everything may be lost, answers are
//! heard by all. The subjects are the real [`Source`](agora_core::live::Source) and
//! [`Receiver`](agora_core::live::Receiver), each woken exactly when it asks to be.
//!
//! The adversary decides of each message whom it does not reach and whom it reaches late, when the source publishes,
//! and what arrives a second time. Time is virtual; states that differ only in when they were reached are one.

mod state;

use std::time::Duration;

use stateright::{Model, Property};

use crate::check::Subject;
pub use state::{RECEIVERS, State};

/// The time a message takes, and the time of one that is slow.
pub const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Repair {
    /// How many events are published, a frame each.
    pub events: u64,
    /// How often a message does not reach a receiver, or a request the source.
    pub losses: u8,
    /// How often a message is slow.
    pub slow: u8,
    /// How often a frame arrives a second time, just before a request is due: as the answer to another's would.
    pub echoes: u8,
}

/// What happens to a message on its way to one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It does not arrive.
    Lost,
    /// It arrives.
    Fast,
    /// It arrives late.
    Slow,
}

/// A step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The source forms a frame of one event.
    Publish,
    /// The next message leaves; its fate on the way to each receiver, or the first one on the way to the source.
    Send([Fate; RECEIVERS]),
    /// Time passes until something arrives or is due, and that happens.
    Tick,
    /// A frame that this receiver has arrives again, just before its request is due.
    Echo {
        /// The receiver.
        receiver: usize,
    },
}

impl Model for Repair {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, out: &mut Vec<Act>) {
        state.acts(self, out);
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        next.apply(act);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let lawful = |_: &Self, state: &State| state.violation().is_none();
        let timer = |_: &Self, state: &State| state.is_every_hole_timed();
        let asked = |_: &Self, state: &State| state.is_every_request_in_time();
        let heals = |_: &Self, state: &State| state.heals();
        let all = |model: &Self, state: &State| state.is_all_heard(model);
        vec![
            Property::always("in order, once, and no gap for what was not lost at every try", lawful),
            Property::always("a hole has its timer, and nothing else has", timer),
            Property::always("requests are deferred, but not for long", asked),
            Property::always("every hole ends", heals),
            Property::sometimes("everything is heard although everything was lost once", all),
            Property::sometimes("a hole is given up", |_, state: &State| state.has_given_up()),
        ]
    }
}

impl Subject for Repair {
    fn explain(&self, state: &State) -> String {
        state.violation().unwrap_or_else(|| state.holes())
    }
}

#[cfg(test)]
mod tests;
