//! One broker.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::ask::{self, KafkaTopic, Of};
use super::{KafkaPapers, KafkaSetup, KafkaVersion};
use crate::failure::{Failure, Result};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::wait;

/// A Kafka broker: alone, or of a cluster. Topics are not made by being named.
#[derive(Debug)]
pub struct KafkaBroker {
    pub(super) process: Process,
    /// One for each link.
    pub(super) proxies: Vec<Proxy>,
    pub(super) access: Option<Access>,
}

/// How to come in where a name and a password are asked for.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) tls_port: u16,
    pub(super) plain_port: u16,
    pub(super) papers: Arc<KafkaPapers>,
}

impl KafkaBroker {
    /// One of 4.1 that lets everybody in.
    ///
    /// # Errors
    /// Where there is no Kafka or no Java, or it does not start.
    pub async fn start() -> Result<Self> {
        KafkaSetup::new().start().await
    }

    /// One with more in its configuration, such as `("group.min.session.timeout.ms", "1000")`.
    ///
    /// # Errors
    /// Where there is no Kafka or no Java, or it does not start with this.
    pub async fn with(settings: &[(&str, &str)]) -> Result<Self> {
        KafkaSetup::new().with(settings).start().await
    }

    /// One of this line.
    ///
    /// # Errors
    /// As [`start`](KafkaBroker::start).
    pub async fn of(version: KafkaVersion) -> Result<Self> {
        KafkaSetup::new().version(version).start().await
    }

    /// One that also has listeners that ask for a name and a password: [`tls_address`](Self::tls_address),
    /// [`sasl_address`](Self::sasl_address). They let in [`USER`](super::USER) with [`PASSWORD`](super::PASSWORD), by
    /// SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN. The one that lets everybody in remains.
    ///
    /// # Errors
    /// As [`start`](KafkaBroker::start).
    pub async fn secured() -> Result<Self> {
        KafkaSetup::new().secured().start().await
    }

    /// `kafka://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.address())
    }

    /// `127.0.0.1:PORT`, as clients of Kafka take it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Where the listener with TLS and passwords is (`SASL_SSL`).
    ///
    /// # Panics
    /// Where the broker is not [`secured`](KafkaBroker::secured).
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port())
    }

    /// Its port, for a [`Proxy`] before it.
    ///
    /// # Panics
    /// As [`tls_address`](Self::tls_address).
    pub fn tls_port(&self) -> u16 {
        self.access().tls_port
    }

    /// Where the listener with passwords and without TLS is (`SASL_PLAINTEXT`).
    ///
    /// # Panics
    /// As [`tls_address`](Self::tls_address).
    pub fn sasl_address(&self) -> String {
        format!("127.0.0.1:{}", self.access().plain_port)
    }

    /// What its clients need: certificates and the password, as files.
    ///
    /// # Panics
    /// As [`tls_address`](Self::tls_address).
    pub fn papers(&self) -> &KafkaPapers {
        &self.access().papers
    }

    fn access(&self) -> &Access {
        self.access.as_ref().expect("a broker that was made `secured`")
    }

    /// The proxy of a link before this broker, to be cut, slowed or reset.
    ///
    /// # Panics
    /// Where there are fewer links: see [`KafkaSetup::links`].
    pub fn proxy(&mut self, link: usize) -> &mut Proxy {
        &mut self.proxies[link]
    }

    /// `kafka://` and the address of a link.
    ///
    /// # Panics
    /// As [`proxy`](KafkaBroker::proxy).
    pub fn url_of_link(&self, link: usize) -> String {
        format!("kafka://127.0.0.1:{}", self.proxies[link].port())
    }

    /// The proxies of its links, in their order, for who deals with them apart from the broker. It has none then.
    pub fn take_proxies(&mut self) -> Vec<Proxy> {
        std::mem::take(&mut self.proxies)
    }

    /// The nodes that serve, as this broker knows, itself included.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn serving(&self) -> Result<Vec<usize>> {
        let mut brokers = ask::metadata(self.port(), Of::None).await?.brokers;
        brokers.sort_unstable();
        Ok(brokers)
    }

    /// Makes a topic, and waits until every partition has a leader.
    ///
    /// # Errors
    /// Where the broker refuses, or there is none in time.
    pub async fn create_topic(&self, name: &str, partitions: u32) -> Result {
        self.make_topic(name, partitions).await?;
        wait::until("every partition has a leader", || async {
            let topic = self.topic(name).await?;
            Ok(topic.partitions.iter().all(|partition| partition.leader.is_some()).then_some(()))
        })
        .await
    }

    /// Has a topic made. A broker that answers late may have made it: then it knows it.
    pub(super) async fn make_topic(&self, name: &str, partitions: u32) -> Result {
        wait::until("a topic is made", || async {
            match ask::create_topic(self.port(), name, partitions).await {
                Err(failure) if self.topic(name).await.is_err() => Err(failure),
                _ => Ok(Some(())),
            }
        })
        .await
    }

    /// What this broker knows of every topic, the brokers' own included.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn topics(&self) -> Result<Vec<KafkaTopic>> {
        Ok(ask::metadata(self.port(), Of::All).await?.topics)
    }

    /// What this broker knows of a topic.
    ///
    /// # Errors
    /// Where it does not answer, or there is no such topic.
    pub async fn topic(&self, name: &str) -> Result<KafkaTopic> {
        let metadata = ask::metadata(self.port(), Of::One(name)).await?;
        let found = metadata.topics.into_iter().find(|topic| topic.name == name);
        found.ok_or_else(|| Failure::new(format!("there is no topic {name}")))
    }
}

impl Deref for KafkaBroker {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for KafkaBroker {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
