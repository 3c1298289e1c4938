//! The commands, each in a file of its own.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod publish;
pub(crate) mod subscribe;
