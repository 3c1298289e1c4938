//! Names on the server: two things of agora never share one.

use agora_core::ErrorKind;
use agora_core::id::{ClusterName, GroupName, TopicName};
use agora_nats::{
    consumer_name, cursor_key, live_subject, log_subject, members_subject, probe_subject, stream_name,
};
use proptest::prelude::*;

/// Names that are likely to meet when they are joined carelessly.
fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec("[aB0_-]{1,3}", 1..4).prop_map(|words| words.join("."))
}

proptest! {
    #[test]
    fn different_things_have_different_names(
        clusters in (name(), name()), topics in (name(), name()), groups in ("[aB0_-]{1,3}", "[aB0_-]{1,3}"), cursors in (".{0,6}", ".{0,6}"),
    ) {
        let cluster = [&clusters.0, &clusters.1].map(|name| ClusterName::new(name).unwrap());
        let topic = [&topics.0, &topics.1].map(|name| TopicName::new(name).unwrap());
        let group = [&groups.0, &groups.1].map(|name| GroupName::new(name).unwrap());
        let cursor = [&cursors.0, &cursors.1];
        let same_topic = cluster[0] == cluster[1] && topic[0] == topic[1];
        let differ = |name: &dyn Fn(usize) -> String| name(0) != name(1);
        prop_assert_eq!(differ(&|n| live_subject(&cluster[n], &topic[n])), !same_topic);
        prop_assert_eq!(differ(&|n| log_subject(&cluster[n], &topic[n])), !same_topic);
        prop_assert_eq!(differ(&|n| stream_name("agora", &cluster[n], &topic[n]).unwrap()), !same_topic);
        prop_assert_eq!(differ(&|n| consumer_name(&group[n])), group[0] != group[1]);
        prop_assert_eq!(differ(&|n| probe_subject(&cluster[n])), cluster[0] != cluster[1]);
        let same_group = same_topic && group[0] == group[1];
        prop_assert_eq!(differ(&|n| members_subject(&cluster[n], &topic[n], &group[n])), !same_group);
        let same_cursor = same_topic && cursor[0] == cursor[1];
        prop_assert_eq!(differ(&|n| cursor_key(&cluster[n], &topic[n], cursor[n])), !same_cursor);
    }

    #[test]
    fn names_are_what_a_server_takes(cluster in name(), topic in name(), cursor in ".{0,6}") {
        let (cluster, topic) = (ClusterName::new(&cluster).unwrap(), TopicName::new(&topic).unwrap());
        let stream = stream_name("agora", &cluster, &topic).unwrap();
        prop_assert!(!stream.contains(['.', '*', '>', ' ', '/', '\\']), "{}", stream);
        let key = cursor_key(&cluster, &topic, &format!("x{cursor}"));
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_=.".contains(&byte);
        prop_assert!(key.bytes().all(is_fine) && !key.contains("..") && !key.ends_with('.'), "{}", key);
        prop_assert_eq!(live_subject(&cluster, &topic).split('.').count(), 3 + topic.as_str().split('.').count());
    }
}

#[test]
fn names_are_as_the_documentation_says() {
    let (cluster, topic) = (ClusterName::new("eu.prod").unwrap(), TopicName::new("mail.events").unwrap());
    assert_eq!(live_subject(&cluster, &topic), "agora.eu~prod.live.mail.events");
    assert_eq!(log_subject(&cluster, &topic), "agora.eu~prod.log.mail.events");
    assert_eq!(stream_name("agora", &cluster, &topic).unwrap(), "agora=eu~prod=mail~events");
    assert_eq!(cursor_key(&cluster, &topic, "node.7"), "eu/prod.mail/events.node/7");
    let group = GroupName::new("push-workers").unwrap();
    assert_eq!(consumer_name(&group), "push-workers");
    assert_eq!(members_subject(&cluster, &topic, &group), "agora.eu~prod.group.mail~events.push-workers");
    let long = TopicName::new(&"t".repeat(200)).unwrap();
    let refused = stream_name("agora", &ClusterName::new(&"c".repeat(60)).unwrap(), &long).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
}
