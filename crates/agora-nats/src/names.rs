//! What things are called on the server.
//!
//! Everything is injective: two things of agora never share a name on the server. That rests on the alphabet of
//! agora's names, `A-Z a-z 0-9 _ -` in words that are joined by dots: `~`, `=` and `/` are in none of them.

use agora_core::id::{ClusterName, GroupName, TopicName};
use agora_core::{ErrorKind, Result};

use crate::error::error;

/// The bucket that holds the cursors of all clusters of an account.
pub const CURSORS_BUCKET: &str = "agora-cursors";
/// What the names of streams begin with, where the configuration does not say otherwise.
pub const STREAM_PREFIX: &str = "agora";
/// The longest name of a stream or a consumer that a server takes, in bytes (`JSMaxNameLen` of nats-server).
pub const SERVER_NAME_BYTES_MAX: usize = 255;

/// The subject of a live topic: `agora.<cluster>.live.<topic>`. A dot within the name of the cluster is `~`; the dots of
/// the topic stay, so that its words are tokens that permissions and wildcards can name.
pub fn live_subject(cluster: &ClusterName, topic: &TopicName) -> String {
    format!("agora.{}.live.{topic}", joined(cluster.as_str()))
}

/// The subject of a log, the only one of its stream: `agora.<cluster>.log.<topic>`.
pub fn log_subject(cluster: &ClusterName, topic: &TopicName) -> String {
    format!("agora.{}.log.{topic}", joined(cluster.as_str()))
}

/// The subject on which a node asks for a round trip: `agora.<cluster>.probe`. Nobody subscribes to it.
pub fn probe_subject(cluster: &ClusterName) -> String {
    format!("agora.{}.probe", joined(cluster.as_str()))
}

/// The subject on which the members of a group say that they are there: `agora.<cluster>.group.<topic>.<group>`, with
/// the dots within the topic as `~`.
pub fn members_subject(cluster: &ClusterName, topic: &TopicName, group: &GroupName) -> String {
    format!("agora.{}.group.{}.{}", joined(cluster.as_str()), joined(topic.as_str()), consumer_name(group))
}

/// What the names of all streams of a cluster begin with.
pub(crate) fn stream_prefix(prefix: &str, cluster: &ClusterName) -> String {
    format!("{prefix}={}=", joined(cluster.as_str()))
}

/// The stream of a log: `<prefix>=<cluster>=<topic>`, with dots as `~`.
///
/// # Errors
/// `Config` when that is longer than [`SERVER_NAME_BYTES_MAX`].
pub fn stream_name(prefix: &str, cluster: &ClusterName, topic: &TopicName) -> Result<String> {
    let name = format!("{}{}", stream_prefix(prefix, cluster), joined(topic.as_str()));
    if name.len() > SERVER_NAME_BYTES_MAX {
        return Err(error(ErrorKind::Config, "the stream of this topic would have too long a name")
            .context("topic", topic)
            .context("bytes", name.len())
            .context("allowed", SERVER_NAME_BYTES_MAX)
            .help("shorten the name of the cluster or of the topic"));
    }
    Ok(name)
}

/// The topic of a stream of this cluster; `None` where it is another's.
pub(crate) fn topic_of(prefix: &str, cluster: &ClusterName, stream: &str) -> Option<TopicName> {
    let topic = stream.strip_prefix(&stream_prefix(prefix, cluster))?;
    TopicName::new(&topic.replace('~', ".")).ok()
}

/// The durable consumer of a group: its name, which is one word.
pub fn consumer_name(group: &GroupName) -> String {
    group.as_str().to_owned()
}

/// The group of a consumer; `None` where no group can have this name.
pub(crate) fn group_of(consumer: &str) -> Option<GroupName> {
    GroupName::new(consumer).ok()
}

/// The key of a cursor: `<cluster>.<topic>.<name>`, with the dots within each part as `/`. What a key may not hold is
/// written `=XX`.
pub fn cursor_key(cluster: &ClusterName, topic: &TopicName, name: &str) -> String {
    format!("{}{}", cursors_prefix(cluster, topic), key_part(name))
}

/// What the keys of all cursors of a topic begin with.
pub(crate) fn cursors_prefix(cluster: &ClusterName, topic: &TopicName) -> String {
    format!("{}.{}.", key_part(cluster.as_str()), key_part(topic.as_str()))
}

fn joined(name: &str) -> String {
    name.replace('.', "~")
}

fn key_part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => part.push(char::from(byte)),
            b'.' => part.push('/'),
            other => part.push_str(&format!("={other:02X}")),
        }
    }
    part
}
