//! From a configuration to a bus: what this version has, and what it says of the rest.

use agora::config::{Config, LoadOptions};
use agora::core::transport::TopicKind;
use agora::{Bus, ErrorKind, MembershipConfig};

use crate::{load, toml};

#[tokio::test]
async fn a_bus_is_what_its_configuration_says() {
    let config = load(toml(
        "url = \"memory:from-config\"\ncluster = \"prod\"\nnode = \"n1\"\n[tags]\nrole = \"imap\"\n\
         [limits]\nmemory_bytes = 16777216\n[membership]\nhint_grace = \"2s\"\n\
         [topics.\"stwt.agora\"]\nkind = \"live\"\nframing = \"batch\"\nlanes = 1\nwire = \"frame\"\n",
    ));
    let bus = Bus::from_config(config).await.unwrap();
    let told = bus.config();
    assert_eq!((told.cluster.as_str(), told.node.as_str()), ("prod", "n1"));
    assert_eq!(told.tags, [("role".to_owned(), "imap".to_owned())]);
    assert_eq!((told.limits.memory_bytes, told.membership.hint_grace.as_secs()), (16 << 20, 2));
    assert_eq!(bus.capabilities().backend, "memory");
}

#[tokio::test]
async fn code_wins_over_the_file_and_the_command_line_over_code() {
    let text = "url = \"memory:file\"\ncluster = \"file\"\nnode = \"file\"\n[tags]\nrole = \"file\"\nplace = \"here\"\n\
                [limits]\nrepair_age = \"1s\"\n";
    let options = toml(text).command_line("--node", "node", "line").command_line(
        "--grace",
        "membership.hint_grace",
        "2s",
    );
    let mut membership = MembershipConfig::default();
    membership.fail_after = std::time::Duration::from_secs(6);
    let builder = Bus::builder().cluster("code").node("code").tag("role", "code").membership(membership);
    let bus = builder.config(load(options)).connect().await.unwrap();
    let told = bus.config();
    assert_eq!((told.cluster.as_str(), told.node.as_str()), ("code", "line"));
    let tags = [("place", "here"), ("role", "code")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(told.tags, tags);
    assert_eq!(told.limits.repair_age.as_secs(), 1);
    assert_eq!((told.membership.fail_after.as_secs(), told.membership.hint_grace.as_secs()), (6, 2));
}

#[tokio::test]
async fn a_url_in_code_replaces_that_of_the_file() {
    let config = load(toml("url = \"kafka://a\"\n"));
    let bus = Bus::builder().config(config).url("memory:from-code").node("n").connect().await.unwrap();
    assert_eq!(bus.capabilities().backend, "memory");
}

/// Whether or not a backend is there.
#[tokio::test]
async fn what_is_wrong_with_a_url_is_said_first() {
    for url in [
        "kafka://a:9092?",
        "nats://a?",
        "tls://a?",
        "redis://a?",
        "rediss://a?",
        "redis+cluster://a,b?",
        "redis+sentinel://a,b/primary?",
        "zenoh:?",
    ] {
        let error = Bus::connect(&format!("{url}colour=red")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
    }
}

/// Without the features this is what each backend says; with all of them there is nothing to be seen.
#[tokio::test]
async fn a_backend_that_was_not_compiled_in_names_its_feature() {
    let without: &[(&str, &str)] = &[
        #[cfg(not(feature = "nats"))]
        ("nats", "nats://a"),
        #[cfg(not(feature = "kafka"))]
        ("kafka", "kafka://a"),
        #[cfg(not(feature = "redis"))]
        ("redis", "redis://a"),
        #[cfg(not(feature = "zenoh"))]
        ("zenoh", "zenoh:"),
    ];
    for (feature, url) in without {
        let config = load(toml(&format!("url = \"{url}\"\nnode = \"n\"\n")));
        let error = Bus::from_config(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{url}");
        assert_eq!(
            format!("{error:#}"),
            format!(
                "connect: this program was built without the backend {feature}; build it with the feature \
                 `{feature}` of the crate `agora`"
            )
        );
    }
}

#[tokio::test]
async fn without_a_backend_nothing_is_connected() {
    let error = Bus::from_config(Config::load(LoadOptions::new()).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("no URL was given"), "{error}");
}

#[tokio::test]
async fn what_a_topic_asks_for_in_vain_is_refused_with_the_reason() {
    for (setting, says) in [
        (
            "retention = \"7d\"",
            "retention` cannot be honoured: the topic is live: it keeps nothing (from: file agora.toml); set `kind` to \
             \"log\", or leave it out",
        ),
        (
            "replicas = 3",
            "replicas` cannot be honoured: the backend memory has no such setting (from: file agora.toml); leave it out",
        ),
        (
            "lanes = 2",
            "lanes` cannot be honoured: the topic is live: it has one lane (from: file agora.toml); set `kind` to \"log\", \
             or leave it out",
        ),
    ] {
        let text = format!("url = \"memory:topics\"\nnode = \"n\"\n[topics.\"a.b\"]\n{setting}\n");
        let config = load(toml(&text));
        let error = Bus::from_config(config.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{setting}");
        assert_eq!(format!("{error:#}"), format!("connect: `topics.\"a.b\".{says}"));
        // Nor over a transport that was made by hand.
        let space = agora::memory::Space::default();
        let (cluster, node) = (agora::ClusterName::new("c").unwrap(), agora::NodeName::new("n").unwrap());
        let opened = Bus::builder().config(config).open(space.connect(&cluster, &node));
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

/// In memory a log keeps what it is told to, and a node that was told something else is refused.
#[tokio::test]
async fn a_log_in_memory_has_the_retention_that_it_was_told() {
    let log = |retention: &str| {
        let text = "url = \"memory:kept\"\nnode = \"n\"\n[topics.\"a.b\"]\nkind = \"log\"\n";
        load(toml(&format!("{text}retention = \"{retention}\"\n")))
    };
    let topic = agora::TopicName::new("a.b").unwrap();
    let bus = Bus::from_config(log("7d")).await.unwrap();
    let settings = bus.config().topics.get(&topic).copied().unwrap();
    assert_eq!(settings.retention, Some(std::time::Duration::from_secs(7 * 86_400)));
    let _reader = bus.subscribe("a.b").start(agora::Start::Earliest).await.unwrap();
    let other = Bus::from_config(log("1d")).await.unwrap();
    let error = other.subscribe("a.b").start(agora::Start::Earliest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:#}");
}

#[tokio::test]
async fn a_log_is_one_where_the_backend_has_logs_and_refused_where_not() {
    let text = "node = \"n\"\n[topics.\"a.b\"]\nkind = \"log\"\n[topics.c]\nkind = \"live\"\n";
    let bus = Bus::from_config(load(toml(&format!("url = \"memory:logs\"\n{text}")))).await.unwrap();
    let kind = |topic: &str| bus.config().kind_of(&agora::TopicName::new(topic).unwrap());
    assert_eq!((kind("a.b"), kind("c")), (TopicKind::Log, TopicKind::Live));
    let error = Bus::from_config(load(toml(&format!("url = \"zenoh:\"\n{text}")))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        format!("{error:#}"),
        "connect: `topics.\"a.b\".kind` cannot be honoured: the backend zenoh has no logs (from: file agora.toml); make \
         it live, or take a backend that keeps what is published: NATS with JetStream, Redis or Kafka"
    );
}

/// JetStream makes logs the usual kind; a topic may still say otherwise.
#[tokio::test]
async fn with_jetstream_a_topic_of_which_nothing_is_said_is_a_log() {
    let kinds = |jetstream: bool| {
        let text = format!(
            "url = \"nats://a\"\nnode = \"n\"\n[nats]\njetstream = {jetstream}\n[topics.live]\nkind = \"live\"\n\
             [topics.said]\nframing = \"each\"\n"
        );
        let space = agora::memory::Space::default();
        let (cluster, node) = (agora::ClusterName::new("c").unwrap(), agora::NodeName::new("n").unwrap());
        let bus = Bus::builder().config(load(toml(&text))).open(space.connect(&cluster, &node)).unwrap();
        ["any", "said", "live"].map(|topic| bus.config().kind_of(&agora::TopicName::new(topic).unwrap()))
    };
    assert_eq!(kinds(true), [TopicKind::Log, TopicKind::Log, TopicKind::Live]);
    assert_eq!(kinds(false), [TopicKind::Live; 3]);
}

/// Groups work on no other log there.
#[tokio::test]
async fn on_kafka_a_log_is_of_one_event_a_message_unless_it_is_told_otherwise() {
    let text = "url = \"kafka://a\"\nnode = \"n\"\n[topics.said]\nkind = \"log\"\n[topics.live]\nkind = \"live\"\n\
                [topics.batch]\nframing = \"batch\"\n[topics.moved]\nkind = \"live\"\n";
    let space = agora::memory::Space::default();
    let (cluster, node) = (agora::ClusterName::new("c").unwrap(), agora::NodeName::new("n").unwrap());
    let builder = Bus::builder().config(load(toml(text))).log("coded").log("moved");
    let bus = builder.open(space.connect(&cluster, &node)).unwrap();
    for (topic, due) in [
        ("any", "log, framing each, wire frame"),
        ("said", "log, framing each, wire frame"),
        ("coded", "log, framing each, wire frame"),
        ("moved", "log, framing each, wire frame"),
        ("batch", "log, framing batch, wire frame"),
        ("live", "live, framing batch, wire frame"),
    ] {
        assert_eq!(bus.config().settings_of(&agora::TopicName::new(topic).unwrap()).agreed(), due, "{topic}");
    }
}

/// The names that a configuration gives a program hold whichever backend is chosen.
#[test]
fn a_configuration_names_domain_topics_and_the_group_of_the_service() {
    let names = |text: &str| {
        let config = load(toml(text));
        let group = config.group().unwrap().map(|group| group.to_string());
        (config.domain_topic("order").unwrap().to_string(), group)
    };
    assert_eq!(names("url = \"kafka://a\"\n"), ("events.order".to_owned(), None));
    for url in ["kafka://a", "nats://a"] {
        let text = format!("url = \"{url}\"\n[kafka]\ntopic_prefix = \"shop.eu\"\ngroup = \"packers\"\n");
        assert_eq!(names(&text), ("shop.eu.events.order".to_owned(), Some("packers".to_owned())));
    }
    let dotted = load(toml("url = \"kafka://a\"\n[kafka]\ngroup = \"a.b\"\n"));
    let error = dotted.group().unwrap_err().to_string();
    assert!(error.contains("it holds a dot") && error.contains("from: file agora.toml"), "{error}");
    let wrong = crate::refused(toml("url = \"kafka://a\"\n[kafka]\ntopic_prefix = \"a/b\"\n"));
    assert!(
        wrong.contains("`kafka.topic_prefix` is nothing that the name of a topic can begin with"),
        "{wrong}"
    );
}

/// What a topic asks for that its backend has not, before anything is connected.
#[tokio::test]
async fn what_redis_says_by_itself_is_not_set_for_a_topic() {
    let text = "url = \"redis://a\"\nnode = \"n\"\n[topics.\"a.b\"]\nkind = \"log\"\nreplicas = 3\n";
    let error = Bus::from_config(load(toml(text))).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "connect: `topics.\"a.b\".replicas` cannot be honoured: on Redis the servers say how many replicas they have \
         (from: file agora.toml); set up replicas on the servers, and leave it out"
    );
}

#[cfg(feature = "zenoh")]
#[tokio::test]
async fn zenohs_own_configuration_is_passed_on_and_what_zenoh_refuses_is_said() {
    let config = load(toml(
        "cluster.coordinator = \"z\"\n[store.z]\ntype = \"zenoh\"\nconfig = \"{ mod: 'peer' }\"\n",
    ));
    let error = Bus::from_config(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:#}");
    assert!(error.to_string().contains("key: mod"), "{error:#}");
}

#[cfg(feature = "zenoh")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_table_and_a_url_of_zenoh_connect() {
    let config = load(toml(
        "url = \"zenoh:?multicast=off\"\nnode = \"n\"\ncluster = \"c\"\n[zenoh]\nlisten = \"127.0.0.1:0\"\nlease = \"2s\"\n",
    ));
    let bus = Bus::from_config(config).await.unwrap();
    assert_eq!((bus.capabilities().backend, bus.config().node.as_str()), ("zenoh", "n"));
    bus.close(std::time::Duration::from_secs(2)).await.unwrap();
}
