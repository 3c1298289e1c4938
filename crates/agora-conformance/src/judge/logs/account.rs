//! What one reading of a log was told of one source.

use std::fmt;

/// See above. Sequences begin at 1 and ranges are half open.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// From where to where it was told, without a break.
    told: Option<(u64, u64)>,
    /// Records are missing, nobody knows of whom: the next may jump.
    pub(super) excused: bool,
}

/// What must not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Silent(u64, u64),
    Again(u64, u64),
    DoesNotJoin(u64, u64),
    Empty(u64, u64),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(from, to) => write!(f, "{from}..{to} was passed over in silence"),
            Self::Again(seq, next) => write!(f, "{seq} comes although all below {next} was told"),
            Self::DoesNotJoin(to, start) => write!(f, "what is late ends at {to}, and {start} was the first"),
            Self::Empty(from, to) => write!(f, "{from}..{to} is no range"),
        }
    }
}

impl Account {
    /// Nothing was told yet; `excused`: records are missing already.
    pub(super) fn new(excused: bool) -> Self {
        Self { told: None, excused }
    }

    /// Goes on from a cursor.
    pub(super) fn resumed(start: u64, next: u64) -> Self {
        Self { told: Some((start, next)), excused: false }
    }

    /// Events were handed over, or declared missing in their order. `whole`: everything from 1 on is owed.
    pub(super) fn tell(&mut self, from: u64, to: u64, whole: bool) -> Option<Wrong> {
        let excused = std::mem::take(&mut self.excused);
        let wrong = match self.told {
            _ if from >= to => Some(Wrong::Empty(from, to)),
            None if whole && from > 1 && !excused => Some(Wrong::Silent(1, from)),
            Some((_, next)) if from < next => Some(Wrong::Again(from, next)),
            Some((_, next)) if from > next && !excused => Some(Wrong::Silent(next, from)),
            _ => None,
        };
        let (start, next) = self.told.unwrap_or((from, from));
        self.told = Some((start, next.max(to)));
        wrong
    }

    /// Events were declared to come too late: they lie before what was told first.
    pub(super) fn tell_late(&mut self, from: u64, to: u64) -> Option<Wrong> {
        let (start, next) = self.told.unwrap_or((to, to));
        self.told = Some((start.min(from), next));
        (start != to).then_some(Wrong::DoesNotJoin(to, start))
    }

    /// From where to where.
    pub(super) fn told(&self) -> Option<(u64, u64)> {
        self.told
    }

    pub(super) fn covers(&self, from: u64, to: u64) -> bool {
        self.told.is_some_and(|(start, next)| start <= from && to <= next)
    }
}
