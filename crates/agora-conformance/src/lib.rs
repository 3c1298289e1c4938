//! Simulated clusters, and the judges of what agora promises of delivery.
#![forbid(unsafe_code)]

pub mod history;
pub mod judge;
pub mod ledger;
pub mod sim;

pub use ledger::{Ledger, Violation};
