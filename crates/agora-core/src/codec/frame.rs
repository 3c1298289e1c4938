//! A frame that was checked as a whole.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::head::Head;
use super::header::{FrameType, Header};
use super::record::{Record, RecordRef};
use super::walk::{Kind, Place, Walk};

/// A frame of version 1, checked as a whole by [`parse`](super::parse): nothing in it can fail any more.
///
/// It shares the bytes that it came in.
#[derive(Clone)]
pub struct Frame {
    pub(super) header: Header,
    pub(super) frame_type: FrameType,
    pub(super) head: Option<Head>,
    pub(super) skipped_extensions: u16,
    pub(super) kinds: Kinds,
    pub(super) bytes: Bytes,
}

/// The kinds that a frame defines. Nearly always there is one, and then nothing is allocated.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    first: Kind,
    more: Vec<Kind>,
    any: bool,
}

impl Kinds {
    pub(super) fn push(&mut self, kind: Kind) {
        if self.any {
            self.more.push(kind);
        } else {
            self.first = kind;
            self.any = true;
        }
    }

    #[inline]
    pub(super) fn get(&self, index: u8) -> &Kind {
        match index {
            0 => &self.first,
            index => self.more.get(usize::from(index) - 1).unwrap_or(&self.first),
        }
    }
}

impl Frame {
    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What it is for.
    pub fn frame_type(&self) -> FrameType {
        self.frame_type
    }

    /// What a head says; `None` for other types.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The number of its first event; in a head, of the next one to come; 0 in a control frame.
    pub fn seq(&self) -> u64 {
        self.header.seq
    }

    /// The number after its last event; equal to [`Frame::seq`] where it has no numbered events.
    pub fn end(&self) -> u64 {
        match self.frame_type {
            FrameType::Data => self.header.seq + u64::from(self.header.records),
            FrameType::Head | FrameType::Control => self.header.seq,
        }
    }

    /// How many records it has.
    pub fn records_count(&self) -> usize {
        usize::from(self.header.records)
    }

    /// How many extensions were skipped because they are not known, as they allow.
    pub fn skipped_extensions(&self) -> usize {
        usize::from(self.skipped_extensions)
    }

    /// The whole frame as it stands on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Walks through the records without copying anything.
    pub fn records(&self) -> Records<'_> {
        Records { frame: self, walk: self.walk() }
    }

    /// Walks through the records, each of which shares the frame.
    pub fn to_records(self: &Arc<Self>) -> impl Iterator<Item = Record> {
        let mut cursor = self.cursor();
        std::iter::from_fn(move || cursor.next(self))
    }

    /// A place in the frame that can be kept beside it, at its first record.
    pub fn cursor(&self) -> RecordCursor {
        RecordCursor(self.walk())
    }

    fn walk(&self) -> Walk {
        Walk::new(u32::from(self.header.header_bytes))
    }

    #[inline]
    fn step(&self, walk: &mut Walk) -> Option<Place> {
        if walk.index >= self.header.records {
            return None;
        }
        // The frame was checked as a whole; an error could only mean a cursor of another frame, and ends the walk.
        walk.step(&self.bytes, |_| Ok(())).ok()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("header", &self.header)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// The records of a frame, borrowed from it.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    frame: &'a Frame,
    walk: Walk,
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        let place = self.frame.step(&mut self.walk)?;
        Some(RecordRef { frame: self.frame, place })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.frame.header.records.saturating_sub(self.walk.index));
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// A place between two records of a frame, to be used with that frame only.
#[derive(Clone, Debug)]
pub struct RecordCursor(Walk);

impl RecordCursor {
    /// The next record, or `None` after the last one.
    ///
    /// With another frame than the one it was made for, it returns nothing useful, and never panics.
    #[inline]
    pub fn next(&mut self, frame: &Arc<Frame>) -> Option<Record> {
        let place = frame.step(&mut self.0)?;
        Some(Record { frame: frame.clone(), place })
    }

    /// How many records were taken so far.
    pub fn index(&self) -> usize {
        usize::from(self.0.index)
    }
}
