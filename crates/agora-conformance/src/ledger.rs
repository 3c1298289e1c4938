//! The judge of one subscription and one source: in order, once, and every loss inside a declared gap.
//!
//! It knows the truth that a receiver cannot know: how far the source really stood at each moment. The model test
//! and the simulation tell it what was owed and what was handed over; it keeps the first thing that went wrong.

use std::fmt;

/// What one subscription was handed of one source (one incarnation, one stream), so far.
///
/// Sequences begin at 1 and ranges are half open. `stood` is always the next sequence of the source at that moment,
/// so everything below it was formed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    owed_from: Option<u64>,
    begun: bool,
    /// Everything below was handed over or declared, or lies before the beginning.
    next: u64,
    /// In an open gap: how far the source stood when it was (last) declared.
    open_at: Option<u64>,
    violation: Option<Violation>,
}

/// What a subscription must never see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The first thing that was handed over begins at `begun`, but everything from `owed_from` on was owed.
    LostBeforeTheFirst {
        /// See above.
        owed_from: u64,
        /// See above.
        begun: u64,
    },
    /// Events `from..to` were passed over without a word.
    LostSilently {
        /// The first.
        from: u64,
        /// The one after the last.
        to: u64,
    },
    /// Event `seq` came although everything below `next` was handed over or declared missing.
    Again {
        /// The event.
        seq: u64,
        /// See above.
        next: u64,
    },
    /// An open gap ended with `seq`, but when the gap was declared the source already stood at `stood`: `seq` lies
    /// in the gap.
    InsideAnOpenGap {
        /// What ended the gap.
        seq: u64,
        /// See above.
        stood: u64,
    },
    /// A gap begins at `from`, but what is handed over or declared ends at `next`.
    GapDoesNotJoin {
        /// Where the gap begins; `None`: it does not say.
        from: Option<u64>,
        /// See above.
        next: u64,
    },
    /// A gap ends at `to`, which is not after where it begins.
    GapGoesBack {
        /// Where it ends.
        to: u64,
        /// What was handed over or declared before.
        next: u64,
    },
    /// Something reaches up to `to`, but the source only ever formed what is below `stood`.
    NeverFormed {
        /// See above.
        to: u64,
        /// See above.
        stood: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostBeforeTheFirst { owed_from, begun } => {
                write!(f, "lost silently: {owed_from}..{begun}, before the first thing that was handed over")
            }
            Self::LostSilently { from, to } => write!(f, "lost silently: {from}..{to}"),
            Self::Again { seq, next } => {
                write!(f, "event {seq} came although all below {next} was handed over or declared missing")
            }
            Self::InsideAnOpenGap { seq, stood } => {
                write!(f, "{seq} ended an open gap, but lies in it: the source had come to {stood} by then")
            }
            Self::GapDoesNotJoin { from: Some(from), next } => {
                write!(f, "a gap begins at {from}, but what is known ends at {next}")
            }
            Self::GapDoesNotJoin { from: None, next } => {
                write!(f, "a gap has no beginning, although all below {next} is known")
            }
            Self::GapGoesBack { to, next } => write!(f, "a gap ends at {to}, but all below {next} is known"),
            Self::NeverFormed { to, stood } => {
                write!(f, "something reaches up to {to}, but the source formed nothing from {stood} on")
            }
        }
    }
}

impl Ledger {
    /// From here on the subscription is owed everything: it was established while the source stood at `stood`, or
    /// the source was born (at 1) while it was established. Only the first call counts.
    pub fn owe(&mut self, stood: u64) {
        self.owed_from.get_or_insert(stood);
    }

    /// The events `from..to` were handed over.
    pub fn events(&mut self, from: u64, to: u64, stood: u64) {
        self.formed(to, stood);
        self.begin(from);
        if let Some(stood) = self.open_at.take() {
            if from < stood.max(self.next) {
                self.blame(Violation::InsideAnOpenGap { seq: from, stood: stood.max(self.next) });
            }
        } else if from < self.next {
            self.blame(Violation::Again { seq: from, next: self.next });
        } else if from > self.next {
            self.blame(Violation::LostSilently { from: self.next, to: from });
        }
        self.next = self.next.max(to);
    }

    /// A gap was handed over. No `from`: since before anything was seen. No `to`: open-ended.
    pub fn gap(&mut self, from: Option<u64>, to: Option<u64>, stood: u64) {
        match from {
            Some(from) => {
                self.begin(from);
                match self.open_at {
                    Some(stood) if from < stood.max(self.next) => {
                        self.blame(Violation::InsideAnOpenGap { seq: from, stood: stood.max(self.next) });
                    }
                    None if from != self.next => {
                        self.blame(Violation::GapDoesNotJoin { from: Some(from), next: self.next });
                    }
                    _ => {}
                }
                self.next = self.next.max(from);
            }
            None if self.begun && self.open_at.is_none() => {
                self.blame(Violation::GapDoesNotJoin { from: None, next: self.next });
            }
            None => self.begun = true,
        }
        let Some(to) = to else {
            self.formed(self.next, stood);
            self.open_at = Some(stood);
            return;
        };
        self.formed(to, stood);
        if to <= self.next {
            self.blame(Violation::GapGoesBack { to, next: self.next });
        }
        self.open_at = None;
        self.next = self.next.max(to);
    }

    /// Is everything that is owed of a source that stands at `stood` handed over or declared?
    pub fn is_settled(&self, stood: u64) -> bool {
        self.owed_from.is_none_or(|owed| owed >= stood || self.covers(stood))
    }

    /// Is everything below `stood` handed over, declared, or before the beginning?
    pub fn covers(&self, stood: u64) -> bool {
        self.begun && (self.open_at.is_some() || self.next >= stood)
    }

    /// Is the last word about this source an open gap?
    pub fn is_open(&self) -> bool {
        self.open_at.is_some()
    }

    /// Everything below was handed over or declared, or lies before the beginning; 0 where nothing has begun.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The first thing that went wrong.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    fn begin(&mut self, at: u64) {
        if !self.begun {
            if let Some(owed_from) = self.owed_from.filter(|owed| at > *owed) {
                self.blame(Violation::LostBeforeTheFirst { owed_from, begun: at });
            }
            self.begun = true;
            self.next = at;
        }
    }

    fn formed(&mut self, to: u64, stood: u64) {
        if to > stood {
            self.blame(Violation::NeverFormed { to, stood });
        }
    }

    fn blame(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

#[cfg(test)]
mod tests;
