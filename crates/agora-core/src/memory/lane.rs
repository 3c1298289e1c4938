//! One lane of a group that shares lanes out: it belongs to one member at a time, which gives it up when it is asked.
//!
//! A pure value, but for the word of a member that it gives the lane up, which comes by a channel.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::group::{Departure, Given, MemberId, Void};
use super::logs::Records;
use crate::group::Offsets;
use crate::transport::{Settle, Token};

/// A member, as the lane sees it.
struct Seated {
    lease: Duration,
    /// When it was last heard.
    seen: Instant,
    /// It is waiting for something, and so it is there.
    waits: bool,
    /// The server cannot reach it: it is only kept as long as the lane is its own.
    gone: bool,
    /// What it was not told yet: at most `Lost`, `Assigned`, `Revoking`.
    notices: VecDeque<Given>,
}

impl Seated {
    fn silent_at(&self) -> Option<Instant> {
        (!self.waits).then(|| self.seen + self.lease)
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.silent_at().is_some_and(|at| at <= now)
    }
}

/// The owner was asked to give the lane up.
struct Revocation {
    to: MemberId,
    until: Instant,
    done: oneshot::Receiver<()>,
}

/// Where a group by lane stands.
pub(super) struct Lane {
    seated: BTreeMap<MemberId, Seated>,
    owner: Option<MemberId>,
    revocation: Option<Revocation>,
    offsets: Offsets,
    /// What this owner reads next.
    next: u64,
    /// What no owner has read yet.
    fresh: u64,
    held: BTreeMap<Token, u64>,
    released: BTreeSet<u64>,
    /// How often what is not done was given out.
    attempts: BTreeMap<u64, u32>,
    /// Which places beyond the commit were told as trimmed: the first, and the end.
    told: BTreeMap<u64, u64>,
    /// Who is to be told what has changed since this was looked at.
    has_moved: bool,
}

impl Lane {
    pub(super) fn new(next: u64, given_max: usize) -> Self {
        let mut offsets = Offsets::new(given_max);
        offsets.begin(next);
        Self {
            seated: BTreeMap::new(),
            owner: None,
            revocation: None,
            offsets,
            next,
            fresh: next,
            held: BTreeMap::new(),
            released: BTreeSet::new(),
            attempts: BTreeMap::new(),
            told: BTreeMap::new(),
            has_moved: false,
        }
    }

    /// One more member, to which the lane may go.
    pub(super) fn join(&mut self, now: Instant, member: MemberId, lease: Duration) {
        let seated = Seated { lease, seen: now, waits: false, gone: false, notices: VecDeque::new() };
        self.seated.insert(member, seated);
    }

    /// The lane goes to this member, when its owner gives it up.
    pub(super) fn go_to(&mut self, now: Instant, member: MemberId) {
        match &mut self.revocation {
            Some(revocation) => revocation.to = member,
            None if self.owner.is_none() => self.assign(member),
            None => self.revoke(now, member),
        }
    }

    /// Asks the owner to give the lane up.
    fn revoke(&mut self, now: Instant, to: MemberId) {
        let Some(owner) = self.owner.and_then(|owner| self.seated.get_mut(&owner)) else { return };
        if owner.gone {
            return;
        }
        if matches!(owner.notices.back(), Some(Given::Assigned)) {
            // It does not know yet that the lane was to be its own.
            owner.notices.pop_back();
            self.take();
            return self.assign(to);
        }
        let (told, done) = oneshot::channel();
        owner.notices.push_back(Given::Revoking(told));
        self.revocation = Some(Revocation { to, until: now + owner.lease, done });
        self.has_moved = true;
    }

    /// The lane is nobody's. What was not committed will be read again.
    fn take(&mut self) {
        let owner = self.owner.take();
        if owner.and_then(|owner| self.seated.get(&owner)).is_some_and(|owner| owner.gone) {
            owner.and_then(|owner| self.seated.remove(&owner));
        }
        self.revocation = None;
        self.next = self.offsets.committed();
        self.offsets.begin(self.next);
        self.held.clear();
        self.released.clear();
        self.has_moved = true;
    }

    fn assign(&mut self, to: MemberId) {
        let Some(seated) = self.seated.get_mut(&to) else { return };
        seated.notices.push_back(Given::Assigned);
        self.owner = Some(to);
        self.has_moved = true;
    }

