//! Why a body could not be read.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// Why a body could not be read as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The record is of another kind.
    OtherKind {
        /// The kind that was asked for.
        expected: &'static str,
    },
    /// The body was written with a version that this type cannot read.
    Unsupported {
        /// The version of the body.
        version: u16,
        /// The version of the type.
        supported: u16,
    },
    /// Bytes are left over behind the last field.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The body is malformed.
    Body(String),
    /// The body could be read, and breaks a rule of its kind.
    Invalid(&'static str),
}

impl DecodeError {
    /// A malformed body, and what is wrong with it.
    #[cold]
    pub fn body(what: &dyn fmt::Display) -> Self {
        Self::Body(what.to_string())
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKind { expected } => write!(f, "the event is not a {expected}"),
            Self::Unsupported { version, supported } => {
                write!(f, "version {version} of the event cannot be read by version {supported}")
            }
            Self::Trailing { bytes } => write!(f, "{bytes} bytes are left over behind the event"),
            Self::Body(what) => write!(f, "the body is malformed: {what}"),
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::new(ErrorKind::Codec, "an event could not be decoded").source(error)
    }
}
