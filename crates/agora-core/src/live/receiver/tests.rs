//! How sequencer, repair and hellos play together, driven by nothing but the receiver's own deadlines.

use super::*;
use crate::limits::{ANSWER_MUTE, ASK_DEFERRALS, ASK_RETRY, ASK_SPREAD, ASK_TRIES};
use crate::live::testing::{A, B, ME, Piece, S, say, source};

mod establish;
mod greet;
mod repair;

const HELD_BYTES_MAX: usize = 1000;

struct Fixture {
    receiver: Receiver<Piece>,
    now: Instant,
    /// Of the last hello.
    nonce: u64,
}

impl Fixture {
    fn new() -> Self {
        let receiver = Receiver::new(ME, HELD_BYTES_MAX, fastrand::Rng::with_seed(7));
        let now = Instant::now();
        Self { receiver, now, nonce: 0 }
    }

    /// With the established subscription a.
    fn established() -> Self {
        let mut fixture = Self::new();
        fixture.subscribe(A, &[]);
        fixture.pass(ESTABLISH_SETTLE);
        assert!(fixture.out().ends_with("established a"));
        fixture
    }

    fn subscribe(&mut self, sub: SubId, expected: &[SourceId]) {
        self.receiver.subscribe(self.now, sub, false, expected.iter().copied().collect(), self.now);
    }

    fn frame(&mut self, seq: u64) -> Seen {
        self.receiver.handle_frame(self.now, S, 1, Piece::one(seq))
    }

    fn frames(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.frame(seq);
        }
    }

    fn head(&mut self, next: u64, nonces: &[u64]) {
        self.receiver.handle_head(self.now, S, next, 1, false, nonces);
    }

    fn ended(&mut self, how: Ended) {
        self.receiver.handle_ended(self.now, S, how, true);
    }

    /// Sleeps to the next deadline and does what is due; answers how long that took.
    fn wake(&mut self) -> Duration {
        let at = self.receiver.poll_timeout().expect("nothing is due, ever");
        let slept = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.receiver.handle_timeout(self.now);
        assert!(
            self.receiver.poll_timeout().is_none_or(|next| next > self.now),
            "what is due is done when it is due, or the driver would spin"
        );
        slept
    }

    /// Lets time pass, waking when something is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.receiver.poll_timeout().is_some_and(|at| at <= end) {
            self.wake();
        }
        self.now = end;
    }

    /// What was to do since the last call.
    fn out(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(action) = self.receiver.poll() {
            all.push(match action {
                Action::Hand(handover) => say(&handover),
                Action::Ask { source, ranges } => {
                    assert_eq!(source, S);
                    assert!(!ranges.is_empty());
                    format!("ask {ranges:?}")
                }
                Action::Hello { nonce } => {
                    self.nonce = nonce;
                    "hello".into()
                }
                Action::Established(sub) => {
                    format!("established {}", if sub == A { "a" } else { "b" })
                }
                Action::Appeared(source) => {
                    assert!(self.receiver.sequencer().knows(source));
                    "appeared".into()
                }
                Action::Resumed(_) => "resumed".into(),
            });
        }
        all.join(" ")
    }
}
