#![doc = include_str!("docs.md")]
#![forbid(unsafe_code)]

mod config;
mod connect;
mod error;
mod handles;
mod inbox;
mod interfaces;
mod keys;
mod link;
mod liveliness;
mod mesh;
mod publish;
mod subscribe;
mod transport;
mod worker;

pub use config::{LEASE, LEASE_RANGE, MULTICAST_ADDRESS, Mode, Multicast, PORT, Settings, ZenohConfig};
pub use inbox::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
pub use publish::QUEUE_CALLS_MAX;
pub use transport::ZenohTransport;
