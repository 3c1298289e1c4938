//! The one place that asks what time it is on the wall.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where the times in frames and gaps come from. Order and failure detection never depend on it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that stood at `epoch` when the runtime's time was `start`: under paused time it repeats exactly.
    Simulated {
        /// The time of day at `start`.
        epoch: SystemTime,
        /// The runtime's time then.
        start: Instant,
    },
}

impl Clock {
    /// A simulated clock that begins at 2026-01-01 00:00:00 UTC now.
    pub fn simulated() -> Self {
        Self::Simulated { epoch: UNIX_EPOCH + Duration::from_secs(1_767_225_600), start: Instant::now() }
    }

    /// The time of day.
    pub fn now(&self) -> SystemTime {
        match self {
            Self::System => SystemTime::now(),
            Self::Simulated { epoch, start } => *epoch + start.elapsed(),
        }
    }

    /// Microseconds since 1970, as frames carry them.
    pub fn now_us(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}
