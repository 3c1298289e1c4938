//! What a record of a group's log holds, and how it is told apart.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::bus::contents::{Contents, contents};
use crate::codec::{self, FrameBuilder, FrameType, Parsed, Record, RecordParts, Stamp};
use crate::event::{DecodeError, Events, Redriven};
use crate::group::Origin;
use crate::id::{Incarnation, NodeId, SourceId, StreamId};
use crate::limits::FRAME_OVERHEAD_BYTES;
use crate::transport::{Position, Raw};

/// What a record holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The events of a frame.
    Events(Arc<[Record]>),
    /// A message of other software.
    Foreign(Arc<Raw>),
    /// Bytes that cannot be work here, and why.
    Unreadable(Arc<Raw>, &'static str),
}

/// A record with its place.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) lane: u32,
    pub(crate) at: Position,
    pub(crate) content: Content,
}

/// What a record turned out to be: which, the keys of its events, what it weighs, and what is in it.
pub(crate) struct Read {
    pub(crate) origin: Origin,
    pub(crate) keys: Vec<Option<u64>>,
    pub(crate) bytes: usize,
    pub(crate) content: Content,
}

/// Reads a record of the lane of this stream.
pub(crate) fn read(stream: StreamId, raw: Raw, at: Position) -> Read {
    let lane = raw.lane;
    let bytes = raw.payload.len() + FRAME_OVERHEAD_BYTES;
    let alone = |raw: &Raw| {
        let origin = Origin::Foreign { lane, at, crc: crc32c::crc32c(&raw.payload) };
        (origin, vec![raw.key.as_deref().map(number)])
    };
    let unreadable = match contents(stream, &raw) {
        Contents::Frame(frame) => {
            let origin = Origin::Frame { source: frame.header().source, lane, seq: frame.seq() };
            let records: Arc<[Record]> = frame.to_records().collect();
            let keys = records.iter().map(|record| record.key().map(number)).collect();
            let bytes = bytes + records.len() * size_of::<Record>();
            return Read { origin, keys, bytes, content: Content::Events(records) };
        }
        Contents::Foreign => {
            let (origin, keys) = alone(&raw);
            return Read { origin, keys, bytes, content: Content::Foreign(Arc::new(raw)) };
        }
        Contents::Elsewhere => "it is a frame of another topic, or of another cluster",
        Contents::Newer => "it needs a newer version to be read",
        Contents::Damaged => "it is damaged",
    };
    let (origin, keys) = alone(&raw);
    Read { origin, keys, bytes, content: Content::Unreadable(Arc::new(raw), unreadable) }
}

/// Equal keys have equal numbers.
fn number(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// What one event of a group is to this member.
pub(crate) enum Work<E> {
    /// To be handled.
    Event(E, Record),
    /// A message of other software, to be handled.
    Foreign(Arc<Raw>),
    /// Another group's: nothing is to be done.
    NotOurs,
    /// It cannot be handled here, for this reason.
    Hopeless(String),
}

/// Looks into one event of a record.
pub(crate) fn work<E: Events>(content: &Content, index: usize, topic: &str, group: &str) -> Work<E> {
    let record = match content {
        Content::Foreign(raw) => return Work::Foreign(raw.clone()),
        Content::Unreadable(_, why) => return Work::Hopeless(format!("it cannot be read: {why}")),
        Content::Events(records) => match records.get(index) {
            Some(record) => record.clone(),
            None => return Work::NotOurs,
        },
    };
    if !record.is::<Redriven>() {
        return decode(record);
    }
    match record.decode::<Redriven>() {
        Ok(Redriven { letter }) if letter.topic != topic || letter.group != group => Work::NotOurs,
        Ok(Redriven { letter }) => match unwrap(&letter, record.as_ref().header().stream) {
            Some(Content::Foreign(raw)) => Work::Foreign(raw),
            Some(Content::Events(records)) if records.len() == 1 => decode(records[0].clone()),
            _ => Work::Hopeless("the dead letter that was sent back cannot be read".to_owned()),
        },
        Err(error) => hopeless(&record, &error),
    }
}

fn decode<E: Events>(record: Record) -> Work<E> {
    // What the application's own code makes of bytes from the network ends one event, not the member.
    let decoded = catch_unwind(AssertUnwindSafe(|| E::from_record(&record)));
    let Ok(decoded) = decoded else {
        return Work::Hopeless(format!("decoding it as {} panicked", record.kind()));
    };
    match decoded {
        Ok(Some(event)) => Work::Event(event, record),
        Ok(None) => Work::Hopeless(format!("its kind is not known here: {}", record.kind())),
        Err(error) => hopeless(&record, &error),
    }
}

fn hopeless<E>(record: &Record, error: &DecodeError) -> Work<E> {
    Work::Hopeless(format!("it cannot be decoded as {}: {error}", record.kind()))
}

/// What lies in a dead letter, as it was when it came first.
fn unwrap(letter: &crate::event::DeadLetter, stream: StreamId) -> Option<Content> {
    let body = letter.body.as_deref()?;
    let Some(origin) = &letter.origin else {
        let raw = Raw {
            payload: body.to_vec().into(),
            lane: letter.lane,
            key: letter.key.clone().map(Into::into),
            headers: Vec::new(),
            time: None,
        };
        return Some(Content::Foreign(Arc::new(raw)));
    };
    let source = SourceId { node: NodeId(origin.node), incarnation: Incarnation(origin.incarnation) };
    let stamp = Stamp { source, stream, seq: origin.seq.max(1), floor: 1, sent_us: origin.sent_us };
    let mut builder = FrameBuilder::new();
    let parts = RecordParts {
        kind: &letter.kind,
        version: letter.version,
        resync: true,
        key: letter.key.as_deref(),
        body,
        id: None,
        correlation: None,
    };
    builder.push(&parts).ok()?;
    let Parsed::Frame(frame) = codec::parse(builder.finish(&stamp, FrameType::Data)) else { return None };
    Some(Content::Events(Arc::new(frame).to_records().collect()))
}
