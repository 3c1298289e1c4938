//! The publishing side of one lane of a log.

use std::collections::VecDeque;

/// What a source has formed on a log and knows no outcome of. The pure half of a publisher.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outstanding {
    /// How many events were formed.
    formed: u64,
    /// The first sequences of the frames that are neither accepted nor given up.
    unsettled: VecDeque<u64>,
}

impl Outstanding {
    /// The sequence that the next event gets.
    pub fn next(&self) -> u64 {
        self.formed + 1
    }

    /// The oldest sequence that is neither accepted nor given up; what the next frame carries as its floor. Whatever
    /// is below and not in the log when a reader sees that frame never will be, or comes too late for its order.
    pub fn floor(&self) -> u64 {
        self.unsettled.front().copied().unwrap_or_else(|| self.next())
    }

    /// A frame of `records` events was formed with [`Outstanding::next`] and [`Outstanding::floor`].
    pub fn formed(&mut self, records: usize) {
        self.unsettled.push_back(self.next());
        self.formed = self.formed.saturating_add(records as u64);
    }

    /// The frame that begins with `seq` was accepted, or was given up and will not be sent again.
    pub fn settled(&mut self, seq: u64) {
        // Nearly always the oldest: to look at all of a call of a thousand frames for each of them took longer than sending.
        if self.unsettled.front() == Some(&seq) {
            self.unsettled.pop_front();
        } else {
            self.unsettled.retain(|unsettled| *unsettled != seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_oldest_that_is_unsettled() {
        let mut source = Outstanding::default();
        assert_eq!((source.next(), source.floor()), (1, 1));
        source.formed(3);
        source.formed(1);
        assert_eq!((source.next(), source.floor()), (5, 1));
        source.settled(4);
        assert_eq!(source.floor(), 1);
        source.settled(1);
        assert_eq!((source.next(), source.floor()), (5, 5));
    }
}
