//! What the transport and its rooms share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agora_core::Result;
use agora_core::id::{ClusterName, TopicName};
use agora_core::transport::Capabilities;

use crate::brokers::{Brokers, Line};
use crate::names;
use crate::publish::Records;

/// What the transport and its rooms share.
pub(crate) struct Shared {
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) cluster: ClusterName,
    pub(crate) capabilities: Capabilities,
    /// For questions that are answered at once.
    pub(crate) questions: Line,
    pub(crate) records: Arc<Records>,
    /// The largest batch of each topic that was opened here, where that is known.
    bytes_max: Mutex<BTreeMap<TopicName, usize>>,
}

impl Shared {
    pub(crate) fn new(brokers: Arc<Brokers>, cluster: &ClusterName, capabilities: Capabilities) -> Self {
        Self {
            cluster: cluster.clone(),
            capabilities,
            questions: brokers.line("topics"),
            records: Records::start(&brokers),
            bytes_max: Mutex::default(),
            brokers,
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<TopicName, usize>> {
        self.bytes_max.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of a topic on the servers.
    ///
    /// # Errors
    /// `Config`: it cannot have one there.
    pub(crate) fn name_of(&self, topic: &TopicName) -> Result<String> {
        names::topic_name(&self.cluster, topic)
    }

    /// A topic was opened.
    pub(crate) fn opened(&self, topic: &TopicName, bytes_max: Option<usize>) {
        match bytes_max {
            Some(bytes_max) => self.known().insert(topic.clone(), bytes_max),
            None => self.known().remove(topic),
        };
    }

    /// The largest batch that a topic takes, as far as is known.
    pub(crate) fn bytes_max(&self, topic: &TopicName) -> usize {
        self.known().get(topic).copied().unwrap_or(usize::MAX)
    }

    /// Ends everything at once.
    pub(crate) fn end(&self) {
        self.records.end();
        self.brokers.end();
    }
}
