//! So many events a second, without drift.

use std::time::Duration;

use tokio::time::Instant;

/// Whoever is later than this, because the input had nothing or the backend was slow, does not make up for it: a burst
/// would be no rate.
const LATE_MAX: Duration = Duration::from_secs(1);

/// Says when the next event is due. The times are counted from the first event, so that what each of them is late
/// does not add up.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    first: Option<Instant>,
    events: f64,
}

impl Pace {
    /// So many events a second.
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, first: None, events: 0.0 }
    }

    /// When the next event is due; `None`: at once.
    pub(super) fn due(&self) -> Option<Instant> {
        self.first.map(|first| first + Duration::from_secs_f64(self.events / self.rate))
    }

    /// An event is published now.
    pub(super) fn took(&mut self, now: Instant) {
        match self.due() {
            Some(due) if now.saturating_duration_since(due) <= LATE_MAX => self.events += 1.0,
            _ => (self.first, self.events) = (Some(now), 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_one_event_is_late_does_not_move_the_next() {
        let mut pace = Pace::new(100.0);
        let start = Instant::now();
        assert_eq!(pace.due(), None);
        for i in 0..1000 {
            // Each is 3 ms late.
            let late = if i == 0 { Duration::ZERO } else { 3 * MS };
            pace.took(start + MS * 10 * i + late);
            assert_eq!(pace.due(), Some(start + MS * 10 * (i + 1)));
        }
    }

    #[test]
    fn a_long_pause_is_not_made_up_for() {
        let mut pace = Pace::new(10.0);
        let start = Instant::now();
        pace.took(start);
        pace.took(start + Duration::from_secs(60));
        assert_eq!(pace.due(), Some(start + Duration::from_secs(60) + 100 * MS));
    }
}
