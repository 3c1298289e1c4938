//! A world of several servers that serve together. There are no links: what goes wrong goes wrong with servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use agora_conformance::faults::{LinkFault, ServerFault, World};
use agora_conformance::suite::{Ability, Cannot};
use agora_core::Result;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_testbed::{Failure, Process};
use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::{Mended, Told, cannot, mend, to_process};

/// Servers of a backend, and how a node gets to them.
#[async_trait]
pub trait ServedTogether: Send + 'static {
    /// What a node is told.
    type Config: Told;
    /// What histories and failures call them.
    const NAME: &'static str;

    /// How many there are.
    fn count(&self) -> usize;

    /// One of them as a process, from 0.
    fn process(&mut self, number: usize) -> &mut Process;

    /// Waits until those that run serve, and any one of them may fail.
    ///
    /// # Errors
    /// Where that takes too long.
    async fn ready(&mut self) -> Result<(), Failure>;

    /// What a node is told.
    fn config(&self) -> Self::Config;
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
        config.connect(cluster).await
    }

    async fn link(&self, _: &NodeName, what: LinkFault) -> Ability {
        Err(Cannot(format!("there is no link that could be told: {what:?}")))
    }

    async fn server(&self, what: ServerFault) -> Ability {
        let mut servers = self.servers().await;
        for number in 0..servers.count() {
            let server = servers.process(number);
            match what {
                // None of some answers before most of them are there.
                ServerFault::Begin => server.spawn().map_err(cannot)?,
                _ => to_process(server, what).await?,
            }
        }
        if what == ServerFault::Begin { answer(&mut *servers).await } else { Ok(()) }
    }

    /// Who is in charge and gone is missed after seconds.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[async_trait]
impl<S: ServedTogether> Mended for Servers<S> {
    async fn mend(&self) -> Ability {
        let mut servers = self.servers().await;
        for number in 0..servers.count() {
            mend(servers.process(number))?;
        }
        answer(&mut *servers).await?;
        servers.ready().await.map_err(cannot)
    }
}

async fn answer(servers: &mut impl ServedTogether) -> Ability {
    for number in 0..servers.count() {
        servers.process(number).answers().await.map_err(cannot)?;
    }
    Ok(())
}

/// The same servers, of which one suffers at a time, and the next one the next time.
pub struct InTurn<S> {
    servers: Arc<Servers<S>>,
    turns: AtomicUsize,
}

impl<S: ServedTogether> InTurn<S> {
    /// The first to suffer is the first of them.
    pub fn of(servers: Arc<Servers<S>>) -> Self {
        Self { servers, turns: AtomicUsize::new(0) }
    }

    /// All of them, for what a case does to them.
    pub fn all(&self) -> Arc<Servers<S>> {
        self.servers.clone()
    }
}

#[async_trait]
impl<S: ServedTogether> World for InTurn<S> {
    fn name(&self) -> &str {
        S::NAME
    }

    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>> {
        self.servers.connect(cluster, node).await
    }

    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.servers.link(node, what).await
    }

    async fn server(&self, what: ServerFault) -> Ability {
        let mut servers = self.servers.servers().await;
        let number = self.turns.load(Relaxed) % servers.count();
        to_process(servers.process(number), what).await?;
        if matches!(what, ServerFault::Kill | ServerFault::Pause) {
            return Ok(());
        }
        self.turns.fetch_add(1, Relaxed);
        servers.ready().await.map_err(cannot)
    }

    fn patience(&self) -> Duration {
        self.servers.patience()
    }
}

#[async_trait]
impl<S: ServedTogether> Mended for InTurn<S> {
    async fn mend(&self) -> Ability {
        self.servers.mend().await
    }
}
