//! What the message of one event shows to those who know nothing of frames: the backend's own key and headers.

use bytes::Bytes;

use crate::codec::{RecordParts, Stamp};
use crate::transport::{OutFrame, Wire};

/// The names of the headers. What they say stands in the frame too, which alone is believed.
pub(crate) const KIND: &str = "agora-kind";
const VERSION: &str = "agora-version";
const SOURCE: &str = "agora-source";
const SEQ: &str = "agora-seq";

/// What the message of one event shows beside its frame.
#[derive(Debug)]
pub(crate) struct Single {
    key: Option<Bytes>,
    kind: Bytes,
    version: u16,
    /// The body, where it goes out instead of the frame.
    body: Option<Bytes>,
}

impl Single {
    pub(crate) fn new(record: &RecordParts<'_>, wire: Wire) -> Self {
        Self {
            key: record.key.map(Bytes::copy_from_slice),
            kind: Bytes::copy_from_slice(record.kind.as_bytes()),
            version: record.version,
            body: (wire == Wire::Plain).then(|| Bytes::copy_from_slice(record.body)),
        }
    }

    /// The message of an event in its frame.
    pub(crate) fn framed(self, frame: Bytes, stamp: &Stamp) -> OutFrame {
        let headers = vec![
            (KIND, self.kind),
            (VERSION, self.version.to_string().into()),
            (SOURCE, stamp.source.to_string().into()),
            (SEQ, stamp.seq.to_string().into()),
        ];
        OutFrame { payload: frame, key: self.key, headers }
    }

    /// The message of a plain value: its body alone, as other software would have sent it.
    pub(crate) fn plain(self) -> OutFrame {
        OutFrame { payload: self.body.unwrap_or_default(), key: self.key, headers: Vec::new() }
    }
}
