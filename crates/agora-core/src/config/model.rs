//! Everything that was configured.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backend::Backend;
use super::kafka::Kafka;
use super::nats::Nats;
use super::problem::Problem;
use super::redis::Redis;
use super::secret::SecretUrl;
use super::topics::TopicConfig;
use super::value::Value;
use super::zenoh::Zenoh;
use crate::id::{ClusterName, NodeName, TopicName};
use crate::limits::{Limits, TAG_BYTES_MAX, TAGS_MAX};
use crate::membership::MembershipConfig;

/// The most topics with settings of their own.
const TOPICS_MAX: usize = 4096;

/// Everything that was configured: plain data, all backends' sections at once, whichever is chosen.
///
/// A model is filled key by key with [`set`](Model::set) and then [`check`](Model::check)ed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// The backend; `None` where nobody chose one.
    pub backend: Option<Backend>,
    /// The URL that was given, where one was. What it says is in the sections already.
    pub url: Option<SecretUrl>,
    /// The name of the space of the backend memory.
    pub space: Option<String>,
    /// The cluster; `None`: `default`.
    pub cluster: Option<ClusterName>,
    /// This node's name; `None`: the host's.
    pub node: Option<NodeName>,
    /// Words that the other members see. At most 32, of at most 200 bytes each.
    pub tags: BTreeMap<String, String>,
    /// How long to wait for the backend at start. Default 5 s.
    pub connect_timeout: Duration,
    /// Memory and time bounds.
    pub limits: Limits,
    /// When a silent node is held dead.
    pub membership: MembershipConfig,
    /// The topics that have settings of their own.
    pub topics: BTreeMap<TopicName, TopicConfig>,
    /// The settings of the backend Zenoh.
    pub zenoh: Zenoh,
    /// The settings of the backend NATS.
    pub nats: Nats,
    /// The settings of the backend Redis.
    pub redis: Redis,
    /// The settings of the backend Kafka.
    pub kafka: Kafka,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            backend: None,
            url: None,
            space: None,
            cluster: None,
            node: None,
            tags: BTreeMap::new(),
            connect_timeout: Duration::from_secs(5),
            limits: Limits::default(),
            membership: MembershipConfig::default(),
            topics: BTreeMap::new(),
            zenoh: Zenoh::default(),
            nats: Nats::default(),
            redis: Redis::default(),
            kafka: Kafka::default(),
        }
    }
}

impl Model {
    /// Takes one setting: the name of its section (`kafka`, `topics.NAME`, empty at the top), its own, and its value,
    /// as [`Takes::read`](super::Takes::read) of the setting's [`Key`](super::Key) returned it. `false` where there
    /// is no such setting, or the value is of another type.
    pub fn set(&mut self, section: &str, name: &str, value: Value) -> bool {
        match section {
            "" => self.set_top(name, value),
            "limits" => set_limit(&mut self.limits, name, value),
            "membership" => set_membership(&mut self.membership, name, value),
            "zenoh" => self.zenoh.set(name, value),
            "nats" => self.nats.set(name, value),
            "redis" => self.redis.set(name, value),
            "kafka" => self.kafka.set(name, value),
            _ => {
                let topic = section.strip_prefix("topics.").and_then(|topic| TopicName::new(topic).ok());
                topic.is_some_and(|topic| self.topics.entry(topic).or_default().set(name, value))
            }
        }
    }

    fn set_top(&mut self, name: &str, value: Value) -> bool {
        match (name, value) {
            ("url", Value::Url(url)) => self.url = Some(url),
            ("cluster", Value::Text(name)) => self.cluster = ClusterName::new(&name).ok(),
            ("node", Value::Text(name)) => self.node = NodeName::new(&name).ok(),
            ("connect_timeout", Value::Time(time)) => self.connect_timeout = time,
            _ => return false,
        }
        true
    }

    /// Checks how the settings fit together. Each alone is right already, or it would not have been read.
    ///
    /// # Errors
    /// The first that does not fit, with the keys that it is about.
    pub fn check(&self) -> Result<(), Problem> {
        self.check_tags()?;
        if self.topics.len() > TOPICS_MAX {
            let found = format!("{} topics", self.topics.len());
            return Err(about("topics", Problem::value(found, format!("at most {TOPICS_MAX}"))));
        }
        for (name, topic) in &self.topics {
            topic.check(&format!("topics.\"{name}\""))?;
        }
        check_membership(&self.membership)?;
        self.zenoh.check()?;
        self.nats.check(self.backend == Some(Backend::Nats))?;
        self.redis.check(self.backend == Some(Backend::Redis))?;
        self.kafka.check(self.backend == Some(Backend::Kafka))
    }

    fn check_tags(&self) -> Result<(), Problem> {
        if self.tags.len() > TAGS_MAX {
            let found = format!("{} tags", self.tags.len());
            return Err(about("tags", Problem::value(found, format!("at most {TAGS_MAX}"))));
        }
        let long = |text: &str| text.len() > TAG_BYTES_MAX;
        match self.tags.iter().find(|(name, value)| long(name) || long(value)) {
            Some((name, value)) => {
                let shown: String = name.chars().take(40).collect();
                let found = format!("a name of {} and a value of {} bytes", name.len(), value.len());
                let allowed = format!("names and values of at most {TAG_BYTES_MAX} bytes");
                Err(about(&format!("tags.{shown}"), Problem::value(found, allowed)))
            }
            None => Ok(()),
        }
    }
}

fn about(key: &str, problem: Problem) -> Problem {
    Problem { keys: vec![key.to_owned()], ..problem }
}

fn set_limit(limits: &mut Limits, name: &str, value: Value) -> bool {
    match (name, value) {
        ("memory_bytes", Value::Number(bytes)) => match usize::try_from(bytes) {
            Ok(bytes) => limits.memory_bytes = bytes,
            Err(_) => return false,
        },
        ("repair_age", Value::Time(time)) => limits.repair_age = time,
        ("publish_timeout", Value::Time(time)) => limits.publish_timeout = time,
        _ => return false,
    }
    true
}

fn set_membership(membership: &mut MembershipConfig, name: &str, value: Value) -> bool {
    let Value::Time(time) = value else { return false };
    match name {
        "heartbeat_interval" => membership.heartbeat_interval = time,
        "suspect_after" => membership.suspect_after = time,
        "fail_after" => membership.fail_after = time,
        "hint_grace" => membership.hint_grace = time,
        _ => return false,
    }
    true
}

/// How the times of the failure detector relate.
fn check_membership(membership: &MembershipConfig) -> Result<(), Problem> {
    membership.relations().map_err(|broken| Problem {
        keys: vec![format!("membership.{}", broken.field)],
        what: "does not fit to the other times of the failure detector".to_owned(),
        found: Some(format!("{:?}", broken.found)),
        allowed: Some(broken.allowed()),
        help: Some(broken.help()),
    })
}
