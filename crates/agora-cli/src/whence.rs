//! Where reading begins: what `--from` and `--to` take.

use std::time::SystemTime;

use agora::{Cursor, Error, ErrorKind, Start};

use crate::duration;

/// A place in a log, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whence {
    /// With what comes from now on.
    Latest,
    /// With the oldest.
    Earliest,
    /// With what was stored at this time or later.
    Time(SystemTime),
    /// A cursor, or a position: whoever asks knows.
    Place(String),
}

impl Whence {
    /// Reads a place. A time is RFC 3339, or how long ago it was: `15m`.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "latest" | "live" => return Self::Latest,
            "earliest" => return Self::Earliest,
            _ => {}
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Self::Time(time.into());
        }
        match duration::parse(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago)) {
            Some(time) => Self::Time(time),
            None => Self::Place(text.to_owned()),
        }
    }

    /// The beginning of a subscription.
    ///
    /// # Errors
    /// `Config` for what is neither of these nor a cursor.
    pub(crate) fn start(&self) -> Result<Start, Error> {
        match self {
            Self::Latest => Ok(Start::Live),
            Self::Earliest => Ok(Start::Earliest),
            Self::Time(time) => Ok(Start::Time(*time)),
            Self::Place(text) => text.parse::<Cursor>().map(Start::Cursor).map_err(|error| {
                let help = "it takes latest, earliest, a time such as 2026-01-31T12:00:00Z or 15m (ago), or the \
                            whole `cursor` of an event that was printed with --json";
                wrong("--from", text, help).source(error)
            }),
        }
    }
}

/// The error of a place that is none.
pub(crate) fn wrong(option: &'static str, text: &str, help: &str) -> Error {
    let shown: String = text.chars().take(80).collect();
    Error::new(ErrorKind::Config, "not a place to begin").context(option, format!("{shown:?}")).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_begin() {
        assert_eq!(Whence::parse("live").start().unwrap(), Start::Live);
        assert_eq!(Whence::parse("latest").start().unwrap(), Start::Live);
        assert_eq!(Whence::parse("earliest").start().unwrap(), Start::Earliest);
        for time in ["2026-01-31T12:00:00Z", "15m"] {
            assert!(matches!(Whence::parse(time).start().unwrap(), Start::Time(_)), "{time}");
        }
        for bad in ["", "yesterday", "2026-01-31"] {
            assert_eq!(Whence::parse(bad).start().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }
}
