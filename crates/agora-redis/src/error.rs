//! What the server and its client say, as errors of agora.

use agora_core::transport::Outcome;
use agora_core::{Error, ErrorKind};
use redis::{RedisError, ServerError};

use crate::dial::Server;

/// The backend's name, as errors, metrics and capabilities show it.
pub(crate) const BACKEND: &str = "redis";

/// An error of this backend.
pub(crate) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).backend(BACKEND)
}

/// The transport was closed: every later call says so.
pub(crate) fn closed() -> Error {
    error(ErrorKind::Closed, "the transport was closed")
}

/// The server answered with something that this command never answers.
pub(crate) fn odd(what: &str) -> Failure {
    let error = error(ErrorKind::Backend, format!("the server's answer cannot be read: {what}"));
    Failure { error, outcome: Outcome::Unknown, passes: false, moved: false, ask: None }
}

/// A command that failed: the error, and what can be said of its effect.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) outcome: Outcome,
    /// The server refused for a reason that passes by itself, such as a dataset that is being loaded.
    pub(crate) passes: bool,
    /// Another server is to be asked: the roles or the slots have changed.
    pub(crate) moved: bool,
    /// This one has the key already, whose slot is on its way there.
    pub(crate) ask: Option<Server>,
}

impl Failure {
    /// Nothing was sent.
    pub(crate) fn not_sent(error: Error) -> Self {
        Self { error, outcome: Outcome::NotStored, passes: false, moved: false, ask: None }
    }

    /// No answer came, or the connection broke before it came.
    pub(crate) fn unanswered(message: &'static str) -> Self {
        let error = error(ErrorKind::OutcomeUnknown, message);
        Self { error, outcome: Outcome::Unknown, passes: false, moved: false, ask: None }
    }

    /// The error of a call that may be repeated without harm: there, an unknown outcome is only an absent answer.
    pub(crate) fn of_idempotent(self) -> Error {
        if self.error.kind() != ErrorKind::OutcomeUnknown {
            return self.error;
        }
        error(ErrorKind::Unreachable, "the server did not answer").source(self.error)
    }
}

impl From<RedisError> for Failure {
    fn from(cause: RedisError) -> Self {
        if let Some(errors) = cause.clone().into_server_errors()
            && let Some((_, first)) = errors.first()
        {
            return Self::from(first.clone());
        }
        match cause.kind() {
            redis::ErrorKind::AuthenticationFailed => Self::not_sent(unauthorized().source(cause)),
            redis::ErrorKind::Server(_) | redis::ErrorKind::Extension => {
                let code = cause.code().unwrap_or("ERR").to_owned();
                let detail = cause.detail().unwrap_or_default().to_owned();
                refused(&code, &detail)
            }
            redis::ErrorKind::InvalidClientConfig => {
                Self::not_sent(error(ErrorKind::Config, "the client refuses its settings").source(cause))
            }
            _ if cause.is_connection_refusal() => {
                Self::not_sent(error(ErrorKind::Unreachable, "nothing listens there").source(cause))
            }
            _ => {
                let mut failure = Self::unanswered("the connection broke, or no answer came in time");
                failure.error = failure.error.source(cause);
                failure
            }
        }
    }
}

impl From<ServerError> for Failure {
    fn from(cause: ServerError) -> Self {
        refused(cause.code(), cause.details().unwrap_or_default())
    }
}

fn unauthorized() -> Error {
    error(ErrorKind::Unauthorized, "the server refused the credentials").help(
        "check `redis.user` and `redis.password_file`, or the user and password in the URL, and on the server \
         `ACL GETUSER` and `requirepass`",
    )
}

