//! What the tests of the live rules share: names, a smallest frame, and what was handed over as text.

use super::{Handover, Span, SubId};
use crate::id::{Incarnation, NodeId, SourceId};

pub(crate) const A: SubId = SubId(0);
pub(crate) const B: SubId = SubId(1);
pub(crate) const ME: SourceId = source(0, 1);
/// The source of most tests, and its next life.
pub(crate) const S: SourceId = source(1, 1);
pub(crate) const S2: SourceId = source(1, 2);

pub(crate) const fn source(node: u64, incarnation: u64) -> SourceId {
    SourceId { node: NodeId(node), incarnation: Incarnation(incarnation) }
}

/// A frame of `seq..end` that counts 10 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Piece {
    pub(crate) seq: u64,
    pub(crate) end: u64,
}

impl Piece {
    pub(crate) fn one(seq: u64) -> Self {
        Self { seq, end: seq + 1 }
    }
}

impl Span for Piece {
    fn seq(&self) -> u64 {
        self.seq
    }
    fn end(&self) -> u64 {
        self.end
    }
    fn bytes(&self) -> usize {
        10
    }
}

/// `a:3` is event 3 for subscription a, `a:3-5` a frame of 3, 4 and 5, `a:gap 3..6 lost` a gap, `_` an end that is
/// not known.
pub(crate) fn say(handover: &Handover<Piece>) -> String {
    let name = |sub: &SubId| char::from(b'a' + u8::try_from(sub.0).unwrap());
    let end = |end: &Option<u64>| end.map_or("_".into(), |end| end.to_string());
    match handover {
        Handover::Item { sub, item, from, .. } if from + 1 == item.end => format!("{}:{from}", name(sub)),
        Handover::Item { sub, item, from, .. } => format!("{}:{from}-{}", name(sub), item.end - 1),
        Handover::Gap { sub, from, to, reason, .. } => {
            format!("{}:gap {}..{} {}", name(sub), end(from), end(to), reason.as_str())
        }
    }
}