    /// Takes the lane away without a question.
    fn lose(&mut self) {
        let Some(owner) = self.owner else { return };
        if let Some(seated) = self.seated.get_mut(&owner) {
            if matches!(seated.notices.back(), Some(Given::Revoking(_))) {
                seated.notices.pop_back();
            }
            if matches!(seated.notices.back(), Some(Given::Assigned)) {
                seated.notices.pop_back();
            } else {
                seated.notices.push_back(Given::Lost);
            }
        }
        self.take();
    }

    /// The oldest member that is there, this one left out.
    fn oldest(&self, now: Instant, without: MemberId) -> Option<MemberId> {
        let there =
            |(id, seated): &(&MemberId, &Seated)| **id != without && !seated.gone && !seated.is_silent(now);
        self.seated.iter().find(there).map(|(id, _)| *id)
    }

    /// Moves the lane, if that is due.
    pub(super) fn advance(&mut self, now: Instant) {
        let Some(owner) = self.owner else { return };
        if let Some(revocation) = &mut self.revocation {
            let to = revocation.to;
            match revocation.done.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) if now < revocation.until => {}
                Err(oneshot::error::TryRecvError::Empty) => {
                    self.lose();
                    self.assign(to);
                }
                _ => {
                    self.take();
                    self.assign(to);
                }
            }
        } else if self.seated.get(&owner).is_none_or(|owner| owner.is_silent(now)) {
            self.lose();
            if let Some(to) = self.oldest(now, owner) {
                self.assign(to);
            }
        }
    }

    /// Ready when the lane was given up for this member, which then has it.
    pub(super) fn poll_given_up(&mut self, member: MemberId, cx: &mut Context<'_>) -> Poll<()> {
        let Some(revocation) = self.revocation.as_mut().filter(|revocation| revocation.to == member) else {
            return Poll::Pending;
        };
        if Pin::new(&mut revocation.done).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.take();
        self.assign(member);
        Poll::Ready(())
    }

    /// What a member has to know, and records if the lane is its own.
    pub(super) fn give(
        &mut self,
        now: Instant,
        member: MemberId,
        records_max: usize,
        records: &Records,
        mut new_token: impl FnMut() -> Token,
        into: &mut Vec<Given>,
    ) {
        self.hear(now, member);
        if self.owner.is_none() {
            self.assign(member);
        }
        if let Some(seated) = self.seated.get_mut(&member) {
            into.extend(seated.notices.drain(..));
        }
        if self.owner != Some(member) || self.revocation.is_some() {
            return;
        }
        let trimmed = self.trim(records.first);
        if trimmed > 0 {
            into.push(Given::Trimmed(trimmed));
        }
        for _ in 0..records_max {
            let at = match self.released.pop_first() {
                Some(at) => at,
                None if self.next < records.end() && self.offsets.give(self.next) => {
                    self.next += 1;
                    self.next - 1
                }
                None => return,
            };
            self.fresh = self.fresh.max(self.next);
            let attempts = self.attempts.entry(at).or_default();
            *attempts = attempts.saturating_add(1);
            let token = new_token();
            self.held.insert(token, at);
            into.push(Given::Record { at, token, attempt: *attempts });
        }
    }

    /// Passes over what retention took before this owner had it, and what it released. Answers how many records.
    fn trim(&mut self, first: u64) -> u64 {
        let mut trimmed = 0;
        while let Some(at) = self.released.first().copied()
            && at < first
        {
            self.released.remove(&at);
            self.done(at);
            trimmed += 1;
        }
        if self.next < first {
            let known: u64 = self.told.range(self.next..).map(|(from, to)| to - from).sum();
            trimmed += (first - self.next).saturating_sub(known);
            drop(self.told.split_off(&self.next));
            self.told.insert(self.next, first);
            self.attempts.retain(|at, _| *at >= first);
            self.next = first;
            self.fresh = self.fresh.max(first);
            if self.offsets.open().next().is_none() {
                self.offsets.begin(first);
                self.told.clear();
            }
        }
        trimmed
    }

    fn done(&mut self, at: u64) {
        self.attempts.remove(&at);
        if let Some(committed) = self.offsets.ack(at) {
            self.attempts = self.attempts.split_off(&committed);
            self.told = self.told.split_off(&committed);
        }
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
        self.hear(now, member);
        let at = *self.held.get(&token).filter(|_| self.owner == Some(member)).ok_or(Void)?;
        if how != Settle::Extend {
            self.held.remove(&token);
        }
        match how {
            Settle::Extend => {}
            Settle::Ack => self.done(at),
            Settle::Release => {
                self.forget_attempt(at);
                self.released.insert(at);
            }
        }
        Ok(())
    }

    fn forget_attempt(&mut self, at: u64) {
        if let Some(attempts) = self.attempts.get_mut(&at) {
            *attempts = attempts.saturating_sub(1);
        }
    }

    /// A member has said something.
    pub(super) fn hear(&mut self, now: Instant, member: MemberId) {
        if let Some(seated) = self.seated.get_mut(&member) {
            (seated.seen, seated.waits) = (now, false);
        }
    }

    /// A member begins to wait for something, or no longer waits.
    pub(super) fn set_waits(&mut self, now: Instant, member: MemberId, waits: bool) {
        if let Some(seated) = self.seated.get_mut(&member) {
            (seated.seen, seated.waits) = (now, waits);
        }
    }

    /// A member has gone.
    pub(super) fn depart(&mut self, now: Instant, member: MemberId, how: Departure) {
        let owns = self.owner == Some(member);
        if owns && how == Departure::OutOfReach {
            if let Some(seated) = self.seated.get_mut(&member) {
                (seated.seen, seated.waits, seated.gone) = (now, false, true);
                seated.notices.clear();
            }
            self.revocation = None;
            return;
        }
        self.seated.remove(&member);
        let heir = self.revocation.as_ref().map(|revocation| revocation.to).filter(|to| *to != member);
        if owns {
            if how == Departure::Left {
                for at in std::mem::take(&mut self.held).into_values() {
                    self.forget_attempt(at);
                }
            }
            self.take();
            if let Some(to) = heir.or_else(|| self.oldest(now, member)) {
                self.assign(to);
            }
        } else if heir.is_none()
            && let Some(to) = self.oldest(now, member).or(self.owner)
            && let Some(revocation) = &mut self.revocation
        {
            revocation.to = to;
        }
    }

    /// The lane is lost at once, as if its owner had been silent too long.
    pub(super) fn end_all(&mut self, now: Instant) {
        let Some(owner) = self.owner else { return };
        self.lose();
        if let Some(to) = self.oldest(now, owner) {
            self.assign(to);
        }
    }

    /// The lane is asked back, for the oldest other member, or for the same one if it is alone.
    pub(super) fn rebalance(&mut self, now: Instant) {
        if let Some(owner) = self.owner
            && self.revocation.is_none()
        {
            let to = self.oldest(now, owner).unwrap_or(owner);
            self.revoke(now, to);
        }
    }

    /// The log was rewound or replaced and ends here now. Nobody is there any more.
    pub(super) fn begin_era(&mut self, end: u64) {
        self.take();
        self.seated.clear();
        self.next = self.next.min(end);
        self.offsets.begin(self.next);
        self.fresh = self.fresh.min(end);
        drop((self.attempts.split_off(&end), self.told.split_off(&end)));
    }

    /// Goes on elsewhere. For a group without members.
    pub(super) fn reset(&mut self, to: u64) {
        self.take();
        (self.next, self.fresh) = (to, to);
        self.offsets.begin(to);
        self.attempts.clear();
        self.told.clear();
    }

    /// When the lane moves by itself, if nothing comes between.
    pub(super) fn next_end(&self) -> Option<Instant> {
        match &self.revocation {
            Some(revocation) => Some(revocation.until),
            None => self.seated.get(&self.owner?)?.silent_at(),
        }
    }

    /// Has the lane moved, or is it asked back, since this was asked last?
    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// Does a member hold a record by this token?
    pub(super) fn holds(&self, token: Token) -> bool {
        self.held.contains_key(&token)
    }

    /// The member that has the lane, or will have it.
    pub(super) fn keeper(&self) -> Option<MemberId> {
        self.revocation.as_ref().map(|revocation| revocation.to).or(self.owner)
    }

    pub(super) fn owner(&self) -> Option<MemberId> {
        self.owner
    }

    /// The record that is given out next for the first time.
    pub(super) fn fresh(&self) -> u64 {
        self.fresh
    }

    /// How many records were given out and are not done.
    pub(super) fn pending(&self) -> u64 {
        self.attempts.values().filter(|attempts| **attempts > 0).count() as u64
    }

    /// How many records at `from` or behind are not done.
    pub(super) fn to_do(&self, from: u64, records: &Records) -> u64 {
        let given = self.offsets.open().filter(|at| *at >= from).count() as u64;
        given + records.end().saturating_sub(self.next.max(from).max(records.first))
    }
}
