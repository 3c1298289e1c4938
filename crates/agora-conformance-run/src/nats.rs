//! A NATS server of its own, with a user and a password.

use std::time::Duration;

use agora_conformance::suite::{Ability, Cannot, Subject};
use agora_core::config::{Nats, Secret};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_nats::{NatsTransport, STREAM_PREFIX, stream_name};
use agora_testbed::NatsServer;
use async_trait::async_trait;
use tokio::sync::Mutex;

/// How long a server may take to answer.
const WAIT: Duration = Duration::from_secs(5);
const USER: &str = "conformance";
const PASSWORD: &str = "a-password-that-nobody-may-see";

/// A server, and the nodes that connect to it.
pub struct NatsSubject {
    server: Mutex<NatsServer>,
    port: u16,
}

impl NatsSubject {
    /// Starts the server.
    ///
    /// # Errors
    /// `Unreachable` where there is no server, or it does not start: with what to install.
    ///
    /// # Cancel safety
    /// Dropped before it returns, no server stays.
    pub async fn start() -> Result<Self> {
        // Room for the largest event of agora, which is larger than what a server takes as it comes.
        let more = format!("max_payload: 2MB\nauthorization {{ user: {USER}, password: {PASSWORD:?} }}\n");
        let server = NatsServer::with(&more).await.map_err(|cause| {
            Error::new(ErrorKind::Unreachable, "there is no NATS server to judge").context("why", cause)
        })?;
        Ok(Self { port: server.port(), server: Mutex::new(server) })
    }

    fn config(&self) -> Nats {
        let mut config = Nats::default();
        config.addresses = vec![format!("127.0.0.1:{}", self.port)];
        config.user = Some(USER.into());
        config.password = Some(Secret::new(PASSWORD));
        config
    }
}

#[async_trait]
impl Subject for NatsSubject {
    fn name(&self) -> &str {
        "nats"
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(NatsTransport::connect(&self.config(), cluster, WAIT).await?))
    }

    fn minimum(&self) -> usize {
        159
    }

    fn secret(&self) -> Option<&str> {
        Some(PASSWORD)
    }

    async fn restart_server(&self) -> Ability {
        self.server.lock().await.restart().await.map_err(|cause| Cannot(cause.to_string()))
    }

    async fn trim(&self, cluster: &ClusterName, topic: &TopicName, keep: usize) -> Ability {
        let purging = async {
            let options = async_nats::ConnectOptions::with_user_and_password(USER.into(), PASSWORD.into());
            let client = options.connect(format!("127.0.0.1:{}", self.port)).await?;
            let name = stream_name(STREAM_PREFIX, cluster, topic)?;
            let stream = async_nats::jetstream::new(client).get_stream(name).await?;
            stream.purge().keep(keep as u64).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        };
        purging.await.map_err(|cause| Cannot(format!("the stream cannot be purged: {cause}")))
    }
}
