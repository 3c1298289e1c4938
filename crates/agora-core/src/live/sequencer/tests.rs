//! Each rule, and each schedule that breaks a weaker rule, in the words of `docs/delivery.md`.
//!
//! What was handed over is compared as text: see [`say`].

use super::*;
use crate::live::testing::{A, B, ME, Piece, S, S2, say, source};

mod ends;
mod first_sight;
mod holes;
mod naive;
mod order;
mod overflow;
mod subscriptions;
mod too_many;

const NONCE: u64 = 77;

/// A sequencer whose frames hold one event and were formed while the source held everything.
struct Fixture(Sequencer<Piece>);

impl Fixture {
    fn new() -> Self {
        Self(Sequencer::new(ME, 1000))
    }

    /// With the established subscription a.
    fn established() -> Self {
        let mut fixture = Self::new();
        fixture.0.subscribe(A, false);
        fixture.0.establish(A);
        fixture
    }

    fn frame(&mut self, seq: u64) -> Seen {
        self.0.frame(S, 1, Piece::one(seq))
    }

    fn frames(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.frame(seq);
        }
    }

    fn range(&mut self, seq: u64, end: u64) -> Seen {
        self.0.frame(S, 1, Piece { seq, end })
    }

    fn head(&mut self, next: u64) -> Seen {
        self.0.head(S, next, 1, false, &[]).0
    }

    fn final_head(&mut self, next: u64) -> Seen {
        self.0.head(S, next, 1, true, &[]).0
    }

    /// The lowest hole was asked for in vain.
    fn lost(&mut self) {
        self.0.give_up(S, u64::MAX, Reason::Lost);
    }

    fn failed(&mut self) {
        self.0.ended(S, Ended::Failed, true);
    }

    /// The source answers a fresh hello.
    fn resume(&mut self, next: u64) {
        assert_eq!(self.0.wanted_nonce(S, || NONCE), Some(NONCE));
        assert!(self.0.head(S, next, 1, false, &[NONCE]).1);
    }

    /// What was handed over since the last call.
    fn out(&mut self) -> String {
        std::iter::from_fn(|| self.0.poll()).map(|handover| say(&handover)).collect::<Vec<_>>().join(" ")
    }
}
