//! Explores agora's delivery state machines, the very types that the engine runs, against the strongest adversary
//! there is: whatever was ever sent may arrive at any time, any number of times, in any order, or never, and
//! verdicts about the living and the dead may be wrong.
//!
//! | model | subject | question |
//! |---|---|---|
//! | [`fence`] | [`KeptCursor`](agora_core::memory::KeptCursor), [`Cursor`](agora_core::log::Cursor) and [`Reader`](agora_core::log::Reader) | does a late save of who held a durable name before never undo a later one, and is nothing skipped? |
//! | [`group`] | [`Tracker`](agora_core::group::Tracker) and [`Offsets`](agora_core::group::Offsets) | is nothing acknowledged that is not done or buried, nothing done again by whom it was done, and everything settled in the end? |
//! | [`live`] | [`Sequencer`](agora_core::live::Sequencer) | is anything ever lost silently, repeated, reordered, or owed for ever? |
//! | [`log`] | [`Reader`](agora_core::log::Reader), [`LaneCursor`](agora_core::log::LaneCursor) and [`Outstanding`](agora_core::log::Outstanding) | the same of a log, its failures and its readers' restarts |
//! | [`repair`] | [`Receiver`](agora_core::live::Receiver) and [`Source`](agora_core::live::Source), timed | does every hole end, and is none given up lightly? |
//!
//! The tests run bounds that take seconds. `cargo run --release -p agora-model -- deep` runs larger ones.
#![forbid(unsafe_code)]

pub mod check;
pub mod fence;
pub mod group;
pub mod live;
pub mod log;
pub mod repair;
