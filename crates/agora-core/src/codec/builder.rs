//! Forms a frame in one pass.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::body::{self, Body};
use super::header::{FrameType, HEADER_BYTES, Stamp, seal};
use super::input::varint;
use super::walk::{CORRELATION, DEFINE, ID, KEY, Kind, RESYNC, SELECT, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Unknown, is_kind};
use crate::limits::{
    BODY_BYTES_MAX, FRAME_BYTES_MAX, FRAME_BYTES_TARGET, FRAME_KINDS_MAX, FRAME_RECORDS_MAX, KEY_BYTES_MAX,
    KIND_BYTES_MAX,
};

/// Up to this size a frame is copied out of the builder, which keeps its buffer; a larger one takes the buffer
/// along.
const COPY_BYTES_MAX: usize = FRAME_BYTES_TARGET + (16 << 10);

/// The room for the key and the front of the first event, where nothing is known of them.
const FIRST_BYTES: usize = 64;

/// One event, encoded, as [`FrameBuilder::push`] takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordParts<'a> {
    /// The kind: words of `A-Z a-z 0-9 _ -` joined by dots, at most [`KIND_BYTES_MAX`] bytes.
    pub kind: &'a str,
    /// The version of the kind with which the body is written.
    pub version: u16,
    /// Must a receiver that does not know the kind be told that it missed something?
    pub resync: bool,
    /// The key, at most [`KEY_BYTES_MAX`].
    pub key: Option<&'a [u8]>,
    /// The body, at most [`BODY_BYTES_MAX`].
    pub body: &'a [u8],
    /// The identity of the event.
    pub id: Option<[u8; 16]>,
    /// What the event belongs to or answers.
    pub correlation: Option<[u8; 16]>,
}

/// Collects events and forms frames of them. It can be used again and again.
///
/// An error leaves it as it was.
pub struct FrameBuilder {
    /// The frame so far, with room for the header in front. Empty before the first event.
    bytes: Vec<u8>,
    kinds: Vec<Kind>,
    /// The index of the kind of the last record.
    kind: u8,
    records: u16,
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FrameBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameBuilder")
            .field("records", &self.records)
            .field("frame_bytes", &self.frame_bytes())
            .finish_non_exhaustive()
    }
}

/// What to go back to when a record cannot be added.
struct Before {
    bytes: usize,
    kind: u8,
    kinds: usize,
}

/// A record without its body.
struct Front<'a> {
    kind: &'a str,
    version: u16,
    resync: bool,
    key: Option<&'a [u8]>,
    id: Option<[u8; 16]>,
    correlation: Option<[u8; 16]>,
}

