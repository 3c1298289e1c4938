//! How a run can end before it is done, and with which exit code.

use std::io;

use agora::{Error, ErrorKind};

/// Everything was done.
pub(crate) const DONE: u8 = 0;
/// A negative answer, or a count that was not reached.
pub(crate) const NEGATIVE: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const UNSUPPORTED: u8 = 4;
const OUTCOME_UNKNOWN: u8 = 5;
/// Ended by Ctrl-C or a signal, after a clean leave.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a run ends before it is done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something went wrong, and the user must be told.
    Error(Error),
    /// Whoever read the output has gone: nothing is wrong.
    OutputClosed,
    /// The output cannot be written.
    Output(io::Error),
    /// Ctrl-C or a signal.
    Interrupted,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }
}

impl Failure {
    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Error(error) => exit_of(error.kind()),
            Self::OutputClosed => DONE,
            Self::Output(_) => NEGATIVE,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

/// The exit code of an error.
pub(crate) fn exit_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Config
        | ErrorKind::Unauthorized
        | ErrorKind::TooLarge
        | ErrorKind::Conflict
        | ErrorKind::Codec
        | ErrorKind::Runtime => USAGE,
        ErrorKind::Unreachable
        | ErrorKind::Timeout
        | ErrorKind::QueueFull
        | ErrorKind::Closed
        | ErrorKind::Backend => UNREACHABLE,
        ErrorKind::Unsupported => UNSUPPORTED,
        ErrorKind::OutcomeUnknown => OUTCOME_UNKNOWN,
        _ => NEGATIVE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_code_that_scripts_rely_on() {
        for (kind, code) in [
            (ErrorKind::Config, 2),
            (ErrorKind::Unauthorized, 2),
            (ErrorKind::TooLarge, 2),
            (ErrorKind::Conflict, 2),
            (ErrorKind::Codec, 2),
            (ErrorKind::Runtime, 2),
            (ErrorKind::Unreachable, 3),
            (ErrorKind::Timeout, 3),
            (ErrorKind::QueueFull, 3),
            (ErrorKind::Closed, 3),
            (ErrorKind::Backend, 3),
            (ErrorKind::Unsupported, 4),
            (ErrorKind::OutcomeUnknown, 5),
        ] {
            assert_eq!(exit_of(kind), code, "{kind:?}");
        }
        assert_eq!(Failure::Interrupted.exit(), 130);
        assert_eq!(Failure::OutputClosed.exit(), 0);
    }
}
