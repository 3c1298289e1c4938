//! The clients of rskafka, and what is said of its failures.
//!
//! Nothing that it does has an end of its own: a broker that is stopped holds it for as long as it is stopped. So every
//! call has a deadline, and where that passes the whole client is given up, with its connections and what it knows of the
//! cluster. One that it makes for a partition after a leader has moved waits for a cluster that is no more, unless it has
//! asked for all topics before.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agora_core::config::Sasl;
use agora_core::{Error, ErrorKind, Result};
use rskafka::BackoffConfig;
use rskafka::client::error::{Error as Cause, ProtocolError};
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use tokio::time::{Instant, timeout_at};

use super::super::late;
use crate::brokers::Brokers;
use crate::error::error;
use crate::wire::CLIENT_ID;

/// The pauses between its tries; its own longest one is over eight minutes.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How long making a client for a partition may take: longer, and another one is made.
const MAKE_WAIT: Duration = Duration::from_secs(3);
/// How long an answer may take. A new client reaches another leader long before a stopped one goes on.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// The client that all lanes share, as long as it is good.
pub(super) struct Clients {
    brokers: Arc<Brokers>,
    current: Mutex<Option<Arc<Client>>>,
}

impl Clients {
    pub(super) fn new(brokers: Arc<Brokers>) -> Self {
        Self { brokers, current: Mutex::default() }
    }

    /// A client for a partition, of a client that has just looked at the cluster.
    ///
    /// # Errors
    /// `Timeout`: it was not made in time. `Unreachable`, `Unauthorized`, `NotFound`, `Config`.
    pub(super) async fn partition(
        &self,
        topic: &str,
        partition: i32,
        by: Instant,
    ) -> Result<PartitionClient> {
        loop {
            let try_by = by.min(Instant::now() + MAKE_WAIT);
            let why = match timeout_at(try_by, self.make(topic, partition)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(cause)) => cause,
                Err(_) => error(ErrorKind::Unreachable, "no broker answers"),
            };
            self.discard();
            if !why.is_retryable() && why.kind() != ErrorKind::NotFound {
                return Err(why);
            }
            if Instant::now() + PAUSE.1 >= by {
                return Err(late(Some(&why)));
            }
            tokio::time::sleep(PAUSE.0 * 5).await;
        }
    }

    async fn make(&self, topic: &str, partition: i32) -> Result<PartitionClient> {
        let client = match self.current() {
            Some(client) => client,
            None => {
                let client = Arc::new(self.build().await?);
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&client));
                client
            }
        };
        // It forgets what it knew of leaders only when it asks for everything.
        client.list_topics().await.map_err(|cause| failure(&cause))?;
        let made = client.partition_client(topic, partition, UnknownTopicHandling::Error).await;
        made.map_err(|cause| failure(&cause))
    }

    fn current(&self) -> Option<Arc<Client>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is of no use any more: the next one is made anew.
    pub(super) fn discard(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn build(&self) -> Result<Client> {
        let plan = &self.brokers.plan;
        let known: Vec<_> = self.brokers.view().brokers.values().map(ToString::to_string).collect();
        // Those that answer now rather than those that the configuration names.
        let first =
            if known.is_empty() { plan.brokers.iter().map(ToString::to_string).collect() } else { known };
        let backoff = BackoffConfig {
            init_backoff: PAUSE.0,
            max_backoff: PAUSE.1,
            base: 2.0,
            deadline: Some(ANSWER_WAIT),
        };
        let mut builder = ClientBuilder::new(first).client_id(CLIENT_ID).backoff_config(backoff);
        if let Some(tls) = &plan.tls {
            builder = builder.tls_config(Arc::clone(tls));
        }
        if let Some(credentials) = &plan.credentials {
            let password = credentials.password()?.expose().to_owned();
            let given = Credentials::new(credentials.user.clone(), password);
            builder = builder.sasl_config(match credentials.mechanism {
                Sasl::Plain => SaslConfig::Plain(given),
                Sasl::ScramSha256 => SaslConfig::ScramSha256(given),
                _ => SaslConfig::ScramSha512(given),
            });
        }
        builder.build().await.map_err(|cause| failure(&cause))
    }
}

/// What a failure of rskafka means. It has tried again what it could, so that even a refusal leaves open what became of
/// the tries before it; certain is only what a broker refuses always.
pub(super) fn failure(cause: &Cause) -> Error {
    let (kind, message) = match cause {
        Cause::ServerError { protocol_error, .. } => match protocol_error {
            ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => {
                (ErrorKind::TooLarge, "the brokers take no message of this size")
            }
            ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed => {
                (ErrorKind::Unauthorized, "the access rules do not allow this on the topic")
            }
            ProtocolError::UnknownTopicOrPartition => {
                (ErrorKind::NotFound, "there is no such topic, or it has no such partition")
            }
            ProtocolError::InvalidRecord => (ErrorKind::Config, "the brokers do not take this record"),
            _ => (ErrorKind::OutcomeUnknown, "the broker refused"),
        },
        Cause::Connection(_) => (ErrorKind::Unreachable, "no broker can be reached"),
        _ => (ErrorKind::OutcomeUnknown, "the broker did not answer as it should"),
    };
    error(kind, message).context("why", cause)
}

/// Is it certain that a produce that failed so has stored nothing?
pub(super) fn is_certain(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Unauthorized | ErrorKind::Config)
}
