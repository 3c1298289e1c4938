//! Live topics: messages are handed to the connection, and count as sent when it has written them and is still the same.
//!
//! The client's own flush is no proof: it succeeds also on a connection that was made anew. Here a connection has one
//! life, so a flush that succeeds on it says that its bytes have left this process.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use agora_core::transport::{OutFrame, PublishFailed};
use agora_core::{Error, ErrorKind};
use async_nats::{Client, Subject};
use futures_util::poll;
use tokio::time::{Instant, timeout_at};

use super::{Call, check_message, late, not_stored, unknown};
use crate::error::{error, lost};
use crate::headers::Dress;
use crate::names;
use crate::session::{Doing, Session};
use crate::shared::Shared;

/// After so many frames the clock is looked at. One that has to wait looks at it anyway.
const CLOCK_FRAMES: usize = 64;

/// Sends calls, and answers them.
pub(super) async fn send(shared: &Shared, calls: Vec<Call>) {
    let mut handed = Vec::with_capacity(calls.len());
    for call in calls.into_iter().filter(Call::begin) {
        match shared.session() {
            Err(down) => call.answer(Err(not_stored(0, down))),
            Ok(session) => {
                let result = hand_over(shared, &session, &call).await;
                handed.push((session, call, result));
            }
        }
    }
    settle(handed).await;
}

type Handed = (Arc<Session>, Call, Result<(), (usize, Error)>);

/// Waits until the connection has written everything, and answers the calls.
async fn settle(handed: Vec<Handed>) {
    let Some((session, call, _)) = handed.last() else { return };
    // Not for longer than the last one waits: each caller sees to its own deadline.
    let by = handed.iter().map(|(_, call, _)| call.by).max().unwrap_or(call.by);
    let flushed = tokio::select! {
        biased;
        () = session.over() => false,
        flushed = timeout_at(by, session.client.flush()) => matches!(flushed, Ok(Ok(()))),
    };
    let last = Arc::clone(session);
    if !flushed && Instant::now() < by {
        // Not for want of time: the client has ended.
        last.end("the connection was lost");
    }
    for (session, call, result) in handed {
        let is_sent = flushed && Arc::ptr_eq(&session, &last) && !session.is_over();
        let answer = match result {
            Ok(()) if is_sent => Ok(()),
            Err((count, error)) if is_sent || count == 0 => Err(failed(count, error)),
            _ => Err(unknown(0, session.refusal().unwrap_or_else(lost))),
        };
        if let Err(PublishFailed { accepted, .. }) = &answer {
            call.progress.accepted.store(*accepted, Ordering::Release);
        }
        call.answer(answer);
    }
}

/// The first so many were sent; the others were not handed over.
fn failed(count: usize, error: Error) -> PublishFailed {
    match error.kind() {
        // The one that was on its way into the client may have gone there.
        ErrorKind::OutcomeUnknown => unknown(count, error),
        _ => not_stored(count, error),
    }
}

/// Gives the frames of a call to the client. How many it has taken, where it has not taken all.
async fn hand_over(shared: &Shared, session: &Session, call: &Call) -> Result<(), (usize, Error)> {
    let subject = Subject::from(names::live_subject(&shared.cluster, &call.topic));
    for (count, frame) in call.frames.iter().enumerate() {
        let one = async {
            if let Some(denial) = session.denial_of(Doing::Publish, &subject) {
                return Err(denial);
            }
            if count % CLOCK_FRAMES == 0 && Instant::now() >= call.by {
                return Err(late());
            }
            send_one(session, &subject, frame, call.by).await
        };
        one.await.map_err(|error| (count, error))?;
    }
    Ok(())
}

async fn send_one(session: &Session, subject: &Subject, frame: &OutFrame, by: Instant) -> Result<(), Error> {
    let dress = Dress::of(frame, None);
    check_message(session, dress.bytes, frame.payload.len())?;
    let mut sending = pin!(publish(&session.client, subject, dress, frame));
    // Nearly always there is room, and a deadline would cost more than the sending.
    if let Poll::Ready(sent) = poll!(sending.as_mut()) {
        return sent;
    }
    tokio::select! {
        biased;
        sent = timeout_at(by, sending) => sent.unwrap_or_else(|_| Err(late())),
        () = session.over() => Err(lost()),
    }
}

async fn publish(client: &Client, subject: &Subject, dress: Dress, frame: &OutFrame) -> Result<(), Error> {
    let (subject, payload) = (subject.clone(), frame.payload.clone());
    let sent = match dress.headers {
        Some(headers) => client.publish_with_headers(subject, headers, payload).await,
        None => client.publish(subject, payload).await,
    };
    sent.map_err(|cause| match cause.kind() {
        async_nats::client::PublishErrorKind::Send => lost(),
        kind => error(ErrorKind::Backend, "the client does not take the message").context("why", kind),
    })
}
