//! How often an event is tried, and when again.

use std::time::Duration;

/// How often an event is tried, and when again. Plain data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Policy {
    /// How often an event is tried before it goes to the dead letters, at least 1. Default 5.
    pub attempts_max: u32,
    /// The first and the last pause before an event is tried again; it doubles in between. Default 100 ms and 30 s.
    pub backoff: (Duration, Duration),
    /// How long a record is this member's before it has to be extended. It is extended at a third of that, as long as
    /// it is worked on. Default 30 s.
    pub lease: Duration,
    /// How long one try may take. Then it has failed. Default 5 min.
    pub job_timeout: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            backoff: (Duration::from_millis(100), Duration::from_secs(30)),
            lease: Duration::from_secs(30),
            job_timeout: Duration::from_secs(300),
        }
    }
}

impl Policy {
    /// The pause after so many failures in a row, from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let (first, last) = self.backoff;
        first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(last.max(first))
    }

    /// How long after a lease began, or was extended, it is extended again.
    pub fn extend_after(&self) -> Duration {
        self.lease / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let policy =
            Policy { backoff: (Duration::from_secs(1), Duration::from_secs(5)), ..Policy::default() };
        let pauses: Vec<u64> = [1, 2, 3, 4, 1000].map(|n| policy.pause(n).as_secs()).into();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn a_last_pause_below_the_first_is_the_first() {
        let policy = Policy { backoff: (Duration::from_secs(3), Duration::ZERO), ..Policy::default() };
        assert_eq!(policy.pause(7).as_secs(), 3);
    }
}
