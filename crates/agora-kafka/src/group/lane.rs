//! One lane while it is this member's: what was read of it, who holds what, and what is to be committed.
//!
//! A pure value. What changes raises its version; a commit that was answered tells up to which one it holds.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use agora_core::group::Offsets;
use agora_core::transport::{FromGroup, Position, Raw, Token};

use super::notes::{self, Note, Notes, SIGNS_MAX, signs_of};

/// The most records of a lane from its oldest unfinished one on that are given out. One more waits until that is done: what
/// is noted beside the commit would not fit any more.
const GIVEN_MAX: usize = 4000;

/// What a reader of the lane has found.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Record {
        at: u64,
        raw: Raw,
    },
    /// What was to come next, up to this place, is gone.
    Trimmed {
        from: u64,
        to: u64,
    },
    /// The log was rewound, and is read from here on.
    Rewound {
        to: u64,
    },
}

/// What is to be committed for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) lane: u32,
    /// Which of the times that the lane was this member's.
    pub(super) serial: u64,
    /// What of the lane this holds.
    pub(super) version: u64,
    pub(super) offset: u64,
    pub(super) notes: String,
}

/// A lane.
pub(super) struct Lane {
    number: u32,
    serial: u64,
    offsets: Offsets,
    /// How many signs each record from the committed one on may need, and all of them.
    signs: VecDeque<(u64, usize)>,
    signs_sum: usize,
    /// Behind the last record that was given out.
    next: u64,
    found: VecDeque<Found>,
    /// Noted as given out. They are as soon as that is committed.
    prepared: VecDeque<(u64, Raw)>,
    held: HashMap<u64, Raw>,
    released: BTreeMap<u64, Raw>,
    /// How often what is not done was given out, also by those who had the lane before.
    attempts: BTreeMap<u64, u32>,
    /// What those before have done behind a hole, and was not read again yet.
    done: BTreeSet<u64>,
    version: u64,
    saved: u64,
    /// Somebody waits for this version to be committed.
    wanted: u64,
    /// The first records are given out when it is certain that this is counted.
    first: First,
    is_returned: bool,
}

/// How far the first records of a lane are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Unread,
    /// They are given out when this version is committed.
    Noted(u64),
    Given,
}

