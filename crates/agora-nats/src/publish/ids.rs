//! By what the server knows a message again that is sent once more.
//!
//! A frame of agora says who it is: its source, its stream and its first sequence, which no other frame has. Anything else,
//! such as a plain value for other software, has no name of its own, and two of them may be equal to the byte and both
//! meant. So those get a number, and keep it when the very same bytes, not merely equal ones, are sent again because what
//! became of them is not known.

use std::collections::VecDeque;

use agora_core::codec::{FrameType, Header};
use agora_core::transport::OutFrame;
use bytes::Bytes;

/// The most messages of unknown fate that are remembered; an older one that is sent again may be stored twice.
const REMEMBERED_MAX: usize = 1024;

/// The same bound in bytes: 16 MiB.
const REMEMBERED_BYTES_MAX: usize = 16 << 20;

/// Gives out identities.
pub(super) struct Ids {
    /// What no other sender has.
    own: String,
    next: u64,
    /// Held, not only compared: as long as they are here, no other bytes can be where they are.
    unsettled: VecDeque<(Bytes, String)>,
    /// How many bytes they are.
    bytes: usize,
}

impl Ids {
    pub(super) fn new(own: String) -> Self {
        Self { own, next: 0, unsettled: VecDeque::new(), bytes: 0 }
    }

    /// The identity of a message.
    pub(super) fn of(&mut self, frame: &OutFrame) -> String {
        if let Some(header) = Header::peek(&frame.payload)
            && header.frame_type() == Some(FrameType::Data)
        {
            let (source, stream) = (header.source, header.stream);
            return format!("{}-{:x}-{:x}-{}", source.node, source.incarnation.0, stream.0, header.seq);
        }
        let same =
            |bytes: &Bytes| bytes.as_ptr() == frame.payload.as_ptr() && bytes.len() == frame.payload.len();
        // No bytes are nowhere: they cannot be told from others.
        if !frame.payload.is_empty()
            && let Some(at) = self.unsettled.iter().position(|(bytes, _)| same(bytes))
            && let Some((bytes, id)) = self.unsettled.remove(at)
        {
            self.bytes -= bytes.len();
            return id;
        }
        self.next += 1;
        format!("{}-{}", self.own, self.next)
    }

    /// What became of it is not known: it may be sent again.
    pub(super) fn unsettled(&mut self, frame: &OutFrame, id: String) {
        // A frame of agora has its identity in itself.
        if !id.starts_with(&self.own) {
            return;
        }
        self.bytes += frame.payload.len();
        self.unsettled.push_back((frame.payload.clone(), id));
        while self.unsettled.len() > REMEMBERED_MAX || self.bytes > REMEMBERED_BYTES_MAX {
            let Some((bytes, _)) = self.unsettled.pop_front() else { return };
            self.bytes -= bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use agora_core::codec::{FrameBuilder, RecordParts, Stamp};
    use agora_core::id::{Incarnation, NodeId, SourceId, StreamId};

    use super::*;

    fn frame(seq: u64) -> OutFrame {
        let mut builder = FrameBuilder::new();
        let parts = RecordParts {
            kind: "a.kind",
            version: 1,
            resync: false,
            key: None,
            body: b"body",
            id: None,
            correlation: None,
        };
        builder.push(&parts).unwrap();
        let source = SourceId { node: NodeId(7), incarnation: Incarnation(9) };
        let stamp = Stamp { source, stream: StreamId(3), seq, floor: 1, sent_us: 0 };
        OutFrame::new(builder.finish(&stamp, FrameType::Data))
    }

    #[test]
    fn a_frame_has_one_identity_whoever_sends_it() {
        let (mut one, mut other) = (Ids::new("one".into()), Ids::new("other".into()));
        assert_eq!(one.of(&frame(5)), other.of(&frame(5)));
        assert_ne!(one.of(&frame(5)), one.of(&frame(6)));
    }

    #[test]
    fn equal_values_are_two_and_the_same_value_is_one() {
        let mut ids = Ids::new("one".into());
        let value = OutFrame::new("ping");
        let id = ids.of(&value);
        assert_ne!(ids.of(&OutFrame::new(Bytes::from(b"ping".to_vec()))), id);
        assert_ne!(ids.of(&value), id, "it was stored, and is sent a second time because it is meant");
        let third = ids.of(&value);
        ids.unsettled(&value, third.clone());
        let equal = OutFrame::new(Bytes::from(b"ping".to_vec()));
        assert_ne!(ids.of(&equal), third, "nobody has sent it yet");
        assert_eq!(ids.of(&value.clone()), third);
        assert_ne!(ids.of(&value), third);
    }
}
