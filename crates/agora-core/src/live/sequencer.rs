//! Order, once, or a gap: what a receiver hands over of each source.
//!
//! A stream of a source is unknown, open, suspended or closed. Nothing here knows the time: whoever drives it says
//! when a hole is given up and when a source is held dead, as early or as late, as rightly or as wrongly as they
//! like; what is handed over stays true.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::reason::Reason;
use crate::id::SourceId;
use crate::limits::SOURCES_MAX;

/// Something that covers a range of a source's sequences: a frame.
pub trait Span: Clone {
    /// The first sequence it covers.
    fn seq(&self) -> u64;
    /// The sequence after the last one it covers; greater than [`Span::seq`].
    fn end(&self) -> u64;
    /// What it counts against the memory for frames that came early.
    fn bytes(&self) -> usize;
}

/// A subscription, as the sequencer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubId(pub u64);

/// What one subscription is handed, in the order in which it must see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Handover<P> {
    /// The records of `item` from sequence `from` on.
    Item {
        /// Who gets it.
        sub: SubId,
        /// Whose it is.
        source: SourceId,
        /// The frame.
        item: P,
        /// The first sequence in it that is due.
        from: u64,
    },
    /// The events of `source` from `from` up to, not including, `to` are missing. No `from`: since a time before
    /// anything was seen. No `to`: open-ended, until the source is heard afresh.
    Gap {
        /// Who is told.
        sub: SubId,
        /// Whose events are missing.
        source: SourceId,
        /// The first missing sequence, where it is known.
        from: Option<u64>,
        /// The sequence after the last missing one, where it is known.
        to: Option<u64>,
        /// Why.
        reason: Reason,
    },
}

/// How a source ended, in the opinion of the failure detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It fell silent. It may be wrongly held dead, and come back.
    Failed,
    /// It said that it leaves. It never comes back under this incarnation.
    Left,
}

