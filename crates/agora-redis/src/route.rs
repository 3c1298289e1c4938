//! Which server is in charge of a topic, and the connections for commands to them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use agora_core::ErrorKind;
use agora_core::config::{Redis, RedisMode};
use agora_core::id::TopicName;

use crate::call::Connection;
use crate::dial::{Dialer, Server};
use crate::error::{Failure, error};
use crate::shared::{Shared, lock};

/// The ways to the servers.
pub(crate) struct Route {
    mode: RedisMode,
    /// The server that was found to be in charge.
    primary: Mutex<Option<Server>>,
    /// The connections for commands.
    connections: Mutex<BTreeMap<Server, Connection>>,
}

impl Route {
    pub(crate) fn new(config: &Redis, dialer: &Dialer) -> Self {
        let primary = match config.mode {
            RedisMode::Single => dialer.servers().into_iter().next(),
            _ => None,
        };
        Self { mode: config.mode, primary: Mutex::new(primary), connections: Mutex::default() }
    }

    /// The server of a topic.
    pub(crate) async fn server(
        &self,
        shared: &Shared,
        topic: Option<&TopicName>,
        reads: bool,
    ) -> Result<Server, Failure> {
        let _ = (topic, reads);
        lock(&self.primary).clone().ok_or_else(|| Failure::not_sent(shared.down()))
    }

    /// A connection for commands to the server of a topic.
    pub(crate) async fn connection(
        &self,
        shared: &Shared,
        topic: Option<&TopicName>,
    ) -> Result<Connection, Failure> {
        let server = self.server(shared, topic, false).await?;
        let found = lock(&self.connections).get(&server).cloned();
        found.ok_or_else(|| Failure::not_sent(shared.down()))
    }

    /// The keeper is connected to this server.
    pub(crate) fn is_up(&self, server: Server, connection: Connection) {
        *lock(&self.primary) = Some(server.clone());
        lock(&self.connections).insert(server, connection);
    }

    /// The keeper has lost its connection.
    pub(crate) fn clear(&self) {
        lock(&self.connections).clear();
    }

    /// Is a topic's server one of several?
    pub(crate) fn is_cluster(&self) -> bool {
        self.mode == RedisMode::Cluster
    }

    /// The command that publishes: in a cluster, to the servers of the topic alone.
    pub(crate) fn publish(&self) -> &'static str {
        if self.is_cluster() { "SPUBLISH" } else { "PUBLISH" }
    }

    /// The command that subscribes.
    pub(crate) fn subscribe(&self) -> &'static str {
        if self.is_cluster() { "SSUBSCRIBE" } else { "SUBSCRIBE" }
    }

    /// Is this log read from a replica?
    pub(crate) async fn reads_replica(&self, _: &Shared, _: &TopicName) -> bool {
        false
    }

    /// Another server is in charge of something.
    pub(crate) fn moved(&self) {}

    /// Where the keeper is to connect to.
    pub(crate) async fn find(&self, shared: &Shared) -> Result<Server, Failure> {
        match self.mode {
            RedisMode::Single => self.server(shared, None, false).await,
            _ => Err(Failure::not_sent(error(
                ErrorKind::Unsupported,
                "clusters and sentinels are not there yet",
            ))),
        }
    }
}
