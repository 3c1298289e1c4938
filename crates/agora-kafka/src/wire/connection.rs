//! A connection, as its users see it, and the task beneath it.

use std::sync::Arc;

use agora_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::IN_FLIGHT_MAX;
use super::api::Api;
use super::flight::Flight;
use super::pending::Pending;
use super::reader::read;
use super::socket::Stream;
use super::versions::Versions;
use super::writer::Writer;
use crate::credentials::Credentials;
use crate::error::error;

/// A connection to a broker that has said hello, and knows who this is. Clones are the same connection; it is closed when
/// the last of them is dropped and every answer has come, or when nobody has used it for 4 minutes.
///
/// Requests are sent and answered in the order of the calls, and several at once. A broker works on one after the other:
/// what takes long there holds up what comes behind it.
#[derive(Clone)]
pub struct Connection {
    requests: mpsc::Sender<Pending>,
    versions: Arc<Versions>,
    broker: Arc<str>,
    over: watch::Receiver<Option<Error>>,
}

impl Connection {
    /// Makes the handshakes on a stream.
    pub(super) async fn open(
        stream: impl Stream + 'static,
        broker: String,
        credentials: Option<Credentials>,
        by: Instant,
    ) -> Result<Self> {
        let (requests, receiver) = mpsc::channel(IN_FLIGHT_MAX);
        let (over, is_over) = watch::channel(None);
        let (ready, opened) = oneshot::channel();
        let task = Task { stream, credentials, by, requests: receiver, ready, over };
        tokio::spawn(task.run());
        let versions = opened.await.unwrap_or_else(|_| {
            Err(error(ErrorKind::Runtime, "the runtime ended before the connection stood"))
        });
        let versions = versions.map_err(|error| unopened(error).context("broker", &broker))?;
        Ok(Self { requests, versions: Arc::new(versions), broker: broker.into(), over: is_over })
    }

    /// Sends a request in the highest version that both sides have, and waits for its answer until `by`.
    ///
    /// A request that was sent and not answered by then ends the connection, for all who use it: from there on an answer
    /// could not be told from silence.
    ///
    /// # Errors
    /// `Unsupported`: there is no version of it in common. `Timeout`, `Unreachable`: it was not sent. `OutcomeUnknown`: it
    /// was sent, and no answer came or none that can be read. What the answer itself says is for the caller to look at.
    ///
    /// # Cancel safety
    /// Dropped before the request was sent, it never is; afterwards its answer is dropped when it comes.
    pub async fn call<R: Api>(&self, request: &R, by: Instant) -> Result<R::Response> {
        let told = |error: Error| error.context("broker", &self.broker).context("request", R::NAME);
        let version = self.versions.up_to::<R>(request.ceiling()).map_err(told)?;
        let (pending, ticket) = Pending::new(request, version, by).map_err(told)?;
        match timeout_at(by, self.requests.reserve()).await {
            Ok(Ok(permit)) => permit.send(pending),
            Ok(Err(_)) => return Err(told(self.ended())),
            Err(_) => {
                return Err(told(error(
                    ErrorKind::Timeout,
                    "the deadline passed before the request was sent",
                )));
            }
        }
        ticket.answer(by).await.map_err(told)
    }

    /// Is it of no use any more?
    pub fn is_over(&self) -> bool {
        self.requests.is_closed() || self.over.borrow().is_some()
    }

    /// Waits until it is of no use any more. Returns why.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn over(&self) -> Error {
        let mut over = self.over.clone();
        let why = over.wait_for(Option::is_some).await;
        why.ok().and_then(|why| why.clone()).unwrap_or_else(|| self.ended())
    }

    fn ended(&self) -> Error {
        let error = error(ErrorKind::Unreachable, "the connection is over");
        match &*self.over.borrow() {
            Some(why) => error.source(why.clone()),
            None => error,
        }
    }
}

/// A handshake has no effect: what is open about it is no open outcome, only an absent answer.
fn unopened(cause: Error) -> Error {
    match cause.kind() {
        ErrorKind::OutcomeUnknown | ErrorKind::Timeout => {
            let error = error(ErrorKind::Unreachable, "the broker does not answer the handshake");
            let error = match cause.help_text() {
                Some(help) => error.help(help),
                None => {
                    error.help("is it a broker of Kafka, 2.4 or newer, that listens there? Does it want TLS?")
                }
            };
            error.source(cause)
        }
        _ => cause,
    }
}

struct Task<S> {
    stream: S,
    credentials: Option<Credentials>,
    by: Instant,
    requests: mpsc::Receiver<Pending>,
    ready: oneshot::Sender<Result<Versions>>,
    over: watch::Sender<Option<Error>>,
}

impl<S: Stream> Task<S> {
    async fn run(self) {
        let Self { stream, credentials, by, mut requests, ready, over } = self;
        let flight = Arc::new(Flight::new());
        let (reading, writing) = tokio::io::split(stream);
        let mut ready = Some(ready);
        let serving = async {
            let mut writer = Writer::new(writing, Arc::clone(&flight), credentials, by);
            let given_up = || error(ErrorKind::Closed, "nobody wants the connection any more");
            let Some(caller) = ready.as_mut() else { return given_up() };
            let opened = tokio::select! {
                biased;
                () = caller.closed() => return given_up(),
                opened = writer.open() => opened,
            };
            let versions = match opened {
                Ok(versions) => versions,
                Err(error) => return error,
            };
            match ready.take().map(|ready| ready.send(Ok(versions.clone()))) {
                Some(Ok(())) => writer.serve(&mut requests, &versions).await,
                _ => given_up(),
            }
        };
        let why = tokio::select! {
            biased;
            why = read(reading, &flight) => why,
            late = flight.overdue() => {
                error(ErrorKind::Unreachable, "the broker did not answer in time").context("request", late)
            }
            why = serving => why,
        };
        tracing::debug!(%why, "a connection has ended");
        // Whoever asks from here on is told so; what waits in the queue was never sent.
        requests.close();
        over.send_replace(Some(why.clone()));
        flight.end(&why);
        if let Some(ready) = ready {
            let _ = ready.send(Err(why));
        }
        while let Ok(request) = requests.try_recv() {
            let unsent = error(ErrorKind::Unreachable, "the connection ended before the request was sent");
            request.waiter.fail(unsent.source(why_of(&over)));
        }
    }
}

fn why_of(over: &watch::Sender<Option<Error>>) -> Error {
    over.borrow().clone().unwrap_or_else(|| error(ErrorKind::Unreachable, "the connection is over"))
}
