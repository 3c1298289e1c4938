//! Logs: messages are sent in order, and count as stored when the server has said so.
//!
//! One call is under way at a time, and of it at most [`IN_FLIGHT_MAX`] messages. When something fails, nothing more is
//! sent until every answer that is still due has come or cannot come any more; then the call says how many of its first
//! messages were stored, and the engine sends the others again, in their order. The server stores none of them twice,
//! because each keeps its identity.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use agora_core::id::TopicName;
use agora_core::transport::{OutFrame, PublishFailed};
use agora_core::{Error, ErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{StreamExt, TryFutureExt, poll};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ids::Ids;
use super::{Call, check_message, late, not_stored, unanswered, unknown};
use crate::error::{error, from_jetstream, is_certain, lost};
use crate::headers::Dress;
use crate::names;
use crate::session::{Doing, Session};
use crate::shared::Shared;
use crate::streams;

/// The most messages that wait for their answers.
pub const IN_FLIGHT_MAX: usize = 1024;

/// The sender of one log.
pub(super) struct Sender {
    topic: TopicName,
    subject: Subject,
    ids: Option<Ids>,
    way: Option<Way>,
    number: u64,
}

/// The way to the server and back.
struct Way {
    session: Arc<Session>,
    inbox: String,
    answers: Subscriber,
}

impl Sender {
    pub(super) fn new(shared: &Shared, topic: &TopicName) -> Self {
        Self {
            subject: names::log_subject(&shared.cluster, topic).into(),
            topic: topic.clone(),
            ids: None,
            way: None,
            number: 0,
        }
    }

    pub(super) async fn send(&mut self, shared: &Shared, call: &Call) -> Result<(), PublishFailed> {
        let mut way = self.way(shared, call.by).await.map_err(|error| not_stored(0, error))?;
        self.number += 1;
        let own = way.inbox.clone();
        let ids = self.ids.get_or_insert_with(|| Ids::new(own));
        let mut flight = Flight::new(call, self.number);
        let result = flight.run(&mut way, &self.subject, ids).await;
        for at in 0..flight.handed.len() {
            if !flight.handed[at].is_settled() {
                ids.unsettled(&call.frames[at], std::mem::take(&mut flight.handed[at].id));
            }
        }
        let session = Arc::clone(&way.session);
        self.way = Some(way);
        match result {
            Err(failed) => Err(self.explain(shared, &session, failed).await),
            Ok(()) => Ok(()),
        }
    }

    /// The way over the connection that is there now.
    async fn way(&mut self, shared: &Shared, by: Instant) -> Result<Way, Error> {
        let session = shared.session()?;
        if let Some(way) = self.way.take()
            && Arc::ptr_eq(&way.session, &session)
        {
            return Ok(way);
        }
        let inbox = session.client.new_inbox();
        let subscribing = session.client.subscribe(format!("{inbox}.*.*"));
        let answers = timeout_at(by, subscribing)
            .await
            .map_err(|_| late())?
            .map_err(|_| error(ErrorKind::Unreachable, "the connection was lost"))?;
        Ok(Way { session, inbox, answers })
    }

    /// Nobody answered: because there is no such log, or because its servers have no leader just now?
    async fn explain(&self, shared: &Shared, session: &Session, mut failed: PublishFailed) -> PublishFailed {
        if failed.error.kind() == ErrorKind::Unreachable && !session.is_over() {
            let missing = match shared.stream_of(&self.topic) {
                Ok(stream) => streams::info(session, &stream).await.err(),
                Err(error) => Some(error),
            };
            if let Some(missing) = missing.filter(|missing| missing.kind() == ErrorKind::NotFound) {
                failed.error = streams::missing(&self.topic, missing).operation("publish");
            }
        }
        failed
    }
}

/// A message that was handed to the connection.
struct Handed {
    id: String,
    answer: Option<Answer>,
}

/// What the server said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Stored,
    /// It is certain that it was not stored.
    Refused,
    /// It was not stored, or not yet, or who knows.
    Unsure,
}

impl Handed {
    /// Is its fate known?
    fn is_settled(&self) -> bool {
        matches!(self.answer, Some(Answer::Stored | Answer::Refused))
    }

    fn is_stored(&self) -> bool {
        self.answer == Some(Answer::Stored)
    }
}

/// One call under way.
struct Flight<'a> {
    call: &'a Call,
    number: u64,
    handed: Vec<Handed>,
    /// So many of the first were stored.
    stored: usize,
    settled: usize,
    /// Why nothing more is sent.
    failed: Option<Error>,
}

impl<'a> Flight<'a> {
    fn new(call: &'a Call, number: u64) -> Self {
        Self { call, number, handed: Vec::new(), stored: 0, settled: 0, failed: None }
    }

    fn in_flight(&self) -> usize {
        self.handed.len() - self.settled
    }

