//! The world of the log model, and its judge.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use agora_core::id::{Incarnation, NodeId, SourceId};
use agora_core::live::{Reason, Span};
use agora_core::log::{LaneCursor, Mark, Out, Outstanding, Print, Reader, Record, Then};
use agora_core::transport::LogStart;
use tokio::time::Instant;

use super::{Act, Failure, Log};

/// A frame of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Piece(u64);

impl Span for Piece {
    fn seq(&self) -> u64 {
        self.0
    }
    fn end(&self) -> u64 {
        self.0 + 1
    }
    fn bytes(&self) -> usize {
        1
    }
}

/// A frame as it was formed: whose, its sequence, its floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Frame {
    life: usize,
    seq: u64,
    floor: u64,
}

/// A record as it stands in the log: the stamp tells appends apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stored {
    frame: Frame,
    stamp: u64,
}

/// What a subscription was told of one life, judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Account {
    /// From where to where it was told, without a break.
    told: Option<(u64, u64)>,
    /// Records are missing, nobody knows of whom: the next may jump.
    excused: bool,
    delivered: u64,
}

/// What reads the log.
#[derive(Clone, Debug)]
struct Reading {
    reader: Reader<Piece>,
    /// The place that is read next.
    position: u128,
    /// The failover that it has not noticed yet.
    stale: bool,
    cursor: LaneCursor,
    accounts: [Account; 2],
    /// The log was read from its untrimmed beginning, so everything of each life is owed.
    owes_all: bool,
}

/// The world.
#[derive(Clone, Debug)]
pub struct State {
    source: Option<Outstanding>,
    life: usize,
    formed: Vec<Frame>,
    flight: Vec<Frame>,
    ghosts: Vec<Frame>,
    failed: bool,
    failures: u8,
    first: u128,
    log: Vec<Stored>,
    appended: usize,
    trims: u8,
    cuts: u8,
    interruptions: u8,
    reading: Option<Reading>,
    saved: Option<(LaneCursor, [Account; 2], bool)>,
    saves: u8,
    crashed: bool,
    wrong: Option<String>,
}

fn source_of(life: usize) -> SourceId {
    SourceId { node: NodeId(1), incarnation: Incarnation(1 + life as u64) }
}

fn now() -> Instant {
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.source, self.life, &self.formed, &self.flight, &self.ghosts, self.failed).hash(state);
        (self.failures, self.first, &self.log, self.appended, self.trims, self.cuts).hash(state);
        (self.interruptions, self.saves, self.crashed, &self.wrong).hash(state);
        let cursor = |cursor: &LaneCursor, state: &mut H| {
            (cursor.low, cursor.whole, &cursor.sources).hash(state);
        };
        if let Some(reading) = &self.reading {
            reading.reader.hash_at(now(), state);
            (reading.position, reading.stale, &reading.accounts, reading.owes_all).hash(state);
            cursor(&reading.cursor, state);
        }
        if let Some((saved, accounts, owes_all)) = &self.saved {
            cursor(saved, state);
            (accounts, owes_all).hash(state);
        }
    }
}

/// Readers have no equality of their own: what hashes alike is alike.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let hash = |state: &Self| {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            hasher.finish()
        };
        hash(self) == hash(other)
    }
}

impl Account {
    /// Events `from` up to `to` were delivered or named missing, next in order.
    fn tell(&mut self, from: u64, to: u64, owed: bool) -> Option<String> {
        let wrong = match self.told {
            None if owed && from > 1 && !self.excused => Some(format!("1 to {from} are silent")),
            Some((_, next)) if from < next => Some(format!("{from} comes again")),
            Some((_, next)) if from > next && !self.excused => Some(format!("{next} to {from} are silent")),
            _ => None,
        };
        self.told = Some((self.told.map_or(from, |(start, _)| start), to));
        self.excused = false;
        wrong
    }

    /// Events below what was told first are named missing.
    fn tell_late(&mut self, from: u64, to: u64) -> Option<String> {
        match self.told {
            Some((start, next)) if start == to => {
                self.told = Some((from, next));
                None
            }
            None => {
                self.told = Some((from, to));
                None
            }
            Some((start, _)) => Some(format!("late {from} to {to} do not join on to {start}")),
        }
    }
}

impl Reading {
    /// Where the cursor was saved, else with the oldest record.
    fn begin(saved: Option<&(LaneCursor, [Account; 2], bool)>, first: u128, untouched: bool) -> Self {
        let Some((cursor, accounts, owes_all)) = saved else {
            let mut reader = Reader::new(&LogStart::Earliest, usize::MAX);
            if untouched {
                reader.handle_beginning();
            }
            let mut cursor = LaneCursor::default();
            cursor.advance(&reader.progress(), None);
            let (accounts, stale) = Default::default();
            return Self { reader, position: first, stale, cursor, accounts, owes_all: untouched };
        };
        let mut reader = Reader::resume(cursor, usize::MAX);
        let position = reopen(&mut reader, first, untouched);
        let (cursor, accounts, owes_all) = (cursor.clone(), accounts.clone(), *owes_all);
        Self { reader, position, stale: false, cursor, accounts, owes_all }
    }

