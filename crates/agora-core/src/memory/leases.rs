//! One lane of a group that shares its records out by lease: each record is with one member for a time.
//!
//! A pure value: the records and the time come in, and what is due happens at the next call. A record is in one of four
//! states: beyond `next`, nobody has looked at it; `waiting`, it is to be given out (again); held, a member has it; done, it
//! is nowhere here. What retention took is missing only when nobody holds it: a member may well finish it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::group::{Departure, Given, MemberId, Void};
use super::logs::Records;
use crate::transport::{Settle, Token};

/// A record that is not done and was looked at.
struct Open {
    /// How often it was given out, those times left out that do not count.
    attempts: u32,
    key: Option<Bytes>,
}

/// A record that is with a member.
struct Held {
    at: u64,
    member: MemberId,
    lease: Duration,
    until: Instant,
    /// The member cannot be reached: its lease runs on, and nobody can settle.
    orphaned: bool,
}

/// Where a group by lease stands.
pub(super) struct Leases {
    next: u64,
    open: BTreeMap<u64, Open>,
    waiting: BTreeSet<u64>,
    held: BTreeMap<Token, Held>,
    /// When the leases end, the next one first.
    ends: BTreeSet<(Instant, Token)>,
    /// With whom the records of a key are, and how many.
    keys: BTreeMap<Bytes, (MemberId, usize)>,
    /// Records that retention took, of which nobody was told yet.
    trimmed: u64,
    held_max: usize,
}

impl Leases {
    pub(super) fn new(next: u64, held_max: usize) -> Self {
        Self {
            next,
            open: BTreeMap::new(),
            waiting: BTreeSet::new(),
            held: BTreeMap::new(),
            ends: BTreeSet::new(),
            keys: BTreeMap::new(),
            trimmed: 0,
            held_max,
        }
    }

    /// Takes back what has run out, and sees what retention took.
    pub(super) fn advance(&mut self, now: Instant, records: &Records) {
        while let Some((until, token)) = self.ends.first().copied()
            && until <= now
        {
            self.free(token, true);
        }
        while let Some(at) = self.waiting.first().copied()
            && at < records.first
        {
            self.waiting.remove(&at);
            self.open.remove(&at);
            self.trimmed += 1;
        }
        if self.next < records.first {
            self.trimmed += records.first - self.next;
            self.next = records.first;
        }
    }

    /// Records for a member: first those that were given back, in the order of the log. Of a key that is with another
    /// member nothing is given.
    pub(super) fn give(
        &mut self,
        now: Instant,
        (member, lease): (MemberId, Duration),
        records_max: usize,
        records: &Records,
        mut new_token: impl FnMut() -> Token,
        into: &mut Vec<Given>,
    ) {
        if self.trimmed > 0 {
            into.push(Given::Trimmed(std::mem::take(&mut self.trimmed)));
        }
        let mut from = 0;
        let mut room = records_max.min(self.held_max.saturating_sub(self.held.len()));
        while room > 0
            && let Some(at) = self.look(&mut from, records)
        {
            let Some(open) = self.open.get_mut(&at) else { continue };
            if let Some(key) = &open.key {
                let with = self.keys.entry(key.clone()).or_insert((member, 0));
                if with.0 != member {
                    continue;
                }
                with.1 += 1;
            }
            open.attempts = open.attempts.saturating_add(1);
            self.waiting.remove(&at);
            let (token, until) = (new_token(), now + lease);
            self.held.insert(token, Held { at, member, lease, until, orphaned: false });
            self.ends.insert((until, token));
            into.push(Given::Record { at, token, attempt: open.attempts });
            room -= 1;
        }
    }

    /// The next waiting record at `from` or behind it, which moves on; one beyond all that were looked at waits from now on.
    fn look(&mut self, from: &mut u64, records: &Records) -> Option<u64> {
        let at = match self.waiting.range(*from..).next() {
            Some(at) => *at,
            None => {
                let at = self.next;
                let key = records.get(at)?.parcel.frame.key.clone();
                self.open.insert(at, Open { attempts: 0, key });
                self.waiting.insert(at);
                self.next += 1;
                at
            }
        };
        *from = at + 1;
        Some(at)
    }

    /// Settles a record.
    ///
    /// # Errors
    /// The token is void.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        member: MemberId,
        token: Token,
        how: Settle,
    ) -> Result<(), Void> {
        let held = self.held.get_mut(&token).filter(|held| held.member == member && !held.orphaned);
        let held = held.ok_or(Void)?;
        match how {
            Settle::Extend => {
                self.ends.remove(&(held.until, token));
                held.until = now + held.lease;
                self.ends.insert((held.until, token));
            }
            Settle::Release => self.free(token, false),
            Settle::Ack => {
                let at = held.at;
                self.free(token, true);
                self.waiting.remove(&at);
                self.open.remove(&at);
            }
        }
        Ok(())
    }

    /// Ends a lease: the record waits again.
    fn free(&mut self, token: Token, counts: bool) {
        let Some(held) = self.held.remove(&token) else { return };
        self.ends.remove(&(held.until, token));
        let Some(open) = self.open.get_mut(&held.at) else { return };
        if !counts {
            open.attempts = open.attempts.saturating_sub(1);
        }
        self.waiting.insert(held.at);
        if let Some(key) = &open.key
            && let Some((_, count)) = self.keys.get_mut(key)
        {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(key);
            }
        }
    }

    /// A member has gone.
    pub(super) fn depart(&mut self, member: MemberId, how: Departure) {
        let of_member = self.held.iter_mut().filter(|(_, held)| held.member == member);
        if how == Departure::OutOfReach {
            of_member.for_each(|(_, held)| held.orphaned = true);
            return;
        }
        let tokens: Vec<Token> = of_member.map(|(token, _)| *token).collect();
        for token in tokens {
            self.free(token, how != Departure::Left);
        }
    }

    /// All leases end now.
    pub(super) fn end_all(&mut self) {
        while let Some((_, token)) = self.ends.first().copied() {
            self.free(token, true);
        }
    }

    /// The log was rewound or replaced and ends here now: no lease is worth anything, and what has vanished is forgotten.
    /// What was done of the rest stays done.
    pub(super) fn begin_era(&mut self, end: u64) {
        self.end_all();
        drop((self.open.split_off(&end), self.waiting.split_off(&end)));
        self.next = self.next.min(end);
    }

    /// Goes on elsewhere. For a group without members: leases of those that are out of reach are void.
    pub(super) fn reset(&mut self, to: u64) {
        *self = Self::new(to, self.held_max);
    }

    /// When the next lease ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// The record that is given out next for the first time.
    pub(super) fn next(&self) -> u64 {
        let fresh = self.open.iter().find(|(_, open)| open.attempts == 0).map(|(at, _)| *at);
        fresh.unwrap_or(self.next)
    }

    /// How many records were given out and are not done.
    pub(super) fn pending(&self) -> u64 {
        self.open.values().filter(|open| open.attempts > 0).count() as u64
    }

    /// Does a member hold a record by this token?
    pub(super) fn holds(&self, token: Token) -> bool {
        self.held.contains_key(&token)
    }

    /// How many records a member holds.
    pub(super) fn held_by(&self, member: MemberId) -> u64 {
        self.held.values().filter(|held| held.member == member).count() as u64
    }

    /// How many records at `from` or behind are not done.
    pub(super) fn to_do(&self, from: u64, records: &Records) -> u64 {
        self.open.range(from..).count() as u64 + records.end().saturating_sub(self.next.max(from))
    }
}
