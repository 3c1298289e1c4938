//! Knows records again that a caller brings once more, because it was not told what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use agora_core::transport::OutFrame;
use tokio::time::Instant;

/// The most records that are remembered; an older one that is brought again may be stored twice.
const REMEMBERED_MAX: usize = 4096;
/// The same bound in bytes.
const REMEMBERED_BYTES_MAX: usize = 4 << 20;
/// For how long they are: longer than a caller waits before it tries again. Later, the same bytes are another record that
/// happens to be equal.
const REMEMBERED_AGE: Duration = Duration::from_secs(30);

/// Records that were stored after their call had been told that this is not known.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Held, not only compared: as long as they are here, no other bytes can be where they are.
    stored: VecDeque<(Instant, OutFrame)>,
    bytes: usize,
}

impl Again {
    /// Is this the very same record, and not merely an equal one? One of no bytes at all cannot be told from others.
    pub(super) fn is_same(a: &OutFrame, b: &OutFrame) -> bool {
        let same = |a: &[u8], b: &[u8]| !a.is_empty() && a.as_ptr() == b.as_ptr() && a.len() == b.len();
        match (&a.key, &b.key) {
            _ if !a.payload.is_empty() || !b.payload.is_empty() => same(&a.payload, &b.payload),
            (Some(a), Some(b)) => same(a, b),
            _ => false,
        }
    }

    /// A record is stored, and nobody was told.
    pub(super) fn stored(&mut self, frame: &OutFrame, now: Instant) {
        self.bytes += frame.payload.len();
        self.stored.push_back((now, frame.clone()));
        while self.stored.len() > REMEMBERED_MAX || self.bytes > REMEMBERED_BYTES_MAX {
            self.forget_first();
        }
    }

    /// Is it one that is stored already? It is so once.
    pub(super) fn take_stored(&mut self, frame: &OutFrame, now: Instant) -> bool {
        while self.stored.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > REMEMBERED_AGE) {
            self.forget_first();
        }
        let Some(at) = self.stored.iter().position(|(_, stored)| Self::is_same(stored, frame)) else {
            return false;
        };
        // In the order in which they were stored: what stands before it will not come any more.
        for _ in 0..=at {
            self.forget_first();
        }
        true
    }

    fn forget_first(&mut self) {
        if let Some((_, frame)) = self.stored.pop_front() {
            self.bytes -= frame.payload.len();
        }
    }
}
