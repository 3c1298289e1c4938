//! Order, once, or a gap: what is handed over of one lane of a log.
//!
//! A record may stand in a log twice (sent again after an answer was lost), or behind its successors (several requests
//! under way), or not at all (given up). Each source says in its frames up to where it has no request under way any
//! more: its floor. What is missing below a floor is missing for good.
//!
//! A log can also change behind its reader's back: retention takes its beginning, a failover its end, somebody deletes
//! it and makes it anew. So the first thing that is read after every opening is a record that was read before, and it
//! must be the same.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use tokio::time::Instant;

use super::cursor::{LaneCursor, Low, Mark, Progress};
use crate::id::SourceId;
use crate::limits::{LOG_HOLE_AGE, SOURCES_MAX};
use crate::live::{Reason, Span};
use crate::transport::LogStart;

/// A record that agora wrote, as it was read.
#[derive(Clone, Debug)]
pub struct Record<P> {
    /// Where it stands.
    pub mark: Mark,
    /// Whose it is.
    pub source: SourceId,
    /// The oldest sequence that its source held possible when it formed the record.
    pub floor: u64,
    /// When it was formed, in microseconds since 1970.
    pub sent_us: u64,
    /// The frame.
    pub item: P,
}

/// What to do after a record or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Then {
    /// Read on.
    Read,
    /// The log is not the one that was read: open it anew, at its beginning.
    Reopen,
}

/// What is handed over, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out<P> {
    /// The events of `item` from sequence `from` on.
    Item {
        /// Whose.
        source: SourceId,
        /// The frame.
        item: P,
        /// The first sequence in it that is due.
        from: u64,
        /// What taking it changes.
        progress: Progress,
    },
    /// Events of a source that are missing, half open.
    Gap {
        /// Whose.
        source: SourceId,
        /// The first.
        from: u64,
        /// The one after the last.
        to: u64,
        /// Why.
        reason: Reason,
        /// What taking it changes.
        progress: Progress,
    },
    /// Records of the log are missing, nobody knows of whom.
    Missing {
        /// Why.
        reason: Reason,
        /// What taking it changes.
        progress: Progress,
    },
}

#[derive(Clone, Debug)]
struct Stream<P> {
    /// Everything below was never owed, or is declared.
    start: u64,
    /// Everything below is handed over or declared.
    next: u64,
    /// What stands behind a hole, by its first sequence.
    held: BTreeMap<u64, P>,
    hole: Option<Hole>,
    /// When it was last read, in records.
    read: u64,
}

/// Since when something is missing.
#[derive(Clone, Copy, Debug)]
struct Hole {
    log_us: u64,
    at: Instant,
}

/// A record that is not wholly handed over.
#[derive(Clone, Copy, Debug)]
struct Kept {
    before: Option<Mark>,
    mark: Mark,
    source: SourceId,
    end: u64,
}

/// What must be read first.
#[derive(Clone, Copy, Debug, Hash)]
enum Check {
    Nothing,
    /// The end of the log, and perhaps its last record: only a mark.
    Anchor,
    /// This one, and behind it that one.
    Behind(Mark, Option<Mark>),
    /// This one.
    At(Mark),
}

/// The reader of one lane. Values and a time go in, [`Out`]s come out.
#[derive(Clone, Debug)]
pub struct Reader<P> {
    /// Where the reading begins as long as no record was read.
    from: LogStart,
    /// The last record that was read.
    before: Option<Mark>,
    /// Nothing was read yet, and the reading begins with the oldest record.
    fresh: bool,
    whole: bool,
    /// It stands at the beginning of the log, everything is owed, and it has no mark: whether what it finds there now
    /// is what it would have found then, only the log can tell.
    blind: bool,
    check: Check,
    streams: BTreeMap<SourceId, Stream<P>>,
    kept: VecDeque<Kept>,
    held_bytes: usize,
    held_bytes_max: usize,
    /// The latest time of sending in the log.
    log_us: u64,
    /// Since when the end is reached.
    caught_up: Option<Instant>,
    records: u64,
    out: VecDeque<Out<P>>,
}

impl<P: Span> Reader<P> {
    /// A reader that begins where `from` says, and holds at most `held_bytes_max` of what stands behind a hole.
    pub fn new(from: &LogStart, held_bytes_max: usize) -> Self {
        Self {
            from: from.clone(),
            before: None,
            fresh: *from == LogStart::Earliest,
            whole: false,
            blind: false,
            check: if *from == LogStart::Last { Check::Anchor } else { Check::Nothing },
            streams: BTreeMap::new(),
            kept: VecDeque::new(),
            held_bytes: 0,
            held_bytes_max,
            log_us: 0,
            caught_up: None,
            records: 0,
            out: VecDeque::new(),
        }
    }

