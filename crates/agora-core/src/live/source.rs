//! The publishing side of one stream: sequences, what is kept for repair, and heads.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::hold::Hold;
use crate::limits::{
    ANSWER_BURST_BYTES, ANSWER_BYTES_PER_SECOND, ANSWER_MUTE, HEAD_INTERVAL, HEAD_NONCES_MAX,
};

/// What a source has to send besides its data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Announcement {
    /// A frame that was formed earlier, unchanged: the answer to a repair request.
    Repeat(Bytes),
    /// Where the source stands.
    Head {
        /// Everything below was formed.
        next: u64,
        /// What is not below is held for repair.
        floor: u64,
        /// Nothing more will be formed.
        fin: bool,
        /// The hellos that this answers.
        nonces: Vec<u64>,
    },
}

/// The pure half of a publisher on a live topic.
#[derive(Clone, Debug)]
pub struct Source {
    next: u64,
    age_max: Duration,
    hold: Hold,
    hellos: Vec<u64>,
    fin: bool,
    head_due: Instant,
    head_interval: Duration,
    floor_told: Option<Instant>,
    allowance: Allowance,
    out: VecDeque<Announcement>,
}

impl Source {
    /// A source that has formed nothing yet and keeps frames for `age_max`. It announces itself at once, so that
    /// receivers know it from its first sequence on.
    pub fn new(now: Instant, age_max: Duration) -> Self {
        Self {
            next: 1,
            age_max,
            hold: Hold::default(),
            hellos: Vec::new(),
            fin: false,
            head_due: now,
            head_interval: HEAD_INTERVAL.0,
            floor_told: None,
            allowance: Allowance { bytes: ANSWER_BURST_BYTES, at: now },
            out: VecDeque::new(),
        }
    }

    /// The sequence that the next event gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The oldest sequence that is held for repair; what the next frame carries as its floor.
    pub fn floor(&self) -> u64 {
        self.hold.floor(self.next)
    }

    /// A frame of `records` events was formed with [`Source::next`] and [`Source::floor`], and is immutable from now
    /// on. It is kept while it is not too old and `bytes_max` allows.
    pub fn formed(&mut self, now: Instant, frame: Bytes, records: usize, bytes_max: usize) {
        let end = self.next.saturating_add(records as u64);
        self.hold.keep(now, self.next..end, frame, bytes_max);
        self.next = end;
        self.head_interval = HEAD_INTERVAL.0;
        self.head_due = now + self.head_interval;
    }

    /// A receiver asks where the source stands. The answer is read when it is sent, never earlier than the question
    /// came.
    pub fn handle_hello(&mut self, nonce: u64) {
        if !self.hellos.contains(&nonce) {
            self.hellos.push(nonce);
        }
        if self.hellos.len() >= HEAD_NONCES_MAX {
            self.push_head();
        }
    }

    /// A receiver asks for what it is missing.
    pub fn handle_ask(&mut self, now: Instant, ranges: &[Range<u64>]) {
        self.hold.expire(now, self.age_max);
        let floor = self.floor();
        let mut frames = Vec::new();
        for range in ranges {
            self.hold.answer(now, range, |bytes| self.allowance.take(now, bytes), &mut frames);
        }
        self.out.extend(frames.into_iter().map(Announcement::Repeat));
        let gone = ranges.iter().any(|range| range.start < floor);
        if gone && self.floor_told.is_none_or(|at| now >= at + ANSWER_MUTE) {
            self.floor_told = Some(now);
            self.push_head();
        }
    }

    /// Nothing more will be formed: announces the end.
    pub fn finish(&mut self) {
        self.fin = true;
        self.push_head();
    }

    /// When to call [`Source::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        self.hold.poll_expiry(self.age_max).map_or(self.head_due, |expiry| expiry.min(self.head_due))
    }

    /// After silence a head is due, at doubling intervals, so that a lost tail is noticed. An early or repeated call
    /// does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.hold.expire(now, self.age_max);
        if now >= self.head_due {
            self.push_head();
            self.head_due = now + self.head_interval;
            self.head_interval = (self.head_interval * 2).min(HEAD_INTERVAL.1);
        }
    }

    /// The next thing to send that does not wait for further hellos; call until `None`.
    #[must_use]
    pub fn poll_due(&mut self) -> Option<Announcement> {
        self.out.pop_front()
    }

    /// The next thing to send, with an answer to the hellos that wait; call until `None`, when it is sent at once.
    #[must_use]
    pub fn poll(&mut self) -> Option<Announcement> {
        if !self.hellos.is_empty() {
            self.push_head();
        }
        self.out.pop_front()
    }

    /// Hashes the state as it stands at `now`: the same whenever it was reached. The allowance for answers is left
    /// out: a model whose frames are small never comes near it.
    pub fn hash_at<H: Hasher>(&self, now: Instant, state: &mut H) {
        let muted = self.floor_told.map(|told| (told + ANSWER_MUTE).saturating_duration_since(now));
        (self.next, self.fin, &self.hellos, self.head_interval).hash(state);
        (self.head_due.saturating_duration_since(now), muted.filter(|left| !left.is_zero())).hash(state);
        self.hold.hash_at(now, state);
        self.out.hash(state);
    }

    fn push_head(&mut self) {
        let nonces = std::mem::take(&mut self.hellos);
        let (next, floor) = (self.next, self.floor());
        self.out.push_back(Announcement::Head { next, floor, fin: self.fin, nonces });
    }
}

