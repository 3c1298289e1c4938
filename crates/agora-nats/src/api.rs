//! What JetStream is asked: one request, one answer, one error.

use agora_core::{ErrorKind, Result};
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{error, from_jetstream, from_request, no_jetstream};
use crate::session::{Doing, Session};

/// What a request without anything to say carries: some requests must be empty.
pub(crate) const NOTHING: Option<&()> = None;

/// Asks for something. `subject` is without the prefix of the API.
///
/// # Errors
/// `NotFound`, `Conflict`, `Config`, `Unsupported`, `Backend`: JetStream says no. `Unreachable`: it is not there.
/// `OutcomeUnknown`: no answer came.
pub(crate) async fn ask<T: DeserializeOwned>(
    session: &Session,
    subject: &str,
    payload: Option<&impl Serialize>,
) -> Result<T> {
    let odd = |cause| {
        error(ErrorKind::Backend, "a request or its answer is odd").context("request", subject).source(cause)
    };
    let payload = payload.map_or(Ok(Vec::new()), serde_json::to_vec).map_err(odd)?;
    let api = format!("$JS.API.{subject}");
    match session.client.request(api.clone(), payload.into()).await {
        Ok(answer) => {
            session.jetstream_answered();
            match serde_json::from_slice(&answer.payload).map_err(odd)? {
                Response::Ok(answer) => Ok(answer),
                Response::Err { error } => Err(from_jetstream(&error).context("request", subject)),
            }
        }
        Err(cause) if cause.kind() == RequestErrorKind::NoResponders => {
            Err(no_jetstream(session.may_have_jetstream()).context("request", subject))
        }
        Err(cause) => Err(match session.denial_of(Doing::Publish, &api) {
            Some(denial) => denial,
            None => from_request(&cause.kind()).context("request", subject),
        }),
    }
}

/// Has a deadline passed, or was something not there that may come back? Then a read may simply be asked again.
pub(crate) fn of_a_read(cause: agora_core::Error) -> agora_core::Error {
    match cause.kind() {
        ErrorKind::OutcomeUnknown => error(ErrorKind::Unreachable, "the server did not answer").source(cause),
        _ => cause,
    }
}
