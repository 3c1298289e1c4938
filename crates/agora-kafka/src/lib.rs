#![doc = include_str!("docs.md")]
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod admin;
#[doc(hidden)]
pub mod brokers;
mod committed;
mod credentials;
#[doc(hidden)]
pub mod cursors;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod group;
#[doc(hidden)]
pub mod keeper;
mod link;
mod meter;
pub mod names;
#[doc(hidden)]
pub mod plan;
mod publish;
#[doc(hidden)]
pub mod read;
mod settings;
mod shared;
mod topics;
mod transport;
#[doc(hidden)]
pub mod wire;

pub use publish::{HEADERS_BYTES, QUEUE_CALLS_MAX};
pub use topics::{LANES, LIVE_RETENTION};
pub use transport::KafkaTransport;
