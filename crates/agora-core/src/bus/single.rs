//! What the message of one event shows to those who know nothing of frames: the backend's own key and headers.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};

use crate::codec;
use crate::id::SourceId;
use crate::transport::{Framing, OutFrame, TopicSettings, Wire};

/// The names of the headers. What they say stands in the frame too, which alone is believed.
pub(crate) const KIND: &str = "agora-kind";
const VERSION: &str = "agora-version";
const SOURCE: &str = "agora-source";
const SEQ: &str = "agora-seq";

/// The room for numbers as text that is taken at once, and the most that one takes.
const DIGITS_BYTES: usize = 4096;
const DIGITS_MAX: usize = 20;

/// Makes messages of the frames of one sender. Nothing is copied out of a frame: key and headers are parts of it.
pub(crate) struct Messages {
    settings: TopicSettings,
    source: Bytes,
    digits: BytesMut,
}

impl Messages {
    pub(crate) fn new(settings: TopicSettings, source: SourceId) -> Self {
        Self { settings, source: source.to_string().into(), digits: BytesMut::new() }
    }

    /// The message of a frame with events, the first of which has this sequence.
    pub(crate) fn of(&mut self, frame: &Bytes, seq: u64) -> OutFrame {
        let first = match self.settings.framing {
            Framing::Each => codec::first_record(frame),
            Framing::Batch => None,
        };
        let Some(first) = first else { return OutFrame::new(frame.clone()) };
        if self.settings.wire == Wire::Plain {
            // The body alone, as other software would have sent it.
            return OutFrame { payload: first.body, key: first.key, headers: Vec::new() };
        }
        let headers = vec![
            (KIND, first.kind),
            (VERSION, self.digits_of(first.version.into())),
            (SOURCE, self.source.clone()),
            (SEQ, self.digits_of(seq)),
        ];
        OutFrame { payload: frame.clone(), key: first.key, headers }
    }

    fn digits_of(&mut self, number: u64) -> Bytes {
        if self.digits.capacity() < DIGITS_MAX {
            self.digits = BytesMut::with_capacity(DIGITS_BYTES);
        }
        // There is room, so it does not fail.
        let _ = write!(self.digits, "{number}");
        self.digits.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Incarnation, NodeId};

    #[test]
    fn every_number_is_written_as_it_is_read() {
        let source = SourceId { node: NodeId(1), incarnation: Incarnation(1) };
        let mut messages = Messages::new(TopicSettings::LIVE, source);
        for number in [0, 1, 9, 10, 99, 100, 1234567890, u64::MAX] {
            assert_eq!(messages.digits_of(number), number.to_string());
        }
    }
}
