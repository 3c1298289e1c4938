//! The configurations that exist out there, as they stand: each loads, and means what its own documentation says.

use std::time::Duration;

use agora::config::{Backend, Place, Protocol, RedisMode, SecretUrl};

use crate::{env, json, load, toml};

const S: Duration = Duration::from_secs(1);

#[test]
fn a_mail_servers_kafka() {
    let config = load(toml(
        r#"
[cluster]
coordinator = "bus"

[store."data"]
type = "rocksdb"
path = "/var/lib/data"

[store."bus"]
type = "kafka"
brokers = ["kafka1.example.org:9092", "kafka2.example.org:9092"]
group-id = "mail"
timeout.session = "6s"
timeout.message = "7s"

[server]
hostname = "mail.example.org"

[storage]
data = "data"
"#,
    ));
    let model = config.model();
    assert_eq!(model.backend, Some(Backend::Kafka));
    assert_eq!(model.kafka.brokers, ["kafka1.example.org:9092", "kafka2.example.org:9092"]);
    assert_eq!(model.kafka.group.as_deref(), Some("mail"));
    assert_eq!(model.kafka.session_timeout, 6 * S);
    assert_eq!(model.limits.publish_timeout, 7 * S);
    assert_eq!(config.warnings(), [""; 0]);
    assert_eq!(
        config.origin("kafka.group").unwrap().to_string(),
        "file agora.toml, key `store.\"bus\".group-id`"
    );
}

#[test]
fn a_mail_servers_kafka_has_the_defaults_of_the_mail_server() {
    let config = load(toml(
        "cluster.coordinator = \"x\"\n[store.x]\ntype = \"kafka\"\nbrokers = [\"a:1\"]\ngroup-id = \"g\"\n",
    ));
    assert_eq!(config.model().limits.publish_timeout, 5 * S);
    assert_eq!(config.model().kafka.session_timeout, 5 * S);
    let origin = config.origin("limits.publish_timeout").unwrap();
    assert_eq!(
        (origin.place, origin.to_string().as_str()),
        (Place::Style, "default of the mail server's style")
    );
    assert_eq!(
        config.warnings(),
        [
            "`kafka.session_timeout` is 5s (default of the mail server's style): a stock broker refuses members of \
          groups with less than 6s"
        ]
    );
    // What is stronger than the style's default is stronger than that.
    let options = toml("cluster.coordinator = \"x\"\n[store.x]\ntype = \"kafka\"\nbrokers = [\"a:1\"]\n");
    let config = load(options.environment([("AGORA__LIMITS__PUBLISH_TIMEOUT", "40s")]));
    assert_eq!(config.model().limits.publish_timeout, 40 * S);
}

#[test]
fn a_mail_servers_nats() {
    let config = load(toml(
        r#"
[cluster]
coordinator = "nats"

[store."nats"]
type = "nats"
address = ["127.0.0.1:4222", "nats2.example.org:4222"]
user = "mail"
password = "0123456"
no-echo = true
ping-interval = "30s"
max-reconnects = 0

[store."nats".tls]
enable = true

[store."nats".timeout]
connection = "3s"
request = "4s"

[store."nats".capacity]
client = 1024
subscription = 2048
read-buffer = 4096
"#,
    ));
    let model = config.model();
    assert_eq!(model.backend, Some(Backend::Nats));
    assert_eq!(model.nats.addresses, ["127.0.0.1:4222", "nats2.example.org:4222"]);
    assert_eq!(model.nats.user.as_deref(), Some("mail"));
    assert_eq!(model.nats.password.as_ref().unwrap().expose(), "0123456");
    assert!(model.nats.no_echo && model.nats.tls);
    assert_eq!((model.connect_timeout, model.nats.request_timeout), (3 * S, 4 * S));
    assert_eq!(model.nats.ping_interval, 30 * S);
    assert_eq!(model.nats.max_reconnects, Some(0));
    let capacities =
        (model.nats.client_capacity, model.nats.subscription_capacity, model.nats.read_buffer_bytes);
    assert_eq!(capacities, (1024, 2048, 4096));
    assert_eq!(
        config.warnings(),
        [
            "`nats.max_reconnects` is 0 (file agora.toml, key `store.\"nats\".max-reconnects`): a lost connection is not \
          made again, and this node then stays cut off"
        ]
    );
}

