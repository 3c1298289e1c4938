//! Event types, wire codec, transport contract and engine of **agora**, the coordination bus for clustered
//! services.
//!
//! Most users depend on the facade crate `agora` instead, which adds the backends. This crate is for those who
//! use one backend crate directly, and for authors of a transport: see [`transport`].
#![forbid(unsafe_code)]

pub mod bus;
pub mod codec;
pub mod config;
pub mod error;
pub mod event;
pub mod group;
pub mod id;
pub mod lane;
pub mod limits;
pub mod live;
pub mod log;
pub mod membership;
pub mod memory;
mod percent;
pub mod transport;

pub use error::{Error, ErrorKind, Result};
