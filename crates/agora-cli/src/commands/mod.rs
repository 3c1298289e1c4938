//! The commands, each in a file of its own.

mod admin;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod groups;
pub(crate) mod lag;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod peek;
pub(crate) mod publish;
pub(crate) mod subscribe;
pub(crate) mod topics;
