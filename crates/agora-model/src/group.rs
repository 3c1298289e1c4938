//! A group: a log of three records, of which two are the same frame, two members, and a backend that gives out by lease
//! or by lane. The subjects are the real [`Tracker`](agora_core::group::Tracker) and, where lanes are given out,
//! [`Offsets`](agora_core::group::Offsets).
//!
//! Answers come in any order, late, or never; a lease may end at any moment, a lane be asked back or be gone, a member
//! crash between any two steps. Both frames have one key.

mod state;

use agora_core::transport::Settle;
use stateright::{Model, Property};

use crate::check::Subject;
pub use state::State;

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The backend gives out lanes, not records.
    pub lanes: bool,
    /// How often a handler fails.
    pub failures: u8,
    /// How often a member crashes.
    pub crashes: u8,
    /// How often a dead letter is not stored, or is and nobody hears of it.
    pub losses: u8,
    /// How often a settlement has its effect and the answer is lost.
    pub lost_answers: u8,
    /// How often a lease ends, or a lane moves.
    pub moves: u8,
}

impl Group {
    /// One of everything, for others to vary.
    pub const LEASES: Self =
        Self { lanes: false, failures: 1, crashes: 0, losses: 0, lost_answers: 1, moves: 1 };
    /// The same with lanes.
    pub const LANES: Self = Self { lanes: true, ..Self::LEASES };
}

/// A step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// The record at this place is given to a member.
    Give(usize, usize),
    /// A member begins the next event.
    Begin(usize),
    /// What it works on is done.
    Done(usize),
    /// What it works on has failed.
    Fail(usize),
    /// A call of a member reaches the backend, and is answered.
    Answer(usize, usize),
    /// It reaches the backend, and the answer is lost.
    LoseAnswer(usize, usize),
    /// A dead letter is stored.
    Bury(usize, usize),
    /// It is not, or it is and nobody hears of it.
    LoseLetter(usize, usize, bool),
    /// What was put off is due.
    Due(usize),
    /// A lease ends.
    EndLease(usize),
    /// The owner is asked for the lane.
    Revoke,
    /// The owner has nothing more to do, and the lane is the other's.
    HandOver,
    /// The lane is the other's without a question.
    Lose,
    /// A member ends without a word, and begins anew.
    Crash(usize),
}

/// What a member asked the backend for, and has no answer to.
type Call = (agora_core::transport::Token, Settle);

impl Model for Group {
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
            Property::always(
                "nothing is acknowledged that is not done, and nothing done again",
                |_, state: &State| state.wrong().is_none(),
            ),
            Property::always("every event is settled in the end", |model: &Self, state: &State| {
                state.unsettled_in_the_end(model).is_none()
            }),
            Property::sometimes("a dead letter is stored", |model: &Self, state: &State| {
                model.failures < 2 || state.has_letters()
            }),
        ]
    }
}

impl Subject for Group {
    fn explain(&self, state: &State) -> String {
        state.wrong().or_else(|| state.unsettled_in_the_end(self)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
