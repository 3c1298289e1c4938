#![doc = include_str!("docs.md")]
#![forbid(unsafe_code)]

mod call;
mod cursors;
mod dial;
mod error;
mod inbox;
mod keeper;
mod log;
mod names;
mod place;
mod publish;
pub mod record;
mod route;
mod shared;
mod subscribe;
mod topics;
mod transport;

pub use inbox::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
pub use names::Names;
pub use publish::QUEUE_CALLS_MAX;
pub use transport::RedisTransport;
