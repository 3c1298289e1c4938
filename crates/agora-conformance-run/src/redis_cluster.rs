//! A Redis cluster: three masters that share the slots, each with a replica from which logs are read.

use agora_conformance::suite::{Carries, Subject};
use agora_core::config::{Redis, RedisMode, SecretUrl};
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_redis::RedisTransport;
use agora_testbed::{Program, RedisCluster};
use async_trait::async_trait;

use crate::redis::WAIT;

/// A cluster of servers.
pub struct RedisClusterSubject {
    _servers: RedisCluster,
    config: Redis,
}

impl RedisClusterSubject {
    /// Starts a cluster of this program.
    ///
    /// # Errors
    /// `Unreachable`: there is no such program, and it cannot be fetched; the message says what to install.
    ///
    /// # Cancel safety
    /// Dropped before it returns, no server stays.
    pub async fn start(program: Program) -> Result<Self> {
        let servers = RedisCluster::start(program, 1).await.map_err(|failure| {
            Error::new(ErrorKind::Unreachable, "the cluster does not start").source(failure.to_string())
        })?;
        let mut config = Redis::default();
        config.mode = RedisMode::Cluster;
        config.read_from_replicas = true;
        config.urls = servers.nodes().iter().map(|node| SecretUrl::new(node.url())).collect();
        Ok(Self { _servers: servers, config })
    }
}

#[async_trait]
impl Subject for RedisClusterSubject {
    fn name(&self) -> &str {
        "redis-cluster"
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(RedisTransport::connect(&self.config, cluster, WAIT).await?))
    }

    fn minimum(&self) -> usize {
        150
    }

    /// As on a single server.
    fn carries(&self) -> Carries {
        Carries { keys: false, headers: false, time: true }
    }
}
