//! Where a reader stands, in a form that outlives it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::codec::body::{self, Body};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Incarnation, NodeId, SourceId, StreamId};
use crate::limits::{CURSOR_BYTES_MAX, CURSOR_SOURCES_MAX};
use crate::transport::Position;

/// The fingerprint of a record: by it a log that was rewound or replaced is told from the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Print {
    /// The node of its source; 0 where agora did not write it.
    pub node: u64,
    /// The incarnation of its source; 0 where agora did not write it.
    pub incarnation: u64,
    /// Its first sequence; 0 where agora did not write it.
    pub seq: u64,
    /// The checksum of its bytes.
    pub crc: u32,
    /// The backend's own stamp of the append: the same frame appended again is another record.
    pub stamp: u64,
}

/// A record as it stood in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// Where.
    pub at: u128,
    /// What.
    pub print: Print,
}

impl Mark {
    /// Where it stood.
    pub fn position(&self) -> Position {
        Position(self.at)
    }
}

/// The low water of a reader: everything before it was wholly delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Low {
    /// The record just before it; `None` where the reading began with the first record of the log.
    pub before: Option<Mark>,
    /// The record at it, where one was read.
    pub at: Option<Mark>,
}

impl Low {
    /// The place of the first record that is not wholly delivered, or where it is to be looked for; `None` where nothing
    /// was read yet.
    pub fn position(&self) -> Option<Position> {
        let behind = |mark: Mark| Position(mark.at.saturating_add(1));
        self.at.map(|mark| mark.position()).or_else(|| self.before.map(behind))
    }
}

/// Where the reading of one lane stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCursor {
    /// From where it goes on.
    pub low: Low,
    /// Was the lane read without a gap from its untrimmed beginning?
    pub whole: bool,
    /// Of the sources that were read last: node, incarnation, where it began, what comes next.
    pub sources: Vec<(u64, u64, u64, u64)>,
}

/// What a delivery changes in a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The low water while the delivery is not wholly taken.
    pub low: Low,
    /// And when it is.
    pub after: Low,
    /// See [`LaneCursor::whole`].
    pub whole: bool,
    /// Whose it is: where its stream began, and what comes after it.
    pub source: Option<(SourceId, u64, u64)>,
}

/// Where a subscription stands in its logs. Small enough to be kept anywhere (at most 3 KiB for each lane), and shown
/// and read as text.
///
/// It holds what a reader needs to go on without repeating or losing anything, and to notice that the log is no longer
/// the one that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    lanes: BTreeMap<StreamId, LaneCursor>,
}

impl Cursor {
    /// Where the reading of this stream stands, if it was read.
    pub fn lane(&self, stream: StreamId) -> Option<&LaneCursor> {
        self.lanes.get(&stream)
    }

    /// Sets where the reading of a stream stands.
    pub fn set(&mut self, stream: StreamId, lane: LaneCursor) {
        self.lanes.insert(stream, lane);
    }

    /// As bytes.
    ///
    /// # Errors
    /// `TooLarge` with more lanes than fit.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let lanes: Vec<(u64, &LaneCursor)> =
            self.lanes.iter().map(|(stream, lane)| (stream.0, lane)).collect();
        let mut bytes = vec![0; 5];
        Body::new(&mut bytes).encode(&lanes)?;
        bytes[0] = VERSION;
        let crc = crc32c::crc32c(&bytes[5..]);
        bytes[1..5].copy_from_slice(&crc.to_le_bytes());
        if bytes.len() > CURSOR_BYTES_MAX * self.lanes.len().max(1) {
            return Err(
                Error::new(ErrorKind::TooLarge, "a cursor is too large").context("bytes", bytes.len())
            );
        }
        Ok(bytes)
    }

    /// Reads what [`Cursor::to_bytes`] wrote.
    ///
    /// # Errors
    /// `Codec` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(ErrorKind::Codec, format!("not a cursor: {why}"))
                .context("bytes", bytes.len())
                .help("take it as it was given, whole; or begin at `earliest` or `live`")
        };
        let (version, rest) = bytes.split_first().ok_or_else(|| bad("it is empty"))?;
        if *version != VERSION {
            return Err(bad("it is of another version"));
        }
        let (crc, rest) = rest.split_first_chunk::<4>().ok_or_else(|| bad("it is cut off"))?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c(rest) {
            return Err(bad("it is damaged"));
        }
        let lanes: Vec<(u64, LaneCursor)> = body::decode(rest).map_err(|error| bad(&error.to_string()))?;
        Ok(Self { lanes: lanes.into_iter().map(|(stream, lane)| (StreamId(stream), lane)).collect() })
    }
}

