//! Redis and Valkey as worlds of the fault suite.

use std::time::Duration;

use agora_conformance::faults::{LinkFault, ServerFault, World};
use agora_conformance::suite::Ability;
use agora_core::config::{Redis, SecretUrl};
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_redis::RedisTransport;
use agora_testbed::{Program, RedisServer};
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{Links, to_process};

/// How long connecting waits for a server that may be down.
const WAIT: Duration = Duration::from_secs(2);
/// What makes a server store what it acknowledges before it does.
const KEEP: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A server, and a link for each node.
pub struct RedisWorld {
    name: &'static str,
    server: Mutex<RedisServer>,
    links: Links,
}

impl RedisWorld {
    /// Starts a server of this program, which stores what it acknowledges before it does.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn start(program: Program) -> Result<Self, agora_testbed::Failure> {
        Self::with(program, &[]).await
    }

    /// The same, with more arguments.
    ///
    /// # Errors
    /// As [`start`](RedisWorld::start).
    pub async fn with(program: Program, more: &[&str]) -> Result<Self, agora_testbed::Failure> {
        let server = RedisServer::with(program, &[&KEEP, more].concat()).await?;
        let name = if program == Program::Valkey { "valkey" } else { "redis" };
        Ok(Self { name, links: Links::to(server.port()), server: Mutex::new(server) })
    }
}

/// What a node is told: as it comes, but that a server which is silent is noticed sooner, and tried again sooner.
pub(super) fn config(url: String) -> Redis {
    let mut config = Redis::default();
    config.urls = vec![SecretUrl::new(url)];
    config.timeout = Duration::from_secs(2);
    config.retry_min_wait = Duration::from_millis(50);
    config.retry_max_wait = Duration::from_millis(200);
    config
}

#[async_trait]
impl World for RedisWorld {
    fn name(&self) -> &str {
        self.name
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let port = self.links.port_of(node).await;
        let port = port.map_err(|failure| Error::new(ErrorKind::Unreachable, failure.to_string()))?;
        let config = config(format!("redis://127.0.0.1:{port}"));
        Ok(Box::new(RedisTransport::connect(&config, cluster, WAIT).await?))
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.links.set(node, what).await
    }

    async fn server(&self, what: ServerFault) -> Ability {
        to_process(&mut *self.server.lock().await, what).await
    }
}
