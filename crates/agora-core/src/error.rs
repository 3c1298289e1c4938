//! The one error type: what happened, to what, whether trying again can help, and what to do.

use std::fmt;
use std::sync::Arc;

/// A result of agora.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. More kinds may come: match with a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, a name or a URL is wrong. Nothing was done.
    Config,
    /// The backend refused the credentials.
    Unauthorized,
    /// The backend cannot be reached now.
    Unreachable,
    /// This backend, or this build, cannot do it. The help says which setting or backend can.
    Unsupported,
    /// The event, or one of its parts, is larger than allowed. Nothing was sent.
    TooLarge,
    /// The queue of the publisher is full. Nothing was queued.
    QueueFull,
    /// The deadline passed before anything was sent. It is certain that nothing was stored.
    Timeout,
    /// The deadline passed, or the connection broke, after it was sent: it may or may not have been accepted.
    OutcomeUnknown,
    /// The bus, or this part of it, was closed.
    Closed,
    /// There is no topic, or no group, of this name.
    NotFound,
    /// Two nodes, or a node and the backend, disagree on a setting that must be the same.
    Conflict,
    /// A value could not be encoded, or bytes could not be decoded.
    Codec,
    /// The backend answered something that it should not.
    Backend,
    /// Not called from a runtime that can do it: the help says which.
    Runtime,
}

impl ErrorKind {
    /// Every kind, in the order of their definition.
    pub const ALL: &[Self] = &[
        Self::Config,
        Self::Unauthorized,
        Self::Unreachable,
        Self::Unsupported,
        Self::TooLarge,
        Self::QueueFull,
        Self::Timeout,
        Self::OutcomeUnknown,
        Self::Closed,
        Self::NotFound,
        Self::Conflict,
        Self::Codec,
        Self::Backend,
        Self::Runtime,
    ];

    /// Can the same call succeed later, with nothing changed by hand?
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::QueueFull | Self::Timeout | Self::OutcomeUnknown | Self::Backend
        )
    }

    /// Is it certain that the operation had no effect? Only [`ErrorKind::OutcomeUnknown`] leaves it open.
    pub fn outcome_known(self) -> bool {
        self != Self::OutcomeUnknown
    }

    /// A stable name, as metrics and the command line's JSON show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unauthorized => "unauthorized",
            Self::Unreachable => "unreachable",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::QueueFull => "queue_full",
            Self::Timeout => "timeout",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Closed => "closed",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Codec => "codec",
            Self::Backend => "backend",
            Self::Runtime => "runtime",
        }
    }
}

/// An error of agora. `Display` is one line; `{:#}` adds the help; `Debug` is a page.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<&'static str>,
    backend: Option<&'static str>,
    context: Vec<(&'static str, String)>,
    help: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`: `message` says what happened, in words that do not repeat the kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            operation: None,
            backend: None,
            context: Vec::new(),
            help: None,
            source: None,
        }))
    }

    /// Something that this backend cannot do, and what can.
    pub fn unsupported(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, what).help(instead)
    }

    /// The operation that failed, such as `publish`. The first one given stays.
    #[must_use]
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// The backend in which it failed.
    #[must_use]
    pub fn backend(mut self, backend: &'static str) -> Self {
        self.0.backend.get_or_insert(backend);
        self
    }

    /// A detail: a name and what was found. Never a secret.
    #[must_use]
    pub fn context(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        // Said on the way down already, it is not said again.
        if !self.0.context.iter().any(|(known, said)| *known == name && *said == value) {
            self.0.context.push((name, value));
        }
        self
    }

    /// What the reader can do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// The error beneath.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the reader can do about it, where something can be said.
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// See [`ErrorKind::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// See [`ErrorKind::outcome_known`].
    pub fn outcome_known(&self) -> bool {
        self.0.kind.outcome_known()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        if let Some(backend) = e.backend {
            write!(f, "{backend}: ")?;
        }
        if let Some(operation) = e.operation {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&e.message)?;
        for (i, (name, value)) in e.context.iter().enumerate() {
            write!(f, "{}{name}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        if !e.context.is_empty() {
            f.write_str(")")?;
        }
        if let Some(source) = &e.source {
            write!(f, ": {source}")?;
        }
        if let (true, Some(help)) = (f.alternate(), &e.help) {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        writeln!(f, "{self}")?;
        write!(
            f,
            "  kind: {} (retryable: {}, outcome known: {})",
            e.kind.as_str(),
            self.is_retryable(),
            self.outcome_known()
        )?;
        if let Some(help) = &e.help {
            write!(f, "\n  help: {help}")?;
        }
        let mut cause = e.source.as_deref().and_then(std::error::Error::source);
        while let Some(error) = cause {
            write!(f, "\n  caused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_stand_in_their_order() {
        for (at, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at, "{kind:?}");
        }
        // Whoever adds a kind behind the last one adds it to the list too.
        assert_eq!(ErrorKind::ALL.last(), Some(&ErrorKind::Runtime));
    }

    #[test]
    fn one_line_for_people_a_page_for_logs() {
        let error = Error::new(ErrorKind::Unreachable, "no broker answered")
            .operation("connect")
            .operation("ignored: the first stays")
            .backend("toy")
            .context("brokers", "a:1, b:2")
            .help("check that this node may reach their ports")
            .source(std::io::Error::other("refused"));
        assert_eq!(error.to_string(), "toy: connect: no broker answered (brokers: a:1, b:2): refused");
        assert!(format!("{error:#}").ends_with("; check that this node may reach their ports"));
        assert!(format!("{error:?}").contains("kind: unreachable (retryable: true, outcome known: true)"));
    }
}
