//! What zenoh says, as an error of agora.

use agora_core::{Error, ErrorKind};

/// The backend's name, as errors, metrics and capabilities show it.
pub(crate) const BACKEND: &str = "zenoh";

/// An error of this backend.
pub(crate) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).backend(BACKEND)
}

/// The transport was closed: every later call says so.
pub(crate) fn closed() -> Error {
    error(ErrorKind::Closed, "the transport was closed")
}

/// An error that zenoh returned from something that should have worked.
///
/// Zenoh has one error type, which is a text: the only thing that can be told apart is a session that ended.
pub(crate) fn from_zenoh(message: &'static str, cause: &zenoh::Error) -> Error {
    let text = cause.to_string();
    let kind = if text.contains("session closed") { ErrorKind::Closed } else { ErrorKind::Backend };
    error(kind, message).source(text)
}
