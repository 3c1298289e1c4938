//! Values before and after they are read.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::duration;
use super::secret::{Secret, SecretUrl};

/// A value as it stood in a file, a variable or a URL, before anybody knows what it should be. It may be a secret, so
/// its `Debug` says only what sort of value it is.
#[derive(Clone, PartialEq)]
pub enum Raw {
    /// Text; everything from variables, URLs and command lines is.
    Text(String),
    /// A whole number.
    Number(i128),
    /// A number with a fraction.
    Fraction,
    /// `true` or `false`.
    Flag(bool),
    /// A list.
    List(Vec<Raw>),
    /// A table.
    Table,
    /// Nothing: JSON's `null`.
    Nothing,
}

impl Raw {
    /// What sort of value it is, with its article.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Fraction => "a number with a fraction",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table => "a table",
            Self::Nothing => "null",
        }
    }

    /// The value for an error: short, and only for settings that are no secret.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => shown(text),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            other => other.sort().to_owned(),
        }
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.sort())
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A text in quotes, shortened.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() == text.len() { format!("{short:?}") } else { format!("{short:?}...") }
}

/// A value of the type that its setting has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Text, a name, a path, or one of several words.
    Text(String),
    /// A secret.
    Secret(Secret),
    /// Several texts.
    List(Vec<String>),
    /// A URL that may hold a password.
    Url(SecretUrl),
    /// Several of them.
    Urls(Vec<SecretUrl>),
    /// On or off.
    Flag(bool),
    /// A whole number.
    Number(u64),
    /// A time.
    Time(Duration),
    /// An address and port.
    Address(SocketAddr),
}

/// As an operator would write it, secrets hidden.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Secret(secret) => write!(f, "{secret}"),
            Self::List(list) => write!(f, "{list:?}"),
            Self::Url(url) => write!(f, "\"{url}\""),
            Self::Urls(urls) => {
                let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
                write!(f, "{urls:?}")
            }
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => write!(f, "\"{}\"", duration::text(*time)),
            Self::Address(address) => write!(f, "\"{address}\""),
        }
    }
}
