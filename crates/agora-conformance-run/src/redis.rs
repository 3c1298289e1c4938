//! Redis and Valkey: a server of its own for each run of the suite.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use agora_conformance::suite::{Ability, Cannot, Carries, Subject};
use agora_core::config::{Redis, SecretUrl};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_redis::{Names, RedisTransport};
use agora_testbed::{Program, Proxy, RedisServer};
use async_trait::async_trait;
use tokio::sync::Mutex;

/// How long a connection may take.
pub(crate) const WAIT: Duration = Duration::from_secs(10);
/// The server asks for it, and no error and no printout may show it.
const SECRET: &str = "open-sesame-of-the-suite";

/// A server that keeps what it acknowledged across a kill.
pub struct RedisSubject {
    name: &'static str,
    server: Mutex<RedisServer>,
    config: Redis,
    /// Each node has a proxy of its own between itself and the server.
    proxies: Mutex<BTreeMap<NodeName, Proxy>>,
}

impl RedisSubject {
    /// Starts a server of this program.
    ///
    /// # Errors
    /// `Unreachable`: there is none, and it cannot be fetched; the message says what to install.
    ///
    /// # Cancel safety
    /// Dropped before it returns, no server stays.
    pub async fn start(program: Program) -> Result<Self> {
        let args = ["--appendonly", "yes", "--appendfsync", "always", "--requirepass", SECRET];
        let server = RedisServer::with(program, &args).await.map_err(|failure| {
            Error::new(ErrorKind::Unreachable, "the server does not start").source(failure.to_string())
        })?;
        let mut config = Redis::default();
        // Restarts are to be over soon.
        config.retry_min_wait = Duration::from_millis(20);
        config.retry_max_wait = Duration::from_millis(200);
        let name = if program == Program::Valkey { "valkey" } else { "redis" };
        Ok(Self { name, server: Mutex::new(server), config, proxies: Mutex::default() })
    }

    async fn port_of(&self, node: &NodeName) -> agora_testbed::Result<u16> {
        let port = self.server.lock().await.port();
        let mut proxies = self.proxies.lock().await;
        if !proxies.contains_key(node) {
            proxies.insert(node.clone(), Proxy::to(port).await?);
        }
        Ok(proxies.get(node).map_or(port, Proxy::port))
    }
}

#[async_trait]
impl Subject for RedisSubject {
    fn name(&self) -> &str {
        self.name
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let port = self.port_of(node).await.map_err(|failure| {
            Error::new(ErrorKind::Unreachable, "there is no proxy").source(failure.to_string())
        })?;
        let mut config = self.config.clone();
        config.urls = vec![SecretUrl::new(format!("redis://:{SECRET}@127.0.0.1:{port}"))];
        Ok(Box::new(RedisTransport::connect(&config, cluster, WAIT).await?))
    }

    fn minimum(&self) -> usize {
        160
    }

    /// Messages of pub/sub are bytes alone; a case about live topics asks for both. Records of a log carry all three,
    /// which tests of the backend itself show.
    fn carries(&self) -> Carries {
        Carries { keys: false, headers: false, time: true }
    }

    fn secret(&self) -> Option<&str> {
        Some(SECRET)
    }

    async fn cut(&self, node: &NodeName) -> Ability {
        match self.proxies.lock().await.get(node) {
            Some(proxy) => {
                proxy.cut();
                Ok(())
            }
            None => Err(Cannot(format!("{node} was never connected"))),
        }
    }

    async fn heal(&self, node: &NodeName) -> Ability {
        match self.proxies.lock().await.get(node) {
            Some(proxy) => {
                proxy.heal();
                Ok(())
            }
            None => Err(Cannot(format!("{node} was never connected"))),
        }
    }

    async fn restart_server(&self) -> Ability {
        self.server.lock().await.restart().await.map_err(|failure| Cannot(failure.to_string()))
    }

    async fn trim(&self, cluster: &ClusterName, topic: &TopicName, keep: usize) -> Ability {
        let port = self.server.lock().await.port();
        let trim = format!("XTRIM {} MAXLEN = {keep}\r\n", Names::new(cluster).stream(topic));
        say(port, &trim).map_err(|error| Cannot(error.to_string()))
    }
}

/// Says one command to the server, as a person would by hand.
fn say(port: u16, command: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("AUTH {SECRET}\r\n{command}QUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.contains("\n-") || answer.starts_with('-') {
        return Err(std::io::Error::other(answer));
    }
    Ok(())
}