    /// A reader that goes on where another stood.
    pub fn resume(cursor: &LaneCursor, held_bytes_max: usize) -> Self {
        let mut reader = Self::new(&LogStart::Earliest, held_bytes_max);
        (reader.fresh, reader.whole) = (false, cursor.whole);
        for (source, start, next) in cursor.sources() {
            reader.streams.insert(source, Stream { start, next, held: BTreeMap::new(), hole: None, read: 0 });
        }
        reader.expect(cursor.low);
        reader.blind = matches!(reader.check, Check::Nothing);
        reader
    }

    /// Where to open the log, after [`Reader::resume`] and after every interruption. What was read and not handed over
    /// is read again.
    pub fn reopen(&mut self) -> LogStart {
        match self.check {
            Check::Nothing => {
                let low = self.low();
                self.blind |= low == Low::default() && self.from == LogStart::Earliest && self.is_anchored();
                self.drop_held();
                self.expect(low);
            }
            // The one before was found, and then the log was lost again.
            Check::At(at) => self.expect(Low { before: self.before, at: Some(at) }),
            Check::Anchor | Check::Behind(..) => {}
        }
        match self.check {
            Check::Anchor => LogStart::Last,
            Check::Behind(mark, _) | Check::At(mark) => LogStart::At(mark.position()),
            Check::Nothing => self.from.clone(),
        }
    }

    fn expect(&mut self, low: Low) {
        self.before = low.before;
        self.caught_up = None;
        self.check = match (low.before, low.at) {
            (Some(before), at) => Check::Behind(before, at),
            (None, Some(at)) => Check::At(at),
            (None, None) => Check::Nothing,
        };
    }

    /// The next thing to hand over; call until `None`.
    #[must_use]
    pub fn poll(&mut self) -> Option<Out<P>> {
        self.out.pop_front()
    }

    /// Is it known where it begins, and whether that is the beginning of the log? From then on everything is owed.
    pub fn is_anchored(&self) -> bool {
        self.whole || !self.fresh && !matches!(self.check, Check::Anchor)
    }

    /// Where it stands, for a consumer that has taken everything.
    pub fn progress(&self) -> Progress {
        let low = self.low();
        Progress { low, after: low, whole: self.whole, source: None }
    }

    /// Has it reached the end of the log?
    pub fn is_caught_up(&self) -> bool {
        self.caught_up.is_some()
    }

    /// A record of agora was read.
    pub fn handle_record(&mut self, now: Instant, record: Record<P>) -> Then {
        match self.check_record(record.mark) {
            Some(then) => return then,
            None => self.records += 1,
        }
        self.look_around();
        self.fresh = false;
        let Record { mark, source, floor, sent_us, item } = record;
        let before = self.before.replace(mark);
        self.caught_up = None;
        self.log_us = self.log_us.max(sent_us);
        let (seq, end) = (item.seq(), item.end());
        let unseen = self.first_sight(source, floor.min(seq).max(1));
        let Some(stream) = self.streams.get_mut(&source) else { return Then::Read };
        stream.read = self.records;
        if seq < stream.start {
            // Neither handed over nor declared, and too late for its order.
            let to = std::mem::replace(&mut stream.start, seq);
            self.gap(source, seq, to, Reason::Late);
            return Then::Read;
        }
        if end > stream.next {
            self.held_bytes += item.bytes();
            if let Some(shorter) = stream.held.insert(seq, item) {
                self.held_bytes -= shorter.bytes();
            }
            self.kept.push_back(Kept { before, mark, source, end });
        }
        // Only now: a cursor that lies behind the gap must not lie behind the record.
        if let Some(to) = unseen {
            self.declare(source, to, Reason::GivenUp);
        }
        self.settle(now, source, floor);
        while self.held_bytes > self.held_bytes_max && self.give_up_hole(now, source, Reason::TooFarAhead) {}
        self.close_holes(now);
        Then::Read
    }

    /// A record of other software was read. `None` in front: it is only a mark, and not to be handed over.
    pub fn handle_foreign(&mut self, mark: Mark) -> (Option<Progress>, Then) {
        if let Some(then) = self.check_record(mark) {
            return (None, then);
        }
        self.look_around();
        self.fresh = false;
        let before = self.before.replace(mark);
        self.caught_up = None;
        let after = self.low();
        let low = if self.kept.is_empty() { Low { before, at: Some(mark) } } else { after };
        (Some(Progress { low, after, whole: self.whole, source: None }), Then::Read)
    }

