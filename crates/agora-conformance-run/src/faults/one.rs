//! A world of one server, with a link for each node.

use std::sync::Arc;
use std::time::Duration;

use agora_conformance::faults::{LinkFault, ServerFault, World};
use agora_conformance::suite::Ability;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_testbed::Process;
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::{Links, Told, to_process};

/// How long connecting waits for a server that may be down.
pub(super) const WAIT: Duration = Duration::from_secs(2);

/// A server of a backend, and how a node gets to it.
pub trait Served: Send + 'static {
    /// What a node is told.
    type Config: Told;

    /// The server as a process.
    fn process(&mut self) -> &mut Process;

    /// What a node is told that finds the server on this port of loopback.
    fn config(port: u16) -> Self::Config;
}

/// What is changed in what a node is told.
type Adjust<S> = Box<dyn Fn(&mut <S as Served>::Config) + Send + Sync>;

/// A server, and a link for each node.
pub struct OneServer<S: Served> {
    name: &'static str,
    server: Arc<Mutex<S>>,
    links: Links,
    adjust: Adjust<S>,
}

impl<S: Served> OneServer<S> {
    /// The world of this server, under this name.
    pub(super) fn of(name: &'static str, mut server: S) -> Self {
        let links = Links::to(server.process().port());
        Self::over(name, Arc::new(Mutex::new(server)), links)
    }

    /// The same, with links that there are, and with others who use the server.
    pub(super) fn over(name: &'static str, server: Arc<Mutex<S>>, links: Links) -> Self {
        Self { name, server, links, adjust: Box::new(|_| {}) }
    }

    /// Tells nodes something else, besides what they were to be told otherwise so far.
    #[must_use]
    pub fn adjusted(mut self, adjust: impl Fn(&mut S::Config) + Send + Sync + 'static) -> Self {
        let before = std::mem::replace(&mut self.adjust, Box::new(|_| {}));
        self.adjust = Box::new(move |config| {
            before(config);
            adjust(config);
        });
        self
    }

    /// The server, for what a case does to it.
    pub async fn process(&self) -> MutexGuard<'_, S> {
        self.server.lock().await
    }

    /// Where the server is, past every link.
    pub async fn address(&self) -> String {
        format!("127.0.0.1:{}", self.process().await.process().port())
    }
}

#[async_trait]
impl<S: Served> World for OneServer<S> {
    fn name(&self) -> &str {
        self.name
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        let port = self.links.port_of(node).await;
        let port = port.map_err(|failure| Error::new(ErrorKind::Unreachable, failure.to_string()))?;
        let mut config = S::config(port);
        (self.adjust)(&mut config);
        config.connect(cluster).await
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.links.set(node, what).await
    }

    async fn server(&self, what: ServerFault) -> Ability {
        to_process(self.server.lock().await.process(), what).await
    }
}

#[async_trait]
impl<S: Served> super::Mended for OneServer<S> {
    async fn mend(&self) -> Ability {
        self.links.mend().await?;
        let mut server = self.server.lock().await;
        super::mend(server.process())?;
        server.process().answers().await.map_err(super::cannot)
    }
}
