//! The records of one lane: which of them wait, which are on their way, and what is certain of each.
//!
//! A broker stores the batches of a producer in one partition only in the order of their sequences, knows the last five
//! of them again, and says so instead of storing one twice. So a batch that was sent, and of which nobody knows whether
//! it was stored, is sent again as it was: the same records under the same sequences. Nothing here waits or asks the time.
//!
//! Source: `ProducerStateManager` and `ProducerAppendInfo` of Kafka; KIP-98, KIP-360.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use agora_core::transport::{OutFrame, Outcome, PublishFailed};
use agora_core::{Error, ErrorKind};
use tokio::time::Instant;

use super::again::Again;
use super::{bytes_of, late, not_stored, unanswered, unknown};

/// The most batches of a lane whose fate is open: as many as a broker knows again (`NUM_BATCHES_TO_RETAIN` of Kafka).
pub(super) const BATCHES_MAX: usize = 5;
/// For how long a broker is trusted to know this producer in a partition. One that does not know it takes whatever sequence
/// comes first, so a batch whose predecessor is not stored yet would be stored before it: until the first one is stored, it
/// goes alone. Brokers forget a producer after a day (`producer.id.expiration.ms`).
const KNOWN_AGE: Duration = Duration::from_secs(60);
/// A batch is closed to further records beyond this many bytes; one record alone may exceed it.
const BATCH_BYTES: usize = 256 << 10;
/// The most records of a batch.
const BATCH_RECORDS_MAX: usize = 4096;
/// The first and the longest pause after a failure; it doubles in between.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// For how long it is tried to learn what became of records that nobody waits for any more.
const ORPHAN_AGE: Duration = Duration::from_secs(2 * 60);

/// Who sends, as the broker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// What became of a batch that was sent.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// It is stored, by this try or an earlier one.
    Stored,
    /// It may be sent again as it is.
    Again {
        outcome: Outcome,
        error: Error,
        /// The leader has waited for its replicas in vain.
        is_slow: bool,
    },
    /// The broker does not know how far this producer was. This try stored nothing.
    Forgotten {
        /// Another one has this producer's id: it needs a new one, and not a new epoch alone.
        is_taken: bool,
        error: Error,
    },
    /// It is too large as a whole. This try stored nothing.
    TooMany(Error),
    /// It is refused for good.
    Refused {
        outcome: Outcome,
        error: Error,
        /// The records that are the reason, by their places in the batch; none: all of them.
        records: Vec<usize>,
    },
}

/// A batch that is to be sent.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) number: u64,
    pub(super) identity: Identity,
    pub(super) sequence: i32,
    /// When it was formed, in milliseconds since 1970.
    pub(super) time_ms: i64,
    pub(super) frames: Arc<Vec<OutFrame>>,
    pub(super) bytes: usize,
    /// Until when somebody waits for it.
    pub(super) wanted_until: Option<Instant>,
}

/// The answer to a call.
pub(super) type Answer = (u64, Result<(), PublishFailed>);

#[derive(Debug)]
struct Call {
    total: usize,
    accepted: usize,
    by: Instant,
}

#[derive(Debug)]
struct Waiting {
    frame: OutFrame,
    call: u64,
}

#[derive(Debug)]
struct Batch {
    number: u64,
    sequence: i32,
    time_ms: i64,
    formed: Instant,
    frames: Arc<Vec<OutFrame>>,
    bytes: usize,
    /// Whose each record is; `None`: nobody waits for it any more.
    calls: Vec<Option<u64>>,
    stage: Stage,
    /// A try may have stored it.
    may_be_stored: bool,
}

