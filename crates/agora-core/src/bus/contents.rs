//! What a record of a log holds, to whoever reads it without a sequencer: a group, an operator.

use std::sync::Arc;

use crate::codec::{self, Frame, FrameType, Parsed};
use crate::id::StreamId;
use crate::transport::Raw;

/// What a record of a log holds.
pub(crate) enum Contents {
    /// The events of a frame.
    Frame(Arc<Frame>),
    /// A message of other software.
    Foreign,
    /// A frame of another topic, or of another cluster.
    Elsewhere,
    /// A frame that needs a newer version.
    Newer,
    /// A damaged frame.
    Damaged,
}

/// Looks into a record of the log of this stream.
pub(crate) fn contents(stream: StreamId, raw: &Raw) -> Contents {
    match codec::parse(raw.payload.clone()) {
        Parsed::Frame(frame) if frame.frame_type() == FrameType::Data && frame.header().stream == stream => {
            Contents::Frame(Arc::new(frame))
        }
        Parsed::Frame(_) => Contents::Elsewhere,
        Parsed::Foreign(_) => Contents::Foreign,
        Parsed::Unreadable { .. } => Contents::Newer,
        _ => Contents::Damaged,
    }
}
