//! What becomes of the bytes of one way.

use std::time::Duration;

/// One of the two ways between a client and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What the client says.
    ToServer,
    /// What the server says.
    ToClient,
}

impl Way {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];
}

/// What becomes of the bytes of one way, on every connection, those to come included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Open,
    /// Nobody reads them: what is sent waits in the sender's socket, and passes when the flow opens again. This is
    /// what a cut does to TCP. Ends and resets are not passed on either.
    Held,
    /// They are read and thrown away. A connection that lost some is reset when the flow changes: what would follow
    /// is no stream that anybody sent.
    Swallowed,
    /// They pass this much later, with as much of them under way as the queue holds.
    Late(Duration),
    /// So many pass in a second, at least 1.
    Slow(u32),
    /// They pass in writes of at most so many, at least 1.
    Sliced(usize),
    /// So many more pass on each connection, which is then reset: in the middle of a frame, if one chooses so.
    ResetAfter(u64),
}

/// The most that one read takes.
pub(super) const CHUNK_BYTES_MAX: usize = 16 * 1024;

impl Flow {
    /// How many bytes to read at once, with `passed` of them read since the flow became this one.
    pub(super) fn chunk_bytes(self, passed: u64) -> usize {
        let most = match self {
            // Twenty portions a second, so that it looks like a slow line rather than like a clock.
            Self::Slow(rate) => rate as usize / 20,
            Self::Sliced(bytes) => bytes,
            Self::ResetAfter(bytes) => usize::try_from(bytes - passed.min(bytes)).unwrap_or(usize::MAX),
            Self::Open | Self::Held | Self::Swallowed | Self::Late(_) => CHUNK_BYTES_MAX,
        };
        most.clamp(1, CHUNK_BYTES_MAX)
    }

    /// How long after the one before it a portion of `bytes` may be written, and how long after it was read.
    pub(super) fn waits(self, bytes: usize) -> (Duration, Duration) {
        match self {
            Self::Slow(rate) => {
                (Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1))), Duration::ZERO)
            }
            Self::Late(by) => (Duration::ZERO, by),
            _ => (Duration::ZERO, Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_never_empty_and_never_too_large() {
        let table = [
            (Flow::Open, 0, CHUNK_BYTES_MAX),
            (Flow::Slow(1), 0, 1),
            (Flow::Slow(2000), 0, 100),
            (Flow::Sliced(0), 0, 1),
            (Flow::Sliced(3), 0, 3),
            (Flow::ResetAfter(10), 4, 6),
            (Flow::ResetAfter(10), 11, 1),
            (Flow::ResetAfter(u64::MAX), 0, CHUNK_BYTES_MAX),
        ];
        for (flow, passed, expected) in table {
            assert_eq!(flow.chunk_bytes(passed), expected, "{flow:?} after {passed}");
        }
    }
}
