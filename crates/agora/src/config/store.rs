//! A mail server's stores: `[cluster] coordinator = "x"` and `[store."x"]`, or one JSON object with `@type`.
//!
//! Both are the same settings in two spellings, and come down to one table of words for each backend.

use agora_core::config::{Backend, Raw};
use agora_core::{Error, Result};

use super::layer::Layer;
use super::origin::{Origin, Place};
use super::problem::{error, short, unknown};
use super::tree::{Node, Table};

/// A setting in their words, and in ours.
struct Word {
    /// In the TOML file.
    toml: &'static str,
    /// In the JSON object; empty where it has none.
    json: &'static str,
    section: &'static str,
    name: &'static str,
}

const fn word(toml: &'static str, json: &'static str, section: &'static str, name: &'static str) -> Word {
    Word { toml, json, section, name }
}

const KAFKA: &[Word] = &[
    word("brokers", "brokers", "kafka", "brokers"),
    word("group-id", "groupId", "kafka", "group"),
    word("timeout.session", "timeoutSession", "kafka", "session_timeout"),
    word("timeout.message", "timeoutMessage", "limits", "publish_timeout"),
];

const NATS: &[Word] = &[
    word("address", "", "nats", "addresses"),
    word("addresses", "addresses", "nats", "addresses"),
    word("user", "authUsername", "nats", "user"),
    word("password", "authSecret", "nats", "password"),
    word("credentials", "credentials", "nats", "credentials"),
    word("no-echo", "noEcho", "nats", "no_echo"),
    word("tls.enable", "useTls", "nats", "tls"),
    word("timeout.connection", "timeoutConnection", "", "connect_timeout"),
    word("timeout.request", "timeoutRequest", "nats", "request_timeout"),
    word("ping-interval", "pingInterval", "nats", "ping_interval"),
    word("max-reconnects", "maxReconnects", "nats", "max_reconnects"),
    word("capacity.client", "capacityClient", "nats", "client_capacity"),
    word("capacity.subscription", "capacitySubscription", "nats", "subscription_capacity"),
    word("capacity.read-buffer", "capacityReadBuffer", "nats", "read_buffer_bytes"),
];

const REDIS: &[Word] = &[
    word("redis-type", "", "redis", "mode"),
    word("urls", "urls", "redis", "urls"),
    word("", "url", "redis", "urls"),
    word("user", "authUsername", "redis", "user"),
    word("password", "authSecret", "redis", "password"),
    word("timeout", "timeout", "redis", "timeout"),
    word("read-from-replicas", "readFromReplicas", "redis", "read_from_replicas"),
    word("protocol-version", "protocolVersion", "redis", "protocol"),
    word("retry.total", "maxRetries", "redis", "retry_attempts"),
    word("retry.max-wait", "maxRetryWait", "redis", "retry_max_wait"),
    word("retry.min-wait", "minRetryWait", "redis", "retry_min_wait"),
];

const ZENOH: &[Word] = &[word("config", "config", "zenoh", "config")];

/// What their documentation gives as the value of a setting that is left out, where it is not our default.
const DEFAULTS: &[(Backend, &str, &str, &str)] = &[
    (Backend::Kafka, "kafka", "session_timeout", "5s"),
    (Backend::Kafka, "limits", "publish_timeout", "5s"),
];

/// Settings of theirs that agora has no use for, and why.
const REFUSED: &[(&str, &str)] = &[
    ("pool.", "agora keeps a fixed few connections and no pool: leave it out"),
    ("poolMaxConnections", "agora keeps a fixed few connections and no pool: leave it out"),
    ("poolTimeoutCreate", "agora keeps a fixed few connections and no pool: leave it out"),
    ("poolTimeoutWait", "agora keeps a fixed few connections and no pool: leave it out"),
    ("poolTimeoutRecycle", "agora keeps a fixed few connections and no pool: leave it out"),
];

fn words(backend: Backend) -> &'static [Word] {
    match backend {
        Backend::Kafka => KAFKA,
        Backend::Nats => NATS,
        Backend::Redis => REDIS,
        Backend::Zenoh => ZENOH,
        _ => &[],
    }
}

/// What the style's defaults are called as an origin.
const STYLE: &str = "the mail server's style";

