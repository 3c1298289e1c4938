//! A log as a list of records, and what is handed over of it.

use super::*;
use crate::live::testing::{Piece, S, source};
use crate::log::Print;

mod changed;
mod order;
mod random;

/// A record: its source, its sequences, the floor, and when it was formed, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rec {
    source: SourceId,
    seq: u64,
    end: u64,
    floor: u64,
    seconds: u64,
    stamp: u64,
}

/// The event `seq` of S, formed when everything below `floor` was settled.
pub(super) fn rec(seq: u64, floor: u64) -> Rec {
    Rec { source: S, seq, end: seq + 1, floor, seconds: 0, stamp: 0 }
}

impl Rec {
    fn print(&self) -> Print {
        let (node, incarnation) = (self.source.node.0, self.source.incarnation.0);
        let crc = u32::try_from(self.floor).unwrap();
        Print { node, incarnation, seq: self.seq, crc, stamp: self.stamp }
    }
}

/// A log, and a reader of it whose consumer takes everything at once.
pub(super) struct Fixture {
    pub(super) log: Vec<(u128, Rec)>,
    pub(super) reader: Reader<Piece>,
    /// The position that is read next.
    position: u128,
    pub(super) cursor: LaneCursor,
    now: Instant,
    last: bool,
}

impl Fixture {
    pub(super) fn new(log: &[Rec]) -> Self {
        Self::from(LogStart::Earliest, log)
    }

    pub(super) fn from(start: LogStart, log: &[Rec]) -> Self {
        let log: Vec<_> = log.iter().copied().enumerate().map(|(at, rec)| (at as u128, rec)).collect();
        let reader = Reader::new(&start, 1000);
        let whole = start == LogStart::Earliest;
        let cursor = LaneCursor { whole, ..LaneCursor::default() };
        let mut fixture = Self { log, reader, position: 0, cursor, now: Instant::now(), last: false };
        if start == LogStart::Earliest {
            fixture.reader.handle_beginning();
        }
        fixture.open(&start);
        fixture
    }

    pub(super) fn open(&mut self, start: &LogStart) {
        self.last = *start == LogStart::Last;
        self.position = match start {
            LogStart::At(position) => position.0,
            LogStart::Last => self.log.last().map_or(0, |(at, _)| *at),
            _ => 0,
        };
    }

    pub(super) fn append(&mut self, rec: Rec) {
        let at = self.log.last().map_or(self.position, |(at, _)| at + 1);
        self.log.push((at, rec));
    }

    /// Interrupts the reading: it goes on by what the reader itself knows.
    pub(super) fn interrupt(&mut self) {
        let start = self.reader.reopen();
        self.open(&start);
        let untouched = self.log.first().is_none_or(|(at, _)| *at == 0);
        if start == LogStart::Earliest && untouched {
            self.reader.handle_beginning();
        }
    }

    /// The reader is gone; a new one begins where the consumer stood.
    pub(super) fn restart(&mut self) {
        self.reader = Reader::resume(&self.cursor, 1000);
        self.interrupt();
    }

    /// Reads one record, or the end. Answers whether there was a record.
    pub(super) fn read(&mut self) -> bool {
        let next = self.log.iter().find(|(at, _)| *at >= self.position).copied();
        let then = match next {
            Some((at, rec)) => {
                self.position = at + 1;
                let mark = Mark { at, print: rec.print() };
                let item = Piece { seq: rec.seq, end: rec.end };
                let sent_us = rec.seconds * 1_000_000;
                let record = Record { mark, source: rec.source, floor: rec.floor, sent_us, item };
                let then = self.reader.handle_record(self.now, record);
                if std::mem::take(&mut self.last) { self.reader.handle_caught_up(self.now) } else { then }
            }
            None => self.reader.handle_caught_up(self.now),
        };
        if then == Then::Reopen {
            self.open(&LogStart::Earliest);
            return true;
        }
        next.is_some()
    }

    /// Reads to the end, and takes everything.
    pub(super) fn read_all(&mut self) -> String {
        while self.read() {}
        self.out()
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += std::time::Duration::from_secs(seconds);
        self.reader.handle_timeout(self.now);
    }

    /// What was handed over since the last call: `1 2 gap 3..5 given_up !retention`.
    pub(super) fn out(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(out) = self.reader.poll() {
            let progress = match &out {
                Out::Item { progress, .. } | Out::Gap { progress, .. } | Out::Missing { progress, .. } => {
                    progress
                }
            };
            self.cursor.advance(progress, None);
            all.push(say(&out));
        }
        all.join(" ")
    }
}

fn say(out: &Out<Piece>) -> String {
    let whose = |source: SourceId| if source == S { String::new() } else { format!("{}:", source.node.0) };
    match out {
        Out::Item { source, item, from, .. } => {
            let range = *from..item.end();
            let range = if range.end == from + 1 { from.to_string() } else { format!("{range:?}") };
            format!("{}{range}", whose(*source))
        }
        Out::Gap { source, from, to, reason, .. } => {
            format!("{}gap {from}..{to} {}", whose(*source), reason.as_str())
        }
        Out::Missing { reason, .. } => format!("!{}", reason.as_str()),
    }
}
