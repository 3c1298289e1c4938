//! Redis and Valkey as worlds of the fault suite.

use std::time::Duration;

use agora_conformance::faults::{LinkFault, ServerFault, World};
use agora_conformance::suite::{Ability, Cannot};
use agora_core::config::{Redis, RedisMode, SecretUrl};
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_redis::RedisTransport;
use agora_testbed::redis::{NAME, Value, ask, ask_as};
use agora_testbed::{Program, RedisCluster, RedisSentinel, RedisServer};
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

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
    adjust: fn(&mut Redis),
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
        Ok(Self { name, links: Links::to(server.port()), server: Mutex::new(server), adjust: |_| {} })
    }

    /// A server that stores on a disk of so many bytes.
    ///
    /// # Errors
    /// As [`start`](RedisWorld::start); and where the system allows no such disk.
    pub async fn on_small_disk(program: Program, bytes: u64) -> Result<Self, agora_testbed::Failure> {
        let server = RedisServer::on_small_disk(program, bytes).await?;
        let name = if program == Program::Valkey { "valkey" } else { "redis" };
        Ok(Self { name, links: Links::to(server.port()), server: Mutex::new(server), adjust: |_| {} })
    }

    /// The server, for what a case does to it.
    pub async fn process(&self) -> MutexGuard<'_, RedisServer> {
        self.server.lock().await
    }

    /// Tells nodes something else.
    #[must_use]
    pub fn adjusted(mut self, adjust: fn(&mut Redis)) -> Self {
        self.adjust = adjust;
        self
    }

    /// Gives an order to the server, past every link.
    ///
    /// # Errors
    /// What it answers.
    pub async fn order(&self, words: &[&str]) -> Result<Value, agora_testbed::Failure> {
        let port = self.server.lock().await.port();
        ask(port, words).await
    }

    /// Where the server is, past every link.
    pub async fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.lock().await.port())
    }

    /// The same, where a password is asked for.
    ///
    /// # Errors
    /// As [`order`](RedisWorld::order).
    pub async fn order_as(&self, password: &str, words: &[&str]) -> Result<Value, agora_testbed::Failure> {
        let port = self.server.lock().await.port();
        ask_as(port, password, words).await
    }
}

/// What a node is told: as it comes, but that a server which is silent is noticed sooner, and tried again sooner.
fn config(urls: Vec<String>) -> Redis {
    let mut config = Redis::default();
    config.urls = urls.into_iter().map(SecretUrl::new).collect();
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
        let mut config = config(vec![format!("redis://127.0.0.1:{port}")]);
        (self.adjust)(&mut config);
        Ok(Box::new(RedisTransport::connect(&config, cluster, WAIT).await?))
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.links.set(node, what).await
    }

    async fn server(&self, what: ServerFault) -> Ability {
        to_process(&mut *self.server.lock().await, what).await
    }
}

/// A primary and a replica, and the sentinels that watch them. There are no links: what goes wrong goes wrong with servers.
pub struct SentinelWorld(Mutex<RedisSentinel>);

impl SentinelWorld {
    /// Starts them.
    ///
    /// # Errors
    /// Where there is none, or they do not come together.
    pub async fn start(program: Program) -> Result<Self, agora_testbed::Failure> {
        Ok(Self(Mutex::new(RedisSentinel::start(program, 1).await?)))
    }

    /// The servers, for what a case does to them.
    pub async fn servers(&self) -> MutexGuard<'_, RedisSentinel> {
        self.0.lock().await
    }
}

#[async_trait]
impl World for SentinelWorld {
    fn name(&self) -> &str {
        "redis-sentinel"
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        let watched = self.servers().await;
        let urls = watched.sentinels().map(|port| format!("redis://127.0.0.1:{port}"));
        let mut config = config(urls.collect());
        drop(watched);
        config.mode = RedisMode::Sentinel;
        config.master = Some(NAME.to_owned());
        Ok(Box::new(RedisTransport::connect(&config, cluster, WAIT).await?))
    }

    async fn link(&self, _: &NodeName, what: LinkFault) -> Ability {
        Err(Cannot(format!("there is no link that could be told: {what:?}")))
    }

    async fn server(&self, what: ServerFault) -> Ability {
        let mut servers = self.servers().await;
        for number in 0..servers.servers().len() {
            to_process(servers.server(number), what).await?;
        }
        Ok(())
    }

    /// A primary that is gone is missed after seconds.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// A cluster of three masters, each with a replica or without. There are no links.
pub struct RedisClusterWorld(Mutex<RedisCluster>);

impl RedisClusterWorld {
    /// Starts it.
    ///
    /// # Errors
    /// Where there is none, or it does not come together.
    pub async fn start(program: Program, replicas_of_each: usize) -> Result<Self, agora_testbed::Failure> {
        Ok(Self(Mutex::new(RedisCluster::start(program, replicas_of_each).await?)))
    }

    /// The servers, for what a case does to them.
    pub async fn servers(&self) -> MutexGuard<'_, RedisCluster> {
        self.0.lock().await
    }
}

#[async_trait]
impl World for RedisClusterWorld {
    fn name(&self) -> &str {
        "redis-cluster"
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        let servers = self.servers().await;
        let urls = servers.nodes().iter().map(|node| format!("redis://127.0.0.1:{}", node.port()));
        let mut config = config(urls.collect());
        drop(servers);
        config.mode = RedisMode::Cluster;
        Ok(Box::new(RedisTransport::connect(&config, cluster, WAIT).await?))
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

    /// A master that is gone is missed after seconds.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}
