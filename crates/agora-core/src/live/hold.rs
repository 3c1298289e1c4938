//! What a source keeps for repair: its last frames, bounded by bytes and age.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::limits::{ANSWER_MUTE, FRAME_OVERHEAD_BYTES};

#[derive(Clone, Debug)]
struct Kept {
    range: Range<u64>,
    frame: Bytes,
    formed: Instant,
    muted_until: Option<Instant>,
}

/// The last frames of one source on one stream, without a break, up to the newest.
#[derive(Clone, Debug, Default)]
pub struct Hold {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Hold {
    /// The oldest sequence that is held; `next` where nothing is.
    pub fn floor(&self, next: u64) -> u64 {
        self.kept.front().map_or(next, |kept| kept.range.start)
    }

    /// Keeps a frame that was just formed; the oldest leave until it fits into `bytes_max`.
    pub fn keep(&mut self, now: Instant, range: Range<u64>, frame: Bytes, bytes_max: usize) {
        self.bytes += frame.len() + FRAME_OVERHEAD_BYTES;
        self.kept.push_back(Kept { range, frame, formed: now, muted_until: None });
        while self.bytes > bytes_max && self.drop_oldest() {}
    }

    /// Lets go of what has reached `age_max`.
    pub fn expire(&mut self, now: Instant, age_max: Duration) {
        while self.kept.front().is_some_and(|kept| now.duration_since(kept.formed) >= age_max) {
            self.drop_oldest();
        }
    }

    /// When the oldest frame reaches `age_max`.
    pub fn poll_expiry(&self, age_max: Duration) -> Option<Instant> {
        self.kept.front().map(|kept| kept.formed + age_max)
    }

    /// The frames of `range` that are held and were not sent as an answer within [`ANSWER_MUTE`], as long as
    /// `allow` grants their bytes. They count as answered.
    pub fn answer(
        &mut self,
        now: Instant,
        range: &Range<u64>,
        mut allow: impl FnMut(usize) -> bool,
        out: &mut Vec<Bytes>,
    ) {
        let begin = self.kept.partition_point(|kept| kept.range.end <= range.start);
        for kept in self.kept.range_mut(begin..).take_while(|kept| kept.range.start < range.end) {
            if kept.muted_until.is_some_and(|until| now < until) {
                continue;
            }
            if !allow(kept.frame.len()) {
                return;
            }
            kept.muted_until = Some(now + ANSWER_MUTE);
            out.push(kept.frame.clone());
        }
    }

    /// Hashes the state as it stands at `now`: the same whenever it was reached.
    pub fn hash_at<H: Hasher>(&self, now: Instant, state: &mut H) {
        for kept in &self.kept {
            let muted = kept.muted_until.map(|until| until.saturating_duration_since(now));
            (&kept.range, &kept.frame, now.saturating_duration_since(kept.formed)).hash(state);
            muted.filter(|left| !left.is_zero()).hash(state);
        }
    }

    /// What is held, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(kept) = self.kept.pop_front() else { return false };
        self.bytes -= kept.frame.len() + FRAME_OVERHEAD_BYTES;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(byte: u8, length: usize) -> Bytes {
        Bytes::from(vec![byte; length])
    }

    /// Room for so many frames of so many bytes.
    fn room(frames: usize, bytes: usize) -> usize {
        frames * (bytes + FRAME_OVERHEAD_BYTES)
    }

    #[test]
    fn bounded_by_bytes_and_age() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        for n in 1..=5 {
            hold.keep(now + Duration::from_secs(n), n..n + 1, frame(0, 100), room(3, 100));
        }
        assert_eq!((hold.floor(6), hold.bytes()), (3, room(3, 100)));
        hold.expire(now + Duration::from_secs(13), Duration::from_secs(10));
        assert_eq!(hold.floor(6), 4);
        hold.expire(now + Duration::from_secs(100), Duration::from_secs(10));
        assert_eq!((hold.floor(6), hold.bytes()), (6, 0));
    }

    #[test]
    fn what_is_due_is_done_when_it_is_due() {
        // A driver that wakes exactly when it was told to must not be told the same again.
        let (mut hold, now, age) = (Hold::default(), Instant::now(), Duration::from_secs(10));
        hold.keep(now, 1..2, frame(0, 1), room(1, 1));
        hold.expire(hold.poll_expiry(age).unwrap(), age);
        assert_eq!(hold.poll_expiry(age), None);
    }

    #[test]
    fn a_frame_larger_than_the_bound_is_not_held() {
        let mut hold = Hold::default();
        hold.keep(Instant::now(), 1..2, frame(0, 100), room(1, 99));
        assert_eq!(hold.floor(2), 2);
    }

    #[test]
    fn an_answer_is_muted_frame_by_frame() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        for n in 0..4u8 {
            let first = u64::from(n) * 10 + 1;
            hold.keep(now, first..first + 10, frame(n, 10), room(4, 10));
        }
        let mut answer = |at, range| {
            let mut out = Vec::new();
            hold.answer(at, &range, |_| true, &mut out);
            out.iter().map(|frame| frame[0]).collect::<Vec<_>>()
        };
        assert_eq!(answer(now, 15..25), [1, 2], "whole frames, even where a part was asked for");
        assert_eq!(answer(now, 1..41), [0, 3], "the others were just sent");
        assert_eq!(answer(now + ANSWER_MUTE, 11..12), [1]);
        assert!(answer(now, 41..99).is_empty());
    }

    #[test]
    fn an_answer_stops_where_the_allowance_ends() {
        let (mut hold, now) = (Hold::default(), Instant::now());
        for n in 1..=3 {
            hold.keep(now, n..n + 1, frame(0, 10), room(3, 10));
        }
        let (mut left, mut out) = (20, Vec::new());
        let mut allow = |bytes| {
            let granted = left >= bytes;
            left -= if granted { bytes } else { 0 };
            granted
        };
        hold.answer(now, &(1..4), &mut allow, &mut out);
        assert_eq!(out.len(), 2);
        hold.answer(now, &(1..4), |_| true, &mut out);
        assert_eq!(out.len(), 3, "what was not granted is not muted");
    }
}
