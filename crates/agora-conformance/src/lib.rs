//! Simulation, history checkers and model of agora's delivery promises.
#![forbid(unsafe_code)]

pub mod history;
pub mod judge;
pub mod ledger;
pub mod sim;

pub use ledger::{Ledger, Violation};