const VERSION: u8 = 1;

impl fmt::Display for Cursor {
    /// As hexadecimal text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes().map_err(|_| fmt::Error)?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?);
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
        Self::from_bytes(&bytes.ok_or_else(|| {
            Error::new(ErrorKind::Codec, "not a cursor: it is not hexadecimal text")
                .help("take it as it was given, whole; or begin at `earliest` or `live`")
        })?)
    }
}

impl LaneCursor {
    /// Takes over what a delivery changes. `taken`: all of it was taken, or everything below this sequence.
    pub fn advance(&mut self, progress: &Progress, taken: Option<u64>) {
        self.low = if taken.is_some() { progress.low } else { progress.after };
        self.whole = progress.whole;
        let Some((source, start, next)) = progress.source else { return };
        let (node, incarnation) = (source.node.0, source.incarnation.0);
        let next = taken.unwrap_or(next);
        if let Some(last) = self.sources.last_mut().filter(|last| (last.0, last.1) == (node, incarnation)) {
            (last.2, last.3) = (start, next);
            return;
        }
        // The last one read stands last: the first ones leave when there are too many.
        self.sources.retain(|known| (known.0, known.1) != (node, incarnation));
        if self.sources.len() >= CURSOR_SOURCES_MAX {
            self.sources.remove(0);
        }
        self.sources.push((node, incarnation, start, next));
    }

    /// The sources with where each began and what comes next.
    pub fn sources(&self) -> impl Iterator<Item = (SourceId, u64, u64)> + '_ {
        self.sources.iter().map(|(node, incarnation, start, next)| {
            let source = SourceId { node: NodeId(*node), incarnation: Incarnation(*incarnation) };
            (source, *start, *next)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: u128) -> Mark {
        let print =
            Print { node: u64::MAX, incarnation: u64::MAX, seq: u64::MAX, crc: u32::MAX, stamp: u64::MAX };
        Mark { at, print }
    }

    fn source(number: u64) -> SourceId {
        SourceId { node: NodeId(u64::MAX - number), incarnation: Incarnation(u64::MAX) }
    }

    fn largest() -> Cursor {
        let low = Low { before: Some(mark(u128::MAX - 1)), at: Some(mark(u128::MAX)) };
        let mut lane = LaneCursor { low, ..LaneCursor::default() };
        for number in 0..10_000 {
            let source = Some((source(number), u64::MAX, u64::MAX));
            lane.advance(&Progress { low, after: low, whole: false, source }, None);
        }
        let mut cursor = Cursor::default();
        cursor.set(StreamId(u64::MAX), lane);
        cursor
    }

    #[test]
    fn the_largest_fits_its_bound_and_comes_back_as_text_and_bytes() {
        let cursor = largest();
        let bytes = cursor.to_bytes().unwrap();
        assert!(bytes.len() <= CURSOR_BYTES_MAX, "{}", bytes.len());
        assert_eq!(Cursor::from_bytes(&bytes).unwrap(), cursor);
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        let kept: Vec<_> = cursor.lane(StreamId(u64::MAX)).unwrap().sources().map(|known| known.0).collect();
        let latest: Vec<_> = (10_000 - CURSOR_SOURCES_MAX as u64..10_000).map(source).collect();
        assert_eq!(kept, latest);
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let bytes = largest().to_bytes().unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(Cursor::from_bytes(&bytes[..cut]).unwrap_err().kind(), ErrorKind::Codec, "{cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Cursor::from_bytes(&flipped).is_err(), "bit {bit}");
        }
        for text in ["", "0", "0g", "earliest", "01", "Ünïcode"] {
            assert_eq!(text.parse::<Cursor>().unwrap_err().kind(), ErrorKind::Codec, "{text}");
        }
    }

    #[test]
    fn a_part_of_a_frame_leaves_the_cursor_at_the_frame() {
        let low = Low { before: Some(mark(4)), at: Some(mark(5)) };
        let after = Low { before: Some(mark(5)), at: None };
        let progress = Progress { low, after, whole: true, source: Some((source(1), 1, 9)) };
        let mut lane = LaneCursor::default();
        assert_eq!(lane.low.position(), None);
        lane.advance(&progress, Some(7));
        assert_eq!((lane.low, lane.sources().next().unwrap().2), (low, 7));
        assert_eq!(lane.low.position(), Some(Position(5)));
        lane.advance(&progress, None);
        assert_eq!((lane.low, lane.sources().next().unwrap().2), (after, 9));
        assert_eq!(lane.low.position(), Some(Position(6)));
    }
}
