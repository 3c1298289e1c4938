//! A durable name that two subscriptions take from one another: one log of one source, two readers, and the store that
//! keeps the cursor. The subjects are the real [`KeptCursor`](agora_core::memory::KeptCursor),
//! [`Cursor`](agora_core::log::Cursor), [`LaneCursor`](agora_core::log::LaneCursor) and
//! [`Reader`](agora_core::log::Reader).
//!
//! A name is taken over at any moment, also by a reader that dies before it hears of it. A save is on its way for as
//! long as it likes: it arrives after its sender has given it up, has crashed, or has been replaced, or never.

mod reading;
mod state;

use stateright::{Model, Property};

use crate::check::Subject;
pub use state::State;

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Fencing {
    /// How many events each record of the log holds.
    pub frames: &'static [u64],
    /// How often the name is taken.
    pub takes: u64,
    /// How often it is taken and the answer is lost. It counts among the takes.
    pub unheard: u8,
    /// How often a reader ends without a word.
    pub crashes: u8,
    /// How often a reader gives up a save that is on its way, and saves again.
    pub given_up: u8,
    /// The store takes a save from anybody. For the proof that the properties can fail.
    pub any_fence: bool,
}

impl Fencing {
    /// One of everything, for others to vary.
    pub const SMALL: Self =
        Self { frames: &[2, 1], takes: 3, unheard: 1, crashes: 1, given_up: 1, any_fence: false };
}

/// A step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// A reader takes the name over, and goes on from what was saved.
    Take(usize),
    /// The name is taken over for a reader that never hears of it.
    TakeUnheard,
    /// A reader asks for the next event: the one before it is taken.
    Next(usize),
    /// It sends the place behind what it has taken.
    Save(usize),
    /// A save arrives. Its sender is answered if it still waits.
    Arrive(usize),
    /// A reader waits no longer for its save, which stays on its way.
    GiveUp(usize),
    /// A reader ends without a word.
    Crash(usize),
}

/// What a later holder has saved is never undone, and nothing is skipped.
const SAFE: &str = "what a later holder saved stays, and nothing is skipped or repeated without need";
/// Who lost the name hears of it with its next save.
const REFUSED: &str = "who lost the name is refused, and nobody else";

impl Model for Fencing {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        state.actions(self, actions);
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        next.apply(self, act);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |_, state: &State| state.wrong().is_none()),
            Property::always(REFUSED, |_, state: &State| state.wrongly_answered().is_none()),
            Property::always("everything is delivered in the end", |model: &Self, state: &State| {
                state.missing_in_the_end(model).is_none()
            }),
            Property::sometimes("a late save is refused", |model: &Self, state: &State| {
                model.any_fence || state.has_refused_late()
            }),
            Property::sometimes("an event comes again in a later life", |_, state: &State| {
                state.has_repeated()
            }),
        ]
    }
}

impl Subject for Fencing {
    fn explain(&self, state: &State) -> String {
        let found = state.wrong().or_else(|| state.wrongly_answered());
        found.or_else(|| state.missing_in_the_end(self)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
