//! How a broker or a cluster of a test is to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::broker::Access;
use super::ready::Ready;
use super::settings::{Node, Secured};
use super::{HELLO, KafkaBroker, KafkaCluster, KafkaPapers, KafkaVersion, LOG, arguments};
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
    is_secured: bool,
    is_expired: bool,
    disk_bytes: Option<u64>,
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

    /// With two more listeners, which ask for a name and a password by SCRAM with SHA-256 or SHA-512, or PLAIN: one with
    /// TLS, one without.
    #[must_use]
    pub fn secured(mut self) -> Self {
        self.is_secured = true;
        self
    }

    /// The certificates of the brokers do not hold any more.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.is_expired = true;
        self
    }

    /// Every node stores on a file system of its own, of so many bytes, which can be filled up. What it knows as a
    /// controller is elsewhere.
    #[must_use]
    pub fn small_disks(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// For benchmarks: Java compiles as well as it can. The start takes a second longer.
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
        let mut broker = self.node(0, vec![free_port()?], self.papers()?).await?;
        broker.begin().await?;
        Ok(broker)
    }

    /// As many nodes that are one cluster. From three on, what is stored is on three of them, and two must have it.
    ///
    /// # Errors
    /// As [`start`](KafkaSetup::start), or where they do not come together.
    pub async fn cluster(self, nodes: usize) -> Result<KafkaCluster> {
        let controllers: Vec<u16> = (0..nodes).map(|_| free_port()).collect::<Result<_>>()?;
        let papers = self.papers()?;
        let mut all = Vec::new();
        for id in 0..nodes {
            all.push(self.node(id, controllers.clone(), papers.clone()).await?);
        }
        // None of them answers before most of them are there.
        all.iter_mut().try_for_each(|node| node.spawn())?;
        let mut cluster = KafkaCluster::of(all);
        cluster.ready().await?;
        Ok(cluster)
    }

    fn papers(&self) -> Result<Option<Arc<KafkaPapers>>> {
        if !self.is_secured {
            return Ok(None);
        }
        KafkaPapers::make().map(|papers| Some(Arc::new(papers)))
    }

    /// One node, not started yet.
    async fn node(
        &self,
        id: usize,
        controllers: Vec<u16>,
        papers: Option<Arc<KafkaPapers>>,
    ) -> Result<KafkaBroker> {
        let (found, port) = (Program::Kafka(self.version).find()?, free_port()?);
        let (mut links, mut proxies) = (Vec::new(), Vec::new());
        for _ in 0..self.links {
            let port = free_port()?;
            let proxy = Proxy::to(port).await?;
            links.push((port, proxy.port()));
            proxies.push(proxy);
        }
        let secured = match &papers {
            None => None,
            Some(papers) => Some(Secured {
                tls_port: free_port()?,
                plain_port: free_port()?,
                store: papers.broker_store(self.is_expired),
                ca: papers.ca(),
            }),
        };
        let access = secured.as_ref().zip(papers).map(|(secured, papers)| Access {
            tls_port: secured.tls_port,
            plain_port: secured.plain_port,
            papers,
        });
        let has_disk = self.disk_bytes.is_some();
        let node = Node { id, port, controllers, secured, links, has_disk };
        let process = Process::new(found.clone(), port, HELLO, self.disk_bytes, |data| {
            arguments(&found, data, &node, self.for_speed, &self.settings)
        })?;
        if has_disk {
            // Each place where a node stores must say whose it is.
            Ready::of(&found)?.format(id, &process.disk()?.seen().join(LOG))?;
        }
        Ok(KafkaBroker { process, proxies, access })
    }
}
