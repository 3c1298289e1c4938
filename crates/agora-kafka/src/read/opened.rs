//! What one fetch has brought for a lane, record by record. Pure.
//!
//! A batch is decompressed when it is its turn, and its records are made one by one: what waits is compressed.

use std::collections::{BTreeSet, VecDeque};

use super::batch::{Batch, Step, Why};
use super::record::{Record, Records};

/// A transaction that was given up: from the first of its offsets on, until its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Its producer.
    pub producer: i64,
    /// Its first offset.
    pub first: i64,
}

/// What a fetch has brought.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Batches, and what cannot be read.
    pub steps: VecDeque<Step>,
    /// The transactions that were given up, among these batches.
    pub aborted: Vec<Aborted>,
    /// There was nothing more a moment ago.
    pub is_end: bool,
}

impl Fetched {
    /// How many bytes the broker has sent.
    pub fn sent_bytes(&self) -> usize {
        let of = |step: &Step| match step {
            Step::Batch(batch) => batch.size(),
            Step::Unreadable { .. } => 0,
        };
        self.steps.iter().map(of).sum()
    }

    /// How many bytes it takes here, roughly.
    pub fn bytes(&self) -> usize {
        self.sent_bytes() + self.steps.len() * size_of::<Step>()
    }
}

/// A record, or what is passed by.
#[derive(Debug)]
pub enum Piece {
    /// A record.
    Record(Record),
    /// Something that cannot be read.
    Unreadable {
        /// The first offset that is passed by.
        from: i64,
        /// The offset behind the last one.
        until: i64,
        /// Why.
        why: Why,
    },
}

/// The records of what was fetched.
#[derive(Debug)]
pub struct Opened {
    lane: u32,
    /// What is read next. What stands before it is left out.
    next: i64,
    steps: VecDeque<Step>,
    /// In the order of their first offsets.
    aborted: VecDeque<Aborted>,
    /// The producers whose transaction here was given up.
    giving_up: BTreeSet<i64>,
    records: Option<(Records, i64)>,
}

impl Opened {
    /// Opens it, from an offset on.
    pub fn new(fetched: Fetched, lane: u32, from: i64) -> Self {
        let mut aborted = fetched.aborted;
        aborted.sort_by_key(|aborted| aborted.first);
        Self {
            lane,
            next: from,
            steps: fetched.steps,
            aborted: aborted.into(),
            giving_up: BTreeSet::new(),
            records: None,
        }
    }

    /// The offset behind everything that was given, and passed by.
    pub fn end(&self) -> i64 {
        self.next
    }

    /// Passes something by; `None`: nothing of it was due any more.
    fn unreadable(&mut self, until: i64, why: Why) -> Option<Piece> {
        let from = self.next;
        self.next = from.max(until);
        (until > from).then_some(Piece::Unreadable { from, until, why })
    }

    /// Opens a batch, where its records are to be told.
    fn open(&mut self, batch: &Batch) -> Option<Piece> {
        let header = batch.header;
        while self.aborted.front().is_some_and(|aborted| aborted.first <= header.last) {
            self.giving_up.extend(self.aborted.pop_front().map(|aborted| aborted.producer));
        }
        let end = header.last.saturating_add(1);
        let is_given_up = header.is_transactional() && self.giving_up.contains(&header.producer);
        if is_given_up && !header.is_control() {
            self.next = self.next.max(end);
            return None;
        }
        match Records::open(batch, self.lane) {
            Ok(mark) if header.is_control() => {
                if mark.is_abort() {
                    self.giving_up.remove(&header.producer);
                }
                self.next = self.next.max(end);
                None
            }
            Ok(records) => {
                self.records = Some((records, end));
                None
            }
            Err(why) => self.unreadable(end, why),
        }
    }
}

impl Iterator for Opened {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            if let Some((records, end)) = &mut self.records {
                match records.next() {
                    Some(Ok(record)) if record.offset < self.next => {}
                    Some(Ok(record)) => {
                        self.next = record.offset.saturating_add(1);
                        return Some(Piece::Record(record));
                    }
                    Some(Err(why)) => {
                        let end = *end;
                        self.records = None;
                        let piece = self.unreadable(end, why);
                        if piece.is_some() {
                            return piece;
                        }
                    }
                    None => {
                        self.next = self.next.max(*end);
                        self.records = None;
                    }
                }
                continue;
            }
            let piece = match self.steps.pop_front()? {
                Step::Batch(batch) => self.open(&batch),
                Step::Unreadable { until, why } => self.unreadable(until, why),
            };
            if piece.is_some() {
                return piece;
            }
        }
    }
}
