//! Who wins, and how it is told afterwards.

use agora::config::{Backend, Config, LoadOptions, Place};
use agora::core::config::{Key, SECTIONS, Takes};

use crate::{env, load, toml};

/// One place after another says what `key` is, the weakest first.
#[test]
fn each_place_wins_over_those_before_it() {
    let file = "url = \"kafka://from-file\"\n[kafka]\ntopic_prefix = \"file\"\n";
    let foreign = ("KAFKA_TOPIC_PREFIX", "foreign");
    let own = ("AGORA__KAFKA__TOPIC_PREFIX", "own");
    let all = |n: usize| {
        let mut options = LoadOptions::new().text("agora.toml", file);
        if n >= 1 {
            options = options.environment([foreign]);
        }
        if n >= 2 {
            options = options.environment([own]);
        }
        if n >= 3 {
            options = options.set("kafka.topic_prefix", "code");
        }
        if n >= 4 {
            options = options.command_line("--prefix", "kafka.topic_prefix", "command-line");
        }
        load(options)
    };
    for (n, value, origin, place) in [
        (0, "file", "file agora.toml", Place::File),
        (1, "foreign", "variable KAFKA_TOPIC_PREFIX", Place::ForeignVariable),
        (2, "own", "variable AGORA__KAFKA__TOPIC_PREFIX", Place::Variable),
        (3, "code", "code", Place::Code),
        (4, "command-line", "command line, --prefix", Place::CommandLine),
    ] {
        let config = all(n);
        assert_eq!(config.model().kafka.topic_prefix.as_deref(), Some(value));
        let found = config.origin("kafka.topic_prefix").unwrap();
        assert_eq!((found.to_string().as_str(), found.place), (origin, place));
    }
}

#[test]
fn the_backend_is_chosen_by_the_strongest_and_what_it_needs_may_come_from_elsewhere() {
    let file = "url = \"nats://from-file:1?ping_interval=9s\"\n[kafka]\nbrokers = \"file:1\"\n";
    let with = |variables: &[(&str, &str)]| load(toml(file).environment(variables.iter().copied()));
    let config = with(&[]);
    assert_eq!(
        (config.model().backend, config.model().nats.addresses[0].as_str()),
        (Some(Backend::Nats), "from-file:1")
    );
    // A foreign variable is stronger than the file; the file's brokers serve.
    let config = with(&[("BUS_BACKEND", "kafka")]);
    assert_eq!(
        (config.model().backend, config.model().kafka.brokers[0].as_str()),
        (Some(Backend::Kafka), "file:1")
    );
    assert_eq!(config.model().url, None);
    // agora's own variable is stronger than that; nobody looks at the other.
    let config = with(&[("BUS_BACKEND", "rabbitmq"), ("AGORA__URL", "zenoh:")]);
    assert_eq!(config.model().backend, Some(Backend::Zenoh));
    // The same backend: the file's URL serves, beneath the servers that the variable names.
    let config = with(&[("BUS_BACKEND", "nats"), ("NATS_URL", "nats://variable:2")]);
    assert_eq!(config.model().nats.addresses, ["variable:2"]);
    assert_eq!(config.model().nats.ping_interval.as_secs(), 9);
    // A stronger URL replaces a weaker one as a whole.
    let config = with(&[("AGORA__URL", "nats://own:3")]);
    assert_eq!(config.model().nats.addresses, ["own:3"]);
    assert_eq!(config.model().nats.ping_interval.as_secs(), 60);
}

#[test]
fn a_key_of_its_own_wins_over_the_cluster_in_the_url() {
    let config = load(toml("url = \"zenoh:?cluster=url\"\ncluster = \"key\"\n"));
    assert_eq!(config.model().cluster.as_ref().unwrap().as_str(), "key");
    let config = load(toml("url = \"zenoh:?cluster=url\"\n"));
    assert_eq!(config.model().cluster.as_ref().unwrap().as_str(), "url");
    let config = load(toml("cluster = \"file\"\n").environment([("AGORA__URL", "zenoh:?cluster=url")]));
    assert_eq!(config.model().cluster.as_ref().unwrap().as_str(), "url");
}

