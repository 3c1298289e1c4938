//! What things are called on the servers.
//!
//! A topic of the cluster [`DEFAULT_CLUSTER`] has on the servers the name that the application gave it, and a group too:
//! they are there to be shared with other software. In every other cluster the cluster's name and two dots stand before
//! it. Two dots are in no name of agora, so two things never share a name on the servers.
//!
//! Kafka takes any text for a group, and for a topic at most 249 of `A-Z a-z 0-9 . _ -`. It counts dots and underscores as
//! one where it looks whether a new topic's name is free, because its metrics do: `a.b` and `a_b` cannot both be made.
//!
//! **Groups.** A group of Kafka has positions in all topics that its members read, and a group of agora belongs to one
//! topic. `bus.group(topic, name)` is the group `name` of Kafka, whatever the topic: that is the name under which a
//! console finds it, and under which any other client joins it. So where one name is used for two topics, on Kafka it is
//! one group, whose members read different topics. Each topic is shared out among those who read it, and has positions of
//! its own; what is common is the life of the group: a member that comes or goes for one topic makes the other one be
//! shared out anew too, and who resets the group must stop the members of both. Two names avoid that.

use std::fmt::Write as _;

use agora_core::id::{ClusterName, GroupName, TopicName};
use agora_core::{ErrorKind, Result};

use crate::error::error;

/// The cluster whose topics and groups have plain names: the one of whoever names none.
pub const DEFAULT_CLUSTER: &str = "default";
/// The longest name of a topic that a broker takes, in bytes (`Topic.MAX_NAME_LENGTH` of Kafka).
pub const TOPIC_BYTES_MAX: usize = 249;
/// What stands before the name of a durable cursor where the configuration has no `kafka.group`.
pub const CURSOR_PREFIX: &str = "agora";

/// What parts the name of a cluster from what is in it.
const PART: &str = "..";
/// The topics in which Kafka and Redpanda keep their own things.
const INTERNAL: [&str; 5] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
    "__cluster_metadata",
    "__remote_log_metadata",
];

/// The topic on the servers: `<topic>` in the default cluster, else `<cluster>..<topic>`.
///
/// # Errors
/// `Config` when that is longer than [`TOPIC_BYTES_MAX`], or one of the brokers' own.
pub fn topic_name(cluster: &ClusterName, topic: &TopicName) -> Result<String> {
    let name = within(cluster, topic.as_str());
    if name.len() > TOPIC_BYTES_MAX {
        return Err(error(ErrorKind::Config, "this topic would have too long a name on the brokers")
            .context("topic", topic)
            .context("bytes", name.len())
            .context("allowed", TOPIC_BYTES_MAX)
            .help("shorten the name of the cluster or of the topic"));
    }
    if INTERNAL.contains(&name.as_str()) {
        return Err(error(ErrorKind::Config, "the brokers keep their own things in this topic")
            .context("topic", topic)
            .help("take another name"));
    }
    Ok(name)
}

/// The topic of a name on the servers; `None` where it is another cluster's, or none that agora could have.
pub fn topic_of(cluster: &ClusterName, name: &str) -> Option<TopicName> {
    let plain = plain(cluster, name)?;
    let control = TopicName::control();
    if plain == control.as_str() {
        return Some(control);
    }
    TopicName::new(plain).ok().filter(|_| !INTERNAL.contains(&name))
}

/// The group on the servers: `<group>` in the default cluster, else `<cluster>..<group>`. See the text above for why the
/// topic is not in it.
pub fn group_id(cluster: &ClusterName, group: &GroupName) -> String {
    within(cluster, group.as_str())
}

/// The group of agora of a name on the servers; `None` where it is another cluster's, a cursor's, or none that agora could
/// have.
pub fn group_of(cluster: &ClusterName, id: &str) -> Option<GroupName> {
    GroupName::new(plain(cluster, id)?).ok()
}

/// The group on the servers that holds the position of a durable cursor: `<prefix>.<name>` in the default cluster, else
/// `<cluster>..<prefix>.<name>`. `prefix` is `kafka.group`, or [`CURSOR_PREFIX`].
///
/// Two names under one prefix never meet. No group of work has such a name: theirs have no dot. What a name may hold beyond `A-Z a-z 0-9 _ -` is written `=XX`,
/// except for single dots between other signs.
pub fn cursor_id(cluster: &ClusterName, prefix: &str, name: &str) -> String {
    within(cluster, &format!("{}.{}", escaped(prefix), escaped(name)))
}

/// The transactional id that stands for the right to save a durable cursor: `<group of the cursor>/<topic on the servers>`.
/// A stroke is in no other name, so it is nobody else's.
pub fn cursor_right(group: &str, topic: &str) -> String {
    format!("{group}/{topic}")
}

fn within(cluster: &ClusterName, name: &str) -> String {
    if cluster.as_str() == DEFAULT_CLUSTER { name.to_owned() } else { format!("{cluster}{PART}{name}") }
}

