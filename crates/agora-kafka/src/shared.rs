//! What the transport and its rooms share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agora_core::Result;
use agora_core::id::{ClusterName, TopicName};
use agora_core::transport::Capabilities;

use crate::brokers::{Brokers, Line};
use crate::names;
use crate::publish::Producer;

/// What the transport and its rooms share.
pub(crate) struct Shared {
    pub(crate) brokers: Arc<Brokers>,
    pub(crate) cluster: ClusterName,
    pub(crate) capabilities: Capabilities,
    /// For questions that are answered at once.
    pub(crate) questions: Line,
    pub(crate) producer: Arc<Producer>,
    topics: Mutex<BTreeMap<TopicName, Opened>>,
}

/// What is known of a topic that was opened here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// Its messages are frames of agora, many events to one.
    pub(crate) has_frames: bool,
    /// The largest batch that it takes, in bytes, where that is known.
    pub(crate) bytes_max: Option<usize>,
}

impl Shared {
    pub(crate) fn new(brokers: Arc<Brokers>, cluster: &ClusterName, capabilities: Capabilities) -> Self {
        Self {
            cluster: cluster.clone(),
            capabilities,
            questions: brokers.line("topics"),
            producer: Producer::start(&brokers),
            topics: Mutex::default(),
            brokers,
        }
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<TopicName, Opened>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of a topic on the servers.
    ///
    /// # Errors
    /// `Config`: it cannot have one there.
    pub(crate) fn name_of(&self, topic: &TopicName) -> Result<String> {
        names::topic_name(&self.cluster, topic)
    }

    /// A topic was opened.
    pub(crate) fn remember(&self, topic: &TopicName, opened: Opened) {
        self.topics().insert(topic.clone(), opened);
    }

    /// What is known of a topic; `None`: it was not opened here.
    pub(crate) fn opened(&self, topic: &TopicName) -> Option<Opened> {
        self.topics().get(topic).copied()
    }

    /// Ends everything at once.
    pub(crate) fn end(&self) {
        self.producer.end();
        self.brokers.end();
    }
}
