//! What happened in groups: who joined, what was given to whom, what was made of it.

use std::fmt::{self, Display, Formatter};

use agora_core::ErrorKind;
use agora_core::transport::Settle;

use super::text::Maybe;
use super::{Life, Sub, Topic, Value};

/// What a handler makes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is done.
    Done,
    /// It is to be tried again.
    Failed,
    /// It is to go to the dead letters.
    Rejected,
    /// Nothing: somebody else may try.
    Dropped,
}

/// One thing that happened in a group. A member is one place in it, by its number among the subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupWhat {
    /// A node joins.
    Join(Sub, Life, Topic),
    /// It is a member, or was refused.
    Joined(Sub, Result<(), ErrorKind>),
    /// A member begins to leave.
    Leaving(Sub),
    /// It is no longer one.
    Left(Sub, Result<(), ErrorKind>),
    /// A member is handed an event.
    Begin {
        /// Who.
        member: Sub,
        /// Whose.
        of: Option<Life>,
        /// Its sequence.
        seq: u64,
        /// What it says it is.
        value: Option<Value>,
        /// The how manieth try it is said to be.
        attempt: u32,
    },
    /// And says what came of it.
    End {
        /// Who.
        member: Sub,
        /// Whose.
        of: Option<Life>,
        /// Its sequence.
        seq: u64,
        /// Of which try.
        attempt: u32,
        /// See above.
        how: How,
    },
    /// The backend gave a record to a node.
    Given {
        /// To whom.
        by: Life,
        /// The right to settle it.
        token: u64,
        /// The how manieth time.
        attempt: u32,
        /// Whose events.
        of: Option<Life>,
        /// The first.
        seq: u64,
        /// The one after the last.
        end: u64,
    },
    /// A node settles one.
    Settle(Life, u64, Settle),
    /// What the backend said to that.
    Settled(Life, u64, Settle, Result<(), ErrorKind>),
    /// A dead letter was stored, or perhaps not: by whom, whose event.
    Buried(Life, Option<Life>, u64, bool),
}

impl Display for GroupWhat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let result = |result: &Result<(), ErrorKind>| match result {
            Ok(()) => "ok",
            Err(kind) => kind.as_str(),
        };
        match self {
            Self::Join(member, life, topic) => write!(f, "{life} joins the group of {topic} as {member}"),
            Self::Joined(member, how) => write!(f, "{member} is a member: {}", result(how)),
            Self::Leaving(member) => write!(f, "{member} begins to leave its group"),
            Self::Left(member, how) => write!(f, "{member} has left its group: {}", result(how)),
            Self::Begin { member, of, seq, value, attempt } => {
                let (of, value) = (Maybe(of.as_ref()), Maybe(value.as_ref()));
                write!(f, "{member} begins {of} {seq}, try {attempt}: {value}")
            }
            Self::End { member, of, seq, attempt, how } => {
                write!(f, "{member} ends {} {seq}, try {attempt}: {how:?}", Maybe(of.as_ref()))
            }
            Self::Given { by, token, attempt, of, seq, end } => {
                write!(f, "{by} is given #{token}, time {attempt}: {} {seq}..{end}", Maybe(of.as_ref()))
            }
            Self::Settle(by, token, how) => write!(f, "{by} settles #{token}: {how:?}"),
            Self::Settled(by, token, how, what) => {
                write!(f, "{by} settled #{token}: {how:?}, {}", result(what))
            }
            Self::Buried(by, of, seq, true) => write!(f, "{by} buried {} {seq}", Maybe(of.as_ref())),
            Self::Buried(by, of, seq, false) => {
                write!(f, "{by} may not have buried {} {seq}", Maybe(of.as_ref()))
            }
        }
    }
}