#[test]
fn all_sections_at_once() {
    let config = load(toml(
        r#"
url = "zenoh://a:1,b?lease=2s"
cluster = "prod"
node = "mail-1"
connect_timeout = "7s"

[tags]
role = "imap"

[limits]
memory_bytes = 16777216
repair_age = "10s"
publish_timeout = "20s"

[membership]
heartbeat_interval = "500ms"
suspect_after = "1s"
fail_after = "2s"
hint_grace = "1s"

[topics."stwt.agora"]
kind = "live"
lanes = 1

[topics.orders]
kind = "log"
framing = "each"
retention = "7d"
replicas = 3
lanes = 12
wire = "plain"

[zenoh]
listen = ["0.0.0.0:7447"]

[nats]
addresses = ["n:4222"]

[redis]
urls = ["redis://r"]

[kafka]
brokers = ["k:9092"]
"#,
    ));
    let model = config.model();
    assert_eq!(model.zenoh.connect, ["a:1", "b"]);
    assert_eq!(model.zenoh.lease.unwrap().as_secs(), 2);
    assert_eq!(model.tags["role"], "imap");
    assert_eq!(model.limits.memory_bytes, 16 << 20);
    assert_eq!(model.membership.fail_after.as_secs(), 2);
    assert_eq!(model.topics.len(), 2);
    let orders = model.topics.values().next().unwrap();
    assert_eq!((orders.lanes, orders.replicas), (Some(12), Some(3)));
    assert_eq!((model.nats.addresses.len(), model.redis.urls.len(), model.kafka.brokers.len()), (1, 1, 1));
    // Every key that was set is told, with where it stood.
    assert!(config.origins().filter(|(_, origin)| origin.place == Place::File).count() >= 25);
}

