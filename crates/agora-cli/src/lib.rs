//! The command line of agora, as a library, so that all of it can be tested in one process.
//!
//! The binary `agora` is [`run`] with the real arguments, streams and signals.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod configured;
mod connector;
#[cfg(unix)]
mod demo;
mod duration;
mod failure;
mod http;
mod io;
mod json;
mod kinds;
mod letters;
mod logging;
mod output;
mod progress;
mod run;
mod session;
mod signs;
mod text;
mod whence;

pub use connector::Connector;
pub use io::{Interrupt, Io};
pub use run::run;
