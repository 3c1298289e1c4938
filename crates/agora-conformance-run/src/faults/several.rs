//! A world of several servers that serve together. There are no links: what goes wrong goes wrong with servers.

use std::time::Duration;

use agora_conformance::faults::{LinkFault, ServerFault, World};
use agora_conformance::suite::{Ability, Cannot};
use agora_core::Result;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_testbed::{Failure, Process};
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::to_process;

/// Servers of a backend, and how a node gets to them.
#[async_trait]
pub trait ServedTogether: Send + 'static {
    /// What a node is told.
    type Config: Send;
    /// What histories and failures call them.
    const NAME: &'static str;

    /// How many there are.
    fn count(&self) -> usize;

    /// One of them as a process, from 0.
    fn process(&mut self, number: usize) -> &mut Process;

    /// Waits until those that run serve.
    ///
    /// # Errors
    /// Where that takes too long.
    async fn ready(&self) -> Result<(), Failure>;

    /// What a node is told.
    fn config(&self) -> Self::Config;

    /// Connects.
    ///
    /// # Errors
    /// What the backend says.
    async fn connect(config: Self::Config, cluster: &ClusterName) -> Result<Box<dyn Transport>>;
}

/// Several servers.
pub struct Servers<S>(Mutex<S>);

impl<S: ServedTogether> Servers<S> {
    pub(super) fn of(servers: S) -> Self {
        Self(Mutex::new(servers))
    }

    /// The servers, for what a case does to them.
    pub async fn servers(&self) -> MutexGuard<'_, S> {
        self.0.lock().await
    }
}

#[async_trait]
impl<S: ServedTogether> World for Servers<S> {
    fn name(&self) -> &str {
        S::NAME
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        let config = self.servers().await.config();
        S::connect(config, cluster).await
    }

    async fn link(&self, _: &NodeName, what: LinkFault) -> Ability {
        Err(Cannot(format!("there is no link that could be told: {what:?}")))
    }

    async fn server(&self, what: ServerFault) -> Ability {
        let mut servers = self.servers().await;
        for number in 0..servers.count() {
            to_process(servers.process(number), what).await?;
        }
        Ok(())
    }

    /// Who is in charge and gone is missed after seconds.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}
