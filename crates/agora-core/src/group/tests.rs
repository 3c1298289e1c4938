//! The tracker, schedule by schedule.

mod burial;
mod order;
mod random;
mod rights;

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::id::{Incarnation, NodeId, SourceId};
use crate::transport::{Position, Settle, Token};

const LEASE: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(60);

/// A member with a clock that stands still until it is told.
pub(super) struct Member {
    pub(super) now: Instant,
    pub(super) tracker: Tracker<u64>,
}

impl Member {
    pub(super) fn new(attempts_max: u32) -> Self {
        let backoff = (Duration::from_secs(1), Duration::from_secs(4));
        let policy = Policy { attempts_max, backoff, lease: LEASE, job_timeout: TIMEOUT };
        Self { now: Instant::now(), tracker: Tracker::new(policy) }
    }

    /// The record of the frame that begins with `seq`, at a place, under a right.
    pub(super) fn give(&mut self, seq: u64, at: u128, token: u64, attempt: u32, keys: &[Option<u64>]) {
        let record = Record {
            origin: origin(seq),
            lane: 0,
            at: Position(at),
            token: Token(token),
            attempt,
            keys: keys.to_vec(),
            bytes: 10,
            item: seq,
        };
        self.tracker.handle_record(self.now, record);
    }

    pub(super) fn begin(&mut self) -> Begin<u64> {
        self.tracker.next_job(self.now).expect("something may begin")
    }

    /// Everything that may begin, as (frame, index, attempt).
    pub(super) fn begin_all(&mut self) -> Vec<(Begin<u64>, (u64, usize, u32))> {
        let now = self.now;
        let all = std::iter::from_fn(|| self.tracker.next_job(now));
        all.map(|begin| (begin.clone(), (begin.item, begin.index, begin.attempt))).collect()
    }

    pub(super) fn verdict(&mut self, begin: &Begin<u64>, verdict: Verdict) -> bool {
        self.tracker.handle_verdict(self.now, begin.job, verdict)
    }

    pub(super) fn actions(&mut self) -> Vec<Action<u64>> {
        std::iter::from_fn(|| self.tracker.poll()).collect()
    }

    /// The only thing that is to be done: a burial.
    pub(super) fn burial(&mut self) -> Burial<u64> {
        match self.actions().as_slice() {
            [Action::Bury(burial)] => burial.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.tracker.poll_timeout().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.tracker.handle_timeout(self.now);
        }
        self.now = until;
    }
}

pub(super) fn origin(seq: u64) -> Origin {
    let source = SourceId { node: NodeId(1), incarnation: Incarnation(1) };
    Origin::Frame { source, lane: 0, seq }
}

pub(super) fn ack(token: u64) -> Action<u64> {
    Action::Settle(Token(token), Settle::Ack)
}

pub(super) fn extend(token: u64) -> Action<u64> {
    Action::Settle(Token(token), Settle::Extend)
}

pub(super) fn release(token: u64) -> Action<u64> {
    Action::Settle(Token(token), Settle::Release)
}
