//! Redis and Valkey as worlds of the fault suite.

use std::time::Duration;

use agora_core::Result;
use agora_core::config::{Redis, RedisMode, SecretUrl};
use agora_core::id::ClusterName;
use agora_core::transport::Transport;
use agora_redis::RedisTransport;
use agora_testbed::redis::{NAME, Value, ask, ask_as};
use agora_testbed::{Failure, Process, Program, RedisCluster, RedisSentinel, RedisServer};
use async_trait::async_trait;

use super::one::WAIT;
use super::{OneServer, Served, ServedTogether, Servers, Told};

/// A server, and a link for each node.
pub type RedisWorld = OneServer<RedisServer>;
/// A primary and a replica, and the sentinels that watch them.
pub type SentinelWorld = Servers<RedisSentinel>;
/// A cluster of three masters, each with a replica or without.
pub type RedisClusterWorld = Servers<RedisCluster>;

/// What makes a server store what it acknowledges before it does.
const KEEP: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn name_of(program: Program) -> &'static str {
    if program == Program::Valkey { "valkey" } else { "redis" }
}

impl RedisWorld {
    /// Starts a server of this program, which stores what it acknowledges before it does.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn start(program: Program) -> Result<Self, Failure> {
        Self::with(program, &[]).await
    }

    /// The same, with more arguments.
    ///
    /// # Errors
    /// As [`start`](RedisWorld::start).
    pub async fn with(program: Program, more: &[&str]) -> Result<Self, Failure> {
        let server = RedisServer::with(program, &[&KEEP, more].concat()).await?;
        Ok(Self::of(name_of(program), server))
    }

    /// A server that stores on a disk of so many bytes.
    ///
    /// # Errors
    /// As [`start`](RedisWorld::start); and where the system allows no such disk.
    pub async fn on_small_disk(program: Program, bytes: u64) -> Result<Self, Failure> {
        Ok(Self::of(name_of(program), RedisServer::on_small_disk(program, bytes).await?))
    }

    /// Gives an order to the server, past every link.
    ///
    /// # Errors
    /// What it answers.
    pub async fn order(&self, words: &[&str]) -> Result<Value, Failure> {
        let port = self.process().await.port();
        ask(port, words).await
    }

    /// The same, where a password is asked for.
    ///
    /// # Errors
    /// As [`order`](RedisWorld::order).
    pub async fn order_as(&self, password: &str, words: &[&str]) -> Result<Value, Failure> {
        let port = self.process().await.port();
        ask_as(port, password, words).await
    }
}

/// What a node is told: as it comes, but that a server which is silent is noticed sooner, and tried again sooner.
fn config(mode: RedisMode, ports: impl Iterator<Item = u16>) -> Redis {
    let mut config = Redis::default();
    config.mode = mode;
    config.urls = ports.map(|port| SecretUrl::new(format!("redis://127.0.0.1:{port}"))).collect();
    config.timeout = Duration::from_secs(2);
    config.retry_min_wait = Duration::from_millis(50);
    config.retry_max_wait = Duration::from_millis(200);
    config
}

#[async_trait]
impl Told for Redis {
    async fn connect(self, cluster: &ClusterName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(RedisTransport::connect(&self, cluster, WAIT).await?))
    }
}

impl Served for RedisServer {
    type Config = Redis;

    fn process(&mut self) -> &mut Process {
        self
    }

    fn config(port: u16) -> Redis {
        config(RedisMode::Single, std::iter::once(port))
    }
}

impl SentinelWorld {
    /// Starts them.
    ///
    /// # Errors
    /// Where there is none, or they do not come together.
    pub async fn start(program: Program) -> Result<Self, Failure> {
        Ok(Self::of(RedisSentinel::start(program, 1).await?))
    }
}

#[async_trait]
impl ServedTogether for RedisSentinel {
    type Config = Redis;
    const NAME: &'static str = "redis-sentinel";

    fn count(&self) -> usize {
        self.servers().len()
    }

    fn process(&mut self, number: usize) -> &mut Process {
        self.server(number)
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        RedisSentinel::ready(self).await
    }

    fn config(&self) -> Redis {
        let mut config = config(RedisMode::Sentinel, self.sentinels());
        config.master = Some(NAME.to_owned());
        config
    }
}

impl RedisClusterWorld {
    /// Starts it.
    ///
    /// # Errors
    /// Where there is none, or it does not come together.
    pub async fn start(program: Program, replicas_of_each: usize) -> Result<Self, Failure> {
        Ok(Self::of(RedisCluster::start(program, replicas_of_each).await?))
    }
}

#[async_trait]
impl ServedTogether for RedisCluster {
    type Config = Redis;
    const NAME: &'static str = "redis-cluster";

    fn count(&self) -> usize {
        self.nodes().len()
    }

    fn process(&mut self, number: usize) -> &mut Process {
        self.node(number)
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        RedisCluster::ready(self).await
    }

    fn config(&self) -> Redis {
        config(RedisMode::Cluster, self.nodes().iter().map(|node| node.port()))
    }
}
