//! What the message of one event shows to those who know nothing of frames: the backend's own key and headers.

use bytes::{Bytes, BytesMut};

use crate::codec;
use crate::id::SourceId;
use crate::transport::{Framing, OutFrame, TopicSettings, Wire};

/// The names of the headers. What they say stands in the frame too, which alone is believed.
pub(crate) const KIND: &str = "agora-kind";
const VERSION: &str = "agora-version";
const SOURCE: &str = "agora-source";
const SEQ: &str = "agora-seq";

/// The versions that nearly all kinds have.
const VERSIONS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// The room for numbers as text that is taken at once.
const DIGITS_BYTES: usize = 4096;

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
        let version = match VERSIONS.get(usize::from(first.version)) {
            Some(version) => Bytes::from_static(version.as_bytes()),
            None => first.version.to_string().into(),
        };
        let headers = vec![
            (KIND, first.kind),
            (VERSION, version),
            (SOURCE, self.source.clone()),
            (SEQ, self.digits_of(seq)),
        ];
        OutFrame { payload: frame.clone(), key: first.key, headers }
    }

    fn digits_of(&mut self, mut number: u64) -> Bytes {
        let mut text = [b'0'; 20];
        let mut at = text.len();
        while number > 0 || at == text.len() {
            at -= 1;
            text[at] += u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
        if self.digits.capacity() < text.len() {
            self.digits = BytesMut::with_capacity(DIGITS_BYTES);
        }
        self.digits.extend_from_slice(&text[at..]);
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
