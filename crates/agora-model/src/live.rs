//! A live topic: one node in two lives, one receiving process with one or two subscriptions. The subject is the real
//! [`Sequencer`](agora_core::live::Sequencer).
//!
//! Nothing needs to be stored for the network. A frame may arrive if it was ever sent, a head if its source ever
//! stood there; the answer to a repair request is one more arrival of a frame, a lost one is a hole that is given
//! up: every schedule of requests, answers and suppression is contained. Two sources meet only in repair, so that
//! one node stands for all.

mod state;

use agora_core::live::Ended;
use stateright::{Model, Property};

use crate::check::Subject;
pub use state::{LIVES, State};

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// How many lives the node has: 1 or 2.
    pub lives: usize,
    /// The most events that a life forms.
    pub events: u64,
    /// The most events in one frame: 1 or 2.
    pub frame_events: u8,
    /// How many of its last frames a source holds for repair.
    pub kept: usize,
    /// How many subscriptions there are: 1 or 2.
    pub subs: usize,
    /// How many hellos are sent to sources that are held dead.
    pub hellos: usize,
    /// How many verdicts of the failure detector, right or wrong, there are.
    pub verdicts: u8,
    /// How often the transport drops what has arrived.
    pub drops: u8,
    /// The most frames that are held because they came early.
    pub held_max: usize,
    /// Subscriptions may also end, once each, and begin anew.
    pub ends: bool,
}

impl Live {
    /// Two short lives and one subscription, for others to vary.
    pub const SMALL: Self = Self {
        lives: 2,
        events: 1,
        frame_events: 1,
        kept: 1,
        subs: 1,
        hellos: 1,
        verdicts: 1,
        drops: 0,
        held_max: usize::MAX,
        ends: false,
    };
}

/// A step of the world. `life` is the first or second life of the node, `sub` a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// The source forms a frame of so many events and sends it.
    Form {
        /// How many.
        events: u8,
    },
    /// The source forms a frame and gives it up: its sequence is used, and nobody ever gets it.
    FormAndGiveUp,
    /// The node leaves in order.
    Leave,
    /// The node crashes.
    Crash,
    /// The node begins its next life.
    Restart,
    /// A subscription begins.
    Subscribe {
        /// Which.
        sub: usize,
    },
    /// A subscription is established: from now on it is owed everything.
    Establish {
        /// Which.
        sub: usize,
    },
    /// A subscription ends.
    Unsubscribe {
        /// Which.
        sub: usize,
    },
    /// A heartbeat that names the topic arrives: the failure detector watches the source.
    Heartbeat {
        /// Whose.
        life: usize,
    },
    /// A hello reaches a source that is held dead; the answer is another step, or never comes.
    Hello {
        /// Whom.
        life: usize,
    },
    /// A frame arrives.
    Frame {
        /// Whose.
        life: usize,
        /// Its first sequence.
        seq: u64,
    },
    /// A head arrives.
    Head {
        /// Whose.
        life: usize,
        /// Where the source stood.
        next: u64,
        /// It was the last one.
        fin: bool,
        /// The hello that it answers.
        nonce: Option<u64>,
    },
    /// The failure detector's verdict.
    Verdict {
        /// On whom.
        life: usize,
        /// What. A goodbye that arrives whole is the final head and then this.
        how: Verdict,
    },
    /// The lowest hole was asked for in vain.
    GiveUp {
        /// Whose.
        life: usize,
    },
    /// The transport drops what has arrived.
    Drop,
}

/// The two ways in which the failure detector ends a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It fell silent.
    Failed,
    /// It said that it leaves.
    Left,
}

impl From<Verdict> for Ended {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Failed => Self::Failed,
            Verdict::Left => Self::Left,
        }
    }
}

impl Model for Live {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, out: &mut Vec<Act>) {
        state.node_acts(self, out);
        state.receiver_acts(self, out);
        if state.is_listening() {
            for life in 0..=state.current() {
                state.arrivals(life, out);
                state.verdicts(self, life, out);
            }
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        next.apply(self, act);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let lawful = |_: &Self, state: &State| state.violation().is_none();
        let heals = |model: &Self, state: &State| state.unhealed(model).is_none();
        let bounded = |model: &Self, state: &State| state.held() <= model.held_max;
        vec![
            Property::always("in order, once, every loss inside a declared gap", lawful),
            Property::always("heals: what is owed comes or is declared, the living are heard", heals),
            Property::always("what came early is bounded", bounded),
            Property::sometimes("an open gap ends", |_, state: &State| state.has_resumed()),
        ]
    }
}

impl Subject for Live {
    fn explain(&self, state: &State) -> String {
        let violation =
            state.violation().map(|(sub, life, v)| format!("subscription {sub}, life {life}: {v}"));
        violation
            .or_else(|| state.unhealed(self))
            .unwrap_or_else(|| format!("{} frames are held", state.held()))
    }
}

#[cfg(test)]
mod tests;
