//! What a bus is told when it opens.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClusterName, NodeName, TopicName};
use crate::limits::{Limits, TAG_BYTES_MAX, TAGS_MAX};
use crate::membership::MembershipConfig;
use crate::transport::{Framing, TopicKind, TopicSettings, TopicSpec};

/// What a bus is told when it opens. Plain data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BusConfig {
    /// The cluster. Nodes of different clusters never hear each other.
    pub cluster: ClusterName,
    /// This node's name; no other live node of the cluster may have it.
    pub node: NodeName,
    /// Words that the other members see, such as `role=imap`. At most 32, of at most 200 bytes each.
    pub tags: Vec<(String, String)>,
    /// What topics are. One that is not named here is as usual, unless it is one of dead letters. Every node
    /// must be told the same.
    pub topics: BTreeMap<TopicName, TopicSettings>,
    /// What a topic is that is not named. Default: [`TopicSettings::LIVE`].
    pub usual: TopicSettings,
    /// Memory and time bounds.
    pub limits: Limits,
    /// When a silent node is held dead.
    pub membership: MembershipConfig,
    /// Where times come from.
    pub clock: Clock,
    /// Take part without being a member: publish and subscribe, see the members, and be told to nobody as one. For
    /// command lines and probes. Default `false`.
    pub observer: bool,
    /// Seeds jitter and the incarnation. `None`, the default: from the system. Two buses with one seed in one
    /// cluster would share an incarnation, so this is for simulations.
    pub seed: Option<u64>,
}

impl BusConfig {
    /// The defaults for a node of a cluster.
    pub fn new(cluster: ClusterName, node: NodeName) -> Self {
        Self {
            cluster,
            node,
            tags: Vec::new(),
            topics: BTreeMap::new(),
            usual: TopicSettings::LIVE,
            limits: Limits::default(),
            membership: MembershipConfig::default(),
            clock: Clock::System,
            observer: false,
            seed: None,
        }
    }

    /// What a topic is. Names that end in `.dead` are logs of one event a message: dead letters
    /// lie there.
    pub fn settings_of(&self, topic: &TopicName) -> TopicSettings {
        let usual = match topic.is_dead_letters() {
            true => TopicSettings::LOG.framing(Framing::Each),
            false => self.usual,
        };
        self.topics.get(topic).copied().unwrap_or(usual)
    }

    /// Live, or a log?
    pub fn kind_of(&self, topic: &TopicName) -> TopicKind {
        self.settings_of(topic).kind
    }

    /// The topic with what it is.
    pub(crate) fn spec_of(&self, topic: &TopicName) -> TopicSpec {
        TopicSpec { name: topic.clone(), settings: self.settings_of(topic) }
    }

    /// Checks the relations between the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the setting, what was found and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let wrong = |setting: &'static str, found: String, allowed: String| {
            Err(Error::new(ErrorKind::Config, format!("`{setting}` is out of range"))
                .context("found", found)
                .context("allowed", allowed))
        };
        let limits = &self.limits;
        if limits.memory_bytes < Limits::MEMORY_BYTES_MIN {
            let allowed = format!("at least {} bytes", Limits::MEMORY_BYTES_MIN);
            return wrong("limits.memory_bytes", limits.memory_bytes.to_string(), allowed);
        }
        if limits.memory_bytes > Limits::MEMORY_BYTES_MAX {
            let allowed = format!("at most {} bytes", Limits::MEMORY_BYTES_MAX);
            return wrong("limits.memory_bytes", limits.memory_bytes.to_string(), allowed);
        }
        for (setting, found, least) in [
            ("limits.publish_timeout", limits.publish_timeout, Limits::PUBLISH_TIMEOUT_MIN),
            ("limits.repair_age", limits.repair_age, Duration::ZERO),
        ] {
            if !(least..=Limits::TIME_MAX).contains(&found) {
                let allowed = format!("{least:?} to {:?}", Limits::TIME_MAX);
                return wrong(setting, format!("{found:?}"), allowed);
            }
        }
        if self.tags.len() > TAGS_MAX {
            return wrong("tags", format!("{} tags", self.tags.len()), format!("at most {TAGS_MAX}"));
        }
        if let Some((name, _)) = self.tags.iter().find(|(n, v)| n.len().max(v.len()) > TAG_BYTES_MAX) {
            let shown: String = name.chars().take(40).collect();
            let allowed = format!("names and values of at most {TAG_BYTES_MAX} bytes");
            return wrong("tags", format!("a longer one at {shown:?}"), allowed);
        }
        self.membership.validate()
    }
}