#[test]
fn a_mail_servers_nats_in_short() {
    for addresses in
        ["address = \"127.0.0.1:4222\"", "addresses = [\"127.0.0.1:4222\"]", "addresses = \"127.0.0.1:4222\""]
    {
        let config = load(toml(&format!(
            "cluster.coordinator = \"n\"\nstore.n.type = \"nats\"\nstore.n.credentials = \"-----BEGIN-----\"\nstore.n.{addresses}\n"
        )));
        let nats = &config.model().nats;
        assert_eq!(nats.addresses, ["127.0.0.1:4222"]);
        assert_eq!(nats.credentials.as_ref().unwrap().expose(), "-----BEGIN-----");
        // The defaults that its documentation gives are agora's too.
        assert!(nats.no_echo && !nats.tls);
        assert_eq!(
            (config.model().connect_timeout, nats.request_timeout, nats.ping_interval),
            (5 * S, 10 * S, 60 * S)
        );
        assert_eq!(nats.max_reconnects, None);
        assert_eq!(
            (nats.client_capacity, nats.subscription_capacity, nats.read_buffer_bytes),
            (2048, 65536, 65535)
        );
    }
}

#[test]
fn a_mail_servers_redis() {
    let config = load(toml(
        r#"
[cluster]
coordinator = "redis"

[store."redis"]
type = "redis"
redis-type = "single"
urls = "rediss://user:pass,word@redis.example.org:6380/2#insecure"
timeout = "12s"
"#,
    ));
    let redis = &config.model().redis;
    assert_eq!(config.model().backend, Some(Backend::Redis));
    assert_eq!(redis.mode, RedisMode::Single);
    // A text that is one URL is one URL, whatever its password holds.
    assert_eq!(redis.urls, [SecretUrl::new("rediss://user:pass,word@redis.example.org:6380/2#insecure")]);
    assert_eq!(redis.timeout, 12 * S);
    assert_eq!((redis.retry_max_wait, redis.retry_min_wait), (S, S / 2));
}

#[test]
fn a_mail_servers_redis_cluster() {
    let config = load(toml(
        r#"
[cluster]
coordinator = "redis"

[store."redis"]
type = "redis"
redis-type = "cluster"
urls = ["redis://a:6379", "redis://b:6379"]
user = "mail"
password = "secret"
read-from-replicas = true
protocol-version = "resp3"

[store."redis".retry]
total = 5
max-wait = "2s"
min-wait = "100ms"
"#,
    ));
    let redis = &config.model().redis;
    assert_eq!(redis.mode, RedisMode::Cluster);
    assert_eq!(redis.urls, [SecretUrl::new("redis://a:6379"), SecretUrl::new("redis://b:6379")]);
    assert_eq!((redis.user.as_deref(), redis.password.as_ref().unwrap().expose()), (Some("mail"), "secret"));
    assert!(redis.read_from_replicas);
    assert_eq!(redis.protocol, Some(Protocol::Resp3));
    assert_eq!((redis.retry_attempts, redis.retry_max_wait, redis.retry_min_wait), (Some(5), 2 * S, S / 10));
}

#[test]
fn a_mail_servers_zenoh() {
    let json5 = "{ mode: 'peer', connect: { endpoints: ['tcp/10.0.0.1:7447'] }, /* as it is */ }";
    let config = load(toml(&format!(
        "[cluster]\ncoordinator = \"p2p\"\n[store.\"p2p\"]\ntype = \"zenoh\"\nconfig = \"\"\"{json5}\"\"\"\n"
    )));
    assert_eq!(config.model().backend, Some(Backend::Zenoh));
    assert_eq!(config.model().zenoh.config.as_ref().unwrap().expose(), json5);
}

