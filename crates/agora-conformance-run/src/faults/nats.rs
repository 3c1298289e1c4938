//! NATS as a world of the fault suite.

use std::time::Duration;

use agora_conformance::faults::{LinkFault, ServerFault, World};
use agora_conformance::suite::Ability;
use agora_core::config::Nats;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_nats::NatsTransport;
use agora_testbed::NatsServer;
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{Links, to_process};

/// How long connecting waits for a server that may be down.
const WAIT: Duration = Duration::from_secs(2);

/// A server, and a link for each node.
pub struct NatsWorld {
    server: Mutex<NatsServer>,
    links: Links,
}

impl NatsWorld {
    /// Starts the server, which stores what it acknowledges before it does.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn start() -> Result<Self, agora_testbed::Failure> {
        Self::with("").await
    }

    /// The same, with more in the configuration of the server.
    ///
    /// # Errors
    /// As [`start`](NatsWorld::start).
    pub async fn with(more: &str) -> Result<Self, agora_testbed::Failure> {
        let server = NatsServer::with(&format!("max_payload: 2MB\n{more}")).await?;
        Ok(Self { links: Links::to(server.port()), server: Mutex::new(server) })
    }
}

/// What a node is told: as it comes, but that a server which is silent is noticed sooner.
pub(super) fn config(address: String) -> Nats {
    let mut config = Nats::default();
    config.addresses = vec![address];
    config.request_timeout = Duration::from_secs(2);
    config.ping_interval = Duration::from_secs(1);
    config
}

#[async_trait]
impl World for NatsWorld {
    fn name(&self) -> &str {
        "nats"
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let port = self.links.port_of(node).await;
        let port = port.map_err(|failure| Error::new(ErrorKind::Unreachable, failure.to_string()))?;
        let config = config(format!("127.0.0.1:{port}"));
        Ok(Box::new(NatsTransport::connect(&config, cluster, WAIT).await?))
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.links.set(node, what).await
    }

    async fn server(&self, what: ServerFault) -> Ability {
        to_process(&mut *self.server.lock().await, what).await
    }
}
