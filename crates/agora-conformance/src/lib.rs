//! The suite that every transport must pass ([`suite`]); what real servers and networks can do to a bus ([`faults`]);
//! simulated clusters ([`sim`]), and the judges of what agora
//! promises of delivery ([`judge`]).
#![forbid(unsafe_code)]

pub mod faults;
pub mod history;
pub mod judge;
pub mod ledger;
pub mod sim;
pub mod suite;

pub use ledger::{Ledger, Violation};
