//! The key expressions on which a cluster talks. They are an interface: operators write access rules with them.

use agora_core::id::{ClusterName, Incarnation, NodeId, SourceId, TopicName};
use zenoh::session::ZenohId;

/// Where the messages of a topic travel: `agora/<cluster>/topic/<topic>`.
///
/// The names need no escaping: what they may hold is a subset of what a chunk of a key expression may hold.
pub(crate) fn topic(cluster: &ClusterName, topic: &TopicName) -> String {
    format!("agora/{cluster}/topic/{topic}")
}

/// The token that says that a source lives: `agora/<cluster>/alive/<node>/<incarnation>`, both as 16 hex digits.
pub(crate) fn alive(cluster: &ClusterName, source: SourceId) -> String {
    format!("agora/{cluster}/alive/{}/{}", source.node, source.incarnation)
}

/// All tokens of a cluster.
pub(crate) fn alive_all(cluster: &ClusterName) -> String {
    format!("agora/{cluster}/alive/*/*")
}

/// Where a node answers whom it is connected to: `agora/<cluster>/node/<zenoh id>`.
pub(crate) fn node(cluster: &ClusterName, id: &ZenohId) -> String {
    format!("agora/{cluster}/node/{id}")
}

/// All nodes of a cluster.
pub(crate) fn node_all(cluster: &ClusterName) -> String {
    format!("agora/{cluster}/node/*")
}

/// The source that a token names; `None` where the key is not one of ours.
pub(crate) fn source_of(cluster: &ClusterName, key: &str) -> Option<SourceId> {
    let rest = key.strip_prefix("agora/")?.strip_prefix(cluster.as_str())?.strip_prefix("/alive/")?;
    let (node, incarnation) = rest.split_once('/')?;
    Some(SourceId { node: NodeId(hex16(node)?), incarnation: Incarnation(hex16(incarnation)?) })
}

/// Sixteen lower case hex digits, as the identities are displayed: one key for one identity, no other spelling.
fn hex16(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> ClusterName {
        ClusterName::new(name).unwrap()
    }

    #[test]
    fn keys_are_what_the_manual_says() {
        let mail = TopicName::new("stwt.agora").unwrap();
        assert_eq!(topic(&cluster("prod"), &mail), "agora/prod/topic/stwt.agora");
        assert_eq!(topic(&cluster("prod"), &TopicName::control()), "agora/prod/topic/_agora.control");
        let source = SourceId { node: NodeId(0xab), incarnation: Incarnation(u64::MAX) };
        assert_eq!(alive(&cluster("prod"), source), "agora/prod/alive/00000000000000ab/ffffffffffffffff");
    }

    #[test]
    fn zenoh_takes_every_name_as_a_key() {
        for name in ["a", "A_b-c.D", "-", "_", "0"] {
            let key = topic(&cluster(name), &TopicName::new(name).unwrap());
            assert_eq!(zenoh::key_expr::KeyExpr::new(key.clone()).unwrap().as_str(), key);
        }
    }

    #[test]
    fn only_a_token_of_this_cluster_names_a_source() {
        let source = SourceId { node: NodeId(7), incarnation: Incarnation(9) };
        let ours = alive(&cluster("a.b"), source);
        assert_eq!(source_of(&cluster("a.b"), &ours), Some(source));
        for foreign in [
            "",
            "agora/a.b/alive/",
            "agora/a.b/alive/7/9",
            "agora/a.b/alive/0000000000000007",
            "agora/a.b/alive/0000000000000007/000000000000000G",
            "agora/a.b/alive/000000000000000A/0000000000000009",
            "agora/a.b/alive/+000000000000007/0000000000000009",
            "agora/a.b/alive/0000000000000007/0000000000000009/x",
            "agora/a.bc/alive/0000000000000007/0000000000000009",
            "agora/a/alive/0000000000000007/0000000000000009",
        ] {
            assert_eq!(source_of(&cluster("a.b"), foreign), None, "{foreign}");
        }
    }
}