/// The part of a name that is not the cluster's; `None` where it is another cluster's.
fn plain<'a>(cluster: &ClusterName, name: &'a str) -> Option<&'a str> {
    if cluster.as_str() == DEFAULT_CLUSTER {
        return (!name.contains(PART)).then_some(name);
    }
    name.strip_prefix(cluster.as_str())?.strip_prefix(PART)
}

/// Words joined by single dots stay as they are; every other byte is `=XX`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => out.push(char::from(*byte)),
            // The dot before it was escaped if it was none between signs, so no two dots ever meet.
            b'.' if at > 0 && bytes.get(at - 1) != Some(&b'.') && at + 1 < bytes.len() => out.push('.'),
            byte => {
                let _ = write!(out, "={byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cluster(name: &str) -> ClusterName {
        ClusterName::new(name).unwrap()
    }

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    #[test]
    fn in_the_default_cluster_names_are_what_they_are() {
        let cluster = cluster(DEFAULT_CLUSTER);
        assert_eq!(topic_name(&cluster, &topic("angzarr.events.player")).unwrap(), "angzarr.events.player");
        assert_eq!(group_id(&cluster, &GroupName::new("projector").unwrap()), "projector");
        assert_eq!(cursor_id(&cluster, "mail", "node-7"), "mail.node-7");
        assert_eq!(topic_name(&cluster, &TopicName::control()).unwrap(), "_agora.control");
    }

    #[test]
    fn elsewhere_the_cluster_stands_before_them() {
        let cluster = cluster("eu.mail");
        assert_eq!(topic_name(&cluster, &topic("stwt.agora")).unwrap(), "eu.mail..stwt.agora");
        assert_eq!(group_id(&cluster, &GroupName::new("projector").unwrap()), "eu.mail..projector");
        assert_eq!(cursor_id(&cluster, "mail", "node-7"), "eu.mail..mail.node-7");
    }

    #[test]
    fn what_is_too_long_or_the_brokers_own_is_refused() {
        let (long, longer) = ("c".repeat(100), "t".repeat(147));
        assert_eq!(topic_name(&cluster(&long), &topic(&longer)).unwrap().len(), TOPIC_BYTES_MAX);
        let error = topic_name(&cluster(&long), &topic(&format!("{longer}t"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let default = cluster(DEFAULT_CLUSTER);
        let error = topic_name(&default, &topic("__consumer_offsets")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(topic_of(&default, "__consumer_offsets"), None);
    }

    #[test]
    fn what_is_not_of_this_cluster_is_not_taken_for_its_own() {
        let (default, other) = (cluster(DEFAULT_CLUSTER), cluster("eu"));
        assert_eq!(topic_of(&default, "eu..a"), None);
        assert_eq!(topic_of(&other, "a"), None);
        assert_eq!(topic_of(&other, "eu.west..a"), None);
        assert_eq!(group_of(&default, "mail.node-7"), None, "a cursor");
        assert_eq!(group_of(&default, "a console's group"), None);
    }

    fn words() -> impl Strategy<Value = String> {
        // Few signs, so that names that nearly meet are common.
        proptest::collection::vec("[ab_-]{1,3}", 1..4).prop_map(|words| words.join("."))
    }

    fn clusters() -> impl Strategy<Value = ClusterName> {
        prop_oneof![Just(DEFAULT_CLUSTER.to_owned()), words()].prop_map(|name| cluster(&name))
    }

    fn topics() -> impl Strategy<Value = TopicName> {
        prop_oneof![words().prop_map(|name| topic(&name)), Just(TopicName::control())]
    }

    proptest! {
        #[test]
        fn two_topics_never_share_a_name(a in (clusters(), topics()), b in (clusters(), topics())) {
            let (name, other) = (topic_name(&a.0, &a.1).unwrap(), topic_name(&b.0, &b.1).unwrap());
            prop_assert_eq!(a == b, name == other);
            prop_assert_eq!(topic_of(&a.0, &name), Some(a.1));
            let is_legal = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            prop_assert!(name.chars().all(is_legal) && !name.is_empty() && name != "." && name != "..");
        }

        #[test]
        fn two_groups_never_share_a_name(
            a in (clusters(), "[ab_-]{1,3}"), b in (clusters(), "[ab_-]{1,3}"), cursor in (clusters(), "[ab.=/é]{0,5}"),
        ) {
            let id = |(cluster, group): &(ClusterName, String)| group_id(cluster, &GroupName::new(group).unwrap());
            prop_assert_eq!(a == b, id(&a) == id(&b));
            prop_assert_eq!(group_of(&a.0, &id(&a)).map(|group| group.to_string()), Some(a.1.clone()));
            prop_assert_ne!(id(&a), cursor_id(&cursor.0, "a", &cursor.1));
        }

        #[test]
        fn two_cursors_never_share_a_name(
            a in (clusters(), "[ab.=/é]{0,5}"), b in (clusters(), "[ab.=/é]{0,5}"), prefix in words(),
        ) {
            let (id, other) = (cursor_id(&a.0, &prefix, &a.1), cursor_id(&b.0, &prefix, &b.1));
            prop_assert_eq!(a == b, id == other);
        }
    }
}
