//! Kafka as a world of the fault suite.

use std::sync::Arc;

use agora_core::Result;
use agora_core::config::{Kafka, Secret};
use agora_core::id::ClusterName;
use agora_core::transport::Transport;
use agora_kafka::KafkaTransport;
use agora_testbed::kafka::{PASSWORD, USER};
use agora_testbed::{Failure, KafkaBroker, KafkaCluster, KafkaSetup, Process};
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::one::WAIT;
use super::{Links, OneServer, Served, ServedTogether, Servers, Told};

/// A broker, and a link for each node.
pub type KafkaWorld = OneServer<KafkaBroker>;
/// Three brokers, each of which has everything that is stored.
pub type KafkaClusterWorld = Servers<KafkaCluster>;

/// The nodes of one run that have a link of their own; those that come later share the last one, to which no case does
/// anything.
const LINKS: usize = 3;
/// What brokers are told.
const SETTINGS: [(&str, &str); 2] = [
    // Room for the largest event of agora.
    ("message.max.bytes", "2097152"),
    // As short as the leases of the cases. Brokers as they come allow 6 s at least.
    ("group.min.session.timeout.ms", "2000"),
];

/// How brokers of these worlds are.
fn setup() -> KafkaSetup {
    KafkaSetup::new().with(&SETTINGS)
}

impl KafkaWorld {
    /// Starts the broker.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn start() -> Result<Self, Failure> {
        Self::of_one(setup()).await
    }

    /// A broker that stores on a disk of so many bytes.
    ///
    /// # Errors
    /// As [`start`](KafkaWorld::start); and where the system allows no such disk.
    pub async fn on_small_disk(bytes: u64) -> Result<Self, Failure> {
        Self::of_one(setup().small_disks(bytes)).await
    }

    async fn of_one(setup: KafkaSetup) -> Result<Self, Failure> {
        let mut broker = setup.links(LINKS).start().await?;
        let links = Links::over(broker.take_proxies());
        Ok(Self::over("kafka", Arc::new(Mutex::new(broker)), links))
    }

    /// A broker whose nodes come over TLS with a name and a password. What is in the configuration of the broker besides is
    /// `more`.
    ///
    /// # Errors
    /// As [`start`](KafkaWorld::start).
    pub async fn secured(more: &[(&str, &str)]) -> Result<Self, Failure> {
        let broker = setup().with(more).secured().start().await?;
        let (links, ca) = (Links::to(broker.tls_port()), broker.papers().ca());
        let world = Self::over("kafka", Arc::new(Mutex::new(broker)), links);
        Ok(world.adjusted(move |config| {
            config.tls = true;
            config.tls_ca_file = Some(ca.clone());
            config.user = Some(USER.to_owned());
            config.password = Some(Secret::new(PASSWORD));
            config.auto_create = Some(true);
        }))
    }

    /// Starts one broker that is in so many worlds at once, each with links of its own: for cases that let it be.
    ///
    /// # Errors
    /// As [`start`](KafkaWorld::start).
    pub async fn shared(worlds: usize) -> Result<Vec<Self>, Failure> {
        let mut broker = setup().links(worlds * LINKS).start().await?;
        let mut proxies = broker.take_proxies();
        let broker = Arc::new(Mutex::new(broker));
        let world = |_| {
            let own = proxies.split_off(proxies.len() - LINKS);
            Self::over("kafka", broker.clone(), Links::over(own))
        };
        Ok((0..worlds).map(world).collect())
    }
}

fn config(brokers: Vec<String>) -> Kafka {
    let mut config = Kafka::default();
    config.brokers = brokers;
    config
}

#[async_trait]
impl Told for Kafka {
    async fn connect(self, cluster: &ClusterName) -> Result<Box<dyn Transport>> {
        Ok(Box::new(KafkaTransport::connect(&self, cluster, WAIT).await?))
    }
}

impl Served for KafkaBroker {
    type Config = Kafka;

    fn process(&mut self) -> &mut Process {
        self
    }

    fn config(port: u16) -> Kafka {
        config(vec![format!("127.0.0.1:{port}")])
    }
}

impl KafkaClusterWorld {
    /// Starts them.
    ///
    /// # Errors
    /// Where there is none, or they do not come together.
    pub async fn start() -> Result<Self, Failure> {
        Ok(Self::of(setup().cluster(3).await?))
    }

    /// The same, each with a disk of so many bytes.
    ///
    /// # Errors
    /// As [`start`](KafkaClusterWorld::start); and where the system allows no such disk.
    pub async fn on_small_disks(bytes: u64) -> Result<Self, Failure> {
        Ok(Self::of(setup().small_disks(bytes).cluster(3).await?))
    }
}

#[async_trait]
impl ServedTogether for KafkaCluster {
    type Config = Kafka;
    const NAME: &'static str = "kafka-cluster";

    fn count(&self) -> usize {
        self.nodes().len()
    }

    fn process(&mut self, number: usize) -> &mut Process {
        self.node(number)
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        KafkaCluster::ready(self).await?;
        self.whole().await
    }

    fn config(&self) -> Kafka {
        config(self.nodes().iter().map(|node| node.address()).collect())
    }
}
