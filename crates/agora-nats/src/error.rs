//! What the server and the client say, as an error of agora.

use agora_core::{Error, ErrorKind};
use async_nats::ConnectErrorKind;
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::ErrorCode;

/// The backend's name, as errors, metrics and capabilities show it.
pub(crate) const BACKEND: &str = "nats";

/// An error of this backend.
pub(crate) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, message).backend(BACKEND)
}

/// The transport was closed: every later call says so.
pub(crate) fn closed() -> Error {
    error(ErrorKind::Closed, "the transport was closed")
}

/// There is no connection now.
pub(crate) fn down(why: &str) -> Error {
    error(ErrorKind::Unreachable, "the link is down").context("why", why)
}

/// The connection broke while something was under way.
pub(crate) fn lost() -> Error {
    error(ErrorKind::OutcomeUnknown, "the connection was lost before the server had answered")
}

/// Why a connection did not come to be.
pub(crate) fn from_connect(server: &str, cause: &async_nats::ConnectError) -> Error {
    let text = text_of(cause);
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let refused =
        matches!(cause.kind(), ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication);
    // The handshake fails as an error of the connection as well, of which the text is all that is known. Certificates
    // expire and are revoked as credentials are, so they come first.
    let of_tls = !refused && has(&["corrupt message", "certificate", "handshake", "tls"]);
    if refused || !of_tls && has(&["authorization", "authentication", "revoked", "expired"]) {
        return unauthorized(server, &text);
    }
    match cause.kind() {
        kind if kind == ConnectErrorKind::Tls || of_tls => {
            error(ErrorKind::Unreachable, "the TLS handshake failed").context("server", server).context("why", text).help(
                "does this server speak TLS on this port? If it does, check `tls_ca_file` and the names in the server's \
                 certificate; if it wants one of this node, `tls_cert_file` and `tls_key_file`",
            )
        }
        ConnectErrorKind::Dns | ConnectErrorKind::ServerParse => {
            error(ErrorKind::Unreachable, "the server's name is not known")
                .context("server", server)
                .context("why", text)
                .help("check `nats.addresses`")
        }
        _ => error(ErrorKind::Unreachable, "the server does not answer")
            .context("server", server)
            .context("why", text)
            .help("check `nats.addresses`, that the server runs, and that this node may reach its port"),
    }
}

/// The server does not want to know this node.
pub(crate) fn unauthorized(server: &str, why: &str) -> Error {
    error(ErrorKind::Unauthorized, "the server refused the credentials")
        .context("server", server)
        .context("why", why)
        .help(
            "check `user` with `password_file`, `token`, `nkey_seed_file` or `credentials_file`, whichever the server \
             expects, and that they were not revoked",
        )
}

/// The server does not allow this node what it asked for.
pub(crate) fn denied(why: &str) -> Error {
    error(ErrorKind::Unauthorized, "the server does not allow it")
        .context("why", why)
        .help("give this user the permissions of `docs/backends/nats.md`: `agora.<cluster>.>`, `_INBOX.>` and `$JS.>`")
}

/// What is beneath an error of the client, in its own words. They never hold a secret: it puts what it sends into none.
fn text_of(cause: &dyn std::error::Error) -> String {
    let mut text = cause.to_string();
    let mut source = cause.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// What to do where JetStream is off.
const ENABLE: &str = "enable it in the server's configuration, `jetstream { .. }`, and for this account; where the server \
     is a leaf node whose hub has it, see that the leaf is connected to the hub, or name the hub in `nats.addresses`";

/// There is no JetStream, or there is none now.
pub(crate) fn no_jetstream(may_have: bool) -> Error {
    if may_have {
        error(ErrorKind::Unreachable, "JetStream does not answer").help(ENABLE)
    } else {
        error(ErrorKind::Unsupported, "the server has no JetStream").help(ENABLE)
    }
}

/// A request to JetStream that was not answered.
pub(crate) fn from_request(kind: &RequestErrorKind) -> Error {
    match kind {
        RequestErrorKind::TimedOut => error(ErrorKind::OutcomeUnknown, "JetStream did not answer in time")
            .help("see whether the servers have a leader: `nats server report jetstream`"),
        _ => lost(),
    }
}

/// Is it certain that a message with this answer was not stored? Others may come of one that was staged, or whose store
/// failed on one server of several.
pub(crate) fn is_certain(cause: &async_nats::jetstream::Error) -> bool {
    matches!(
        cause.error_code(),
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
            | ErrorCode::STREAM_NOT_FOUND
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::JETSTREAM_NOT_ENABLED
            | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
    )
}

/// An answer of JetStream that says no.
pub(crate) fn from_jetstream(cause: &async_nats::jetstream::Error) -> Error {
    let kind = match cause.error_code() {
        ErrorCode::STREAM_NOT_FOUND | ErrorCode::CONSUMER_NOT_FOUND => ErrorKind::NotFound,
        ErrorCode::STREAM_NAME_EXIST
        | ErrorCode::STREAM_SUBJECT_OVERLAP
        | ErrorCode::CONSUMER_NAME_EXIST
        | ErrorCode::CONSUMER_ALREADY_EXISTS => ErrorKind::Conflict,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => ErrorKind::TooLarge,
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::STREAM_INVALID_CONFIG => ErrorKind::Config,
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            ErrorKind::Unsupported
        }
        _ => ErrorKind::Backend,
    };
    let text = cause.to_string();
    let error = error(kind, "JetStream refused").context("why", &text);
    match kind {
        ErrorKind::Unsupported => error.help(ENABLE),
        _ => error,
    }
}