/// What an error of the server means. It is certain that nothing was done.
/// The codes are those of the documentation of Redis, "Serialization protocol", and of its source, `server.c`.
fn refused(code: &str, detail: &str) -> Failure {
    let said = format!("{code} {detail}");
    // Within a script the refusal of the access rules has no code of its own.
    let is_rule = detail.contains("user executing the script can't");
    let code = if is_rule { "NOPERM" } else { code };
    let (error, passes, moved) = match code {
        "NOAUTH" | "WRONGPASS" => (unauthorized().source(said), false, false),
        "NOPERM" => {
            let error = error(ErrorKind::Unauthorized, "the server's access rules do not allow this");
            let help = "the page of this backend lists the commands and keys that a user needs: compare with \
                        `ACL GETUSER`";
            (error.help(help).source(said), false, false)
        }
        "LOADING" | "MASTERDOWN" | "TRYAGAIN" | "CLUSTERDOWN" | "BUSY" => {
            (error(ErrorKind::Unreachable, "the server cannot answer yet").source(said), true, false)
        }
        "READONLY" | "MOVED" | "ASK" => {
            (error(ErrorKind::Unreachable, "another server is in charge now").source(said), true, true)
        }
        "OOM" | "MISCONF" | "NOREPLICAS" | "NOREPLICA" => {
            let error = error(ErrorKind::Backend, "the server takes no writes now");
            (error.help("its memory, its disk or its replicas are to be looked at").source(said), true, false)
        }
        "WRONGTYPE" => {
            let error = error(ErrorKind::Config, "a key of this topic holds something of another kind");
            (
                error.help("somebody else uses this name: choose another cluster or topic").source(said),
                false,
                false,
            )
        }
        _ if detail.starts_with("unknown command") || detail.starts_with("unknown subcommand") => {
            let error = error(ErrorKind::Unsupported, "the server does not know a command that is needed");
            (
                error.help("use Redis 7 or newer, or Valkey, and do not rename commands").source(said),
                false,
                false,
            )
        }
        _ => (error(ErrorKind::Backend, "the server refused").source(said), false, false),
    };
    let ask = (code == "ASK").then(|| server_of(detail)).flatten();
    Failure { error, outcome: Outcome::NotStored, passes, moved, ask }
}

/// The server that `ASK` names, by the specification of Redis clusters: `3999 host:port`. Without a host it is the one
/// that has answered, which makes no sense here.
fn server_of(detail: &str) -> Option<Server> {
    let (host, port) = detail.split_once(' ')?.1.rsplit_once(':')?;
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_that_is_to_be_asked_is_found() {
        let ask = |code, detail| refused(code, detail).ask;
        assert_eq!(ask("ASK", "3999 127.0.0.1:6381"), Some(("127.0.0.1".to_owned(), 6381)));
        assert_eq!(ask("ASK", "3999 ::1:6381"), Some(("::1".to_owned(), 6381)));
        assert_eq!(ask("MOVED", "3999 127.0.0.1:6381"), None);
        for odd in ["", "3999", "3999 :1", "3999 host:", "3999 host:70000"] {
            assert_eq!(ask("ASK", odd), None, "{odd}");
        }
    }

    #[test]
    fn what_the_server_says_has_a_kind() {
        for (code, kind, passes, moved) in [
            ("NOAUTH", ErrorKind::Unauthorized, false, false),
            ("WRONGPASS", ErrorKind::Unauthorized, false, false),
            ("NOPERM", ErrorKind::Unauthorized, false, false),
            ("LOADING", ErrorKind::Unreachable, true, false),
            ("READONLY", ErrorKind::Unreachable, true, true),
            ("MOVED", ErrorKind::Unreachable, true, true),
            ("OOM", ErrorKind::Backend, true, false),
            ("WRONGTYPE", ErrorKind::Config, false, false),
            ("ERR", ErrorKind::Backend, false, false),
        ] {
            let failure = refused(code, "something");
            assert_eq!(
                (failure.error.kind(), failure.passes, failure.moved),
                (kind, passes, moved),
                "{code}"
            );
            assert_eq!(failure.outcome, Outcome::NotStored, "{code}");
        }
    }

    #[test]
    fn an_absent_answer_to_a_question_is_no_unknown_outcome() {
        let error = Failure::unanswered("gone").of_idempotent();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }
}