#[test]
fn what_holds_is_told_with_its_origin_and_its_defaults() {
    let options = toml("url = \"zenoh://a:1\"\n[topics.\"a.b\"]\nkind = \"live\"\n[tags]\nrole = \"imap\"\n");
    let config = load(options.environment([("AGORA__NODE", "mail-1"), ("AGORA__TOPICS__a.b__LANES", "1")]));
    assert_eq!(
        config.to_string(),
        "\
url = \"zenoh://a:1\"   # file agora.toml
cluster = \"default\"   # default
node = \"mail-1\"   # variable AGORA__NODE
connect_timeout = \"5s\"   # default
limits.memory_bytes = 67108864   # default
limits.repair_age = \"30s\"   # default
limits.publish_timeout = \"30s\"   # default
membership.heartbeat_interval = \"1s\"   # default
membership.suspect_after = \"3s\"   # default
membership.fail_after = \"5s\"   # default
membership.hint_grace = \"1500ms\"   # default
zenoh.mode = \"peer\"   # default
zenoh.connect = [\"a:1\"]   # the URL in file agora.toml
zenoh.listen = a free port of every interface; a router 7447; a client none   # default
zenoh.multicast = on without `connect`, else off   # default
zenoh.multicast_port = 7446   # default
zenoh.multicast_address = \"224.0.0.224:7446\"   # default
zenoh.lease = \"3s\"   # default
tags.role = \"imap\"   # file agora.toml
topics.\"a.b\".kind = \"live\"   # file agora.toml
topics.\"a.b\".lanes = 1   # variable AGORA__TOPICS__a.b__LANES
"
    );
}

#[test]
fn a_later_word_in_one_place_replaces_an_earlier_one() {
    let options = LoadOptions::new().set("cluster", "a").set("cluster", "b").text("one", "").text("two", "");
    assert_eq!(load(options).model().cluster.as_ref().unwrap().as_str(), "b");
}

#[test]
fn nothing_is_read_that_is_not_named() {
    let config = Config::load(LoadOptions::new()).unwrap();
    assert_eq!(config.model(), Config::default().model());
    assert_eq!(config.backend().unwrap_err().kind(), agora::ErrorKind::Config);
    assert_eq!(load(env(&[("PATH", "/bin"), ("AGORA_URL", "x"), ("AGORA", "x")])).model(), config.model());
}

/// A value that a key takes, as text.
fn sample(key: &Key) -> String {
    match key.takes {
        Takes::Url => "memory:sample".to_owned(),
        Takes::Hosts | Takes::Listens => "sample:1,[::1]:2".to_owned(),
        Takes::RedisUrls => "redis://sample".to_owned(),
        Takes::Flag => "false".to_owned(),
        Takes::Number { most, .. } => most.to_string(),
        Takes::Time { least, .. } => format!("{}ms", least.as_millis()),
        Takes::OneOf(words) => words[0].to_owned(),
        Takes::Multicast => "eth0".to_owned(),
        Takes::Group => "239.0.0.1:9".to_owned(),
        _ => "sample".to_owned(),
    }
}

/// The keys that need another beside them, and that other.
fn beside(section: &str, name: &str) -> Vec<(&'static str, &'static str)> {
    match (section, name) {
        ("nats" | "kafka" | "redis" | "zenoh", "user") => {
            vec![
                ("nats.password_file", "f"),
                ("kafka.password_file", "f"),
                ("redis.password_file", "f"),
                ("zenoh.password_file", "f"),
            ]
        }
        ("nats" | "kafka" | "zenoh", "password" | "password_file") => {
            vec![("nats.user", "u"), ("kafka.user", "u"), ("zenoh.user", "u")]
        }
        ("nats", "tls_ca_file") => vec![("nats.tls", "true")],
        ("nats", "tls_cert_file") => vec![("nats.tls", "true"), ("nats.tls_key_file", "f")],
        ("nats", "tls_key_file") => vec![("nats.tls", "true"), ("nats.tls_cert_file", "f")],
        ("nats", "stream_name") => vec![("nats.jetstream", "true")],
        ("redis", "tls_cert_file") => vec![("redis.tls_key_file", "f")],
        ("redis", "tls_key_file") => vec![("redis.tls_cert_file", "f")],
        ("kafka", "tls_ca_file") => vec![("kafka.tls", "true")],
        ("kafka", "tls_cert_file") => vec![("kafka.tls", "true"), ("kafka.tls_key_file", "f")],
        ("kafka", "tls_key_file") => vec![("kafka.tls", "true"), ("kafka.tls_cert_file", "f")],
        ("kafka", "sasl") => vec![("kafka.user", "u"), ("kafka.password_file", "f"), ("kafka.tls", "true")],
        ("redis", "retry_max_wait") => vec![("redis.retry_min_wait", "1ms")],
        ("redis", "master") => vec![("redis.mode", "sentinel")],
        ("membership", "heartbeat_interval") => vec![("membership.hint_grace", "1s")],
        ("membership", "hint_grace") => vec![("membership.heartbeat_interval", "10ms")],
        ("membership", "fail_after") => vec![
            ("membership.heartbeat_interval", "10ms"),
            ("membership.suspect_after", "20ms"),
            ("membership.hint_grace", "11ms"),
        ],
        ("membership", "suspect_after") => vec![("membership.heartbeat_interval", "10ms")],
        _ => Vec::new(),
    }
}

#[test]
fn every_key_can_be_set_by_a_variable_a_file_and_the_program() {
    let mut count = 0;
    for section in SECTIONS {
        for key in section.keys {
            let (path, value) = (section.name.replace("NAME", "a-b"), sample(key));
            let dotted = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            let shown = dotted.replace("a-b", "\"a-b\"");
            let variable =
                format!("AGORA__{}", dotted.to_uppercase().replace('.', "__")).replace("A-B", "a-b");
            let with = |options: LoadOptions| {
                let beside = beside(section.name, key.name).into_iter();
                // The others are for other sections.
                let beside = beside.filter(|(other, _)| other.starts_with(&format!("{path}.")));
                beside.fold(options, |options, (key, value)| options.set(key, value))
            };
            for (options, place) in [
                (LoadOptions::new().environment([(&variable, &value)]), Place::Variable),
                (toml(&format!("{dotted} = {value:?}\n")), Place::File),
                (LoadOptions::new().set(&dotted, &value), Place::Code),
                (LoadOptions::new().command_line("--x", &dotted, &value), Place::CommandLine),
            ] {
                let config = load(with(options));
                assert_eq!(config.origin(&shown).map(|origin| origin.place), Some(place), "{shown}");
                count += 1;
            }
        }
    }
    assert!(count > 4 * 60, "{count}");
}

/// What a program adds of its own: a default that is weaker than everything, and a variable that is as strong as one of
/// agora's.
#[test]
fn a_program_has_a_default_and_a_variable_of_its_own() {
    let with_default = || LoadOptions::new().default_value("url", "zenoh:");
    let config = load(with_default());
    assert_eq!(config.model().backend, Some(Backend::Zenoh));
    assert_eq!(config.origin("url").unwrap().place, Place::Default);
    let config = load(with_default().text("agora.toml", "url = \"kafka://a\"\n"));
    assert_eq!(config.model().backend, Some(Backend::Kafka));
    let own = || with_default().variable("MAIL_URL", "url", "nats://b");
    let config = load(own().text("agora.toml", "url = \"kafka://a\"\n"));
    assert_eq!(config.origin("url").unwrap().to_string(), "variable MAIL_URL");
    assert_eq!(load(own().set("url", "redis://c")).model().backend, Some(Backend::Redis));
    let twice = Config::load(own().environment([("AGORA__URL", "nats://b")])).unwrap_err();
    assert!(twice.to_string().contains("`url` is set by two variables"), "{twice}");
}
