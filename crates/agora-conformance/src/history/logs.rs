//! What happened to logs: who read them, where cursors were saved, and what stood in them.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::live::Reason;

use super::text::{List, Maybe};
use super::{Life, Pace, Sub, Topic};

/// Where the reading of a log begins, as long as nothing was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the oldest record.
    Earliest,
    /// With what is published from now on, without what the node itself publishes.
    Live,
}

/// A name under which the place of a reading is kept, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable(pub u8);

impl Display for Durable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "d{}", self.0)
    }
}

/// Where one source stands in a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stands {
    /// Whose events.
    pub of: Life,
    /// The first that was handed over or declared missing.
    pub start: u64,
    /// The one after the last.
    pub next: u64,
}

impl Display for Stands {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.of, self.start, self.next)
    }
}

/// What a cursor says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The log was read without a break from its untrimmed beginning.
    pub whole: bool,
    /// The sources that were read.
    pub sources: Vec<Stands>,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({}{})", if self.whole { "whole " } else { "" }, List(&self.sources))
    }
}

/// One thing that happened to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogWhat {
    /// A subscription to a log is asked for.
    Read {
        /// Its number.
        sub: Sub,
        /// Whose.
        life: Life,
        /// Of what.
        topic: Topic,
        /// Where it begins.
        from: From,
        /// Under which name its place is kept.
        durable: Option<Durable>,
        /// How it reads.
        pace: Pace,
    },
    /// It is done with everything that it was handed. A prompt reader is done at once, which is not written down.
    Done(Sub),
    /// It was told that records are missing, nobody knows of whom.
    Missing(Sub, Reason),
    /// It has taken a name over from whoever had it.
    Taken {
        /// Which subscription.
        sub: Sub,
        /// The name.
        durable: Durable,
        /// The right to save.
        fence: u64,
        /// What was saved there.
        place: Option<Place>,
    },
    /// A place was saved, or refused.
    Saved {
        /// Under which name.
        durable: Durable,
        /// By which right.
        fence: u64,
        /// What.
        place: Place,
        /// The answer.
        result: Result<(), ErrorKind>,
    },
    /// A record stands in a log. Nobody in the run knows this; it is written down before anything happens to the log,
    /// and at the end.
    Stored {
        /// Where.
        topic: Topic,
        /// At which place.
        at: u64,
        /// Since when.
        since: Duration,
        /// Whose. `None`: of nobody in this run.
        of: Option<Life>,
        /// The first sequence.
        seq: u64,
        /// The one after the last.
        end: u64,
        /// Up to where its source had nothing under way any more.
        floor: u64,
    },
}

impl Display for LogWhat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { sub, life, topic, from, durable, pace } => {
                write!(f, "{life} reads {topic} as {sub} from {from:?}")?;
                if let Some(durable) = durable {
                    write!(f, " under {durable}")?;
                }
                match pace {
                    Pace::Prompt => Ok(()),
                    Pace::Slow(pause) => write!(f, ", every {pause:?}"),
                }
            }
            Self::Done(sub) => write!(f, "{sub} is done"),
            Self::Missing(sub, reason) => write!(f, "{sub} MISSES records: {}", reason.as_str()),
            Self::Taken { sub, durable, fence, place } => {
                write!(f, "{sub} takes {durable} #{fence}: {}", Maybe(place.as_ref()))
            }
            Self::Saved { durable, fence, place, result: Ok(()) } => {
                write!(f, "saved {durable} #{fence}: {place}")
            }
            Self::Saved { durable, fence, place, result: Err(kind) } => {
                write!(f, "not saved {durable} #{fence}: {place}: {}", kind.as_str())
            }
            Self::Stored { topic, at, since, of, seq, end, floor } => {
                let since = since.as_secs_f64();
                write!(f, "in {topic} stands {at}: {} {seq}..{end} floor {floor}", Maybe(of.as_ref()))?;
                write!(f, " since {since:.6}")
            }
        }
    }
}
