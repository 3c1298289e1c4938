//! What a member of a group has before it: its lanes, what it is to be told, which rights are out, and who waits for a
//! commit. The [inbox](super::inbox) takes from it, the [task](super::task) puts on it.
//!
//! A value without a clock of its own, but for the ends of channels that it keeps.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use agora_core::transport::{FromGroup, Settle, Token};
use agora_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lane::{Found, Lane, Standing};
use super::notes::Notes;
use crate::error::error;

/// How long after a record was given out that is committed, where nothing else is committed before. Most records are done
/// sooner, and cost no commit of their own.
const NOTED_WITHIN: Duration = Duration::from_millis(20);

/// A lane that is this member's from here on.
pub(super) struct Assigned {
    pub(super) lane: u32,
    /// Up to where the group has done it.
    pub(super) committed: u64,
    pub(super) notes: Notes,
    /// The group begins there, and has not said so yet.
    pub(super) is_new: bool,
}

/// How records are settled.
#[derive(Default)]
pub(super) struct Settling {
    /// One for each, in their order.
    pub(super) answers: Vec<Answer>,
    /// Says for each lane what came of the commit.
    pub(super) commits: BTreeMap<u32, oneshot::Receiver<Result<()>>>,
}

/// What is answered to who settles a record.
pub(super) enum Answer {
    At(Result<()>),
    /// What comes of the commit of this lane.
    Committed(u32),
}

/// What a member of a group has before it.
#[derive(Default)]
pub(super) struct Desk {
    lanes: BTreeMap<u32, Lane>,
    /// The lane and the place of each record that is held.
    tokens: HashMap<Token, (u32, u64)>,
    /// With which version of its lane the ack of a record is committed.
    acked: HashMap<Token, (u32, u64)>,
    waiting: BTreeMap<u32, VecDeque<Waiting>>,
    notices: VecDeque<FromGroup>,
    ended: Option<Error>,
    is_interrupted: bool,
    last_token: u64,
    last_serial: u64,
    /// The lane that is looked at first: none waits for ever behind a busy one.
    turn: u32,
    unsaved_since: Option<Instant>,
}

/// Acks of one call, which go into one commit: nothing comes between them.
struct Waiting {
    version: u64,
    tokens: Vec<Token>,
    told: oneshot::Sender<Result<()>>,
}

impl Desk {
    /// These lanes are this member's. Answers the serial of each, and where it begins.
    pub(super) fn assign(&mut self, assigned: Vec<Assigned>) -> Vec<(u32, u64, u64)> {
        let lanes: Vec<u32> = assigned.iter().map(|assigned| assigned.lane).collect();
        let mut serials = Vec::new();
        for Assigned { lane, committed, notes, is_new } in assigned {
            self.last_serial += 1;
            serials.push((lane, self.last_serial, committed));
            self.lanes.insert(lane, Lane::new(lane, self.last_serial, committed, notes, is_new));
        }
        if !lanes.is_empty() {
            self.notices.push_back(FromGroup::Assigned { lanes });
        }
        serials
    }

    /// All lanes are asked back. `None`: nobody has heard yet that they were to be this member's, and nobody needs to.
    pub(super) fn revoke(&mut self) -> Option<oneshot::Receiver<()>> {
        self.lanes.values_mut().for_each(Lane::stop);
        if matches!(self.notices.back(), Some(FromGroup::Assigned { .. })) {
            self.notices.pop_back();
            return None;
        }
        let lanes: Vec<u32> = self.lanes.keys().copied().collect();
        if lanes.is_empty() {
            return None;
        }
        let (done, told) = oneshot::channel();
        self.notices.push_back(FromGroup::Revoking { lanes, done });
        Some(told)
    }

    /// All lanes are given back, as soon as what is to be committed is.
    pub(super) fn give_back(&mut self) {
        self.tokens.clear();
        self.lanes.values_mut().for_each(Lane::give_back);
    }

    /// All lanes were given back.
    pub(super) fn returned(&mut self) {
        self.clear();
    }

    /// All lanes are gone without a question.
    pub(super) fn lose(&mut self) {
        let lanes: Vec<u32> = self.lanes.keys().copied().collect();
        self.clear();
        if matches!(self.notices.back(), Some(FromGroup::Revoking { .. })) {
            self.notices.pop_back();
        }
        if matches!(self.notices.back(), Some(FromGroup::Assigned { .. })) {
            self.notices.pop_back();
        } else if !lanes.is_empty() {
            self.notices.push_back(FromGroup::Lost { lanes });
        }
    }

    fn clear(&mut self) {
        (self.lanes, self.tokens, self.acked) = Default::default();
        self.unsaved_since = None;
        for waiting in std::mem::take(&mut self.waiting).into_values().flatten() {
            let _ = waiting.told.send(Err(void()));
        }
    }

    /// The place in the group is of no use any more: it is to be joined anew.
    pub(super) fn interrupt(&mut self) {
        self.clear();
        self.is_interrupted = true;
        self.notices = VecDeque::from([FromGroup::Interrupted]);
    }

    /// Is it over, or to be joined anew?
    pub(super) fn is_over(&self) -> bool {
        self.is_interrupted || self.ended.is_some()
    }

    /// It is over, for this reason.
    pub(super) fn end(&mut self, why: Error) {
        if self.ended.is_none() {
            for waiting in std::mem::take(&mut self.waiting).into_values().flatten() {
                let _ = waiting.told.send(Err(why.clone()));
            }
            self.clear();
            self.ended = Some(why);
        }
    }

