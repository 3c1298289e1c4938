//! Files, keys and values that are bad each by itself.

use agora::config::LoadOptions;

use super::Case;
use crate::{env, json, toml};

pub(super) fn cases() -> Vec<Case> {
    vec![
        // Files.
        (
            "not toml",
            toml("url = \n"),
            r#"config: the file is not TOML (from: file agora.toml, line: 1, why: invalid string, expected `"`, `'`); a text stands in quotes, and each key once"#,
        ),
        (
            "a key twice",
            toml("url = \"zenoh:\"\nurl = \"zenoh:\"\n"),
            r#"config: the file is not TOML (from: file agora.toml, line: 2, why: duplicate key `url` in document root); a text stands in quotes, and each key once"#,
        ),
        (
            "not json",
            json("{\"@type\": "),
            r#"config: the file is not JSON (from: file coordinator.json, line: 1, why: EOF while parsing a value)"#,
        ),
        (
            "json that is no object",
            json("[1, 2]"),
            r#"config: the file is not JSON (from: file coordinator.json, line: 1, why: not a JSON object)"#,
        ),
        (
            "json with a key twice",
            json("{\"@type\": \"Kafka\",\n\"brokers\": [\"a:1\"],\n\"brokers\": [\"b:1\"]}"),
            r#"config: the file is not JSON (from: file coordinator.json, line: 3, why: a key stands twice in one object)"#,
        ),
        (
            "json without a type",
            json("{\"brokers\": [\"a:1\"]}"),
            r#"config: the JSON object has no `@type` (from: file coordinator.json, allowed: "Kafka", "Nats", "Redis", "RedisCluster" or "Zenoh"); agora's own style is TOML; JSON is read as a mail server's coordinator object"#,
        ),
        (
            "a missing file",
            LoadOptions::new().file("/nonexistent/agora.toml"),
            r#"config: the configuration file cannot be read (file: /nonexistent/agora.toml): No such file or directory (os error 2); whoever names a file means it: correct its path, or do not name it"#,
        ),
        (
            "two styles",
            toml("url = \"zenoh:\"\n[store.\"x\"]\ntype = \"nats\"\n"),
            r#"config: the file mixes two styles (from: file agora.toml, found: `[store]` and `url`); {STYLES}"#,
        ),
        (
            "two foreign styles",
            toml("[bus]\nbackend = \"nats\"\n[store.\"x\"]\ntype = \"nats\"\n"),
            r#"config: the file mixes two styles (from: file agora.toml, found: `[bus]` and `[store]`); {STYLES}"#,
        ),
        (
            "a name and a table",
            toml("cluster = \"prod\"\n[bus]\nbackend = \"kafka\"\n"),
            r#"config: the file mixes two styles (from: file agora.toml, found: `[bus]` and `cluster`); {STYLES}"#,
        ),
        // Keys.
        (
            "a typing error",
            toml("[nats]\nadresses = [\"a:1\"]\n"),
            r#"config: unknown key `nats.adresses` (from: file agora.toml); did you mean `addresses`? {NATS}"#,
        ),
        (
            "another's spelling",
            toml("[nats]\nping-interval = \"5s\"\n"),
            r#"config: unknown key `nats.ping-interval` (from: file agora.toml); did you mean `ping_interval`? {NATS}"#,
        ),
        (
            "an unknown table",
            toml("[rabbitmq]\nurl = \"x\"\n"),
            r#"config: unknown key `rabbitmq` (from: file agora.toml); {TOP}"#,
        ),
        (
            "a backend key",
            toml("backend = \"nats\"\n"),
            r#"config: unknown key `backend` (from: file agora.toml); the backend is the scheme of `url`, such as `url = "nats://host:4222"`; {TOP}"#,
        ),
        (
            "a key of another section",
            toml("[kafka]\naddresses = [\"a:1\"]\n"),
            r#"config: unknown key `kafka.addresses` (from: file agora.toml); known are brokers, group, topic_prefix, session_timeout, instance, auto_create, tls, tls_ca_file, tls_cert_file, tls_key_file, sasl, user, password, password_file"#,
        ),
        (
            "a table for a value",
            toml("[nats]\npassword = { file = \"x\" }\n"),
            r#"config: `nats.password` has a value that is not allowed (from: file agora.toml, found: a table (not shown), allowed: a text in quotes)"#,
        ),
        (
            "a value for a table",
            toml("nats = \"a:1\"\n"),
            r#"config: `nats` is a table (from: file agora.toml, found: a text); write its keys beneath a line `[nats]`"#,
        ),
        (
            "a topic without quotes",
            toml("[topics.stwt.agora]\nkind = \"live\"\n"),
            r#"config: `topics.stwt.agora` is a table (from: file agora.toml); a name with dots stands in quotes: `[topics."stwt.agora"]`"#,
        ),
        (
            "a bad topic name",
            toml("[topics.\"a b\"]\nkind = \"live\"\n"),
            r#"config: `topics."a b".kind` is not for a topic: not a valid topic name: it holds ' ' (from: file agora.toml); a topic name is words of A-Z a-z 0-9 _ - joined by dots, at most 200 bytes"#,
        ),
        (
            "a reserved topic",
            toml("[topics.\"_agora.x\"]\nkind = \"live\"\n"),
            r#"config: `topics."_agora.x".kind` is not for a topic: this topic name is reserved (from: file agora.toml); names that begin with `_agora` are agora's own; take another"#,
        ),
        (
            "an unknown topic key",
            toml("[topics.\"a\"]\npartitions = 3\n"),
            r#"config: unknown key `topics."a".partitions` (from: file agora.toml); known are kind, framing, retention, replicas, lanes, wire"#,
        ),
        (
            "an unknown variable",
            env(&[("AGORA__NATS__ADDRESS", "a:1")]),
            r#"config: unknown key `nats.address` (from: variable AGORA__NATS__ADDRESS); did you mean `addresses`? {NATS}"#,
        ),
        (
            "an unknown section in a variable",
            env(&[("AGORA__RABBITMQ__URL", "x")]),
            r#"config: unknown key `rabbitmq.url` (from: variable AGORA__RABBITMQ__URL); known are limits, membership, topics.NAME, zenoh, nats, redis, kafka, tags.NAME"#,
        ),
        (
            "an empty variable",
            env(&[("AGORA__CLUSTER", "")]),
            r#"config: the variable is empty (from: variable AGORA__CLUSTER); give it a value, or unset it"#,
        ),
        (
            "one key by two variables",
            env(&[("AGORA__CLUSTER", "a"), ("agora__cluster", "b"), ("AGORA__cluster", "b")]),
            r#"config: `cluster` is set by two variables (from: variable AGORA__cluster, and from: variable AGORA__CLUSTER); unset one of the two"#,
        ),
        (
            "a tag without a name",
            env(&[("AGORA__TAGS__", "b")]),
            r#"config: a tag has no name (from: variable AGORA__TAGS__); write `tags.NAME = "VALUE"`"#,
        ),
        (
            "an unknown key in code",
            LoadOptions::new().set("nats.adresses", "a:1"),
            r#"config: unknown key `nats.adresses` (from: code); did you mean `addresses`? {NATS}"#,
        ),
        (
            "an unknown key on the command line",
            LoadOptions::new().command_line("--nod", "nod", "a"),
            r#"config: unknown key `nod` (from: command line, --nod); did you mean `node`? {TOP}"#,
        ),
        // Values.
        (
            "a number without a unit",
            toml("connect_timeout = 5\n"),
            r#"config: `connect_timeout` has a value that is not allowed (from: file agora.toml, found: 5, allowed: a time such as "5s", "500ms" or "7d", from 100ms to 10m)"#,
        ),
        (
            "a text without a unit",
            toml("connect_timeout = \"5\"\n"),
            r#"config: `connect_timeout` has a value that is not allowed (from: file agora.toml, found: "5", allowed: a time such as "5s", "500ms" or "7d", from 100ms to 10m)"#,
        ),
        (
            "too short a time",
            toml("connect_timeout = \"1ms\"\n"),
            r#"config: `connect_timeout` has a value that is not allowed (from: file agora.toml, found: "1ms", allowed: a time such as "5s", "500ms" or "7d", from 100ms to 10m)"#,
        ),
        (
            "too little memory",
            toml("[limits]\nmemory_bytes = 1024\n"),
            r#"config: `limits.memory_bytes` has a value that is not allowed (from: file agora.toml, found: 1024, allowed: a whole number from 8388608 to 4294967296)"#,
        ),
        (
            "memory in words",
            toml("[limits]\nmemory_bytes = \"64MiB\"\n"),
            r#"config: `limits.memory_bytes` has a value that is not allowed (from: file agora.toml, found: "64MiB", allowed: a whole number from 8388608 to 4294967296)"#,
        ),
        (
            "a bad cluster",
            toml("cluster = \"a b\"\n"),
            r#"config: `cluster` is not a valid cluster name (from: file agora.toml, found: "a b"); a cluster name is words of A-Z a-z 0-9 _ - joined by dots, at most 200 bytes"#,
        ),
        (
            "a bad node",
            env(&[("AGORA__NODE", "a/b")]),
            r#"config: `node` is not a valid node name (from: variable AGORA__NODE, found: "a/b"); a node name is words of A-Z a-z 0-9 _ - joined by dots, at most 200 bytes"#,
        ),
        (
            "a number as a name",
            toml("node = 7\n"),
            r#"config: `node` has a value that is not allowed (from: file agora.toml, found: 7, allowed: words of A-Z a-z 0-9 _ - joined by dots, at most 200 bytes); put it in quotes"#,
        ),
        (
            "a yes for a true",
            toml("[nats]\ntls = \"yes\"\n"),
            r#"config: `nats.tls` has a value that is not allowed (from: file agora.toml, found: "yes", allowed: true or false)"#,
        ),
        (
            "a host without a port number",
            toml("[kafka]\nbrokers = [\"a:x\"]\n"),
            r#"config: `kafka.brokers` has a value that is not allowed (from: file agora.toml, found: "a:x", allowed: a list of host:port or [v6 address]:port; the port may be left out)"#,
        ),
        (
            "an empty list",
            toml("[kafka]\nbrokers = []\n"),
            r#"config: `kafka.brokers` has a value that is not allowed (from: file agora.toml, found: an empty list, allowed: a list of host:port or [v6 address]:port; the port may be left out)"#,
        ),
        (
            "a number in a list",
            toml("[kafka]\nbrokers = [\"a:1\", 2]\n"),
            r#"config: `kafka.brokers` has a value that is not allowed (from: file agora.toml, found: a number in the list, allowed: a list of host:port or [v6 address]:port; the port may be left out)"#,
        ),
        (
            "a word that is none of some",
            toml("[kafka]\nsasl = \"md5\"\n"),
            r#"config: `kafka.sasl` has a value that is not allowed (from: file agora.toml, found: "md5", allowed: "plain", "scram-sha-256" or "scram-sha-512")"#,
        ),
        (
            "a topic of a third kind",
            toml("[topics.\"a\"]\nkind = \"queue\"\n"),
            r#"config: `topics."a".kind` has a value that is not allowed (from: file agora.toml, found: "queue", allowed: "live" or "log")"#,
        ),
        (
            "no lanes",
            toml("[topics.\"a\"]\nlanes = 0\n"),
            r#"config: `topics."a".lanes` has a value that is not allowed (from: file agora.toml, found: 0, allowed: a whole number from 1 to 1024)"#,
        ),
        (
            "a tag that is a number",
            toml("[tags]\nrole = 7\n"),
            r#"config: `tags.role` is no text (from: file agora.toml, found: a number); put it in quotes"#,
        ),
        (
            "a group that is none",
            toml("[zenoh]\nmulticast_address = \"10.0.0.1:5\"\n"),
            r#"config: `zenoh.multicast_address` has a value that is not allowed (from: file agora.toml, found: "10.0.0.1:5", allowed: a multicast address and port, such as "224.0.0.224:7446")"#,
        ),
        (
            "a redis url of another scheme",
            toml("[redis]\nurls = \"http://host\"\n"),
            r#"config: `redis.urls` has a value that is not allowed (from: file agora.toml, found: something else (not shown: it may hold a password), allowed: a list of redis[s]://[user][:password@]host[:port][/database][#insecure])"#,
        ),
        (
            "a numeric secret",
            toml("[nats]\nuser = \"u\"\npassword = 123456\n"),
            r#"config: `nats.password` has a value that is not allowed (from: file agora.toml, found: a number (not shown), allowed: a text in quotes); put it in quotes: a number would lose its leading zeros"#,
        ),
    ]
}