    fn interrupt(&mut self, first: u128, untouched: bool) {
        self.stale = false;
        self.position = reopen(&mut self.reader, first, untouched);
    }

    /// Takes everything that is handed over.
    fn take(&mut self) -> Option<String> {
        let mut wrong = None;
        while let Some(out) = self.reader.poll() {
            let (Out::Item { progress, .. } | Out::Gap { progress, .. } | Out::Missing { progress, .. }) =
                &out;
            self.cursor.advance(progress, None);
            let found = match out {
                Out::Item { source, item, from, .. } => {
                    let account = &mut self.accounts[life_of(source)];
                    account.delivered += item.end() - from;
                    account.tell(from, item.end(), self.owes_all)
                }
                Out::Gap { source, from, to, reason: Reason::Late, .. } => {
                    self.accounts[life_of(source)].tell_late(from, to)
                }
                Out::Gap { source, from, to, .. } => {
                    self.accounts[life_of(source)].tell(from, to, self.owes_all)
                }
                Out::Missing { .. } => {
                    self.accounts.iter_mut().for_each(|account| account.excused = true);
                    None
                }
            };
            wrong = wrong.or(found);
        }
        wrong
    }
}

fn life_of(source: SourceId) -> usize {
    usize::try_from(source.incarnation.0 - 1).unwrap_or_default()
}

