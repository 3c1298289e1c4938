//! URLs, settings that do not fit together, and foreign styles.

use super::Case;
use crate::{env, json, toml};

pub(super) fn cases() -> Vec<Case> {
    let store = |text: &str| toml(&format!("cluster.coordinator = \"x\"\n[store.\"x\"]\n{text}"));
    vec![
        // URLs.
        (
            "an unknown scheme",
            toml("url = \"carrier-pigeon:\"\n"),
            r#"config: unknown backend "carrier-pigeon" (from: file agora.toml); {SCHEMES}"#,
        ),
        (
            "no scheme",
            toml("url = \"localhost\"\n"),
            r#"config: not a URL: it has no scheme (from: file agora.toml); {SCHEMES}"#,
        ),
        (
            "a url that is a list",
            toml("url = [\"zenoh:\"]\n"),
            r#"config: `url` is no URL (from: file agora.toml, found: a list); {SCHEMES}"#,
        ),
        (
            "an unknown parameter",
            toml("url = \"zenoh:?colour=red\"\n"),
            r#"config: unknown parameter "colour" in the URL (from: file agora.toml, url: zenoh:?colour=***); the parameters are mode, listen, multicast, multicast_port, multicast_address, lease, user, password_file, users_file, cluster"#,
        ),
        (
            "a password in a url",
            toml("url = \"kafka://a?user=u&password=hunter2\"\n"),
            r#"config: `password` does not belong into a URL: URLs are logged (from: file agora.toml, url: kafka://a?user=u&password=***); write it to a file and name it with `password_file=`"#,
        ),
        (
            "a user in a kafka url",
            toml("url = \"kafka://u:hunter2@a\"\n"),
            r#"config: the URL has a user before `@` (from: file agora.toml, url: kafka://***@a); use `?user=` and `password_file=`; within a parameter write %40"#,
        ),
        (
            "a value twice in a url",
            toml("url = \"zenoh:?mode=peer&mode=peer\"\n"),
            r#"config: `mode` is given twice in the URL (from: file agora.toml, url: zenoh:?mode=peer&mode=peer); leave one of the two out"#,
        ),
        (
            "a value in the url and in the table",
            toml("url = \"zenoh:?lease=2s\"\n[zenoh]\nlease = \"3s\"\n"),
            r#"config: `zenoh.lease` is set twice (from: file agora.toml, and from: the URL in file agora.toml); say it in the URL or in the table, not in both"#,
        ),
        (
            "sentinels without a name",
            toml("url = \"redis+sentinel://a,b\"\n"),
            r#"config: the URL names no primary (from: file agora.toml, url: redis+sentinel://a,b); it looks like `redis+sentinel://host,host/NAME`"#,
        ),
        (
            "a path",
            toml("url = \"nats://a/b\"\n"),
            r#"config: the URL has a path (from: file agora.toml, url: nats://a/b); a cluster is named by `?cluster=`, a topic where it is used"#,
        ),
        (
            "memory without a name",
            toml("url = \"memory:\"\n"),
            r#"config: the space has no name (from: file agora.toml, url: memory:); it looks like `memory:NAME` or `memory:NAME?cluster=NAME`"#,
        ),
        // Relations.
        (
            "no brokers",
            toml("url = \"kafka:\"\n"),
            r#"config: `kafka.brokers` is not set, and the backend kafka is chosen (from: file agora.toml); name the servers: `url = "kafka://host:9092,host:9092"`, or `brokers` in the table `[kafka]`"#,
        ),
        (
            "no addresses",
            env(&[("BUS_BACKEND", "nats")]),
            r#"config: `nats.addresses` is not set, and the backend nats is chosen (from: variable BUS_BACKEND); name the servers: `url = "nats://host:4222"`, or `addresses` in the table `[nats]`"#,
        ),
        (
            "two passwords",
            toml("[nats]\nuser = \"u\"\npassword = \"hunter2\"\npassword_file = \"f\"\n"),
            r#"config: `nats.password` and `nats.password_file` are both set (from: file agora.toml); leave one of the two out"#,
        ),
        (
            "a user without a password",
            toml("[kafka]\nuser = \"u\"\n"),
            r#"config: `kafka.user` is set without a password (from: file agora.toml); set `kafka.password_file` to a file whose first line is the password"#,
        ),
        (
            "a password without a user",
            toml("[nats]\npassword = \"hunter2\"\n"),
            r#"config: `nats.password` is set without a user (from: file agora.toml); set `nats.user`"#,
        ),
        (
            "plain without tls",
            toml("[kafka]\nsasl = \"plain\"\nuser = \"u\"\npassword = \"hunter2\"\n"),
            r#"config: `kafka.sasl` is "plain" without TLS: everybody on the way could read the password (from: file agora.toml); set `kafka.tls` to true, or `kafka.sasl` to "scram-sha-512""#,
        ),
        (
            "resp2 in a cluster",
            toml("url = \"redis+cluster://a,b\"\n[redis]\nprotocol = \"resp2\"\n"),
            r#"config: `redis.protocol` is "resp2", and pub/sub in a cluster needs "resp3" (from: file agora.toml, and from: the URL in file agora.toml); set `redis.protocol` to "resp3", or leave it out"#,
        ),
        (
            "several single servers",
            toml("[redis]\nurls = [\"redis://a\", \"redis://b\"]\n"),
            r#"config: `redis.urls` has several entries, and the mode is "single" (from: file agora.toml); name one server, or set `redis.mode` to "cluster" or "sentinel""#,
        ),
        (
            "pauses the wrong way round",
            toml("[redis]\nretry_min_wait = \"2s\"\n"),
            r#"config: `redis.retry_min_wait` is longer than `redis.retry_max_wait` (from: file agora.toml); make the one shorter, or the other longer"#,
        ),
        (
            "json5 and a setting",
            toml("[zenoh]\nconfig = \"{}\"\nmode = \"peer\"\n"),
            r#"config: `zenoh.config` is set together with other settings of zenoh; it is passed on as it is, so nothing can be added (from: file agora.toml); write the other settings into it, in zenoh's own words"#,
        ),
        (
            "two multicast ports",
            toml("[zenoh]\nmulticast_port = 1\nmulticast_address = \"224.0.0.224:7446\"\n"),
            r#"config: `zenoh.multicast_port` and `zenoh.multicast_address` are both set (from: file agora.toml); `multicast_address` states the port too: leave `multicast_port` out"#,
        ),
        (
            "a client without anybody",
            toml("url = \"zenoh:?mode=client&multicast=off\"\n"),
            r#"config: `zenoh.mode` is "client", and there is nobody to connect to and multicast is off (from: the URL in file agora.toml); name a router (`zenoh://host:port?mode=client`), or leave multicast on"#,
        ),
        (
            "a live topic that keeps",
            toml("[topics.\"a\"]\nkind = \"live\"\nretention = \"7d\"\n"),
            r#"config: `topics."a".retention` is set, and the topic is live: it keeps nothing (from: file agora.toml); set `kind` to "log", or leave the other out"#,
        ),
        (
            "plain values in batches",
            toml("[topics.\"a\"]\nwire = \"plain\"\nframing = \"batch\"\n"),
            r#"config: `topics."a".wire` is "plain", and several plain values do not fit into one message (from: file agora.toml); set `framing` to "each", or leave it out"#,
        ),
        (
            "a stream without jetstream",
            toml("[nats]\nstream_name = \"s\"\n"),
            r#"config: `nats.stream_name` is set without JetStream: live topics have no stream (from: file agora.toml); set `nats.jetstream` to true, or leave `nats.stream_name` out"#,
        ),
        (
            "times that do not fit",
            toml("[membership]\nfail_after = \"4s\"\n"),
            r#"config: `membership.fail_after` does not fit to the other times of the failure detector (from: file agora.toml, found: 4s, allowed: at least suspect_after + 2 * heartbeat_interval, which is 5s); set `membership.fail_after` to 5s, or change what it is measured against"#,
        ),
        // Foreign styles.
        (
            "stores and no coordinator",
            toml("[store.\"x\"]\ntype = \"nats\"\n"),
            r#"config: the file has stores and no `cluster.coordinator` (from: file agora.toml); write `[cluster]` and `coordinator = "NAME"`, one of x"#,
        ),
        (
            "a coordinator and no store",
            toml("[cluster]\ncoordinator = \"x\"\n"),
            r#"config: the file has no `[store."NAME"]` (from: file agora.toml); the store that `cluster.coordinator` names says which backend it is"#,
        ),
        (
            "a coordinator of another name",
            toml("cluster.coordinator = \"y\"\n[store.\"x\"]\ntype = \"nats\"\n"),
            r#"config: there is no `[store."y"]` (from: file agora.toml, key `cluster.coordinator`); `cluster.coordinator` names one of the stores of the file: x"#,
        ),
        (
            "a store that coordinates nothing",
            store("type = \"rocksdb\"\npath = \"/data\"\n"),
            r#"config: `store."x".type` is no backend of agora (from: file agora.toml, key `store."x".type`, found: "rocksdb", allowed: "kafka", "nats", "redis" or "zenoh"); let `cluster.coordinator` name a store of one of these types"#,
        ),
        (
            "a store without a type",
            store("brokers = [\"a:1\"]\n"),
            r#"config: `store."x".type` is no backend of agora (from: file agora.toml, key `store."x".type`, found: nothing, allowed: "kafka", "nats", "redis" or "zenoh"); let `cluster.coordinator` name a store of one of these types"#,
        ),
        (
            "an unknown key of a store",
            store("type = \"nats\"\naddress = \"a:1\"\nping-intervall = \"5s\"\n"),
            r#"config: unknown key `ping-intervall` (from: file agora.toml, key `store."x".ping-intervall`); did you mean `ping-interval`? known are address, addresses, user, password, credentials, no-echo, tls.enable, timeout.connection, timeout.request, ping-interval, max-reconnects, capacity.client, capacity.subscription, capacity.read-buffer"#,
        ),
        (
            "a bad value of a store",
            store("type = \"nats\"\naddress = \"a:1\"\nping-interval = \"5 s\"\n"),
            r#"config: `nats.ping_interval` has a value that is not allowed (from: file agora.toml, key `store."x".ping-interval`, found: "5 s", allowed: a time such as "5s", "500ms" or "7d", from 1s to 1h)"#,
        ),
        (
            "two addresses",
            store("type = \"nats\"\naddress = \"a:1\"\naddresses = [\"b:1\"]\n"),
            r#"config: `addresses` says the same as another key, and differently (from: file agora.toml, key `store."x".addresses`, and from: file agora.toml, key `store."x".address`); leave one of the two out"#,
        ),
        (
            "a pool",
            store("type = \"redis\"\nurls = \"redis://a\"\npool.max-connections = 10\n"),
            r#"config: `pool.max-connections` cannot be honoured (from: file agora.toml, key `store."x".pool.max-connections`); agora keeps a fixed few connections and no pool: leave it out"#,
        ),
        (
            "a macro",
            store("type = \"nats\"\naddress = \"a:1\"\nuser = \"u\"\npassword = \"%{env:PW}%\"\n"),
            r#"config: `password` holds a macro `%{..}%` (from: file agora.toml, key `store."x".password`); only the mail server replaces macros: write the value, or leave it out and set AGORA__NATS__PASSWORD"#,
        ),
        (
            "a type that is disabled",
            json("{\"@type\": \"Disabled\"}"),
            r#"config: `@type` is no backend of agora (from: file coordinator.json, key `@type`, found: "Disabled", allowed: "Kafka", "Nats", "Redis", "RedisCluster" or "Zenoh")"#,
        ),
        (
            "a key that is spelled otherwise",
            json("{\"@type\": \"Kafka\", \"brokers\": [\"a:1\"], \"group-id\": \"g\"}"),
            r#"config: unknown key `group-id` (from: file coordinator.json, key `group-id`); did you mean `groupId`? known are brokers, groupId, timeoutSession, timeoutMessage"#,
        ),
        (
            "an object for a password",
            json(
                "{\"@type\": \"Nats\", \"addresses\": [\"a:1\"], \"authUsername\": \"u\", \"authSecret\": {\"@type\": \"File\"}}",
            ),
            r#"config: `authSecret` is an object (from: file coordinator.json, key `authSecret`); write the password as a text, or leave it out and set AGORA__NATS__PASSWORD or AGORA__NATS__PASSWORD_FILE"#,
        ),
        (
            "a bus of another backend",
            toml("[bus]\nbackend = \"amqp\"\n"),
            r#"config: `bus.backend` is no backend of agora (from: file agora.toml, key `bus.backend`, found: "amqp", allowed: "kafka", "nats", "redis" or "zenoh")"#,
        ),
        (
            "an unknown key of a bus",
            toml("[bus]\nbackend = \"kafka\"\n[bus.kafka]\nbroker = [\"a:1\"]\n"),
            r#"config: unknown key `bus.kafka.broker` (from: file agora.toml, key `bus.kafka.broker`); did you mean `brokers`? known are brokers, topic_prefix, consumer_group"#,
        ),
        (
            "an unknown table of a bus",
            toml("[bus]\nbackend = \"kafka\"\n[bus.amqp]\nurl = \"x\"\n"),
            r#"config: unknown key `bus.amqp` (from: file agora.toml, key `bus.amqp`); known are backend, kafka, nats"#,
        ),
        (
            "a nats url that is none",
            toml("[bus]\nbackend = \"nats\"\n[bus.nats]\nurl = \"redis://a\"\n"),
            r#"config: the URL of NATS is one of another backend (from: file agora.toml, key `bus.nats.url`, found: redis); it begins with `nats://` or `tls://`"#,
        ),
        (
            "an unknown backend in a variable",
            env(&[("BUS_BACKEND", "rabbitmq")]),
            r#"config: `BUS_BACKEND` is no backend of agora (from: variable BUS_BACKEND, found: "rabbitmq", allowed: "kafka", "nats", "redis" or "zenoh")"#,
        ),
        (
            "brokers that differ",
            env(&[("BUS_BACKEND", "kafka"), ("KAFKA_BROKERS", "a:1"), ("KAFKA_BOOTSTRAP_SERVERS", "b:1")]),
            r#"config: two variables name different brokers (from: variable KAFKA_BROKERS, found: a:1, and from: variable KAFKA_BOOTSTRAP_SERVERS, found: b:1); unset one of the two, or give both the same list"#,
        ),
    ]
}
