//! NATS as a world of the fault suite.

use std::time::Duration;

use agora_conformance::suite::Ability;
use agora_core::Result;
use agora_core::config::Nats;
use agora_core::id::ClusterName;
use agora_core::transport::Transport;
use agora_nats::NatsTransport;
use agora_testbed::{Failure, NatsCluster, NatsServer, Process};
use async_trait::async_trait;

use super::one::WAIT;
use super::{OneServer, Served, ServedTogether, Servers, Told};

/// A server, and a link for each node.
pub type NatsWorld = OneServer<NatsServer>;
/// Three servers that store together.
pub type NatsClusterWorld = Servers<NatsCluster>;

/// Room for the largest event of agora.
const PAYLOAD: &str = "max_payload: 2MB\n";

impl NatsWorld {
    /// Starts the server, which stores what it acknowledges before it does.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn start() -> Result<Self, Failure> {
        Self::with("").await
    }

    /// The same, with more in the configuration of the server.
    ///
    /// # Errors
    /// As [`start`](NatsWorld::start).
    pub async fn with(more: &str) -> Result<Self, Failure> {
        Ok(Self::of("nats", NatsServer::with(&format!("{PAYLOAD}{more}")).await?))
    }

    /// A server that stores on a disk of so many bytes.
    ///
    /// # Errors
    /// As [`start`](NatsWorld::start); and where the system allows no such disk.
    pub async fn on_small_disk(bytes: u64) -> Result<Self, Failure> {
        Ok(Self::of("nats", NatsServer::on_small_disk(bytes, PAYLOAD).await?))
    }

    /// Has the server read another configuration.
    ///
    /// # Errors
    /// Where it is down.
    pub async fn reconfigure(&self, more: &str) -> Ability {
        self.process().await.reconfigure(&format!("{PAYLOAD}{more}")).map_err(super::cannot)
    }
}

/// What a node is told: as it comes, but that a server which is silent is noticed sooner.
fn config(addresses: Vec<String>) -> Nats {
    let mut config = Nats::default();
    config.addresses = addresses;
    config.request_timeout = Duration::from_secs(2);
    config.ping_interval = Duration::from_secs(1);
    config
}

#[async_trait]
impl Told for Nats {
    async fn connect(self, cluster: &ClusterName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(NatsTransport::connect(&self, cluster, WAIT).await?))
    }
}

impl Served for NatsServer {
    type Config = Nats;

    fn process(&mut self) -> &mut Process {
        self
    }

    fn config(port: u16) -> Nats {
        config(vec![format!("127.0.0.1:{port}")])
    }
}

impl NatsClusterWorld {
    /// Starts them.
    ///
    /// # Errors
    /// Where there is none, or they do not come together.
    pub async fn start() -> Result<Self, Failure> {
        Ok(Self::of(NatsCluster::start().await?))
    }
}

#[async_trait]
impl ServedTogether for NatsCluster {
    type Config = Nats;
    const NAME: &'static str = "nats-cluster";

    fn count(&self) -> usize {
        self.nodes().len()
    }

    fn process(&mut self, number: usize) -> &mut Process {
        self.node(number)
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        NatsCluster::ready(self).await
    }

    fn config(&self) -> Nats {
        config(self.nodes().iter().map(|node| format!("127.0.0.1:{}", node.port())).collect())
    }
}
