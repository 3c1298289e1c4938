//! NATS as a world of the fault suite.

use std::time::Duration;

use agora_conformance::faults::{LinkFault, ServerFault, World};
use agora_conformance::suite::{Ability, Cannot};
use agora_core::config::Nats;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_nats::NatsTransport;
use agora_testbed::{NatsCluster, NatsServer};
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::{Links, to_process};

/// How long connecting waits for a server that may be down.
const WAIT: Duration = Duration::from_secs(2);

/// A server, and a link for each node.
pub struct NatsWorld {
    server: Mutex<NatsServer>,
    links: Links,
    adjust: fn(&mut Nats),
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
        let server = NatsServer::with(&format!("{PAYLOAD}{more}")).await?;
        Ok(Self { links: Links::to(server.port()), server: Mutex::new(server), adjust: |_| {} })
    }

    /// A server that stores on a disk of so many bytes.
    ///
    /// # Errors
    /// As [`start`](NatsWorld::start); and where the system allows no such disk.
    pub async fn on_small_disk(bytes: u64) -> Result<Self, agora_testbed::Failure> {
        let server = NatsServer::on_small_disk(bytes, PAYLOAD).await?;
        Ok(Self { links: Links::to(server.port()), server: Mutex::new(server), adjust: |_| {} })
    }

    /// The server, for what a case does to it.
    pub async fn process(&self) -> MutexGuard<'_, NatsServer> {
        self.server.lock().await
    }

    /// Tells nodes something else.
    #[must_use]
    pub fn adjusted(mut self, adjust: fn(&mut Nats)) -> Self {
        self.adjust = adjust;
        self
    }

    /// Has the server read another configuration.
    ///
    /// # Errors
    /// Where it is down.
    pub async fn reconfigure(&self, more: &str) -> Ability {
        let server = self.server.lock().await;
        server.reconfigure(&format!("{PAYLOAD}{more}")).map_err(super::cannot)
    }

    /// Where the server is, past every link.
    pub async fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.lock().await.port())
    }
}

/// Room for the largest event of agora.
const PAYLOAD: &str = "max_payload: 2MB\n";

/// What a node is told: as it comes, but that a server which is silent is noticed sooner.
fn config(addresses: Vec<String>) -> Nats {
    let mut config = Nats::default();
    config.addresses = addresses;
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
        let mut config = config(vec![format!("127.0.0.1:{port}")]);
        (self.adjust)(&mut config);
        Ok(Box::new(NatsTransport::connect(&config, cluster, WAIT).await?))
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.links.set(node, what).await
    }

    async fn server(&self, what: ServerFault) -> Ability {
        to_process(&mut *self.server.lock().await, what).await
    }
}

/// Three servers that store together. There are no links: what goes wrong goes wrong with servers.
pub struct NatsClusterWorld(Mutex<NatsCluster>);

impl NatsClusterWorld {
    /// Starts them.
    ///
    /// # Errors
    /// Where there is none, or they do not come together.
    pub async fn start() -> Result<Self, agora_testbed::Failure> {
        Ok(Self(Mutex::new(NatsCluster::start().await?)))
    }

    /// The servers, for what a case does to them.
    pub async fn servers(&self) -> MutexGuard<'_, NatsCluster> {
        self.0.lock().await
    }
}

#[async_trait]
impl World for NatsClusterWorld {
    fn name(&self) -> &str {
        "nats-cluster"
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        let servers = self.servers().await;
        let addresses = servers.nodes().iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        drop(servers);
        Ok(Box::new(NatsTransport::connect(&config(addresses), cluster, WAIT).await?))
    }

    async fn link(&self, _: &NodeName, what: LinkFault) -> Ability {
        Err(Cannot(format!("a cluster has no link that could be told: {what:?}")))
    }

    async fn server(&self, what: ServerFault) -> Ability {
        let mut servers = self.servers().await;
        for number in 0..servers.nodes().len() {
            to_process(servers.node(number), what).await?;
        }
        Ok(())
    }

    /// A leader that is gone is missed after seconds.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}
