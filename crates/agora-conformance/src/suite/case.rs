//! What a case is, and what it can come to.

use std::fmt;

use agora_core::transport::{BoxFuture, Capabilities, PublishFailed, Support};

use super::stage::Stage;
use super::subject::Cannot;

/// A capability without which a case has nothing to judge. The case then runs its negative form instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Live topics.
    Live,
    /// Log topics.
    Log,
    /// Groups.
    Group,
    /// Groups on topics whose messages hold many events.
    GroupOnBatch,
    /// Somewhere to keep cursors.
    Cursors,
    /// Administration.
    Admin,
    /// Logs of several lanes.
    Lanes,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Live, Self::Log, Self::Group, Self::GroupOnBatch, Self::Cursors, Self::Admin, Self::Lanes];

    /// What a backend says of it.
    pub fn support(self, capabilities: &Capabilities) -> Support {
        match self {
            Self::Live => capabilities.live,
            Self::Log => capabilities.log,
            Self::Group => capabilities.group,
            Self::GroupOnBatch => capabilities.group_on_batch,
            Self::Cursors => capabilities.cursors,
            Self::Admin => capabilities.admin,
            Self::Lanes => capabilities.lanes,
        }
    }

    /// A stable name, as the report shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Log => "log",
            Self::Group => "group",
            Self::GroupOnBatch => "group_on_batch",
            Self::Cursors => "cursors",
            Self::Admin => "admin",
            Self::Lanes => "lanes",
        }
    }
}

/// One promise, and how it is judged.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its theme and its name, such as `log.positions_grow`.
    pub name: &'static str,
    /// What it asserts: one sentence.
    pub asserts: &'static str,
    /// The capabilities that it is about.
    pub needs: &'static [Need],
    /// Judges.
    pub run: fn(Stage) -> BoxFuture<Verdict>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// What a case comes to by itself.
pub type Verdict = Result<(), Fault>;

/// Why a case did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The promise is broken: what was found, and what was promised.
    Broken(String),
    /// The environment, or what the backend is by nature, leaves nothing to judge: why.
    NotHere(String),
}

impl Fault {
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }

    pub(crate) fn not_here(why: impl Into<String>) -> Self {
        Self::NotHere(why.into())
    }
}

impl From<agora_core::Error> for Fault {
    fn from(error: agora_core::Error) -> Self {
        Self::Broken(format!("an error where none was due: {error:#}"))
    }
}

impl From<PublishFailed> for Fault {
    fn from(failed: PublishFailed) -> Self {
        let PublishFailed { accepted, outcome, error } = failed;
        Self::Broken(format!("a publish failed ({accepted} accepted, the others {outcome:?}): {error:#}"))
    }
}

impl From<Cannot> for Fault {
    fn from(Cannot(why): Cannot) -> Self {
        Self::NotHere(why)
    }
}

/// Returns from a case with a broken promise, unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::suite::Fault::broken(format!($($what)+)));
        }
    };
}

/// The cases of one theme: a function, what it needs, what it asserts.
macro_rules! cases {
    ($theme:literal: $($function:ident [$($need:ident),*] $asserts:literal;)+) => {
        pub(super) const CASES: &[$crate::suite::Case] = &[$($crate::suite::Case {
            name: concat!($theme, ".", stringify!($function)),
            asserts: $asserts,
            needs: &[$($crate::suite::Need::$need),*],
            run: |stage| Box::pin($function(stage)),
        }),+];
    };
}

pub(super) use cases;
pub(crate) use ensure;

/// Checks that what was found is what was promised.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, found: T, promised: T) -> Verdict {
    ensure!(found == promised, "{what}: found {found:?}, promised {promised:?}");
    Ok(())
}