/// Opens the log anew, which tells whether it begins with the first record that it ever held. Answers where that is.
fn reopen(reader: &mut Reader<Piece>, first: u128, untouched: bool) -> u128 {
    match reader.reopen() {
        LogStart::At(position) => position.0.max(first),
        _ => {
            if untouched {
                reader.handle_beginning();
            }
            first
        }
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            source: Some(Outstanding::default()),
            life: 0,
            formed: Vec::new(),
            flight: Vec::new(),
            ghosts: Vec::new(),
            failed: false,
            failures: 0,
            first: 0,
            log: Vec::new(),
            appended: 0,
            trims: 0,
            cuts: 0,
            interruptions: 0,
            reading: None,
            saved: None,
            saves: 0,
            crashed: false,
            wrong: None,
        }
    }

    pub(super) fn wrong(&self) -> Option<String> {
        self.wrong.clone()
    }

    pub(super) fn delivered_all(&self, events: u64) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.accounts[0].delivered == events)
    }

    /// Does it begin with the first record that it ever held?
    fn is_untouched(&self) -> bool {
        self.first == 0 && self.cuts == 0
    }

    fn end(&self) -> u128 {
        self.first + self.log.len() as u128
    }

    pub(super) fn actions(&self, model: &Log, actions: &mut Vec<Act>) {
        let room = self.appended < model.records;
        if let Some(source) = &self.source {
            if !self.failed && source.next() <= model.frames[self.life] && self.flight.len() < model.window {
                actions.push(Act::Form);
            }
            for at in 0..self.flight.len() {
                if room {
                    actions.push(Act::Accept(at));
                }
                if self.failures < model.failures {
                    actions.extend([Act::Fail(at, Failure::Unknown), Act::Fail(at, Failure::Never)]);
                    if room {
                        actions.push(Act::Fail(at, Failure::Stored));
                    }
                }
            }
            if self.failed && self.flight.is_empty() {
                actions.push(Act::Resend);
                if !self.formed.is_empty() {
                    actions.push(Act::GiveUp);
                }
            }
            if self.life == 0 && model.frames[1] > 0 {
                actions.push(Act::Crash);
            }
        } else {
            actions.push(Act::Restart);
        }
        if room {
            actions.extend((0..self.ghosts.len()).map(Act::Ghost));
        }
        if !self.log.is_empty() && self.trims < model.trims {
            actions.push(Act::Trim);
        }
        if self.cuts < model.cuts {
            actions.extend((0..self.log.len()).map(Act::Cut));
        }
        let Some(reading) = &self.reading else {
            if !self.crashed || self.saved.is_some() {
                actions.push(Act::Open);
            }
            return;
        };
        if reading.stale {
            actions.push(Act::Interrupt);
            return;
        }
        actions.push(Act::Read);
        actions.extend((0..2).filter(|life| reading.reader.has_hole(source_of(*life))).map(Act::CloseHole));
        if self.saves < model.saves {
            actions.push(Act::Save);
        }
        if !self.crashed && self.saved.is_some() {
            actions.push(Act::ReaderCrash);
        }
        if self.interruptions < model.interruptions {
            actions.push(Act::Interrupt);
        }
    }

    pub(super) fn apply(&mut self, act: Act) {
        match act {
            Act::Form => {
                let Some(source) = &mut self.source else { return };
                let frame = Frame { life: self.life, seq: source.next(), floor: source.floor() };
                source.formed(1);
                self.formed.push(frame);
                self.flight.push(frame);
            }
            Act::Accept(at) => {
                let frame = self.flight.remove(at);
                self.append(frame);
                self.settle(frame);
            }
            Act::Fail(at, failure) => {
                let frame = self.flight.remove(at);
                (self.failed, self.failures) = (true, self.failures + 1);
                match failure {
                    Failure::Stored => self.append(frame),
                    Failure::Unknown => self.ghosts.push(frame),
                    Failure::Never => {}
                }
            }
            Act::Resend => {
                self.failed = false;
                self.flight.clone_from(&self.formed);
            }
            Act::GiveUp => {
                let frame = self.formed[0];
                self.settle(frame);
                self.failed = !self.formed.is_empty();
            }
            Act::Ghost(at) => {
                let frame = self.ghosts.remove(at);
                self.append(frame);
            }
            Act::Crash => {
                self.source = None;
                self.formed.clear();
                self.ghosts.append(&mut self.flight);
            }
            Act::Restart => {
                (self.source, self.life, self.failed) = (Some(Outstanding::default()), 1, false);
            }
            Act::Open => {
                self.reading = Some(Reading::begin(self.saved.as_ref(), self.first, self.is_untouched()));
            }
            Act::Read => self.read(),
            Act::CloseHole(life) => {
                if let Some(reading) = &mut self.reading {
                    reading.reader.give_up_hole(now(), source_of(life), Reason::Lost);
                    let wrong = reading.take();
                    self.wrong = self.wrong.take().or(wrong);
                }
            }
            Act::Save => {
                let reading = self.reading.as_ref();
                self.saved = reading.map(|r| (r.cursor.clone(), r.accounts.clone(), r.owes_all));
                self.saves += 1;
            }
            Act::ReaderCrash => (self.reading, self.crashed) = (None, true),
            Act::Interrupt => {
                let (first, untouched) = (self.first, self.is_untouched());
                if let Some(reading) = &mut self.reading {
                    self.interruptions += u8::from(!reading.stale);
                    reading.interrupt(first, untouched);
                }
            }
            Act::Trim => {
                self.log.remove(0);
                (self.first, self.trims) = (self.first + 1, self.trims + 1);
            }
            Act::Cut(length) => {
                self.log.truncate(length);
                self.cuts += 1;
                if let Some(reading) = &mut self.reading {
                    reading.stale = true;
                }
            }
        }
    }

    fn append(&mut self, frame: Frame) {
        // A failover begins a new epoch: what is appended after it has another stamp.
        self.log.push(Stored { frame, stamp: self.cuts.into() });
        self.appended += 1;
    }

    fn settle(&mut self, frame: Frame) {
        self.formed.retain(|formed| *formed != frame);
        if let Some(source) = &mut self.source {
            source.settled(frame.seq);
        }
    }

    /// The reader reads the next record, or that there is none.
    fn read(&mut self) {
        let (first, end) = (self.first, self.end());
        let Some(reading) = &mut self.reading else { return };
        let then = if reading.position < first {
            reading.position = first;
            reading.reader.handle_trimmed();
            Then::Read
        } else if reading.position >= end {
            reading.reader.handle_caught_up(now())
        } else {
            let at = reading.position;
            reading.position += 1;
            let stored = self.log[usize::try_from(at - first).unwrap_or_default()];
            let Frame { life, seq, floor } = stored.frame;
            let source = source_of(life);
            let (node, incarnation) = (source.node.0, source.incarnation.0);
            let mark = Mark { at, print: Print { node, incarnation, seq, crc: 0, stamp: stored.stamp } };
            reading.reader.handle_record(now(), Record { mark, source, floor, sent_us: 0, item: Piece(seq) })
        };
        if then == Then::Reopen {
            reading.position = first;
        }
        let wrong = reading.take();
        self.wrong = self.wrong.take().or(wrong);
    }

    /// The reader reads to the end, and every hole waits long enough: what stands in the log and was never told?
    pub(super) fn silent_in_the_end(&self) -> Option<String> {
        let mut state = self.clone();
        if state.reading.as_ref()?.stale {
            state.apply(Act::Interrupt);
        }
        // At the end for the second time: the first may have been that of a log that was no longer the same.
        for _ in 0..2 {
            while state.reading.as_ref().is_some_and(|reading| reading.position < state.end()) {
                state.read();
            }
            state.read();
        }
        for life in 0..2 {
            while state.reading.as_ref().is_some_and(|r| r.reader.has_hole(source_of(life))) {
                state.apply(Act::CloseHole(life));
            }
        }
        if state.wrong.is_some() {
            return state.wrong;
        }
        let accounts = &state.reading.as_ref()?.accounts;
        let mut told: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
        for (life, account) in accounts.iter().enumerate() {
            told.extend(account.told.map(|range| (life, range)));
        }
        let silent = state.log.iter().find(|stored| {
            let Frame { life, seq, .. } = stored.frame;
            told.get(&life).is_none_or(|(start, next)| seq < *start || seq >= *next)
        });
        silent.map(|stored| format!("{:?} stands in the log and is silent", stored.frame))
    }
}
