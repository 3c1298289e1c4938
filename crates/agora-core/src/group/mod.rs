//! Work that a group shares: what one member holds, works on, and has settled.
//!
//! A group never goes through the [`Sequencer`](crate::live): there a second copy is a duplicate, here it is work that
//! somebody did not finish. [`Tracker`] decides what may begin, what goes to the dead letters and what is settled at the
//! backend; [`Policy`] says how often and when. [`Offsets`] is for the transports of backends that give out lanes: how
//! far a lane is done.
//!
//! Pure, like all that decides: records and a time go in, decisions come out; no task, no clock, no I/O.

mod frame;
mod index;
mod lines;
mod offsets;
mod policy;
mod rights;
mod settled;
#[cfg(test)]
mod tests;
mod timers;
mod tracker;
mod words;

pub use frame::Origin;
pub use offsets::Offsets;
pub use policy::Policy;
pub use tracker::Tracker;
pub use words::{Action, Answer, Begin, Burial, JobId, Record, Verdict};