/// A token bucket: repair must not drown what is new.
#[derive(Clone, Debug)]
struct Allowance {
    bytes: usize,
    at: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant, bytes: usize) -> bool {
        let earned = now.duration_since(self.at).as_secs_f64() * ANSWER_BYTES_PER_SECOND as f64;
        if earned >= 1.0 {
            self.bytes = self.bytes.saturating_add(earned as usize).min(ANSWER_BURST_BYTES);
            self.at = now;
        }
        let granted = self.bytes >= bytes;
        self.bytes -= if granted { bytes } else { 0 };
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAME_OVERHEAD_BYTES;

    const AGE: Duration = Duration::from_secs(30);

    fn drain(source: &mut Source) -> Vec<Announcement> {
        std::iter::from_fn(|| source.poll()).collect()
    }

    fn head(next: u64, floor: u64, nonces: &[u64]) -> Announcement {
        Announcement::Head { next, floor, fin: false, nonces: nonces.to_vec() }
    }

    #[test]
    fn heads_repeat_after_silence_at_doubling_intervals() {
        let start = Instant::now();
        let mut source = Source::new(start, AGE);
        source.formed(start, Bytes::from_static(b"x"), 3, 1000);
        let mut gaps = Vec::new();
        let mut last = start;
        for _ in 0..9 {
            let at = source.head_due;
            source.handle_timeout(at);
            assert_eq!(drain(&mut source), [head(4, if at - start > AGE { 4 } else { 1 }, &[])]);
            gaps.push((at - last).as_millis());
            last = at;
        }
        assert_eq!(gaps, [100, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        source.formed(last, Bytes::from_static(b"y"), 1, 1000);
        assert_eq!(source.head_due - last, HEAD_INTERVAL.0);
    }

    #[test]
    fn one_head_answers_all_hellos_that_wait() {
        let mut source = Source::new(Instant::now(), AGE);
        for nonce in [7, 8, 7] {
            source.handle_hello(nonce);
        }
        assert_eq!(source.poll_due(), None, "more may come before it is sent");
        assert_eq!(drain(&mut source), [head(1, 1, &[7, 8])]);
        for nonce in 0..=HEAD_NONCES_MAX as u64 {
            source.handle_hello(nonce);
        }
        assert_eq!(drain(&mut source).len(), 2, "a head is bounded");
    }

    #[test]
    fn what_is_no_longer_held_is_said_so() {
        let now = Instant::now();
        let mut source = Source::new(now, AGE);
        for byte in 0..4u8 {
            source.formed(now, Bytes::from(vec![byte; 10]), 1, 2 * (10 + FRAME_OVERHEAD_BYTES));
        }
        source.handle_ask(now, &[1..5]);
        let repeats = [2u8, 3].map(|byte| Announcement::Repeat(Bytes::from(vec![byte; 10])));
        assert_eq!(drain(&mut source), [repeats[0].clone(), repeats[1].clone(), head(5, 3, &[])]);
        source.handle_ask(now, &[1..5]);
        assert!(drain(&mut source).is_empty(), "answers and floors are muted");
    }

    #[test]
    fn repair_does_not_drown_what_is_new() {
        let now = Instant::now();
        let mut source = Source::new(now, AGE);
        let count = ANSWER_BURST_BYTES / 1000 + 100;
        for _ in 0..count {
            source.formed(now, Bytes::from(vec![0; 1000]), 1, usize::MAX);
        }
        source.handle_ask(now, &[1..count as u64 + 1]);
        assert_eq!(drain(&mut source).len(), ANSWER_BURST_BYTES / 1000);
        source.handle_ask(now + Duration::from_secs(1), &[1..count as u64 + 1]);
        assert!(drain(&mut source).len() >= 100, "the rest comes when it has earned its bytes");
    }
}