/// Reads a TOML file in this style. What is neither `[cluster]` nor the store that it names is somebody else's.
pub(super) fn read(table: &Table, from: &Origin, layer: &mut Layer, defaults: &mut Layer) -> Result<()> {
    let at = |key: &str| from.written(key);
    let coordinator = match table.get("cluster") {
        Some(Node::Table(cluster)) => cluster.get("coordinator").map(Node::into_raw),
        _ => None,
    };
    let stores = match table.get("store") {
        Some(Node::Table(stores)) => stores,
        _ => {
            return Err(error("the file has no `[store.\"NAME\"]`", from)
                .help("the store that `cluster.coordinator` names says which backend it is"));
        }
    };
    let names: Vec<&str> = stores.iter().map(|(name, _)| name).collect();
    let name = match coordinator {
        Some(Raw::Text(name)) => name,
        Some(other) => {
            return Err(error("`cluster.coordinator` is no text", &at("cluster.coordinator"))
                .context("found", other.sort())
                .help(format!("it is the name of a store: {}", names.join(", "))));
        }
        None => {
            return Err(error("the file has stores and no `cluster.coordinator`", from).help(format!(
                "write `[cluster]` and `coordinator = \"NAME\"`, one of {}",
                names.join(", ")
            )));
        }
    };
    let Some(Node::Table(store)) = stores.get(&name) else {
        return Err(error(format!("there is no `[store.{:?}]`", short(&name)), &at("cluster.coordinator"))
            .help(format!(
                "`cluster.coordinator` names one of the stores of the file: {}",
                names.join(", ")
            )));
    };
    let before = format!("store.\"{name}\".");
    let kind = store.get("type").map(Node::into_raw);
    let backend = match &kind {
        Some(Raw::Text(kind)) if matches!(kind.as_str(), "kafka" | "nats" | "redis" | "zenoh") => {
            Backend::named(kind)
        }
        _ => None,
    };
    let Some(backend) = backend else {
        let found = match kind {
            Some(Raw::Text(kind)) => format!("{:?}", short(&kind)),
            Some(other) => other.sort().to_owned(),
            None => "nothing".to_owned(),
        };
        return Err(error(format!("`{before}type` is no backend of agora"), &at(&format!("{before}type")))
            .context("found", found)
            .context("allowed", "\"kafka\", \"nats\", \"redis\" or \"zenoh\"")
            .help("let `cluster.coordinator` name a store of one of these types"));
    };
    layer.chooses = Some((backend, at("cluster.coordinator")));
    for (key, raw) in store.flatten() {
        if key != "type" {
            take(backend, &key, |word| word.toml, raw, &at(&format!("{before}{key}")), layer)?;
        }
    }
    default(backend, defaults);
    Ok(())
}

/// Reads one JSON object.
pub(super) fn read_object(
    table: &Table,
    from: &Origin,
    layer: &mut Layer,
    defaults: &mut Layer,
) -> Result<()> {
    let known = "\"Kafka\", \"Nats\", \"Redis\", \"RedisCluster\" or \"Zenoh\"";
    let kind = match table.get("@type").map(Node::into_raw) {
        Some(Raw::Text(kind)) => kind,
        _ => {
            return Err(error("the JSON object has no `@type`", from)
                .context("allowed", known)
                .help("agora's own style is TOML; JSON is read as a mail server's coordinator object"));
        }
    };
    let at = |key: &str| from.written(key);
    let backend = match kind.as_str() {
        "Kafka" => Backend::Kafka,
        "Nats" => Backend::Nats,
        "Redis" => Backend::Redis,
        "RedisCluster" => {
            layer.push("redis", "mode", Raw::from("cluster"), &at("@type"));
            Backend::Redis
        }
        "Zenoh" => Backend::Zenoh,
        other => {
            return Err(error("`@type` is no backend of agora", &at("@type"))
                .context("found", format!("{:?}", short(other)))
                .context("allowed", known));
        }
    };
    layer.chooses = Some((backend, at("@type")));
    for (key, node) in table.iter() {
        // `null` is how the object says that an optional field is not set.
        match node.into_raw() {
            _ if key == "@type" => {}
            Raw::Nothing => {
                if !words(backend).iter().any(|word| word.json == key) {
                    return Err(unknown_word(backend, key, |word| word.json, &at(key)));
                }
            }
            raw => take(backend, key, |word| word.json, raw, &at(key), layer)?,
        }
    }
    default(backend, defaults);
    Ok(())
}

fn take(
    backend: Backend,
    key: &str,
    spelled: impl Fn(&Word) -> &'static str,
    raw: Raw,
    at: &Origin,
    layer: &mut Layer,
) -> Result<()> {
    let Some(word) = words(backend).iter().find(|word| spelled(word) == key) else {
        return Err(unknown_word(backend, key, spelled, at));
    };
    if let Raw::Text(text) = &raw
        && text.contains("%{")
        && text.contains("}%")
    {
        return Err(error(format!("`{}` holds a macro `%{{..}}%`", short(key)), at).help(format!(
            "only the mail server replaces macros: write the value, or leave it out and set AGORA__{}__{}",
            word.section.to_uppercase(),
            word.name.to_uppercase()
        )));
    }
    if word.name == "password" && matches!(raw, Raw::Table) {
        return Err(error(format!("`{}` is an object", short(key)), at).help(format!(
            "write the password as a text, or leave it out and set AGORA__{}__PASSWORD or AGORA__{0}__PASSWORD_FILE",
            word.section.to_uppercase()
        )));
    }
    // The same setting under two names.
    if let Some(other) = layer.get(word.section, word.name)
        && other.raw != raw
    {
        return Err(error(format!("`{}` says the same as another key, and differently", short(key)), at)
            .context("and from", &other.origin)
            .help("leave one of the two out"));
    }
    layer.push(word.section, word.name, raw, at);
    Ok(())
}

fn unknown_word(backend: Backend, key: &str, spelled: impl Fn(&Word) -> &'static str, at: &Origin) -> Error {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| key.starts_with(refused)) {
        return error(format!("`{}` cannot be honoured", short(key)), at).help(*why);
    }
    let known = words(backend).iter().map(spelled).filter(|word| !word.is_empty());
    unknown(key, key, at, known)
}

fn default(backend: Backend, defaults: &mut Layer) {
    let origin = Origin::new(Place::Style, STYLE);
    for (_, section, name, text) in DEFAULTS.iter().filter(|(of, ..)| *of == backend) {
        defaults.push(section, name, Raw::from(*text), &origin);
    }
}
