//! A NATS server of its own, with a user and a password, and a proxy in front of each node.

use std::collections::VecDeque;
use std::time::Duration;

use agora_conformance::suite::{Ability, Cannot, Subject};
use agora_core::config::{Nats, Secret};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_nats::{NatsTransport, STREAM_PREFIX, stream_name};
use agora_testbed::{NatsServer, Proxy};
use async_trait::async_trait;
use tokio::sync::Mutex;

/// How long a server may take to answer.
const WAIT: Duration = Duration::from_secs(5);
const USER: &str = "conformance";
const PASSWORD: &str = "a-password-that-nobody-may-see";

/// How many proxies are kept: more than one case has nodes. Those of earlier cases are of no use.
const PROXIES_MAX: usize = 128;

/// A server, and the ways to it.
pub struct NatsSubject {
    server: Mutex<NatsServer>,
    port: u16,
    proxies: Mutex<VecDeque<(NodeName, Proxy)>>,
}

fn failed(cause: agora_testbed::Failure) -> Cannot {
    Cannot(cause.to_string())
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
        Ok(Self { port: server.port(), server: Mutex::new(server), proxies: Mutex::default() })
    }

    /// A way of its own for a node.
    async fn way(&self, node: &NodeName) -> Result<u16> {
        let proxy = Proxy::to(self.port)
            .await
            .map_err(|cause| Error::new(ErrorKind::Unreachable, "there is no proxy").context("why", cause))?;
        let (port, mut proxies) = (proxy.port(), self.proxies.lock().await);
        if proxies.len() >= PROXIES_MAX {
            proxies.pop_front();
        }
        proxies.push_back((node.clone(), proxy));
        Ok(port)
    }

    fn config(port: u16) -> Nats {
        let mut config = Nats::default();
        config.addresses = vec![format!("127.0.0.1:{port}")];
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

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let config = Self::config(self.way(node).await?);
        Ok(Box::new(NatsTransport::connect(&config, cluster, WAIT).await?))
    }

    fn minimum(&self) -> usize {
        161
    }

    fn secret(&self) -> Option<&str> {
        Some(PASSWORD)
    }

    async fn cut(&self, node: &NodeName) -> Ability {
        for (_, proxy) in self.proxies.lock().await.iter_mut().filter(|(of, _)| of == node) {
            proxy.refuse().await;
            proxy.reset().await;
        }
        Ok(())
    }

    async fn heal(&self, node: &NodeName) -> Ability {
        for (_, proxy) in self.proxies.lock().await.iter_mut().filter(|(of, _)| of == node) {
            proxy.accept().await.map_err(failed)?;
        }
        Ok(())
    }

    async fn restart_server(&self) -> Ability {
        self.server.lock().await.restart().await.map_err(failed)
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
