//! Groups: what their members and the transports of backends share. Pure parts.

mod offsets;

pub use offsets::Offsets;
