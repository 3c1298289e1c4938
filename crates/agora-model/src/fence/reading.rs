//! One life of a reader, as the engine drives it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use agora_core::Result;
use agora_core::id::{Incarnation, NodeId, SourceId, StreamId};
use agora_core::live::Span;
use agora_core::log::{Cursor, LaneCursor, Mark, Out, Print, Progress, Reader, Record, Then};
use agora_core::transport::{Fence, LogStart};
use tokio::time::Instant;

const STREAM: StreamId = StreamId(1);
const SOURCE: SourceId = SourceId { node: NodeId(1), incarnation: Incarnation(1) };

fn now() -> Instant {
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

/// A frame: from this sequence up to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Piece(u64, u64);

impl Span for Piece {
    fn seq(&self) -> u64 {
        self.0
    }
    fn end(&self) -> u64 {
        self.1
    }
    fn bytes(&self) -> usize {
        1
    }
}

/// What comes next after what a saved cursor says was taken.
pub(super) fn next_of(saved: Option<&[u8]>) -> Result<u64> {
    let Some(bytes) = saved else { return Ok(1) };
    let cursor = Cursor::from_bytes(bytes)?;
    Ok(cursor.lane(STREAM).and_then(|lane| lane.sources().next()).map_or(1, |(_, _, next)| next))
}

/// The frame that is being handed out: what comes next of it, and its end.
type Current = (u64, u64, Progress);

/// A subscription from the moment it took the name.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) fence: Fence,
    /// The save that is on its way and waited for, by its number.
    pub(super) waits: Option<u64>,
    /// Something was taken since the last save was sent.
    pub(super) moved: bool,
    /// What it delivers next, unless something is skipped or comes again.
    pub(super) due: u64,
    reader: Reader<Piece>,
    position: usize,
    place: LaneCursor,
    current: Option<Current>,
    step: Option<(Progress, Option<u64>)>,
}

impl Hash for Reading {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let progress = |progress: &Progress, state: &mut H| {
            (progress.low, progress.after, progress.whole, progress.source).hash(state);
        };
        (self.fence, self.waits, self.moved, self.due, self.position).hash(state);
        (self.place.low, self.place.whole, &self.place.sources).hash(state);
        self.reader.hash_at(now(), state);
        self.current.is_some().hash(state);
        if let Some((next, end, of)) = &self.current {
            (next, end).hash(state);
            progress(of, state);
        }
        self.step.is_some().hash(state);
        if let Some((of, taken)) = &self.step {
            taken.hash(state);
            progress(of, state);
        }
    }
}

/// Readers have no equality of their own: what hashes alike is alike.
impl PartialEq for Reading {
    fn eq(&self, other: &Self) -> bool {
        let hash = |reading: &Self| {
            let mut hasher = DefaultHasher::new();
            reading.hash(&mut hasher);
            hasher.finish()
        };
        hash(self) == hash(other)
    }
}

impl Reading {
    /// Goes on from what was saved, or begins with the first record of the log.
    pub(super) fn begin(fence: Fence, saved: Option<&[u8]>) -> Result<Self> {
        let due = next_of(saved)?;
        let (reader, place, position) = match saved {
            Some(bytes) => {
                let place = Cursor::from_bytes(bytes)?.lane(STREAM).cloned().unwrap_or_default();
                let mut reader = Reader::resume(&place, usize::MAX);
                let position = match reader.reopen() {
                    LogStart::At(position) => usize::try_from(position.0).unwrap_or_default(),
                    _ => {
                        reader.handle_beginning();
                        0
                    }
                };
                (reader, place, position)
            }
            None => {
                let mut reader = Reader::new(&LogStart::Earliest, usize::MAX);
                reader.handle_beginning();
                let mut place = LaneCursor::default();
                place.advance(&reader.progress(), None);
                (reader, place, 0)
            }
        };
        let (waits, moved, current, step) = Default::default();
        Ok(Self { fence, waits, moved, due, reader, position, place, current, step })
    }

    /// Is there something that is not taken yet?
    pub(super) fn has_more(&self, frames: &[u64]) -> bool {
        self.step.is_some() || self.current.is_some() || self.position < frames.len()
    }

    /// What was delivered last is taken, and the next is delivered. Answers both.
    pub(super) fn next(&mut self, frames: &[u64]) -> (Option<u64>, Option<Told>) {
        let mut taken = None;
        if let Some((progress, below)) = self.step.take() {
            self.place.advance(&progress, below);
            (taken, self.moved) = (below.map(|below| below - 1), true);
        }
        loop {
            if let Some((next, end, progress)) = &mut self.current {
                if next < end {
                    let seq = *next;
                    *next += 1;
                    self.step = Some((progress.clone(), Some(*next)));
                    return (taken, Some(Told::Event(seq)));
                }
                // The last event of a frame is taken, and so is the frame.
                self.place.advance(progress, None);
                (self.current, self.moved) = (None, true);
            }
            match self.reader.poll() {
                Some(Out::Item { item, from, progress, .. }) => {
                    self.current = Some((from, item.end(), progress));
                }
                Some(other) => return (taken, Some(Told::Other(format!("{other:?}")))),
                None if self.position < frames.len() => {
                    if self.read(frames) == Then::Reopen {
                        return (taken, Some(Told::Other("the log counts as another".into())));
                    }
                }
                None => return (taken, None),
            }
        }
    }

    fn read(&mut self, frames: &[u64]) -> Then {
        let at = self.position;
        self.position += 1;
        let seq = 1 + frames[..at].iter().sum::<u64>();
        let (node, incarnation) = (SOURCE.node.0, SOURCE.incarnation.0);
        let mark = Mark { at: at as u128, print: Print { node, incarnation, seq, crc: 0, stamp: 0 } };
        let item = Piece(seq, seq + frames[at]);
        self.reader.handle_record(now(), Record { mark, source: SOURCE, floor: 1, sent_us: 0, item })
    }

    /// Its place, as it is saved.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut cursor = Cursor::default();
        cursor.set(STREAM, self.place.clone());
        cursor.to_bytes()
    }
}

/// What a reader was told.
pub(super) enum Told {
    /// The event of this sequence.
    Event(u64),
    /// Something that the log gives no cause for.
    Other(String),
}
