//! Where an entry stands in a stream.

use std::fmt;
use std::time::{Duration, SystemTime};

use agora_core::transport::Position;

/// The identity of an entry: the server's time in milliseconds, and a number within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
}

impl Id {
    /// Before the first.
    pub(crate) const ZERO: Self = Self { ms: 0, seq: 0 };

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let (ms, seq) = std::str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }

    /// The place directly before.
    pub(crate) fn before(self) -> Self {
        match (self.ms, self.seq) {
            (0, 0) => self,
            (ms, 0) => Self { ms: ms - 1, seq: u64::MAX },
            (ms, seq) => Self { ms, seq: seq - 1 },
        }
    }

    /// The first place of this time or later. A server counts whole milliseconds.
    pub(crate) fn at_time(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let whole = since.as_nanos().div_ceil(1_000_000);
        Self { ms: u64::try_from(whole).unwrap_or(u64::MAX), seq: 0 }
    }

    /// When the server appended it; `None` where the number is no time.
    pub(crate) fn time(self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.ms))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl From<Id> for Position {
    fn from(id: Id) -> Self {
        Self(u128::from(id.ms) << 64 | u128::from(id.seq))
    }
}

impl From<Position> for Id {
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of a number")]
    fn from(position: Position) -> Self {
        Self { ms: (position.0 >> 64) as u64, seq: position.0 as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_written_and_ordered() {
        let id = Id::parse(b"1700000000000-7").unwrap();
        assert_eq!(id.to_string(), "1700000000000-7");
        assert_eq!(Id::from(Position::from(id)), id);
        assert!(Position::from(id) < Position::from(Id { ms: id.ms + 1, seq: 0 }));
        for odd in ["", "-", "1", "1-", "-1", "1-x", "18446744073709551616-0"] {
            assert_eq!(Id::parse(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn before_an_id_is_the_one_that_it_follows() {
        assert_eq!(Id { ms: 5, seq: 3 }.before(), Id { ms: 5, seq: 2 });
        assert_eq!(Id { ms: 5, seq: 0 }.before(), Id { ms: 4, seq: u64::MAX });
        assert_eq!(Id::ZERO.before(), Id::ZERO);
    }

    #[test]
    fn a_time_within_a_millisecond_begins_with_the_next() {
        let time = |ns| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns);
        assert_eq!(Id::at_time(time(5_000_000)), Id { ms: 5, seq: 0 });
        assert_eq!(Id::at_time(time(5_000_001)), Id { ms: 6, seq: 0 });
        assert_eq!(Id::at_time(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Id::ZERO);
    }
}