    async fn run(&mut self, way: &mut Way, subject: &Subject, ids: &mut Ids) -> Result<(), PublishFailed> {
        let total = self.call.frames.len();
        loop {
            while self.failed.is_none() && self.handed.len() < total && self.in_flight() < IN_FLIGHT_MAX {
                if let Err(error) = self.hand_over(way, subject, ids).await {
                    self.failed = Some(error);
                }
            }
            if self.in_flight() == 0 && (self.failed.is_some() || self.handed.len() == total) {
                break;
            }
            tokio::select! {
                biased;
                answer = way.answers.next() => match answer {
                    Some(answer) => self.answered(&answer),
                    None => {
                        way.session.end("the connection was lost");
                        break;
                    }
                },
                () = way.session.over() => {
                    self.failed.get_or_insert_with(lost);
                    break;
                }
                () = sleep_until(self.call.by) => {
                    self.failed.get_or_insert_with(|| way.session.denial_of(Doing::Publish, subject).unwrap_or_else(unanswered));
                    break;
                }
            }
        }
        self.outcome()
    }

    /// Gives the next message to the client.
    async fn hand_over(&mut self, way: &Way, subject: &Subject, ids: &mut Ids) -> Result<(), Error> {
        let at = self.handed.len();
        let frame = &self.call.frames[at];
        let id = ids.of(frame);
        let sent = self.send(way, subject, frame, at, &id).await;
        match sent {
            Ok(()) => self.handed.push(Handed { id, answer: None }),
            // It may be one that was sent before: it keeps its identity.
            Err(_) => ids.unsettled(frame, id),
        }
        sent
    }

    async fn send(
        &self,
        way: &Way,
        subject: &Subject,
        frame: &OutFrame,
        at: usize,
        id: &str,
    ) -> Result<(), Error> {
        let gone = || error(ErrorKind::Unreachable, "the connection was lost");
        if Instant::now() >= self.call.by {
            return Err(late());
        }
        if way.session.is_over() {
            return Err(gone());
        }
        let dress = Dress::of(frame, Some(id));
        check_message(&way.session, dress.bytes, frame.payload.len())?;
        let reply = format!("{}.{}.{at}", way.inbox, self.number);
        let (headers, payload) = (dress.headers.unwrap_or_default(), frame.payload.clone());
        let client = &way.session.client;
        let sending = client.publish_with_reply_and_headers(subject.clone(), reply, headers, payload);
        let mut sending = pin!(sending.map_err(|_| {
            way.session.end("the connection was lost");
            gone()
        }));
        // Nearly always there is room, and a deadline would cost more than the sending.
        if let Poll::Ready(sent) = poll!(sending.as_mut()) {
            return sent;
        }
        tokio::select! {
            biased;
            sent = timeout_at(self.call.by, sending) => sent.unwrap_or_else(|_| Err(late())),
            () = way.session.over() => Err(gone()),
        }
    }

    /// Takes an answer in. One of an earlier call, which came too late for it, is passed over.
    fn answered(&mut self, answer: &Message) {
        let mut tokens = answer.subject.rsplit('.');
        let mut token = || tokens.next().and_then(|token| token.parse::<u64>().ok());
        let (at, number) = (token(), token());
        if number != Some(self.number) {
            return;
        }
        let at = at.and_then(|at| usize::try_from(at).ok());
        let Some(handed) = at.and_then(|at| self.handed.get_mut(at)).filter(|handed| handed.answer.is_none())
        else {
            return;
        };
        let (answer, error) = read(answer);
        if let Some(error) = error {
            self.failed.get_or_insert(error);
        }
        handed.answer = Some(answer);
        self.settled += 1;
        while self.handed.get(self.stored).is_some_and(Handed::is_stored) {
            self.stored += 1;
        }
        self.call.progress.accepted.store(self.stored, Ordering::Release);
    }

    fn outcome(&mut self) -> Result<(), PublishFailed> {
        if self.stored == self.call.frames.len() {
            return Ok(());
        }
        let error = self.failed.take().unwrap_or_else(lost);
        // Certain only where each of the others was refused, or never left.
        let certain = self.handed[self.stored..].iter().all(|handed| handed.answer == Some(Answer::Refused));
        Err(if certain { not_stored(self.stored, error) } else { unknown(self.stored, error) })
    }
}

fn read(answer: &Message) -> (Answer, Option<Error>) {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        let error = error(ErrorKind::Unreachable, "no stream takes the message")
            .help("the log is not there, JetStream is not enabled, or its servers have no leader");
        return (Answer::Refused, Some(error));
    }
    match parse(&answer.payload) {
        Some(Response::Ok(ack)) if ack.sequence > 0 => (Answer::Stored, None),
        // Staged by a server that is about to store it.
        Some(Response::Ok(_)) => (Answer::Unsure, Some(lost())),
        Some(Response::Err { error }) if is_certain(&error) => {
            (Answer::Refused, Some(from_jetstream(&error)))
        }
        Some(Response::Err { error }) => (Answer::Unsure, Some(from_jetstream(&error))),
        None => {
            let error = error(ErrorKind::OutcomeUnknown, "the server gave an answer that is none");
            (Answer::Unsure, Some(error))
        }
    }
}

fn parse(payload: &Bytes) -> Option<Response<PublishAck>> {
    serde_json::from_slice(payload).ok()
}
