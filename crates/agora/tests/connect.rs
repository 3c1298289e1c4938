//! From a URL to a bus: what is taken, what is refused, and in which words.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use agora::{Bus, Delivery, ErrorKind, RawBytes, Start};

#[tokio::test]
async fn the_cluster_comes_from_the_builder_then_the_url_then_the_default() {
    for (builder, url, expected) in [
        (None, "memory:clusters", agora::DEFAULT_CLUSTER),
        (None, "memory:clusters?cluster=from-url", "from-url"),
        (Some("from-code"), "memory:clusters?cluster=from-url", "from-code"),
        (Some("from-code"), "memory:clusters", "from-code"),
    ] {
        let mut described = Bus::builder().url(url).node("n");
        if let Some(cluster) = builder {
            described = described.cluster(cluster);
        }
        let bus = described.connect().await.unwrap();
        assert_eq!(bus.config().cluster.as_str(), expected, "{builder:?} {url}");
    }
}

#[tokio::test]
async fn a_node_without_a_name_is_called_as_its_host() {
    let bus = Bus::connect("memory:named-by-host").await.unwrap();
    assert_eq!(bus.config().node, agora::host_node_name().unwrap());
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let base = || Bus::builder().url("memory:wrong").node("n");
    for (what, described, says) in [
        ("no URL", Bus::builder().node("n"), "no URL"),
        ("a scheme that nobody knows", base().url("carrier-pigeon:"), "\"carrier-pigeon\""),
        ("no scheme", base().url("localhost"), "scheme"),
        ("a space without a name", base().url("memory:"), "no name"),
        ("a space with a bad name", base().url("memory:a b"), "space"),
        ("an unknown parameter", base().url("memory:a?x=1"), "\"x\""),
        ("a bad cluster", base().cluster("a b"), "cluster"),
        ("a bad node", base().node("a/b"), "node"),
        ("a tag that is too long", base().tag("role", "x".repeat(1000)), "tags"),
    ] {
        let error = described.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{what}");
        assert!(error.to_string().contains(says), "{what}: {error}");
    }
}

#[cfg(not(feature = "zenoh"))]
#[tokio::test]
async fn a_backend_that_was_not_compiled_in_names_its_feature() {
    let error = Bus::connect("zenoh:").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.help_text().unwrap().contains("feature `zenoh`"), "{error:#}");
}

#[cfg(feature = "zenoh")]
#[tokio::test]
async fn zenoh_refuses_a_runtime_that_it_cannot_use() {
    let error = Bus::builder().url("zenoh:?multicast=off").node("n").connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime, "{error:#}");
    assert!(error.help_text().unwrap().contains("multi_thread"), "{error:#}");
}

#[test]
fn outside_of_a_runtime_it_is_an_error_and_no_panic() {
    let space = agora::memory::Space::default();
    let (cluster, node) = (agora::ClusterName::new("c").unwrap(), agora::NodeName::new("n").unwrap());
    let error = Bus::builder().node("n").open(space.connect(&cluster, &node)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}

#[tokio::test]
async fn two_buses_of_one_space_talk_and_two_clusters_do_not() {
    let connect =
        |node: &str, cluster: &str| Bus::builder().url("memory:talk").node(node).cluster(cluster).connect();
    let a = connect("a", "one").await.unwrap();
    let b = connect("b", "one").await.unwrap();
    let stranger = connect("c", "two").await.unwrap();
    let mut events = b.subscribe("t").typed::<RawBytes>().start(Start::Live).await.unwrap();
    let from_stranger = stranger.publisher("t").unwrap();
    from_stranger.publish(&RawBytes(b"not for you".to_vec())).await.unwrap();
    a.publisher("t").unwrap().publish(&RawBytes(b"hello".to_vec())).await.unwrap();
    let Some(Delivery::Event(event)) = events.try_next().await.unwrap() else { panic!("no event") };
    assert_eq!(event.0, b"hello");
    for bus in [a, b, stranger] {
        bus.close(Duration::from_secs(1)).await.unwrap();
    }
    assert!(events.try_next().await.unwrap().is_none());
}
