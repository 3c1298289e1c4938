//! Why a subscription does not get what it is owed.

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// They were lost on the way, and asking for them did not bring them back in time.
    Lost,
    /// They were lost on the way, and their source no longer holds them.
    NotHeld,
    /// Their source was first heard after the subscription began, and no longer holds them.
    Unseen,
    /// Their source failed, or was cut off: it may have published more.
    SourceFailed,
    /// Their source left, and not all of its events arrived.
    SourceLeft,
    /// This node could not keep up: they had arrived and were dropped.
    Overflow,
    /// Too much arrived out of order to wait for them.
    TooFarAhead,
    /// They arrived, but need a newer version of this software to be read.
    Unreadable,
    /// They arrived, but are of a kind that this subscription does not know and must not skip.
    UnknownKind,
    /// They arrived, but their bodies cannot be decoded.
    Undecodable,
    /// There are more sources than this node keeps track of.
    TooManySources,
    /// The log no longer held them when they were to be read.
    Retention,
    /// The log is no longer the one that was read: its end was lost in a failover, or it was deleted and made anew.
    Rewritten,
    /// Their source could not have them accepted in time, and gave them up.
    GivenUp,
    /// They stand in the log behind what they should have preceded, where it was too late to hand them over.
    Late,
}

impl Reason {
    /// Every reason, in the order of their definition.
    pub const ALL: &[Self] = &[
        Self::Lost,
        Self::NotHeld,
        Self::Unseen,
        Self::SourceFailed,
        Self::SourceLeft,
        Self::Overflow,
        Self::TooFarAhead,
        Self::Unreadable,
        Self::UnknownKind,
        Self::Undecodable,
        Self::TooManySources,
        Self::Retention,
        Self::Rewritten,
        Self::GivenUp,
        Self::Late,
    ];

    /// A stable name, for metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::NotHeld => "not_held",
            Self::Unseen => "unseen",
            Self::SourceFailed => "source_failed",
            Self::SourceLeft => "source_left",
            Self::Overflow => "overflow",
            Self::TooFarAhead => "too_far_ahead",
            Self::Unreadable => "unreadable",
            Self::UnknownKind => "unknown_kind",
            Self::Undecodable => "undecodable",
            Self::TooManySources => "too_many_sources",
            Self::Retention => "retention",
            Self::Rewritten => "rewritten",
            Self::GivenUp => "given_up",
            Self::Late => "late",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_stand_in_their_order() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, at, "{reason:?}");
        }
        // Whoever adds a reason behind the last one adds it to the list too.
        assert_eq!(Reason::ALL.last(), Some(&Reason::Late));
    }
}