#[derive(Debug)]
enum Stage {
    Ready,
    UnderWay,
    Answered(Fate),
}

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    identity: Option<Identity>,
    /// The sequence of the next record.
    sequence: i32,
    queue: VecDeque<Waiting>,
    flight: VecDeque<Batch>,
    under_way: usize,
    /// When the broker showed last that it knows this producer.
    known: Option<Instant>,
    /// Something failed: nothing is sent before every answer that is still due has come.
    is_halted: bool,
    calls: BTreeMap<u64, Call>,
    again: Again,
    number: u64,
    bytes_max: usize,
    pause: Duration,
    retry_at: Option<Instant>,
    /// Why nothing could be stored last.
    trouble: Option<Error>,
    answers: Vec<Answer>,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            identity: None,
            sequence: 0,
            queue: VecDeque::new(),
            flight: VecDeque::new(),
            under_way: 0,
            known: None,
            is_halted: false,
            calls: BTreeMap::new(),
            again: Again::default(),
            number: 0,
            bytes_max: BATCH_BYTES,
            pause: PAUSE.0,
            retry_at: None,
            trouble: None,
            answers: Vec::new(),
        }
    }

    /// How many calls wait.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Is there nothing to do?
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.flight.is_empty()
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Begins as this producer. Its first sequence in this partition is 0.
    pub(super) fn begin(&mut self, identity: Identity) {
        (self.identity, self.sequence, self.known) = (Some(identity), 0, None);
    }

    /// Takes the records of a call. Numbers of calls grow.
    pub(super) fn push(&mut self, call: u64, frames: Vec<OutFrame>, by: Instant, now: Instant) {
        self.calls.insert(call, Call { total: frames.len(), accepted: 0, by });
        let mut frames = VecDeque::from(frames);
        if self.queue.is_empty() {
            // What was sent before, and given up as unknown, is not sent anew while it can be told what became of it.
            while frames.front().is_some_and(|frame| self.again.take_stored(frame, now)) {
                frames.pop_front();
                self.accept(call);
            }
            self.adopt(call, &mut frames);
        }
        self.queue.extend(frames.into_iter().map(|frame| Waiting { frame, call }));
    }

    /// Gives records that are on their way, and that nobody waits for any more, to a call that brings them again.
    fn adopt(&mut self, call: u64, frames: &mut VecDeque<OutFrame>) {
        for batch in &mut self.flight {
            for (sent, owner) in batch.frames.iter().zip(&mut batch.calls) {
                if owner.is_none() && frames.front().is_some_and(|frame| Again::is_same(frame, sent)) {
                    *owner = Some(call);
                    frames.pop_front();
                }
            }
        }
    }

    /// Could a batch be sent now?
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        let is_known = self.known.is_some_and(|at| now.saturating_duration_since(at) < KNOWN_AGE);
        let may_send = !self.is_halted && (is_known || self.under_way == 0);
        let has_one = || self.flight.iter().any(|batch| matches!(batch.stage, Stage::Ready));
        let has_new = || !self.queue.is_empty() && self.flight.len() < BATCHES_MAX;
        may_send && self.retry_at.is_none_or(|at| at <= now) && (has_one() || has_new())
    }

    /// When to try again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at.filter(|_| !self.is_halted && !self.is_idle())
    }

    /// The next batch to send: one that must be sent again, or one of what waits.
    pub(super) fn take(&mut self, now: Instant, time_ms: i64) -> Option<Parcel> {
        let identity = self.identity.filter(|_| self.is_ready(now))?;
        self.retry_at = None;
        let again = self.flight.iter().position(|batch| matches!(batch.stage, Stage::Ready));
        let at = match again {
            Some(at) => at,
            None => {
                let batch = self.form(now, time_ms)?;
                self.flight.push_back(batch);
                self.flight.len() - 1
            }
        };
        let batch = self.flight.get_mut(at)?;
        batch.stage = Stage::UnderWay;
        self.under_way += 1;
        let calls = batch.calls.iter().flatten();
        let wanted_until = calls.filter_map(|call| self.calls.get(call)).map(|call| call.by).max();
        Some(Parcel {
            number: batch.number,
            identity,
            sequence: batch.sequence,
            time_ms: batch.time_ms,
            frames: Arc::clone(&batch.frames),
            bytes: batch.bytes,
            wanted_until,
        })
    }

    fn form(&mut self, now: Instant, time_ms: i64) -> Option<Batch> {
        let (mut frames, mut calls, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = self.queue.front() {
            let call = next.call;
            if self.calls.get(&call).is_none_or(|call| call.by <= now) {
                self.expire(call);
                continue;
            }
            let size = bytes_of(&next.frame);
            if frames.len() >= BATCH_RECORDS_MAX || !frames.is_empty() && bytes + size > self.bytes_max {
                break;
            }
            bytes += size;
            if let Some(next) = self.queue.pop_front() {
                frames.push(next.frame);
                calls.push(Some(call));
            }
        }
        if frames.is_empty() {
            return None;
        }
        self.number += 1;
        let sequence = self.sequence;
        self.sequence = advance(sequence, frames.len());
        Some(Batch {
            number: self.number,
            sequence,
            time_ms,
            formed: now,
            frames: Arc::new(frames),
            bytes,
            calls,
            stage: Stage::Ready,
            may_be_stored: false,
        })
    }

    /// The deadline of a call has passed: nothing more of it is sent.
    fn expire(&mut self, call: u64) {
        match self.overdue(call) {
            Some(failed) => self.answers.push((call, Err(failed))),
            None => self.queue.retain(|waiting| waiting.call != call),
        }
    }

    /// What became of a batch.
    pub(super) fn answered(&mut self, number: u64, fate: Fate, now: Instant) {
        let Some(batch) = self.flight.iter_mut().find(|batch| batch.number == number) else { return };
        if !matches!(batch.stage, Stage::UnderWay) {
            return;
        }
        self.under_way = self.under_way.saturating_sub(1);
        match &fate {
            Fate::Stored => self.known = Some(now),
            Fate::Again { outcome, error, .. } | Fate::Refused { outcome, error, .. } => {
                batch.may_be_stored |= *outcome == Outcome::Unknown;
                self.trouble = Some(error.clone());
                self.is_halted = true;
            }
            Fate::Forgotten { error, .. } | Fate::TooMany(error) => {
                self.trouble = Some(error.clone());
                self.is_halted = true;
            }
        }
        batch.stage = Stage::Answered(fate);
        self.settle(now);
        if self.is_halted && self.under_way == 0 {
            self.recover(now);
        }
    }

    /// Nothing could be sent for a reason that is no answer: another try is made after a pause.
    pub(super) fn failed(&mut self, error: Error, now: Instant) {
        self.trouble = Some(error);
        self.rest(now);
    }

    fn rest(&mut self, now: Instant) {
        self.retry_at = Some(now + self.pause.mul_f64(0.5 + fastrand::f64() / 2.0));
        self.pause = (self.pause * 2).min(PAUSE.1);
    }

    /// Tells the calls whose records are stored, in order.
    fn settle(&mut self, now: Instant) {
        while self.flight.front().is_some_and(|batch| matches!(batch.stage, Stage::Answered(Fate::Stored))) {
            let Some(batch) = self.flight.pop_front() else { return };
            (self.pause, self.trouble) = (PAUSE.0, None);
            for (at, owner) in batch.calls.iter().enumerate() {
                match (owner, batch.frames.get(at)) {
                    (Some(call), _) => self.accept(*call),
                    (None, Some(frame)) => self.again.stored(frame, now),
                    (None, None) => {}
                }
            }
        }
    }

    fn accept(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        call.accepted += 1;
        if call.accepted >= call.total {
            self.calls.remove(&number);
            self.answers.push((number, Ok(())));
        }
    }

    /// Every answer has come, and not all of them are good: what is to be sent again, and how?
    fn recover(&mut self, now: Instant) {
        self.is_halted = false;
        let is_orphan = |batch: &Batch| {
            now.saturating_duration_since(batch.formed) > ORPHAN_AGE
                && batch.calls.iter().all(Option::is_none)
        };
        let are_orphans = self.flight.iter().all(is_orphan);
        let Some(head) = self.flight.front_mut() else { return };
        match std::mem::replace(&mut head.stage, Stage::Ready) {
            Stage::Answered(Fate::Refused { outcome: _, error, records }) => {
                self.refuse(&error, &records);
                self.renew(false);
            }
            Stage::Answered(Fate::Forgotten { is_taken, .. }) => {
                self.renew(is_taken);
                self.rest(now);
            }
            Stage::Answered(Fate::TooMany(error)) if head.frames.len() == 1 => {
                self.refuse(&error, &[]);
                self.renew(false);
            }
            Stage::Answered(Fate::TooMany(_)) => {
                self.bytes_max = (head.bytes / 2).max(1);
                self.renew(false);
            }
            _ if are_orphans => self.renew(false),
            _ => {
                self.take_back();
                self.rest(now);
            }
        }
    }

    /// Batches that no try can have stored are dissolved: their records may leave, or come with others. The others are sent
    /// again as they are.
    fn take_back(&mut self) {
        while self.flight.back().is_some_and(|batch| {
            !batch.may_be_stored && !matches!(batch.stage, Stage::Answered(Fate::Stored))
        }) {
            let Some(batch) = self.flight.pop_back() else { return };
            self.sequence = batch.sequence;
            self.requeue(batch);
        }
        for batch in &mut self.flight {
            if !matches!(batch.stage, Stage::Answered(Fate::Stored)) {
                batch.stage = Stage::Ready;
            }
        }
    }

    /// Begins anew under a higher epoch, or, where another one has the id, under another id. From the first batch on that
    /// is stored so, the broker takes none of the former epoch any more, also none that still lies in a connection.
    fn renew(&mut self, is_taken: bool) {
        while let Some(batch) = self.flight.pop_back() {
            if matches!(batch.stage, Stage::Answered(Fate::Stored)) {
                batch.calls.iter().flatten().for_each(|call| self.accept(*call));
            } else {
                self.requeue(batch);
            }
        }
        let next = self.identity.and_then(|identity| {
            let epoch = identity.epoch.checked_add(1)?;
            Some(Identity { epoch, ..identity })
        });
        (self.identity, self.sequence, self.known) = (next.filter(|_| !is_taken), 0, None);
    }

    /// Puts the records of a batch back to where they came from. Those that nobody waits for are dropped.
    fn requeue(&mut self, batch: Batch) {
        let frames = Arc::unwrap_or_clone(batch.frames);
        for (frame, call) in frames.into_iter().zip(batch.calls).rev() {
            if let Some(call) = call {
                self.queue.push_front(Waiting { frame, call });
            }
        }
    }

    /// Fails the calls of these records of the first batch.
    fn refuse(&mut self, error: &Error, records: &[usize]) {
        let Some(head) = self.flight.front() else { return };
        let is_meant = |at: &usize| records.is_empty() || records.contains(at);
        let mut calls: Vec<u64> = (0..head.calls.len())
            .filter(is_meant)
            .filter_map(|at| head.calls.get(at).copied().flatten())
            .collect();
        calls.dedup();
        // What comes behind it in the order of the sequences was not stored: the broker has not got this one.
        let is_open = head.may_be_stored;
        for batch in self.flight.iter_mut().skip(1) {
            batch.may_be_stored = is_open && batch.may_be_stored;
        }
        for call in calls {
            if let Some(failed) = self.give_up(call, error.clone()) {
                self.answers.push((call, Err(failed)));
            }
        }
    }

    /// Nobody waits for a call any more: what of it was not sent never is. Returns what is known of it; `None`: it was
    /// answered before.
    pub(super) fn give_up(&mut self, number: u64, why: Error) -> Option<PublishFailed> {
        let call = self.calls.remove(&number)?;
        self.queue.retain(|waiting| waiting.call != number);
        // A batch can only be taken back together with all that come behind it.
        let (mut is_fixed, mut is_open) = (false, false);
        for batch in self.flight.iter_mut().rev() {
            is_fixed |=
                batch.may_be_stored || matches!(batch.stage, Stage::UnderWay | Stage::Answered(Fate::Stored));
            for owner in batch.calls.iter_mut().filter(|owner| **owner == Some(number)) {
                *owner = None;
                is_open |= is_fixed;
            }
        }
        Some(if !is_open {
            not_stored(call.accepted, why)
        } else if why.kind() == ErrorKind::Timeout {
            unknown(call.accepted, unanswered(self.trouble.as_ref()))
        } else {
            unknown(call.accepted, why)
        })
    }

    /// A call whose deadline has passed.
    pub(super) fn overdue(&mut self, number: u64) -> Option<PublishFailed> {
        self.give_up(number, late(self.trouble.as_ref()))
    }

    /// Fails every call, and begins anew.
    pub(super) fn fail_all(&mut self, error: &Error) {
        let calls: Vec<u64> = self.calls.keys().copied().collect();
        for call in calls {
            if let Some(failed) = self.give_up(call, error.clone()) {
                self.answers.push((call, Err(failed)));
            }
        }
        if self.under_way == 0 && !self.flight.is_empty() {
            self.renew(false);
        }
    }

    /// The answers that are due.
    pub(super) fn poll_answers(&mut self) -> std::vec::Drain<'_, Answer> {
        self.answers.drain(..)
    }
}

/// The sequence so many records later: they go round at 2^31.
fn advance(sequence: i32, records: usize) -> i32 {
    let next = i64::from(sequence) + i64::try_from(records).unwrap_or(0);
    i32::try_from(next & i64::from(i32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