impl FrameBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self { bytes: Vec::new(), kinds: Vec::new(), kind: 0, records: 0 }
    }

    /// Adds an event that is encoded already.
    ///
    /// # Errors
    /// `TooLarge` when a part of it, or the frame with it, is larger than allowed; `Codec` when the kind is not a
    /// dotted name. The builder is unchanged.
    pub fn push(&mut self, record: &RecordParts<'_>) -> Result<()> {
        let front = Front {
            kind: record.kind,
            version: record.version,
            resync: record.resync,
            key: record.key,
            id: record.id,
            correlation: record.correlation,
        };
        self.append(&front, record.body.len(), |bytes| {
            bytes.extend_from_slice(record.body);
            Ok(())
        })
    }

    /// Adds an event, encoding its body straight into the frame.
    ///
    /// # Errors
    /// As [`FrameBuilder::push`], and `Codec` when the event cannot be encoded. The builder is unchanged.
    pub fn push_event<E: Event>(&mut self, event: &E) -> Result<()> {
        self.push_event_with(event, None, None)
    }

    /// Adds an event with an identity and with what it belongs to or answers.
    ///
    /// # Errors
    /// As [`FrameBuilder::push_event`].
    pub fn push_event_with<E: Event>(
        &mut self,
        event: &E,
        id: Option<[u8; 16]>,
        correlation: Option<[u8; 16]>,
    ) -> Result<()> {
        let key = event.key();
        let front = Front {
            kind: E::KIND,
            version: E::VERSION,
            resync: E::UNKNOWN == Unknown::Resync,
            key: key.as_ref().map(|key| key.as_bytes()),
            id,
            correlation,
        };
        self.append(&front, 0, |bytes| event.encode_body(&mut Body::new(bytes)))
    }

    /// How many events it holds.
    pub fn records(&self) -> usize {
        usize::from(self.records)
    }

    /// Does it hold no event?
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The size of the frame if it were formed now.
    pub fn frame_bytes(&self) -> usize {
        self.bytes.len().max(HEADER_BYTES)
    }

    /// Should this record still go into this frame? Everything fits an empty one; after that the targets of
    /// [`limits`](crate::limits) hold.
    pub fn fits(&self, record: &RecordParts<'_>) -> bool {
        // A record may bring a new kind, so that one must be left.
        self.has_room(record.body.len() + record.key.map_or(0, <[u8]>::len) + record.kind.len() + 48)
    }

    /// As [`FrameBuilder::fits`], for a record of which only the size is known, with its key and kind.
    pub fn has_room(&self, more_bytes: usize) -> bool {
        self.is_empty()
            || (self.records() < FRAME_RECORDS_MAX
                && self.kinds.len() < FRAME_KINDS_MAX
                && self.bytes.len().saturating_add(more_bytes) <= FRAME_BYTES_TARGET)
    }

    /// Forms the frame and empties the builder.
    ///
    /// `frame_type` is `Data` or `Control`: a head is formed by [`encode_head`](super::encode_head). In a data
    /// frame `stamp.seq` is the number of the first event. An empty builder forms a frame that every receiver
    /// refuses; do not.
    pub fn finish(&mut self, stamp: &Stamp, frame_type: FrameType) -> Bytes {
        self.seal(stamp, frame_type);
        let frame = if self.bytes.len() <= COPY_BYTES_MAX {
            // The copy has exactly the size of the frame: frames are kept for repair, and memory that is kept with
            // them and not used would be counted by nobody.
            let frame = Bytes::copy_from_slice(&self.bytes);
            self.bytes.truncate(HEADER_BYTES);
            frame
        } else {
            Bytes::from(std::mem::take(&mut self.bytes).into_boxed_slice())
        };
        self.kinds.clear();
        self.kind = 0;
        self.records = 0;
        frame
    }

    /// Forms a data frame of what is the builder's own memory by now, cut to its size.
    pub(crate) fn into_frame(mut self, stamp: &Stamp) -> Bytes {
        self.seal(stamp, FrameType::Data);
        Bytes::from(self.bytes.into_boxed_slice())
    }

    /// Forms a data frame at the end of a memory that it shares with others, which stays as long as any of them is kept.
    pub(crate) fn into_frame_of(mut self, memory: &mut BytesMut, stamp: &Stamp) -> Bytes {
        self.seal(stamp, FrameType::Data);
        memory.extend_from_slice(&self.bytes);
        memory.split().freeze()
    }

    fn seal(&mut self, stamp: &Stamp, frame_type: FrameType) {
        debug_assert!(self.records > 0 && frame_type != FrameType::Head);
        debug_assert!(frame_type == FrameType::Control || stamp.seq > 0);
        seal(&mut self.bytes, stamp, frame_type, 64, self.records);
    }

    #[inline]
    fn append(
        &mut self,
        front: &Front<'_>,
        size_hint: usize,
        body: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        if self.bytes.is_empty() {
            self.bytes.reserve(HEADER_BYTES + FIRST_BYTES + size_hint);
            self.bytes.resize(HEADER_BYTES, 0);
        }
        let before = Before { bytes: self.bytes.len(), kind: self.kind, kinds: self.kinds.len() };
        let appended = self.append_front(front, size_hint).and_then(|()| self.append_body(body));
        match appended {
            Ok(()) => {
                self.records += 1;
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(before.bytes);
                self.kinds.truncate(before.kinds);
                self.kind = before.kind;
                Err(error)
            }
        }
    }

    #[inline]
    fn append_front(&mut self, front: &Front<'_>, size_hint: usize) -> Result<()> {
        if self.records() >= FRAME_RECORDS_MAX {
            return Err(full("records", FRAME_RECORDS_MAX));
        }
        check_size("body", size_hint, BODY_BYTES_MAX)?;
        let key_bytes = front.key.map_or(0, <[u8]>::len);
        check_size("key", key_bytes, KEY_BYTES_MAX)?;
        self.make_room(64 + key_bytes + size_hint);
        let at = self.bytes.len();
        self.bytes.push(0);
        let mut flags = self.append_kind(front)?;
        if let Some(key) = front.key {
            flags |= KEY;
            let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
            let mut varint_bytes = [0; 5];
            let used = varint(length, &mut varint_bytes);
            self.bytes.extend_from_slice(&varint_bytes[..used]);
            self.bytes.extend_from_slice(key);
        }
        if let Some(id) = front.id {
            flags |= ID;
            self.bytes.extend_from_slice(&id);
        }
        if let Some(correlation) = front.correlation {
            flags |= CORRELATION;
            self.bytes.extend_from_slice(&correlation);
        }
        self.bytes[at] = flags;
        Ok(())
    }

    /// A frame that has more than one event will probably have many: it grows in few and large steps.
    #[inline]
    fn make_room(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() < more {
            let step = match self.records {
                0 => 0,
                _ => (self.bytes.len() * 3).min(FRAME_BYTES_TARGET.saturating_sub(self.bytes.len())),
            };
            self.bytes.reserve_exact(more.max(step));
        }
    }

    /// Names the kind in the shortest way, and returns the flag that says which.
    #[inline]
    fn append_kind(&mut self, front: &Front<'_>) -> Result<u8> {
        let wanted = |kind: &Kind| {
            kind.version == front.version
                && (kind.flags & RESYNC != 0) == front.resync
                && kind.name.of(&self.bytes) == front.kind.as_bytes()
        };
        if self.kinds.get(usize::from(self.kind)).is_some_and(wanted) {
            return Ok(0);
        }
        if let Some(index) = self.kinds.iter().position(wanted) {
            // At most FRAME_KINDS_MAX.
            self.kind = u8::try_from(index).unwrap_or(u8::MAX);
            self.bytes.push(self.kind);
            return Ok(SELECT);
        }
        self.define(front)?;
        Ok(DEFINE)
    }

    fn define(&mut self, front: &Front<'_>) -> Result<()> {
        if self.kinds.len() >= FRAME_KINDS_MAX {
            return Err(full("kinds", FRAME_KINDS_MAX));
        }
        check_size("kind", front.kind.len(), KIND_BYTES_MAX)?;
        if !is_kind(front.kind.as_bytes()) {
            return Err(Error::new(ErrorKind::Codec, "not a valid kind")
                .context("kind", format!("{:?}", front.kind))
                .help("a kind is words of A-Z a-z 0-9 _ - joined by dots"));
        }
        let flags = if front.resync { RESYNC } else { 0 };
        // Both are far below the largest values of their types, by the checks above and of the frame's size.
        let length = u8::try_from(front.kind.len()).unwrap_or(u8::MAX);
        self.bytes.push(flags);
        self.bytes.extend_from_slice(&front.version.to_le_bytes());
        self.bytes.push(length);
        let at = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(front.kind.as_bytes());
        self.kind = u8::try_from(self.kinds.len()).unwrap_or(u8::MAX);
        self.kinds.push(Kind { name: Span { at, length: length.into() }, version: front.version, flags });
        Ok(())
    }

    /// Writes the body behind its length. Few bodies reach 128 bytes, so one byte is left for the length, and the
    /// body moves where it needs more.
    #[inline]
    fn append_body(&mut self, body: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let length_at = self.bytes.len();
        self.bytes.push(0);
        let body_at = length_at + 1;
        body(&mut self.bytes)?;
        let length = self.bytes.len() - body_at;
        if let Ok(length @ 0..=0x7f) = u8::try_from(length) {
            self.bytes[length_at] = length;
        } else {
            self.widen_length(body_at, length)?;
        }
        check_size("frame", self.bytes.len(), FRAME_BYTES_MAX)
    }

    fn widen_length(&mut self, body_at: usize, length: usize) -> Result<()> {
        check_size("body", length, body::BYTES_MAX)?;
        let mut varint_bytes = [0; 5];
        let used = varint(u32::try_from(length).unwrap_or(u32::MAX), &mut varint_bytes);
        let end = self.bytes.len();
        self.bytes.resize(end + used - 1, 0);
        self.bytes.copy_within(body_at..end, body_at + used - 1);
        self.bytes[body_at - 1..body_at - 1 + used].copy_from_slice(&varint_bytes[..used]);
        Ok(())
    }
}

#[inline]
fn check_size(what: &'static str, bytes: usize, bytes_max: usize) -> Result<()> {
    if bytes <= bytes_max { Ok(()) } else { Err(too_large(what, bytes, bytes_max)) }
}

#[cold]
fn too_large(what: &'static str, bytes: usize, bytes_max: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the {what} of an event is too large"))
        .context("bytes", bytes)
        .context("allowed", bytes_max)
}

#[cold]
fn full(what: &'static str, most: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the frame holds as many {what} as it can"))
        .context("allowed", most)
        .help("form the frame and begin the next")
}
