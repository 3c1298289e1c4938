//! How much waits in one subscription for its reader.

/// The most messages that wait in one subscription for its reader. Further ones are dropped, counted, and told as
/// [`Inbound::Dropped`](agora_core::transport::Inbound::Dropped) at the place where they would have stood.
pub const INBOX_MESSAGES_MAX: usize = 16 << 10;
/// The most bytes that wait in one subscription for its reader: 8 MiB. Beyond it messages are dropped in the same
/// way. One message is always taken, whatever its size.
pub const INBOX_BYTES_MAX: usize = 8 << 20;
