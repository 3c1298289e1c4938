//! Why a server is not there.

use std::fmt;

/// What went wrong, in a sentence for the person who ran the tests.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

/// A result of the testbed.
pub type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of one sentence, or several.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As [`Display`](fmt::Display): it is read in the message of a panic.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Adds to an I/O error what was being done.
pub(crate) trait Doing<T> {
    /// `what` continues the sentence "cannot ...".
    fn doing(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("cannot {what}: {error}")))
    }
}
