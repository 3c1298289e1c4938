//! Writes the requests of a connection, and sees to it that the broker goes on knowing who sends them.

use std::sync::Arc;
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::api::Api;
use super::flight::Flight;
use super::hello::hello;
use super::pending::Pending;
use super::sasl::{Exchange, authenticate};
use super::socket;
use super::versions::Versions;
use crate::credentials::Credentials;
use crate::error::error;

/// How long a connection stays that nobody uses. Brokers close it after 10 minutes (`connections.max.idle.ms`).
const IDLE: Duration = Duration::from_secs(4 * 60);
/// How long it may take to prove anew who one is.
const PROOF_WAIT: Duration = Duration::from_secs(10);
/// When to prove it anew, as a part of the time for which it holds: between these two, as the Java client does it, so that
/// the nodes of a cluster do not all do it in one moment.
const RENEW: (f64, f64) = (0.85, 0.95);

/// The half of a connection that sends.
pub(super) struct Writer<S> {
    stream: S,
    flight: Arc<Flight>,
    correlation: i32,
    credentials: Option<Credentials>,
    /// When the handshake under way must be done.
    proof_by: Instant,
    renew_at: Option<Instant>,
}

impl<S: AsyncWrite + Unpin + Send> Writer<S> {
    pub(super) fn new(stream: S, flight: Arc<Flight>, credentials: Option<Credentials>, by: Instant) -> Self {
        Self { stream, flight, correlation: 0, credentials, proof_by: by, renew_at: None }
    }

    /// The handshakes of a new connection.
    pub(super) async fn open(&mut self) -> Result<Versions> {
        let versions = hello(self).await?;
        self.prove(&versions).await?;
        Ok(versions)
    }

    async fn prove(&mut self, versions: &Versions) -> Result<()> {
        let Some(credentials) = self.credentials.clone() else { return Ok(()) };
        let lifetime = authenticate(self, &credentials, versions).await?;
        let part = RENEW.0 + fastrand::f64() * (RENEW.1 - RENEW.0);
        self.renew_at = lifetime.map(|lifetime| Instant::now() + lifetime.mul_f64(part));
        Ok(())
    }

    /// Sends what is asked for until nobody can ask any more, or the connection is over. Returns why it ends.
    pub(super) async fn serve(
        &mut self,
        requests: &mut mpsc::Receiver<Pending>,
        versions: &Versions,
    ) -> Error {
        loop {
            let renew_at = self.renew_at;
            tokio::select! {
                biased;
                () = sleep_until(renew_at.unwrap_or_else(Instant::now)), if renew_at.is_some() => {
                    self.proof_by = Instant::now() + PROOF_WAIT;
                    if let Err(error) = self.prove(versions).await {
                        return error;
                    }
                }
                request = requests.recv() => match request {
                    Some(request) => if let Err(error) = self.send(request).await {
                        return error;
                    },
                    // Nobody can ask any more. What was asked is still answered, or has its deadline.
                    None => {
                        self.flight.emptied().await;
                        return error(ErrorKind::Closed, "the connection was closed");
                    }
                },
                () = sleep(IDLE) => if self.flight.is_empty() {
                    return error(ErrorKind::Unreachable, "the connection was not used for long");
                }
            }
        }
    }

    /// Sends one request, as soon as that is allowed.
    ///
    /// # Errors
    /// The connection is over.
    async fn send(&mut self, request: Pending) -> Result<()> {
        let by = request.by;
        if timeout_at(by, self.flight.may_send()).await.is_err() {
            // Its caller looks at the same deadline.
            return Ok(());
        }
        self.correlation = self.correlation.wrapping_add(1);
        let Some((frame, by, waiter)) = request.send(self.correlation) else {
            self.flight.did_not_send();
            return Ok(());
        };
        // Before it is written: the answer may be there at once.
        self.flight.push(self.correlation, by, waiter);
        let writing = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        match timeout_at(by, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(socket::broken(cause)),
            // A part of it may have gone out: nothing can follow it.
            Err(_) => Err(error(ErrorKind::Unreachable, "the broker takes no more requests")),
        }
    }
}

impl<S: AsyncWrite + Unpin + Send> Exchange for Writer<S> {
    async fn call<R: Api>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        let by = self.proof_by;
        let (pending, ticket) = Pending::new(request, version, by)?;
        self.send(pending).await?;
        ticket.answer(by).await
    }
}
