//! What stands where on the server: operators need it for access rules, and other software to read along.

use agora_core::id::{ClusterName, TopicName};

/// The names of one cluster on a server.
///
/// A cluster's name and a topic's name hold letters, digits, `.`, `_` and `-` alone, so no two of these names are the
/// same. What stands in braces decides the slot of a Redis cluster: all of a topic is in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    cluster: ClusterName,
}

impl Names {
    /// The names of this cluster.
    pub fn new(cluster: &ClusterName) -> Self {
        Self { cluster: cluster.clone() }
    }

    fn of(&self, topic: &TopicName, what: &str) -> String {
        format!("agora:{}:{{{topic}}}:{what}", self.cluster)
    }

    /// The channel of a live topic.
    pub fn channel(&self, topic: &TopicName) -> String {
        self.of(topic, "live")
    }

    /// The stream of a log.
    pub fn stream(&self, topic: &TopicName) -> String {
        self.of(topic, "log")
    }

    /// The settings of a log: a hash of `framing`, `wire`, `retention_ms`, `life`, and `missing:GROUP`.
    pub fn settings(&self, topic: &TopicName) -> String {
        self.of(topic, "settings")
    }

    /// The cursors of the durable subscriptions to a log: a hash of `NAME:fence` and `NAME:cursor`.
    pub fn cursors(&self, topic: &TopicName) -> String {
        self.of(topic, "cursors")
    }

    /// The names of all logs: a set.
    pub fn topics(&self) -> String {
        format!("agora:{}:topics", self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(cluster: &str, topic: &str) -> Vec<String> {
        let names = Names::new(&ClusterName::new(cluster).unwrap());
        let topic = TopicName::new(topic).unwrap();
        vec![
            names.channel(&topic),
            names.stream(&topic),
            names.settings(&topic),
            names.cursors(&topic),
            names.topics(),
        ]
    }

    #[test]
    fn names_are_as_they_are_written_down() {
        assert_eq!(
            all("prod", "angzarr.events.player"),
            [
                "agora:prod:{angzarr.events.player}:live",
                "agora:prod:{angzarr.events.player}:log",
                "agora:prod:{angzarr.events.player}:settings",
                "agora:prod:{angzarr.events.player}:cursors",
                "agora:prod:topics",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_two_names_are_the_same(
            one in ("[a-c_-]{1,3}(\\.[a-c]{1,2})?", "[a-c_-]{1,3}(\\.[a-c]{1,2})?"),
            other in ("[a-c_-]{1,3}(\\.[a-c]{1,2})?", "[a-c_-]{1,3}(\\.[a-c]{1,2})?"),
        ) {
            let (first, second) = (all(&one.0, &one.1), all(&other.0, &other.1));
            for (i, a) in first.iter().enumerate() {
                for (k, b) in second.iter().enumerate() {
                    let is_list = i == 4 && k == 4 && one.0 == other.0;
                    prop_assert_eq!(a == b, i == k && (one == other || is_list), "{} {}", a, b);
                }
            }
        }
    }
}
