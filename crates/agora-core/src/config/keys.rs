//! Every setting there is.

use std::time::Duration;

use super::key::Key;
use super::takes::Takes;
use super::{kafka, nats, redis, topics, zenoh};
use crate::limits::Limits;

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;

/// A table of settings.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Section {
    /// The name of the table: empty at the top of the file, `topics.NAME` for the tables of topics.
    pub name: &'static str,
    /// Its settings.
    pub keys: &'static [Key],
}

/// The name of the section of topics: one table for each topic.
pub(super) const TOPICS: &str = "topics.NAME";

/// Every section with every setting, but for `tags`, whose keys are the operator's own.
pub const SECTIONS: &[Section] = &[
    Section { name: "", keys: TOP },
    Section { name: "limits", keys: LIMITS },
    Section { name: "membership", keys: MEMBERSHIP },
    Section { name: TOPICS, keys: topics::KEYS },
    Section { name: "zenoh", keys: zenoh::KEYS },
    Section { name: "nats", keys: nats::KEYS },
    Section { name: "redis", keys: redis::KEYS },
    Section { name: "kafka", keys: kafka::KEYS },
];

const TOP: &[Key] = &[
    Key::new(
        "url",
        Takes::Url,
        "",
        "The backend and its servers. What follows `?` are keys of the backend's table, and `cluster`.",
    ),
    Key::new(
        "cluster",
        Takes::Cluster,
        "\"default\"",
        "The name of the cluster. Nodes of different clusters never hear each other, even on one server.",
    ),
    Key::new(
        "node",
        Takes::Node,
        "the host's name",
        "The name of this node. No other live node of the cluster may have it.",
    ),
    Key::new(
        "connect_timeout",
        Takes::time(100, 10 * MINUTE),
        "\"5s\"",
        "How long to wait for the backend at start.",
    ),
];

const LIMITS: &[Key] = &[
    Key::new(
        "memory_bytes",
        Takes::Number { least: Limits::MEMORY_BYTES_MIN as u64, most: Limits::MEMORY_BYTES_MAX as u64 },
        "67108864",
        "All that a bus may hold, in bytes: half for what waits to be sent, a quarter for repair, a quarter for what \
         was received and not yet taken.",
    ),
    Key::new(
        "repair_age",
        Takes::Time { least: Duration::ZERO, most: Limits::TIME_MAX },
        "\"30s\"",
        "How long a sent frame is kept, so that whoever missed it can ask for it.",
    ),
    Key::new(
        "publish_timeout",
        Takes::Time { least: Limits::PUBLISH_TIMEOUT_MIN, most: Limits::TIME_MAX },
        "\"30s\"",
        "How long a publish may take. It must outlast a failover of the backend's leader.",
    ),
];

const MEMBERSHIP: &[Key] = &[
    Key::new(
        "heartbeat_interval",
        Takes::time(10, 5 * MINUTE),
        "\"1s\"",
        "The longest time between two heartbeats of a node.",
    ),
    Key::new(
        "suspect_after",
        Takes::time(20, 5 * MINUTE),
        "\"3s\"",
        "How long a member may be silent before it is suspected: at least twice `heartbeat_interval`.",
    ),
    Key::new(
        "fail_after",
        Takes::time(40, 5 * MINUTE),
        "\"5s\"",
        "How long a member may be silent before it has failed: at least `suspect_after` and twice \
         `heartbeat_interval`.",
    ),
    Key::new(
        "hint_grace",
        Takes::time(11, 5 * MINUTE),
        "\"1500ms\"",
        "How long a member that the backend reports as gone has to prove that it lives: more than \
         `heartbeat_interval`, at most `fail_after`.",
    ),
];

/// The section of this name; any `topics.X` is the section of topics.
pub fn section(name: &str) -> Option<&'static Section> {
    let name = if name.starts_with("topics.") { TOPICS } else { name };
    SECTIONS.iter().find(|section| section.name == name)
}

/// A setting by the name of its section and its own.
pub fn find(section_name: &str, name: &str) -> Option<&'static Key> {
    section(section_name)?.keys.iter().find(|key| key.name == name)
}
