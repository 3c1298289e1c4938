//! Whether what was read follows what was read before. No clock and no I/O: what the server said comes in.

use super::look::{Counts, Look};
use crate::place::Id;

/// How far a log was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The newest place that was read, or in front of which nothing is to be read.
    pub(crate) at: Id,
    /// The number of the entry there among all that were ever added; `None` where it is not known.
    number: Option<u64>,
    life: Option<Vec<u8>>,
}

/// What is to be said of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What was read is what comes next.
    Follows {
        /// There was nothing behind it.
        is_end: bool,
    },
    /// Something between what was read before and what was read now is gone.
    Trimmed {
        /// There was nothing behind it.
        is_end: bool,
    },
    /// This is another log than the one that was read before, or it was rewound.
    Other,
}

/// What is said first to whoever opens a log at a place where it has read a record, and where there is none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Retention has taken it, and left nothing that could show it.
    Trimmed,
    /// It was never in the log as it is now.
    Rewritten,
}

/// Judges the place where a reading begins, by what was read there in one step with a look. `None`: what follows says
/// enough by itself, or nothing better is known.
pub(crate) fn lack(place: Id, read: Option<Id>, look: &Look) -> Option<Lack> {
    let counts = look.counts();
    match read {
        // Behind the end of a log that ends before the place, the end is the word of a log that was rewound.
        None => (counts.added > 0 && counts.last >= place).then_some(Lack::Trimmed),
        Some(found) if found == place => None,
        Some(_) => counts.never_held(place).then_some(Lack::Rewritten),
    }
}

impl Reading {
    /// From what was read in one step with a look: a log cannot change between the two.
    ///
    /// `from` is where the reading began, `read` the places that came.
    pub(crate) fn begin(from: Id, read: &[Id], look: &Look) -> (Self, bool) {
        let counts = look.counts();
        // Behind the end there is nothing to wait for: what comes next is what comes.
        let at = read.last().copied().unwrap_or_else(|| from.before().min(counts.last));
        let is_end = at == counts.last || read.is_empty();
        let at = if is_end { counts.last } else { at };
        let number = if is_end {
            Some(counts.added)
        } else {
            let is_first = read.first() == Some(&counts.first);
            counts.number_of_first().filter(|_| is_first).map(|number| number + read.len() as u64 - 1)
        };
        (Self { at, number, life: look.life.clone() }, is_end)
    }

    /// Goes on behind a read. What was read before it was seen to stand where it stood, right after: so nothing came
    /// between.
    pub(crate) fn go_on(&mut self, read: &[Id], is_end: bool) -> Verdict {
        self.number = self.number.map(|number| number + read.len() as u64);
        self.at = read.last().copied().unwrap_or(self.at);
        Verdict::Follows { is_end }
    }

    /// Judges a read, and goes on behind it. The look may be a little younger than the read.
    pub(crate) fn judge(&mut self, read: &[Id], look: &Look) -> Verdict {
        if self.life.is_some() && self.life != look.life {
            return Verdict::Other;
        }
        self.life.clone_from(&look.life);
        let Some(counts) = look.stream else {
            // It was never there, or is not there any more.
            let is_new = self.at == Id::ZERO && read.is_empty();
            return if is_new { Verdict::Follows { is_end: true } } else { Verdict::Other };
        };
        let end = read.last().copied().unwrap_or(self.at);
        if counts.last < end {
            return Verdict::Other;
        }
        let length = read.len() as u64;
        let expected = self.number.map(|number| number + length);
        if expected.is_some_and(|expected| counts.added < expected) {
            return Verdict::Other;
        }
        if self.number.is_none() && counts.first > self.at && counts.is_whole() {
            // Nothing was ever taken away, and what was read is not there.
            return Verdict::Other;
        }
        let is_end = counts.last == end;
        let verdict = if is_end {
            // Nothing came after the read: the numbers are exact.
            let is_short = expected.is_some_and(|expected| counts.added > expected);
            let is_lost = expected.is_none() && counts.first > self.at && length > 0;
            self.number = Some(counts.added);
            if is_short || is_lost { Verdict::Trimmed { is_end } } else { Verdict::Follows { is_end } }
        } else {
            self.judge_middle(read, &counts)
        };
        self.at = end;
        if length == 0 && counts.length == 0 && !is_end {
            // Everything behind this reader is gone, and nothing is left that could show it.
            self.at = counts.last;
            self.number = Some(counts.added);
            return Verdict::Trimmed { is_end: true };
        }
        verdict
    }

    /// More was there than was read.
    fn judge_middle(&mut self, read: &[Id], counts: &Counts) -> Verdict {
        let length = read.len() as u64;
        if counts.first <= self.at && counts.length > 0 {
            // What was read last, or something older, is there: nothing behind it was trimmed.
            self.number = self.number.map(|number| number + length);
            return Verdict::Follows { is_end: false };
        }
        let Some(first_read) = read.first() else { return Verdict::Follows { is_end: false } };
        let number = counts.number_of_first().filter(|_| *first_read == counts.first);
        let (Some(number), Some(before)) = (number, self.number) else {
            // It cannot be told how far retention was when this was read: better a gap too many than one too few.
            self.number = number.map(|number| number + length - 1);
            return Verdict::Trimmed { is_end: false };
        };
        self.number = Some(number + length - 1);
        match number.cmp(&(before + 1)) {
            std::cmp::Ordering::Equal => Verdict::Follows { is_end: false },
            std::cmp::Ordering::Greater => Verdict::Trimmed { is_end: false },
            std::cmp::Ordering::Less => Verdict::Other,
        }
    }
}

#[cfg(test)]
mod tests;
