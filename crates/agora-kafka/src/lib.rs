#![doc = include_str!("docs.md")]
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod admin;
#[doc(hidden)]
pub mod brokers;
mod credentials;
#[doc(hidden)]
pub mod cursors;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod keeper;
mod link;
pub mod names;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod wire;
