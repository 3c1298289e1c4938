#![doc = include_str!("docs.md")]
#![forbid(unsafe_code)]

mod admin;
mod call;
mod cursors;
mod dial;
mod error;
mod group;
mod inbox;
mod keeper;
mod log;
mod names;
mod place;
mod publish;
pub mod record;
mod route;
mod shared;
mod slots;
mod subscribe;
mod topics;
mod transport;

pub use group::{ABSENT_AFTER, RELEASED};
pub use inbox::{INBOX_BYTES_MAX, INBOX_MESSAGES_MAX};
pub use names::Names;
pub use publish::QUEUE_CALLS_MAX;
pub use transport::RedisTransport;
