//! How far apart two clocks are, from the times in heartbeats.

/// Heartbeats of one window. The estimate looks at this window and the one before it, so that a clock that was set is
/// noticed after a while.
const WINDOW: u32 = 16;

/// The least difference between the arrival of a heartbeat and the time in it: the one that was least under way.
#[derive(Debug, Default)]
pub(super) struct ClockOffset {
    /// Of the window before.
    before: Option<i64>,
    /// Of this window so far.
    now: Option<i64>,
    taken: u32,
}

impl ClockOffset {
    /// Takes the arrival of a heartbeat less the time in it, in microseconds. Did the estimate change?
    pub(super) fn take(&mut self, difference_us: i64) -> bool {
        let was = self.us();
        if self.taken == WINDOW {
            (self.before, self.now, self.taken) = (self.now, None, 0);
        }
        self.taken += 1;
        self.now = Some(self.now.map_or(difference_us, |now| now.min(difference_us)));
        self.us() != was
    }

    /// The estimate, in microseconds.
    pub(super) fn us(&self) -> Option<i64> {
        self.before.into_iter().chain(self.now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_heartbeat_counts_and_an_old_one_is_forgotten() {
        let mut offset = ClockOffset::default();
        assert_eq!(offset.us(), None);
        assert!(offset.take(500));
        assert!(!offset.take(900), "a slower one says nothing new");
        assert!(offset.take(-40));
        assert_eq!(offset.us(), Some(-40));
        // The clock is set.
        for _ in 0..2 * WINDOW {
            offset.take(7_000_000);
        }
        assert_eq!(offset.us(), Some(7_000_000));
    }
}