/// What became of a frame or head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The first sign of this source.
    First,
    /// News. `late`: it lies below what was heard already, as the answer to a repair request does.
    New {
        /// See above.
        late: bool,
    },
    /// Handed over, held or declared missing already.
    Duplicate,
    /// The source is suspended: what it sends lies in an open gap until it answers a fresh hello.
    Suspended,
    /// The stream is over, or nobody here wants it.
    Ignored,
    /// The table of sources is full.
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stream<P> {
    Open(Open<P>),
    /// After an open-ended gap. `nonce`: of the hello whose answer ends it; none was drawn since the last gap.
    Suspended {
        nonce: Option<u64>,
    },
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Open<P> {
    /// Everything below is handed over or declared.
    next: u64,
    /// The source is known to have formed everything below.
    hi: u64,
    /// `hi` is the end of the stream.
    fin: bool,
    /// What came early, by its first sequence.
    held: BTreeMap<u64, P>,
    held_bytes: usize,
    /// Subscriptions that begin above `next`.
    starts: Vec<(SubId, u64)>,
    /// This process dropped something that had arrived: the next hole is of its own making, and is not repaired.
    dropped: bool,
}

impl<P: Span> Open<P> {
    /// The lowest run of missing sequences.
    fn hole(&self) -> Option<Range<u64>> {
        (self.next < self.hi).then(|| self.next..self.held.first_key_value().map_or(self.hi, |(seq, _)| *seq))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sub {
    established: bool,
    own: bool,
}

/// One topic's streams and subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequencer<P> {
    me: SourceId,
    held_bytes_max: usize,
    held_bytes: usize,
    streams: BTreeMap<SourceId, Stream<P>>,
    /// A source was refused, because the table was full.
    refused: bool,
    subs: BTreeMap<SubId, Sub>,
    out: VecDeque<Handover<P>>,
}

impl<P: Span> Sequencer<P> {
    /// A sequencer of the node `me` that holds at most `held_bytes_max` of frames that came early.
    pub fn new(me: SourceId, held_bytes_max: usize) -> Self {
        Self {
            me,
            held_bytes_max,
            held_bytes: 0,
            streams: BTreeMap::new(),
            refused: false,
            subs: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    /// See [`Receiver::set_held_bytes_max`](super::Receiver::set_held_bytes_max).
    pub fn set_held_bytes_max(&mut self, bytes: usize) {
        self.held_bytes_max = bytes;
    }

    /// The next thing to hand over; call until `None`.
    #[must_use]
    pub fn poll(&mut self) -> Option<Handover<P>> {
        self.out.pop_front()
    }

    /// A subscription begins to listen: of sources that are known, it gets what comes after what was heard so far.
    /// `own`: it wants this node's own events too.
    pub fn subscribe(&mut self, sub: SubId, own: bool) {
        for (source, stream) in &mut self.streams {
            if let (true, Stream::Open(open)) = (own || *source != self.me, stream)
                && open.hi > open.next
            {
                open.starts.push((sub, open.hi));
            }
        }
        self.subs.insert(sub, Sub { established: false, own });
    }

    /// From now on this subscription is owed everything. It is told at once of the sources that lie in an open gap,
    /// or their next events would be missing without a word.
    pub fn establish(&mut self, sub: SubId) {
        let Some(state) = self.subs.get_mut(&sub) else { return };
        state.established = true;
        let own = state.own;
        for (source, stream) in &mut self.streams {
            if let (true, Stream::Suspended { nonce }) = (own || *source != self.me, stream) {
                // A head that was asked for before this gap could be older than the gap.
                *nonce = None;
                let (source, reason) = (*source, Reason::SourceFailed);
                self.out.push_back(Handover::Gap { sub, source, from: None, to: None, reason });
            }
        }
    }

    /// A subscription ends. Sources that nobody wants any more are no longer followed, or a later subscription
    /// would take what was formed in between for a hole.
    pub fn unsubscribe(&mut self, sub: SubId) {
        self.subs.remove(&sub);
        let (others, own) = (!self.subs.is_empty(), self.subs.values().any(|sub| sub.own));
        let (me, held_bytes) = (self.me, &mut self.held_bytes);
        self.streams.retain(|source, stream| {
            let Stream::Open(open) = stream else { return true };
            open.starts.retain(|(id, _)| *id != sub);
            let wanted = if *source == me { own } else { others };
            *held_bytes -= if wanted { 0 } else { open.held_bytes };
            wanted
        });
    }

    /// Is there any subscription?
    pub fn has_subscriptions(&self) -> bool {
        !self.subs.is_empty()
    }

    /// Was anything of this source seen, or any end of it?
    pub fn knows(&self, source: SourceId) -> bool {
        self.streams.contains_key(&source)
    }

    /// Takes a frame, in any order, any number of times. `floor`: the oldest sequence that the source still held
    /// for repair when it formed the frame.
    pub fn frame(&mut self, source: SourceId, floor: u64, item: P) -> Seen {
        if !self.is_wanted(source) {
            return Seen::Ignored;
        }
        let (seq, end) = (item.seq(), item.end());
        let first = !self.streams.contains_key(&source);
        if first && !self.first_sight(source, seq, floor, end) {
            return Seen::Refused;
        }
        let open = match self.streams.get_mut(&source) {
            Some(Stream::Open(open)) => open,
            Some(Stream::Suspended { .. }) => return Seen::Suspended,
            _ => return Seen::Ignored,
        };
        if end <= open.next || open.held.get(&seq).is_some_and(|held| held.end() >= end) {
            return Seen::Duplicate;
        }
        let late = end <= open.hi && !first;
        let drop_to = (open.dropped && seq > open.hi).then_some(seq);
        open.dropped &= seq < open.hi;
        open.hi = open.hi.max(end);
        let bytes = item.bytes();
        open.held_bytes += bytes;
        self.held_bytes += bytes;
        if let Some(shorter) = open.held.insert(seq, item) {
            open.held_bytes -= shorter.bytes();
            self.held_bytes -= shorter.bytes();
        }
        self.drain(source);
        if let Some(to) = drop_to {
            self.give_up_below(source, to, Reason::Overflow);
        }
        self.give_up_below(source, floor, Reason::NotHeld);
        while self.held_bytes > self.held_bytes_max && self.hole(source).is_some() {
            self.give_up(source, u64::MAX, Reason::TooFarAhead);
        }
        if first { Seen::First } else { Seen::New { late } }
    }

    /// Takes a head: the source has formed everything below `next`, holds what is not below `floor`, and answers
    /// the hellos of these `nonces`. `fin`: it will form nothing more.
    ///
    /// `resumed` in the answer: this head ended an open gap, so its source lives.
    pub fn head(
        &mut self,
        source: SourceId,
        next: u64,
        floor: u64,
        fin: bool,
        nonces: &[u64],
    ) -> (Seen, bool) {
        if !self.is_wanted(source) {
            return (Seen::Ignored, false);
        }
        let first = !self.streams.contains_key(&source);
        if first && !self.first_sight(source, next, floor, next) {
            return (Seen::Refused, false);
        }
        match self.streams.get_mut(&source) {
            Some(Stream::Open(open)) => {
                let news = next > open.hi || fin && !open.fin;
                let drop_to = (open.dropped && next > open.hi).then_some(next);
                open.dropped &= next < open.hi;
                open.hi = open.hi.max(next);
                open.fin |= fin;
                self.drain(source);
                if let Some(to) = drop_to {
                    self.give_up_below(source, to, Reason::Overflow);
                }
                self.give_up_below(source, floor, Reason::NotHeld);
                let seen = match (first, news) {
                    (true, _) => Seen::First,
                    (_, true) => Seen::New { late: false },
                    _ => Seen::Duplicate,
                };
                (seen, false)
            }
            Some(stream @ Stream::Suspended { .. }) => {
                let Stream::Suspended { nonce: Some(wanted) } = stream else {
                    return (Seen::Suspended, false);
                };
                if !nonces.contains(wanted) {
                    return (Seen::Suspended, false);
                }
                *stream = if fin { Stream::Closed } else { Stream::Open(Open::at(next)) };
                (Seen::New { late: false }, true)
            }
            _ => (Seen::Ignored, false),
        }
    }

    /// Declares the lowest hole of a source missing, as far as it lies below `below`, and hands over what lies
    /// behind it. Does nothing where there is no hole.
    pub fn give_up(&mut self, source: SourceId, below: u64, reason: Reason) {
        if let Some(hole) = self.hole(source) {
            self.give_up_below(source, hole.end.min(below), reason);
        }
    }

    /// The failure detector's verdict. Holes are settled, what is held is handed over, and the tail is an
    /// open-ended gap, unless the source had announced its end and nothing of it is owed. `publishes_here`: the
    /// source is known to publish on this topic, although nothing of it may have arrived.
    pub fn ended(&mut self, source: SourceId, how: Ended, publishes_here: bool) {
        // Where nobody subscribes yet, it is remembered for who will.
        if source == self.me && !self.is_wanted(source) {
            return;
        }
        let (reason, after) = match how {
            Ended::Failed => (Reason::SourceFailed, Stream::Suspended { nonce: None }),
            Ended::Left => (Reason::SourceLeft, Stream::Closed),
        };
        while self.hole(source).is_some() {
            self.give_up(source, u64::MAX, reason);
        }
        match self.streams.get(&source) {
            Some(Stream::Open(open)) => {
                let next = open.next;
                self.gap(source, Some(next), None, reason);
                self.streams.insert(source, after);
            }
            // Its open gap was handed over already. Later subscriptions are not owed anything of one that left.
            Some(Stream::Suspended { .. }) if how == Ended::Left => {
                self.streams.insert(source, after);
            }
            None if publishes_here => {
                self.open_gap(source, reason);
                if self.streams.len() < SOURCES_MAX {
                    self.streams.insert(source, after);
                } else {
                    self.refused = true;
                }
            }
            _ => {}
        }
    }

    /// The transport dropped messages that had arrived. The next hole of each source is of this process's own
    /// making and becomes a gap at once: repair must not feed an overload.
    pub fn dropped(&mut self) {
        for stream in self.streams.values_mut() {
            if let Stream::Open(open) = stream {
                open.dropped = true;
            }
        }
    }

    /// The nonce of the hello that can end this source's open gap; `draw` makes a new one where none was sent since
    /// the gap was handed over. `None` where the source is not suspended.
    pub fn wanted_nonce(&mut self, source: SourceId, draw: impl FnOnce() -> u64) -> Option<u64> {
        match self.streams.get_mut(&source) {
            Some(Stream::Suspended { nonce }) => Some(*nonce.get_or_insert_with(draw)),
            _ => None,
        }
    }

    /// Forgets a source that ended. Only safe when nothing of it can arrive any more.
    pub fn forget(&mut self, source: SourceId) {
        if !matches!(self.streams.get(&source), Some(Stream::Open(_))) {
            self.streams.remove(&source);
        }
    }

    /// Is the stream suspended or closed?
    pub fn is_over(&self, source: SourceId) -> bool {
        matches!(self.streams.get(&source), Some(Stream::Suspended { .. } | Stream::Closed))
    }

    /// The lowest run of sequences that a source is known to have formed and that is neither here nor declared.
    pub fn hole(&self, source: SourceId) -> Option<Range<u64>> {
        match self.streams.get(&source) {
            Some(Stream::Open(open)) => open.hole(),
            _ => None,
        }
    }

    /// Up to `most` holes of a source, lowest first.
    pub fn holes(&self, source: SourceId, most: usize) -> Vec<Range<u64>> {
        let Some(Stream::Open(open)) = self.streams.get(&source) else { return Vec::new() };
        let mut holes = Vec::new();
        let mut at = open.next;
        for (seq, item) in &open.held {
            if holes.len() == most {
                return holes;
            }
            if *seq > at {
                holes.push(at..*seq);
            }
            at = at.max(item.end());
        }
        if at < open.hi && holes.len() < most {
            holes.push(at..open.hi);
        }
        holes
    }

    /// What the frames that came early take, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn is_wanted(&self, source: SourceId) -> bool {
        self.subs.values().any(|sub| source != self.me || sub.own)
    }

    fn established(&self, source: SourceId) -> impl Iterator<Item = SubId> + '_ {
        let me = self.me;
        self.subs.iter().filter(move |(_, s)| s.established && (source != me || s.own)).map(|(id, _)| *id)
    }

    /// No source that was refused can be heard any more: it was silent for longer than a network can delay a frame.
    pub fn forget_refusals(&mut self) {
        self.refused = false;
    }

    /// Opens the stream of a source that was just heard for the first time, at `at`. Nobody was promised anything
    /// of it before there was an established subscription, so without one it starts there. With one it starts at
    /// the source's floor, and what lies below is declared: it may have been owed.
    ///
    /// One that does not fit into the table is refused with an open gap. It is not remembered, so once that has
    /// happened, whoever is new may be it, and lies in an open gap until it answers a hello: see
    /// [`Sequencer::forget_refusals`].
    fn first_sight(&mut self, source: SourceId, at: u64, floor: u64, hi: u64) -> bool {
        let owed: Vec<_> = self.established(source).collect();
        let full = self.streams.len() >= SOURCES_MAX;
        if full || self.refused {
            self.refused = true;
            self.open_gap(source, Reason::TooManySources);
            if !full {
                self.streams.insert(source, Stream::Suspended { nonce: None });
            }
            return !full;
        }
        let start = if owed.is_empty() { at } else { floor.min(at).max(1) };
        if start > 1 {
            for sub in &owed {
                let (sub, to, reason) = (*sub, Some(start), Reason::Unseen);
                self.out.push_back(Handover::Gap { sub, source, from: None, to, reason });
            }
        }
        let mut open = Open::at(start);
        open.hi = hi.max(start);
        if at > start {
            open.starts = self.subs.iter().filter(|(_, s)| !s.established).map(|(id, _)| (*id, at)).collect();
        }
        self.streams.insert(source, Stream::Open(open));
        true
    }

    /// Tells everyone who is owed anything of a source of which nothing is known that nothing can be said of it.
    fn open_gap(&mut self, source: SourceId, reason: Reason) {
        let owed: Vec<_> = self.established(source).collect();
        for sub in owed {
            self.out.push_back(Handover::Gap { sub, source, from: None, to: None, reason });
        }
    }

    /// Declares everything missing below `below`, handing over what is there in between.
    fn give_up_below(&mut self, source: SourceId, below: u64, reason: Reason) {
        loop {
            let Some(Stream::Open(open)) = self.streams.get_mut(&source) else { return };
            let Some(hole) = open.hole().filter(|hole| hole.start < below) else { return };
            let to = hole.end.min(below);
            open.next = to;
            self.gap(source, Some(hole.start), Some(to), reason);
            self.drain(source);
        }
    }

    /// Hands over what is in order, and closes a stream that has come to its announced end.
    fn drain(&mut self, source: SourceId) {
        let Some(Stream::Open(open)) = self.streams.get_mut(&source) else { return };
        while let Some(entry) = open.held.first_entry().filter(|entry| *entry.key() <= open.next) {
            let item = entry.remove();
            open.held_bytes -= item.bytes();
            self.held_bytes -= item.bytes();
            if item.end() <= open.next {
                continue;
            }
            for (sub, state) in &self.subs {
                if source == self.me && !state.own {
                    continue;
                }
                let start = open.starts.iter().find(|(id, _)| id == sub).map_or(0, |(_, start)| *start);
                if item.end() > start {
                    let from = open.next.max(start);
                    self.out.push_back(Handover::Item { sub: *sub, source, item: item.clone(), from });
                }
            }
            open.next = item.end();
        }
        open.hi = open.hi.max(open.next);
        let next = open.next;
        open.starts.retain(|(_, start)| *start > next);
        if open.fin && open.next >= open.hi {
            self.streams.insert(source, Stream::Closed);
        }
    }

    fn gap(&mut self, source: SourceId, from: Option<u64>, to: Option<u64>, reason: Reason) {
        let Some(Stream::Open(open)) = self.streams.get(&source) else { return };
        for (sub, state) in &self.subs {
            if source == self.me && !state.own {
                continue;
            }
            let start = open.starts.iter().find(|(id, _)| id == sub).map_or(0, |(_, start)| *start);
            if to.is_none_or(|to| to > start) {
                let from = from.map(|from| from.max(start));
                self.out.push_back(Handover::Gap { sub: *sub, source, from, to, reason });
            }
        }
    }
}

impl<P> Open<P> {
    fn at(next: u64) -> Self {
        Self {
            next,
            hi: next,
            fin: false,
            held: BTreeMap::new(),
            held_bytes: 0,
            starts: Vec::new(),
            dropped: false,
        }
    }
}

#[cfg(test)]
mod tests;
