//! How much waits in one subscription for its reader.

/// The most bytes that wait in one subscription for its reader: 16 MiB. Beyond it, as beyond the number of messages that
/// `nats.subscription_capacity` allows, messages are dropped, counted, and told as [`Inbound::Dropped`](agora_core::transport::Inbound::Dropped) at the place where
/// they would have stood. One message is always taken, whatever its size.
pub const INBOX_BYTES_MAX: usize = 16 << 20;
