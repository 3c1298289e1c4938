//! The delivery rules of live topics, as pure state machines: no clock of their own, no I/O, no task.
//!
//! | part | question it answers |
//! |---|---|
//! | [`Source`] | what does a publishing node keep, repeat and announce? |
//! | [`Sequencer`] | in what order are frames handed over, and when is something missing? |
//! | [`Repair`] | when is a hole asked for, and when is it given up? |
//! | [`Receiver`] | how do these play together for one topic? |
//!
//! The rules were found by model checking; each answers a schedule that loses, repeats, reorders or mutes events
//! without it. `docs/delivery.md` states them, the tests here are named after the schedules, and
//! `agora-model` explores these very types against the strongest adversary there is.

mod hold;
mod reason;
mod receiver;
mod repair;
mod sequencer;
mod source;
#[cfg(test)]
pub(crate) mod testing;

pub use hold::Hold;
pub use reason::Reason;
pub use receiver::{Action, Receiver};
pub use repair::{Due, Repair};
pub use sequencer::{Ended, Handover, Seen, Sequencer, Span, SubId};
pub use source::{Announcement, Source};
