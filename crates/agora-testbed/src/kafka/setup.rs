//! How a broker or a cluster of a test is to be.

use std::collections::BTreeMap;

use super::settings::Node;
use super::{HELLO, KafkaBroker, KafkaCluster, KafkaVersion, arguments};
use crate::failure::Result;
use crate::find::Program;
use crate::ports::free_port;
use crate::process::Process;
use crate::proxy::Proxy;

/// What differs from [`KafkaBroker::start`].
#[derive(Clone, Debug, Default)]
pub struct KafkaSetup {
    version: KafkaVersion,
    settings: BTreeMap<String, String>,
    links: usize,
    for_speed: bool,
}

impl KafkaSetup {
    /// Nothing differs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this line. Without: 4.1.
    #[must_use]
    pub fn version(mut self, version: KafkaVersion) -> Self {
        self.version = version;
        self
    }

    /// Lines of the configuration of every node, which win over what tests are given otherwise.
    #[must_use]
    pub fn with(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings.extend(settings.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        self
    }

    /// So many links, each a way to the brokers of its own with a [`Proxy`] before every one of them. A client that
    /// begins at the URL of a link stays on it: brokers tell it the addresses of the link's proxies.
    #[must_use]
    pub fn links(mut self, links: usize) -> Self {
        self.links = links;
        self
    }

    /// For benchmarks: Java compiles as well as it can. The start takes half a second longer.
    #[must_use]
    pub fn for_speed(mut self) -> Self {
        self.for_speed = true;
        self
    }

    /// One broker.
    ///
    /// # Errors
    /// Where there is no Kafka or no Java, or it does not start with this.
    pub async fn start(self) -> Result<KafkaBroker> {
        let mut broker = self.node(0, vec![free_port()?]).await?;
        broker.begin().await?;
        Ok(broker)
    }

    /// As many nodes that are one cluster. From three on, what is stored is on three of them, and two must have it.
    ///
    /// # Errors
    /// As [`start`](KafkaSetup::start), or where they do not come together.
    pub async fn cluster(self, nodes: usize) -> Result<KafkaCluster> {
        let controllers: Vec<u16> = (0..nodes).map(|_| free_port()).collect::<Result<_>>()?;
        let mut all = Vec::new();
        for id in 0..nodes {
            all.push(self.node(id, controllers.clone()).await?);
        }
        // None of them answers before most of them are there.
        all.iter_mut().try_for_each(|node| node.spawn())?;
        let mut cluster = KafkaCluster::of(all);
        cluster.ready().await?;
        Ok(cluster)
    }

    /// One node, not started yet.
    pub(super) async fn node(&self, id: usize, controllers: Vec<u16>) -> Result<KafkaBroker> {
        let (found, port) = (Program::Kafka(self.version).find()?, free_port()?);
        let (mut links, mut proxies) = (Vec::new(), Vec::new());
        for _ in 0..self.links {
            let port = free_port()?;
            let proxy = Proxy::to(port).await?;
            links.push((port, proxy.port()));
            proxies.push(proxy);
        }
        let node = Node { id, port, controllers, links };
        let process = Process::new(found.clone(), port, HELLO, |data| {
            arguments(&found, data, &node, self.for_speed, &self.settings)
        })?;
        Ok(KafkaBroker { process, proxies })
    }
}