impl Lane {
    /// A lane that the group has done up to this offset, or that begins there and has to say so.
    pub(super) fn new(number: u32, serial: u64, committed: u64, notes: Notes, is_new: bool) -> Self {
        let mut offsets = Offsets::new(GIVEN_MAX);
        offsets.begin(committed);
        Self {
            number,
            serial,
            offsets,
            signs: VecDeque::new(),
            signs_sum: 0,
            next: committed,
            found: VecDeque::new(),
            prepared: VecDeque::new(),
            held: HashMap::new(),
            released: BTreeMap::new(),
            attempts: notes.attempts,
            done: notes.done,
            version: is_new.into(),
            saved: 0,
            wanted: is_new.into(),
            first: First::Unread,
            is_returned: false,
        }
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// Something was read.
    pub(super) fn find(&mut self, found: Found) {
        self.found.push_back(found);
    }

    /// The lane was read up to there. Where nothing is open, the group has done it: marks of transactions, and what
    /// compaction has removed, are nothing to be done. Answers whether that has changed anything.
    pub(super) fn pass(&mut self, end: u64) -> bool {
        let passes = self.found.is_empty() && self.signs.is_empty() && !self.is_returned && end > self.next;
        if passes {
            let wanted = self.wanted;
            self.restart(end);
            self.wanted = wanted;
        }
        passes
    }

    /// How much was read and not given out.
    pub(super) fn ahead(&self) -> usize {
        self.found.len()
    }

    /// Gives out at most so many records, first those that were released. Answers how many.
    pub(super) fn give(
        &mut self,
        records_max: usize,
        mut new_token: impl FnMut(u64) -> Token,
        into: &mut Vec<FromGroup>,
    ) -> usize {
        if self.is_returned {
            return 0;
        }
        let mut given = 0;
        while given < records_max
            && let Some((at, raw)) = self.released.pop_first()
        {
            self.count(at);
            self.hold(at, raw, new_token(at), into);
            given += 1;
        }
        if self.first == First::Unread {
            self.prepared = self.draw(records_max - given, into).into();
            if !self.prepared.is_empty() {
                self.first = First::Noted(self.version);
                self.wanted = self.version;
            }
        }
        if let First::Noted(version) = self.first {
            if self.saved < version {
                return given;
            }
            while given < records_max
                && let Some((at, raw)) = self.prepared.pop_front()
            {
                self.hold(at, raw, new_token(at), into);
                given += 1;
            }
            if self.prepared.is_empty() {
                self.first = First::Given;
            }
        }
        if self.first == First::Given {
            for (at, raw) in self.draw(records_max - given, into) {
                self.hold(at, raw, new_token(at), into);
                given += 1;
            }
        }
        given
    }

    /// Takes what was read next, and counts it as given out.
    fn draw(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Vec<(u64, Raw)> {
        let mut drawn = Vec::new();
        while drawn.len() < records_max
            && let Some(found) = self.found.pop_front()
        {
            match found {
                Found::Trimmed { from, to } => into.push(self.trim(from, to)),
                Found::Rewound { to } => {
                    // What is noted is of records that are no more.
                    self.done.clear();
                    self.attempts.clear();
                    self.restart(to);
                    into.push(FromGroup::Trimmed { lane: self.number, records: None });
                }
                Found::Record { at, .. } if at < self.next => {}
                Found::Record { at, raw } => {
                    if !self.has_room(at) {
                        self.found.push_front(Found::Record { at, raw });
                        break;
                    }
                    self.note(at);
                    if self.done.remove(&at) {
                        self.offsets.ack(at);
                        self.advanced();
                    } else {
                        self.count(at);
                        drawn.push((at, raw));
                    }
                }
            }
        }
        drawn
    }

    /// May one more record be noted?
    fn has_room(&self, at: u64) -> bool {
        if self.signs.is_empty() {
            return true;
        }
        // What is noted of records that were not read again takes room too.
        let unread = self.done.range(at..).count() + self.attempts.range(at..).count();
        let signs = self.signs_sum + signs_of(at - self.next) + unread;
        self.offsets.has_room() && signs <= SIGNS_MAX
    }

    fn note(&mut self, at: u64) {
        let signs = signs_of(at - self.next);
        self.offsets.give(at);
        self.signs.push_back((at, signs));
        self.signs_sum += signs;
        // Of what was passed over there is no record any more.
        self.done = self.done.split_off(&at);
        let passed: Vec<u64> = self.attempts.range(self.next..at).map(|(at, _)| *at).collect();
        passed.iter().for_each(|at| _ = self.attempts.remove(at));
        self.next = at.saturating_add(1);
        self.version += 1;
    }

    fn count(&mut self, at: u64) {
        let attempts = self.attempts.entry(at).or_default();
        *attempts = attempts.saturating_add(1);
        self.version += 1;
    }

    fn hold(&mut self, at: u64, raw: Raw, token: Token, into: &mut Vec<FromGroup>) {
        let attempt = self.attempts.get(&at).copied().unwrap_or(1);
        self.held.insert(at, raw.clone());
        into.push(FromGroup::Message { raw, at: Position(at.into()), token, attempt });
    }

    /// Passes over what retention took.
    fn trim(&mut self, from: u64, to: u64) -> FromGroup {
        let done = self.done.range(from..to.max(from)).count() as u64;
        let records = Some(to.saturating_sub(from).saturating_sub(done));
        if self.signs.is_empty() {
            self.restart(to);
        }
        FromGroup::Trimmed { lane: self.number, records }
    }

    /// Goes on elsewhere: nothing is open. That is committed at once, so that it is told once.
    fn restart(&mut self, at: u64) {
        self.offsets.begin(at);
        self.next = at;
        self.done = self.done.split_off(&at);
        self.attempts = self.attempts.split_off(&at);
        self.version += 1;
        self.wanted = self.version;
    }

    /// The commit has moved, perhaps.
    fn advanced(&mut self) {
        let committed = self.offsets.committed();
        while let Some((_, signs)) = self.signs.front().copied().filter(|(at, _)| *at < committed) {
            self.signs.pop_front();
            self.signs_sum -= signs;
        }
        if self.attempts.first_key_value().is_some_and(|(at, _)| *at < committed) {
            self.attempts = self.attempts.split_off(&committed);
        }
        self.version += 1;
    }

    /// A record that is held is done. Answers with which version that holds for ever.
    pub(super) fn ack(&mut self, at: u64) -> u64 {
        self.held.remove(&at);
        self.attempts.remove(&at);
        self.offsets.ack(at);
        self.advanced();
        self.wanted = self.version;
        self.version
    }

    /// A record that is held is given out anew, and this time did not count.
    pub(super) fn release(&mut self, at: u64) {
        if let Some(raw) = self.held.remove(&at) {
            self.uncount(at);
            self.released.insert(at, raw);
        }
    }

    fn uncount(&mut self, at: u64) {
        if let Some(attempts) = self.attempts.get_mut(&at) {
            *attempts = attempts.saturating_sub(1);
        }
        self.version += 1;
    }

    /// The lane is given back in good order: what is held was not tried in vain, but handed on.
    pub(super) fn give_back(&mut self) {
        self.is_returned = true;
        let held = std::mem::take(&mut self.held).into_keys();
        let prepared = std::mem::take(&mut self.prepared).into_iter().map(|(at, _)| at);
        for at in held.chain(prepared).collect::<Vec<_>>() {
            self.uncount(at);
        }
        self.wanted = self.version;
    }

    /// Nothing of the lane is given out any more.
    pub(super) fn stop(&mut self) {
        self.is_returned = true;
    }

    /// Is there something that no commit holds?
    pub(super) fn is_unsaved(&self) -> bool {
        self.version > self.saved
    }

    /// Does somebody wait for a commit?
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted > self.saved
    }

    /// What is to be committed.
    pub(super) fn standing(&self) -> Standing {
        let offset = self.offsets.committed();
        let tried = |at: &u64| Note::Tried(self.attempts.get(at).copied().unwrap_or(0));
        let given = self.offsets.given().map(|(at, done)| (at, if done { Note::Done } else { tried(&at) }));
        let mut unread: BTreeMap<u64, Note> = self.done.iter().map(|at| (*at, Note::Done)).collect();
        unread.extend(self.attempts.range(self.next..).map(|(at, attempts)| (*at, Note::Tried(*attempts))));
        let notes = notes::write(offset, given.chain(unread));
        Standing { lane: self.number, serial: self.serial, version: self.version, offset, notes }
    }

    /// A commit of this version was answered.
    pub(super) fn saved(&mut self, version: u64) {
        self.saved = self.saved.max(version);
    }
}

#[cfg(test)]
mod tests;