    /// Something of a lane was read; of an earlier time of it, that is worth nothing.
    pub(super) fn find(&mut self, lane: u32, serial: u64, found: Found) {
        if let Some(lane) = self.lanes.get_mut(&lane).filter(|lane| lane.serial() == serial) {
            lane.find(found);
        }
    }

    /// A lane was read up to there, be it records or not.
    pub(super) fn pass(&mut self, now: Instant, lane: u32, serial: u64, end: u64) {
        let lane = self.lanes.get_mut(&lane).filter(|lane| lane.serial() == serial);
        if lane.is_some_and(|lane| lane.pass(end)) {
            self.unsaved_since.get_or_insert(now);
        }
    }

    /// How much of a lane was read and not given out; `None`: it is not this member's any more.
    pub(super) fn ahead(&self, lane: u32, serial: u64) -> Option<usize> {
        self.lanes.get(&lane).filter(|lane| lane.serial() == serial).map(Lane::ahead)
    }

    /// Gives out what there is: what a member is to be told, and at most so many records.
    ///
    /// # Errors
    /// It is over.
    pub(super) fn give(
        &mut self,
        now: Instant,
        records_max: usize,
        into: &mut Vec<FromGroup>,
    ) -> Result<usize> {
        if let Some(why) = self.ended.as_ref().filter(|_| self.notices.is_empty()) {
            return Err(why.clone());
        }
        into.extend(self.notices.drain(..));
        let (later, first): (Vec<_>, Vec<_>) =
            self.lanes.iter_mut().partition(|(lane, _)| **lane < self.turn);
        let mut given = 0;
        for (number, lane) in first.into_iter().chain(later) {
            if given >= records_max {
                break;
            }
            let (tokens, last_token) = (&mut self.tokens, &mut self.last_token);
            let token = |at| {
                *last_token += 1;
                tokens.insert(Token(*last_token), (*number, at));
                Token(*last_token)
            };
            given += lane.give(records_max - given, token, into);
            self.turn = number.wrapping_add(1);
            if lane.is_unsaved() {
                self.unsaved_since.get_or_insert(now);
            }
        }
        Ok(given)
    }

    /// Settles records, in this order.
    pub(super) fn settle(&mut self, now: Instant, words: &[(Token, Settle)]) -> Settling {
        let mut settling = Settling::default();
        let mut acks: BTreeMap<u32, (u64, Vec<Token>)> = BTreeMap::new();
        for (token, how) in words {
            settling.answers.push(match self.settle_one(now, *token, *how) {
                Ok(Some((lane, version))) => {
                    let (last, tokens) = acks.entry(lane).or_default();
                    *last = version.max(*last);
                    tokens.push(*token);
                    Answer::Committed(lane)
                }
                Ok(None) => Answer::At(Ok(())),
                Err(error) => Answer::At(Err(error)),
            });
        }
        for (lane, (version, tokens)) in acks {
            let (told, committed) = oneshot::channel();
            self.waiting.entry(lane).or_default().push_back(Waiting { version, tokens, told });
            settling.commits.insert(lane, committed);
        }
        settling
    }

    /// Answers with which version of its lane an ack is committed.
    fn settle_one(&mut self, now: Instant, token: Token, how: Settle) -> Result<Option<(u32, u64)>> {
        if let Some(why) = &self.ended {
            return Err(why.clone());
        }
        if let (Settle::Ack, Some(acked)) = (how, self.acked.get(&token)) {
            return Ok(Some(*acked));
        }
        let (number, at) = self.tokens.get(&token).copied().ok_or_else(void)?;
        let lane = self.lanes.get_mut(&number).ok_or_else(void)?;
        match how {
            Settle::Extend => return Ok(None),
            Settle::Release => lane.release(at),
            Settle::Ack => {
                let acked = (number, lane.ack(at));
                self.tokens.remove(&token);
                self.acked.insert(token, acked);
                return Ok(Some(acked));
            }
        }
        self.tokens.remove(&token);
        self.unsaved_since.get_or_insert(now);
        Ok(None)
    }

    /// When something is to be committed; `None`: there is nothing.
    pub(super) fn commit_due(&self, now: Instant) -> Option<Instant> {
        if self.lanes.values().any(Lane::is_wanted) {
            return Some(now);
        }
        self.unsaved_since.map(|since| since + NOTED_WITHIN)
    }

    /// What is to be committed: all that is not.
    pub(super) fn standings(&mut self) -> Vec<Standing> {
        self.unsaved_since = None;
        self.lanes.values().filter(|lane| lane.is_unsaved()).map(Lane::standing).collect()
    }

    /// This was committed.
    pub(super) fn saved(&mut self, standing: &Standing) {
        let lane = self.lanes.get_mut(&standing.lane).filter(|lane| lane.serial() == standing.serial);
        let Some(lane) = lane else { return };
        lane.saved(standing.version);
        let Some(waiting) = self.waiting.get_mut(&standing.lane) else { return };
        while waiting.front().is_some_and(|waiting| waiting.version <= standing.version) {
            if let Some(Waiting { tokens, told, .. }) = waiting.pop_front() {
                tokens.iter().for_each(|token| _ = self.acked.remove(token));
                let _ = told.send(Ok(()));
            }
        }
    }

    /// This was not committed, and may be later.
    pub(super) fn not_saved(&mut self, now: Instant) {
        self.unsaved_since.get_or_insert(now);
    }

    /// Is there something that is not committed?
    pub(super) fn is_unsaved(&self) -> bool {
        self.lanes.values().any(Lane::is_unsaved)
    }
}

/// The right to settle a record is void.
fn void() -> Error {
    error(ErrorKind::Conflict, "the right to settle this record is void: it is another's work")
        .operation("settle")
}

#[cfg(test)]
mod tests;
