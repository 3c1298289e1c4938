//! One event of a frame.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::frame::Frame;
use super::header::{FrameType, HEADER_BYTES, Header};
use super::walk::{Kind, Place, RESYNC, Span, Walk};
use crate::event::{DecodeError, Event};
use crate::id::SourceId;

/// One event of a frame, borrowed.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    pub(super) frame: &'a Frame,
    pub(super) place: Place,
}

impl<'a> RecordRef<'a> {
    fn definition(&self) -> &'a Kind {
        self.frame.kinds.get(self.place.kind)
    }

    /// The kind, as bytes: cheaper to compare than [`RecordRef::kind`].
    #[inline]
    pub fn kind_bytes(&self) -> &'a [u8] {
        self.definition().name.of(&self.frame.bytes)
    }

    /// The kind: a dotted name such as `agora.mailbox.changed`.
    pub fn kind(&self) -> &'a str {
        // Only ASCII passes the check of the frame.
        std::str::from_utf8(self.kind_bytes()).unwrap_or_default()
    }

    /// The version of the kind with which the body was written.
    pub fn version(&self) -> u16 {
        self.definition().version
    }

    /// Must a receiver that does not know the kind be told that it missed something?
    pub fn resync(&self) -> bool {
        self.definition().flags & RESYNC != 0
    }

    /// The key, by which events are ordered and spread over lanes.
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        (self.place.key.at != 0).then(|| self.place.key.of(&self.frame.bytes))
    }

    /// The body, as the kind defines it.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.place.body.of(&self.frame.bytes)
    }

    /// The identity of the event, where its publisher gave one.
    pub fn id(&self) -> Option<[u8; 16]> {
        self.bytes16(self.place.id_at)
    }

    /// What the event belongs to or answers, where its publisher said so.
    pub fn correlation(&self) -> Option<[u8; 16]> {
        self.bytes16(self.place.correlation_at)
    }

    fn bytes16(&self, at: u32) -> Option<[u8; 16]> {
        match at {
            0 => None,
            at => self.frame.bytes.get(at as usize..)?.first_chunk().copied(),
        }
    }

    /// The number of the event in its source and stream; 0 in a control frame.
    #[inline]
    pub fn seq(&self) -> u64 {
        match self.frame.frame_type {
            FrameType::Data => self.frame.header.seq + u64::from(self.place.index),
            FrameType::Head | FrameType::Control => 0,
        }
    }

    /// Its place in the frame, from 0.
    #[inline]
    pub fn index(&self) -> usize {
        usize::from(self.place.index)
    }

    /// Who published it.
    pub fn source(&self) -> SourceId {
        self.frame.header.source
    }

    /// When the frame was formed, by the clock of the sender.
    pub fn sent(&self) -> SystemTime {
        self.frame.header.sent()
    }

    /// The header of its frame.
    pub fn header(&self) -> &'a Header {
        &self.frame.header
    }

    /// Is it of the kind `E`?
    #[inline]
    pub fn is<E: Event>(&self) -> bool {
        self.kind_bytes() == E::KIND.as_bytes()
    }

    /// Decodes the body as an `E`, by the rules of evolution: see [`Event`].
    ///
    /// # Errors
    /// It is of another kind, of a version that `E` cannot read, or its body is malformed.
    pub fn decode<E: Event>(&self) -> Result<E, DecodeError> {
        if !self.is::<E>() {
            return Err(DecodeError::OtherKind { expected: E::KIND });
        }
        E::decode_body(self.version(), self.body())
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("source", &self.source())
            .field("seq", &self.seq())
            .field("kind", &self.kind())
            .field("version", &self.version())
            .field("key", &self.key().map(<[u8]>::escape_ascii).map(|key| key.to_string()))
            .field("body_bytes", &self.body().len())
            .finish()
    }
}

/// The parts of the first event of a frame of one's own, which share it.
#[derive(Debug)]
pub(crate) struct FirstRecord {
    pub(crate) kind: Bytes,
    pub(crate) version: u16,
    pub(crate) key: Option<Bytes>,
    pub(crate) body: Bytes,
}

/// The first event of a data frame that was formed here, and needs no check. `None` where it is none.
pub(crate) fn first_record(frame: &Bytes) -> Option<FirstRecord> {
    let mut kind = Kind::default();
    let define = |defined| {
        kind = defined;
        Ok(())
    };
    let place = Walk::new(HEADER_BYTES as u32).step(frame, define).ok()?;
    let part = |span: Span| frame.slice_ref(span.of(frame));
    let key = (place.key.at != 0).then(|| part(place.key));
    Some(FirstRecord { kind: part(kind.name), version: kind.version, key, body: part(place.body) })
}

/// One event of a frame. Owned and cheap to clone: it shares the frame.
///
/// While it lives, the whole frame stays in memory.
#[derive(Clone)]
pub struct Record {
    pub(super) frame: Arc<Frame>,
    pub(super) place: Place,
}

impl Record {
    /// The same record, borrowed.
    #[inline]
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef { frame: &self.frame, place: self.place }
    }

    /// The frame in which it came.
    pub fn frame(&self) -> &Arc<Frame> {
        &self.frame
    }

    /// See [`RecordRef::kind_bytes`].
    #[inline]
    pub fn kind_bytes(&self) -> &[u8] {
        self.as_ref().kind_bytes()
    }

    /// See [`RecordRef::kind`].
    pub fn kind(&self) -> &str {
        self.as_ref().kind()
    }

    /// See [`RecordRef::version`].
    pub fn version(&self) -> u16 {
        self.as_ref().version()
    }

    /// See [`RecordRef::resync`].
    pub fn resync(&self) -> bool {
        self.as_ref().resync()
    }

    /// See [`RecordRef::key`].
    #[inline]
    pub fn key(&self) -> Option<&[u8]> {
        self.as_ref().key()
    }

    /// See [`RecordRef::body`].
    #[inline]
    pub fn body(&self) -> &[u8] {
        self.as_ref().body()
    }

    /// See [`RecordRef::id`].
    pub fn id(&self) -> Option<[u8; 16]> {
        self.as_ref().id()
    }

    /// See [`RecordRef::correlation`].
    pub fn correlation(&self) -> Option<[u8; 16]> {
        self.as_ref().correlation()
    }

    /// See [`RecordRef::seq`].
    #[inline]
    pub fn seq(&self) -> u64 {
        self.as_ref().seq()
    }

    /// See [`RecordRef::index`].
    #[inline]
    pub fn index(&self) -> usize {
        self.as_ref().index()
    }

    /// See [`RecordRef::source`].
    pub fn source(&self) -> SourceId {
        self.as_ref().source()
    }

    /// See [`RecordRef::sent`].
    pub fn sent(&self) -> SystemTime {
        self.as_ref().sent()
    }

    /// See [`RecordRef::is`].
    #[inline]
    pub fn is<E: Event>(&self) -> bool {
        self.as_ref().is::<E>()
    }

    /// See [`RecordRef::decode`].
    ///
    /// # Errors
    /// It is of another kind, of a version that `E` cannot read, or its body is malformed.
    pub fn decode<E: Event>(&self) -> Result<E, DecodeError> {
        self.as_ref().decode()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_ref(), f)
    }
}
