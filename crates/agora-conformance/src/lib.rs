//! The suite that every transport must pass ([`suite`]); simulated clusters ([`sim`]), and the judges of what agora
//! promises of delivery ([`judge`]).
#![forbid(unsafe_code)]

pub mod history;
pub mod judge;
pub mod ledger;
pub mod sim;
pub mod suite;

pub use ledger::{Ledger, Violation};
