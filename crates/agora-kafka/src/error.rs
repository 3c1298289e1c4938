//! What the brokers and the connections to them say, as errors of agora.

mod refusal;

use agora_core::{Error, ErrorKind};

pub use refusal::{Cure, Refusal};

/// The backend's name, as errors, metrics and capabilities show it.
pub const BACKEND: &str = "kafka";

/// An error of this backend.
pub fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).backend(BACKEND)
}

/// The transport was closed: every later call says so.
pub fn closed() -> Error {
    error(ErrorKind::Closed, "the transport was closed")
}

/// A broker answered with something that cannot be read, or that this request never gets. What became of the request is
/// open.
pub fn odd(what: &'static str) -> Error {
    error(ErrorKind::OutcomeUnknown, "the broker's answer cannot be read").context("why", what)
}

/// The error of a request that may be repeated without harm: there, an unknown outcome is only an absent answer.
pub fn of_repeatable(error: Error) -> Error {
    if error.kind() != ErrorKind::OutcomeUnknown {
        return error;
    }
    self::error(ErrorKind::Unreachable, "the broker did not answer").source(error)
}