#[test]
fn a_mail_servers_objects() {
    let config = load(json(
        r#"{"@type": "Kafka", "brokers": ["a:9092", "b:9092"], "groupId": "mail", "timeoutMessage": "5s", "timeoutSession": "5s"}"#,
    ));
    let model = config.model();
    assert_eq!(model.backend, Some(Backend::Kafka));
    assert_eq!((model.kafka.brokers.len(), model.kafka.group.as_deref()), (2, Some("mail")));
    assert_eq!((model.limits.publish_timeout, model.kafka.session_timeout), (5 * S, 5 * S));

    let config = load(json(
        r#"{"@type": "Nats", "addresses": ["127.0.0.1:4444"], "maxReconnects": 9, "timeoutConnection": "5s",
            "timeoutRequest": "10s", "pingInterval": "60s", "capacityClient": 2048, "capacityReadBuffer": 65535,
            "capacitySubscription": 65536, "noEcho": true, "useTls": false, "authUsername": null, "authSecret": null,
            "credentials": null}"#,
    ));
    let model = config.model();
    assert_eq!(model.backend, Some(Backend::Nats));
    assert_eq!((model.nats.addresses[0].as_str(), model.nats.max_reconnects), ("127.0.0.1:4444", Some(9)));
    assert_eq!(model.nats.password, None);

    let config = load(json(r#"{"@type": "Redis", "url": "redis://127.0.0.1", "timeout": "10s"}"#));
    assert_eq!(config.model().redis.urls, [SecretUrl::new("redis://127.0.0.1")]);
    let config = load(json(r#"{"@type": "RedisCluster", "urls": ["redis://a", "redis://b"]}"#));
    assert_eq!(config.model().redis.mode, RedisMode::Cluster);
    let config = load(json(r#"{"@type": "Zenoh", "config": "{}"}"#));
    assert_eq!(config.model().zenoh.config.as_ref().unwrap().expose(), "{}");
}

const BUS: &str = r#"
[bus]
backend = "kafka"            # or "nats"
[bus.kafka]
brokers = ["localhost:9092"]
topic_prefix = "angzarr"
consumer_group = "angzarr-handlers"
[bus.nats]
url = "nats://localhost:4222"
jetstream = true             # logs; without it, live topics
stream_name = "angzarr-events"
"#;

#[test]
fn a_frameworks_bus_on_kafka() {
    let config = load(toml(BUS));
    let model = config.model();
    assert_eq!(model.backend, Some(Backend::Kafka));
    assert_eq!(model.kafka.brokers, ["localhost:9092"]);
    assert_eq!(model.kafka.topic_prefix.as_deref(), Some("angzarr"));
    assert_eq!(model.kafka.group.as_deref(), Some("angzarr-handlers"));
    // The section that is not chosen is there as well.
    assert_eq!(model.nats.addresses, ["localhost:4222"]);
    assert_eq!(model.limits.publish_timeout, 30 * S);
}

#[test]
fn a_frameworks_bus_on_nats() {
    for config in [
        load(toml(&BUS.replace("\"kafka\"  ", "\"nats\"  "))),
        load(toml(BUS).environment([("BUS_BACKEND", "nats")])),
    ] {
        let model = config.model();
        assert_eq!(model.backend, Some(Backend::Nats));
        assert_eq!(model.nats.addresses, ["localhost:4222"]);
        assert!(model.nats.jetstream);
        assert_eq!(model.nats.stream_name.as_deref(), Some("angzarr-events"));
    }
}

#[test]
fn a_frameworks_variables() {
    let config = load(env(&[
        ("BUS_BACKEND", "kafka"),
        ("KAFKA_BROKERS", "a:9092,b:9092"),
        ("KAFKA_TOPIC_PREFIX", "angzarr"),
        ("NATS_URL", "redis://whatever"),
    ]));
    let model = config.model();
    assert_eq!(model.kafka.brokers, ["a:9092", "b:9092"]);
    assert_eq!(model.kafka.topic_prefix.as_deref(), Some("angzarr"));
    assert_eq!(config.origin("kafka.brokers").unwrap().to_string(), "variable KAFKA_BROKERS");

    let config = load(env(&[
        ("BUS_BACKEND", "nats"),
        ("NATS_URL", "tls://u:p%40w@nats:4222"),
        ("KAFKA_BROKERS", "?"),
    ]));
    let nats = &config.model().nats;
    assert_eq!((nats.addresses[0].as_str(), nats.tls), ("nats:4222", true));
    assert_eq!((nats.user.as_deref(), nats.password.as_ref().unwrap().expose()), (Some("u"), "p@w"));
    assert_eq!(config.origin("nats.password").unwrap().to_string(), "the URL in variable NATS_URL");
}

#[test]
fn a_managed_kafka() {
    let servers = ("KAFKA_BOOTSTRAP_SERVERS", "host:9092");
    for options in
        [env(&[servers, ("BUS_BACKEND", "kafka")]), toml("url = \"kafka:\"").environment([servers])]
    {
        assert_eq!(load(options).model().kafka.brokers, ["host:9092"]);
    }
    // Alone it chooses nothing: it may be there for another part of the service.
    let config = load(env(&[servers]));
    assert_eq!(config.model().backend, None);
    let error = config.backend().unwrap_err();
    assert!(
        error.help_text().unwrap().ends_with(
            "KAFKA_BOOTSTRAP_SERVERS is set, but chooses no backend: for that set BUS_BACKEND=kafka or url = \"kafka:\""
        ),
        "{error:#}"
    );
    // TLS and SCRAM on 9093.
    let text = "url = \"kafka+tls:?sasl=scram-sha-512&user=mail&password_file=/run/secrets/kafka\"";
    let config =
        load(toml(text).environment([
            ("KAFKA_BOOTSTRAP_SERVERS", "a:9093, b:9093"),
            ("KAFKA_BROKERS", "b:9093,a:9093"),
        ]));
    let kafka = &config.model().kafka;
    assert_eq!(kafka.brokers.len(), 2);
    assert!(kafka.tls && kafka.user.is_some() && kafka.password_file.is_some());
}
