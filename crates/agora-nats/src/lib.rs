#![doc = include_str!("docs.md")]
#![forbid(unsafe_code)]

mod admin;
mod api;
mod by_hand;
mod consumers;
mod credentials;
mod cursors;
mod error;
mod group;
mod headers;
mod held;
mod inbox;
mod keeper;
mod names;
mod plan;
mod publish;
mod pull;
mod reader;
mod session;
mod shared;
mod streams;
mod subscribe;
mod transport;

pub use inbox::INBOX_BYTES_MAX;
pub use names::{
    CURSORS_BUCKET, SERVER_NAME_BYTES_MAX, STREAM_PREFIX, consumer_name, cursor_key, live_subject,
    log_subject, members_subject, probe_subject, stream_name,
};
pub use publish::{HEADERS_BYTES, IN_FLIGHT_MAX, QUEUE_CALLS_MAX};
pub use reader::{READ_AHEAD_BYTES, READ_AHEAD_RECORDS};
pub use transport::NatsTransport;
