//! A server that a test only talks to: one that is named, or one of the test's own.

use std::fmt;

use crate::failure::Result;
use crate::{KafkaBroker, NatsServer, RedisServer};

/// Names a NATS server for tests that neither kill it nor mind what else it holds.
pub const NATS_URL: &str = "AGORA_NATS_URL";
/// Names a Redis or Valkey server likewise.
pub const REDIS_URL: &str = "AGORA_REDIS_URL";
/// Names brokers of Kafka likewise.
pub const KAFKA_URL: &str = "AGORA_KAFKA_URL";

/// A server to talk to, for as long as this lives.
pub struct Endpoint {
    url: String,
    own: Option<Own>,
}

#[expect(dead_code, reason = "kept alive, never asked")]
enum Own {
    Nats(NatsServer),
    Redis(RedisServer),
    Kafka(KafkaBroker),
}

impl Endpoint {
    /// What `AGORA_NATS_URL` names, else a server of one's own.
    ///
    /// # Errors
    /// Where there is none, or it does not start.
    pub async fn nats() -> Result<Self> {
        if let Some(url) = named(NATS_URL) {
            return Ok(Self { url, own: None });
        }
        let server = NatsServer::start().await?;
        Ok(Self { url: server.url(), own: Some(Own::Nats(server)) })
    }

    /// What `AGORA_REDIS_URL` names, else a server of one's own.
    ///
    /// # Errors
    /// Where there is none, or it does not start.
    pub async fn redis() -> Result<Self> {
        if let Some(url) = named(REDIS_URL) {
            return Ok(Self { url, own: None });
        }
        let server = RedisServer::start().await?;
        Ok(Self { url: server.url(), own: Some(Own::Redis(server)) })
    }

    /// What `AGORA_KAFKA_URL` names, else a broker of one's own.
    ///
    /// # Errors
    /// Where there is none, or it does not start.
    pub async fn kafka() -> Result<Self> {
        if let Some(url) = named(KAFKA_URL) {
            return Ok(Self { url, own: None });
        }
        let broker = KafkaBroker::start().await?;
        Ok(Self { url: broker.url(), own: Some(Own::Kafka(broker)) })
    }

    /// Its URL. One that was named may hold a password.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Without the URL: it may hold a password.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("is_own", &self.own.is_some()).finish_non_exhaustive()
    }
}

fn named(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}