    /// The lane is told from its first record on.
    pub fn handle_beginning(&mut self) {
        self.whole |= self.fresh;
        self.blind = false;
    }

    /// Retention was faster than this reader.
    pub fn handle_trimmed(&mut self) {
        self.missing(Reason::Retention);
    }

    /// What was to be read first never stood in this log, by the word of the backend.
    pub fn handle_rewritten(&mut self) -> Then {
        match self.check {
            Check::Nothing | Check::Anchor => Then::Read,
            Check::Behind(..) | Check::At(_) => {
                self.missing(Reason::Rewritten);
                Then::Reopen
            }
        }
    }

    /// The end was reached.
    pub fn handle_caught_up(&mut self, now: Instant) -> Then {
        match self.check {
            Check::Nothing => {}
            // Where there was no last record, everything to come is owed.
            Check::Anchor => (self.check, self.from) = (Check::Nothing, LogStart::Earliest),
            // What was read before stands there no longer.
            Check::Behind(..) | Check::At(_) => {
                self.missing(Reason::Rewritten);
                return Then::Reopen;
            }
        }
        self.fresh &= self.whole;
        self.caught_up.get_or_insert(now);
        Then::Read
    }

    /// When to call [`Reader::handle_timeout`]; ask again after every other call. Only a reader that is at the end goes
    /// by the clock: one that is held back must not take its own slowness for a loss.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let caught_up = self.caught_up?;
        let holes = self.streams.values().filter_map(|stream| stream.hole);
        holes.map(|hole| hole.at.max(caught_up) + LOG_HOLE_AGE).min()
    }

    /// Gives up the holes that are overdue at `now`. An early or repeated call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.close_holes(now);
    }

    /// Is this the record that must stand here? `Some`: it is not to be handed over.
    fn check_record(&mut self, mark: Mark) -> Option<Then> {
        let expected = match self.check {
            Check::Nothing => return None,
            Check::Anchor => {
                self.before = Some(mark);
                return Some(Then::Read);
            }
            Check::Behind(before, at) if before == mark => {
                self.check = at.map_or(Check::Nothing, Check::At);
                return Some(Then::Read);
            }
            Check::At(at) if at == mark => {
                self.check = Check::Nothing;
                return None;
            }
            Check::Behind(expected, _) | Check::At(expected) => expected,
        };
        if mark.at > expected.at {
            // It is gone, and whatever stood between.
            self.missing(Reason::Retention);
            return None;
        }
        self.missing(Reason::Rewritten);
        Some(Then::Reopen)
    }

    /// A record, and it is not known to be the first that the lane ever held: others may have stood before it, and have
    /// gone since this reader stood there.
    fn look_around(&mut self) {
        if self.blind {
            self.missing(Reason::Retention);
        }
    }

    /// What was handed over stays so: where each source stands is kept.
    fn missing(&mut self, reason: Reason) {
        self.drop_held();
        (self.from, self.before, self.check) = (LogStart::Earliest, None, Check::Nothing);
        (self.fresh, self.whole, self.blind) = (false, false, false);
        self.caught_up = None;
        let progress = Progress { low: Low::default(), after: Low::default(), whole: false, source: None };
        self.out.push_back(Out::Missing { reason, progress });
    }

    fn drop_held(&mut self) {
        self.kept.clear();
        self.held_bytes = 0;
        for stream in self.streams.values_mut() {
            stream.held.clear();
            stream.hole = None;
        }
    }

    /// Takes a source in. What lies below its floor was owed where the lane was read from its beginning: answers up to
    /// where.
    fn first_sight(&mut self, source: SourceId, floor: u64) -> Option<u64> {
        if self.streams.contains_key(&source) {
            return None;
        }
        if self.streams.len() >= SOURCES_MAX {
            self.forget_one();
        }
        let owed = self.whole && floor > 1;
        let start = if owed { 1 } else { floor };
        self.streams
            .insert(source, Stream { start, next: start, held: BTreeMap::new(), hole: None, read: 0 });
        owed.then_some(floor)
    }

    /// Makes room: the source that was read longest ago, and has nothing held, is forgotten.
    fn forget_one(&mut self) {
        let idle = self.streams.iter().filter(|(_, stream)| stream.held.is_empty());
        if let Some(source) = idle.min_by_key(|(_, stream)| stream.read).map(|(source, _)| *source) {
            self.streams.remove(&source);
            // Its next record is a first sight, of which nothing below may be declared.
            self.whole = false;
        }
    }

    /// Hands over what is in order, and declares what is missing below `below`.
    fn settle(&mut self, now: Instant, source: SourceId, below: u64) {
        loop {
            let Some(stream) = self.streams.get_mut(&source) else { return };
            let first = stream.held.first_key_value().map(|(seq, item)| (*seq, item.end()));
            match first {
                Some((seq, end)) if seq <= stream.next => {
                    let Some(item) = stream.held.remove(&seq) else { return };
                    self.held_bytes -= item.bytes();
                    if end > stream.next {
                        self.hand_over(source, item, end);
                    }
                }
                _ if stream.next < below => {
                    let to = first.map_or(below, |(seq, _)| seq.min(below));
                    self.declare(source, to, Reason::GivenUp);
                }
                first => {
                    let log_us = self.log_us;
                    stream.hole = first.is_some().then(|| stream.hole.unwrap_or(Hole { log_us, at: now }));
                    return;
                }
            }
        }
    }

    fn hand_over(&mut self, source: SourceId, item: P, end: u64) {
        let low = self.low();
        let Some(stream) = self.streams.get_mut(&source) else { return };
        let from = std::mem::replace(&mut stream.next, end);
        let start = stream.start;
        self.kept.retain(|kept| kept.source != source || kept.end > end);
        let after = self.low();
        let progress = Progress { low, after, whole: self.whole, source: Some((source, start, end)) };
        self.out.push_back(Out::Item { source, item, from, progress });
    }

    /// Declares what is missing up to `to`.
    fn declare(&mut self, source: SourceId, to: u64, reason: Reason) {
        let Some(stream) = self.streams.get_mut(&source) else { return };
        let from = std::mem::replace(&mut stream.next, to);
        self.kept.retain(|kept| kept.source != source || kept.end > to);
        self.gap(source, from, to, reason);
    }

    fn gap(&mut self, source: SourceId, from: u64, to: u64, reason: Reason) {
        let Some(stream) = self.streams.get(&source) else { return };
        let low = self.low();
        let position = Some((source, stream.start, stream.next));
        let progress = Progress { low, after: low, whole: self.whole, source: position };
        self.out.push_back(Out::Gap { source, from, to, reason, progress });
    }

    /// Is something of this source missing that may still come?
    pub fn has_hole(&self, source: SourceId) -> bool {
        self.streams.get(&source).is_some_and(|stream| !stream.held.is_empty())
    }

    /// Hashes the state as it stands at `now`: the same whenever it was reached.
    pub fn hash_at<H: Hasher>(&self, now: Instant, state: &mut H)
    where
        P: Hash,
    {
        (&self.from, self.before, self.fresh, self.whole, self.blind, self.check, self.held_bytes)
            .hash(state);
        for (source, stream) in &self.streams {
            (source, stream.start, stream.next, &stream.held).hash(state);
            stream.hole.map(|hole| (hole.log_us, now.saturating_duration_since(hole.at))).hash(state);
        }
        for kept in &self.kept {
            (kept.before, kept.mark, kept.source, kept.end).hash(state);
        }
        let since = self.caught_up.map(|at| now.saturating_duration_since(at));
        (self.log_us, since).hash(state);
    }

    /// Gives up the lowest hole of a source, as early or as late as one likes: too early is lossy, never wrong. Answers
    /// whether there was one.
    pub fn give_up_hole(&mut self, now: Instant, source: SourceId, reason: Reason) -> bool {
        let Some(stream) = self.streams.get(&source) else { return false };
        let Some(to) = stream.held.keys().next().copied().filter(|seq| *seq > stream.next) else {
            return false;
        };
        self.declare(source, to, reason);
        if let Some(stream) = self.streams.get_mut(&source) {
            stream.hole = None;
        }
        self.settle(now, source, 0);
        true
    }

    fn close_holes(&mut self, now: Instant) {
        let age_us = u64::try_from(LOG_HOLE_AGE.as_micros()).unwrap_or(u64::MAX);
        let overdue = |hole: Hole| {
            let by_log = self.log_us.saturating_sub(hole.log_us) >= age_us;
            by_log || self.caught_up.is_some_and(|at| now >= hole.at.max(at) + LOG_HOLE_AGE)
        };
        let sources = self.streams.iter().filter(|(_, stream)| stream.hole.is_some_and(overdue));
        let sources: Vec<SourceId> = sources.map(|(source, _)| *source).collect();
        for source in sources {
            self.give_up_hole(now, source, Reason::Lost);
        }
    }

    fn low(&self) -> Low {
        match self.kept.front() {
            Some(kept) => Low { before: kept.before, at: Some(kept.mark) },
            None => Low { before: self.before, at: None },
        }
    }
}

#[cfg(test)]
mod tests;
