//! A log topic: one node in two lives, the log that it leaves behind, and one reader with a cursor. The subjects are the
//! real [`Outstanding`](agora_core::log::Outstanding), [`Reader`](agora_core::log::Reader) and
//! [`LaneCursor`](agora_core::log::LaneCursor).
//!
//! Requests under way end in any order. One whose outcome is unknown is a ghost: it may be appended at any later time, or
//! never. Retention takes the beginning of the log, a failover its end, and readers are interrupted and restarted at any
//! moment.

mod state;

use stateright::{Model, Property};

use crate::check::Subject;
pub use state::State;

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// How many frames each life of the node forms.
    pub frames: [u64; 2],
    /// How many requests are under way at once.
    pub window: usize,
    /// How many requests fail.
    pub failures: u8,
    /// The most records that are ever appended.
    pub records: usize,
    /// How often the log loses its end.
    pub cuts: u8,
    /// How many records retention takes.
    pub trims: u8,
    /// How often the cursor is saved.
    pub saves: u8,
    /// How often the reader is interrupted although nothing happened to the log.
    pub interruptions: u8,
}

impl Log {
    /// One short life and a bit of another, for others to vary.
    pub const SMALL: Self = Self {
        frames: [3, 1],
        window: 2,
        failures: 1,
        records: 5,
        cuts: 0,
        trims: 0,
        saves: 1,
        interruptions: 0,
    };
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It was appended, and the answer was lost.
    Stored,
    /// Nobody knows; it may be appended later.
    Unknown,
    /// It was not appended, and never will be.
    Never,
}

/// A step of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// The source forms a frame and sends it.
    Form,
    /// The request at this place is accepted.
    Accept(usize),
    /// The request at this place fails.
    Fail(usize, Failure),
    /// Everything that is unsettled is sent again.
    Resend,
    /// The oldest frame that is unsettled is given up.
    GiveUp,
    /// A request whose outcome was unknown is appended after all.
    Ghost(usize),
    /// The source crashes.
    Crash,
    /// The node begins its next life.
    Restart,
    /// A reader begins: where the cursor was saved, else with the oldest record.
    Open,
    /// The reader reads the next record, or that there is none.
    Read,
    /// A hole of this life has waited long enough.
    CloseHole(usize),
    /// The cursor is saved.
    Save,
    /// The reader ends without a word.
    ReaderCrash,
    /// The reader loses its connection and opens the log anew.
    Interrupt,
    /// Retention takes the oldest record.
    Trim,
    /// A failover: only so many records are left.
    Cut(usize),
}

impl Model for Log {
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
        next.apply(act);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("in order, once, and never silent", |_, state: &State| state.wrong().is_none()),
            Property::always("whatever stands in the log is told in the end", |_, state: &State| {
                state.silent_in_the_end().is_none()
            }),
            Property::sometimes("everything is delivered", |model: &Self, state: &State| {
                state.delivered_all(model.frames[0])
            }),
        ]
    }
}

impl Subject for Log {
    fn explain(&self, state: &State) -> String {
        state.wrong().or_else(|| state.silent_in_the_end()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
