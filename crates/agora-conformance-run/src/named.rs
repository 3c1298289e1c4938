//! A server that somebody named, by `AGORA_KAFKA_URL`, `AGORA_NATS_URL` or `AGORA_REDIS_URL`: the suite talks to it, and neither cuts it off,
//! restarts it nor takes anything away from it.

use std::time::Duration;

use agora::config::{Backend, Config};
use agora_conformance::suite::{Carries, Subject};
use agora_core::Result;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_kafka::KafkaTransport;
use agora_nats::NatsTransport;
use agora_redis::RedisTransport;
use async_trait::async_trait;

/// How long a connection may take.
const WAIT: Duration = Duration::from_secs(10);

/// Somebody's server.
pub struct NamedSubject {
    name: &'static str,
    config: Config,
}

impl NamedSubject {
    /// The server at this URL, if `variable` names one.
    ///
    /// # Errors
    /// `Config`: the URL cannot be read.
    pub fn of(name: &'static str, variable: &str) -> Result<Option<Self>> {
        match std::env::var(variable) {
            Ok(url) if !url.is_empty() => Ok(Some(Self { name, config: Config::from_url(url)? })),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl Subject for NamedSubject {
    fn name(&self) -> &str {
        self.name
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        let model = self.config.model();
        Ok(match self.config.backend()? {
            Backend::Kafka => Box::new(KafkaTransport::connect(&model.kafka, cluster, WAIT).await?),
            Backend::Nats => Box::new(NatsTransport::connect(&model.nats, cluster, WAIT).await?),
            _ => Box::new(RedisTransport::connect(&model.redis, cluster, WAIT).await?),
        })
    }

    /// Without what is done to a server of one's own.
    fn minimum(&self) -> usize {
        150
    }

    fn carries(&self) -> Carries {
        match self.name {
            "kafka" | "nats" => Carries::ALL,
            _ => Carries { keys: false, headers: false, time: true },
        }
    }
}
