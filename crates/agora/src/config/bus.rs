//! An event-sourcing framework's bus: `[bus] backend` with `[bus.kafka]` and `[bus.nats]`.

use agora_core::config::{Backend, Raw};
use agora_core::{Error, Result};

use super::layer::{Entry, Layer};
use super::origin::Origin;
use super::problem::{error, short, unknown};
use super::tree::{Node, Table};
use super::url;

const KAFKA: &[(&str, &str)] =
    &[("brokers", "brokers"), ("topic_prefix", "topic_prefix"), ("consumer_group", "group")];
const NATS: &[(&str, &str)] = &[("url", "url"), ("jetstream", "jetstream"), ("stream_name", "stream_name")];
/// The backends that this style knows, by the names that it gives them.
const BACKENDS: &str = "\"kafka\", \"nats\", \"redis\" or \"zenoh\"";

/// Reads a TOML file in this style. What is not `[bus]` is somebody else's.
pub(super) fn read(table: &Table, from: &Origin, layer: &mut Layer) -> Result<()> {
    let Some(Node::Table(bus)) = table.get("bus") else {
        return Err(error("`bus` is a table", from).help("write its keys beneath a line `[bus]`"));
    };
    for (name, node) in bus.iter() {
        let at = from.written(format!("bus.{name}"));
        match (name, node) {
            ("backend", node) => layer.chooses = Some((chosen(&node.into_raw(), &at)?, at)),
            ("kafka", Node::Table(kafka)) => {
                for (key, raw) in kafka.flatten() {
                    let at = from.written(format!("bus.kafka.{key}"));
                    let known = KAFKA.iter().find(|(theirs, _)| *theirs == key);
                    let (_, ours) = known.ok_or_else(|| unknown_in(KAFKA, "bus.kafka", &key, &at))?;
                    layer.push("kafka", ours, raw, &at);
                }
            }
            ("nats", Node::Table(nats)) => {
                for (key, raw) in nats.flatten() {
                    let at = from.written(format!("bus.nats.{key}"));
                    let known = NATS.iter().find(|(theirs, _)| *theirs == key);
                    match known.ok_or_else(|| unknown_in(NATS, "bus.nats", &key, &at))? {
                        ("url", _) => layer.entries.extend(nats_url(&raw, &at)?),
                        (_, ours) => layer.push("nats", ours, raw, &at),
                    }
                }
            }
            ("kafka" | "nats", Node::Leaf(raw)) => {
                return Err(error(format!("`bus.{name}` is a table"), &at).context("found", raw.sort()));
            }
            (name, _) => {
                return Err(unknown(&format!("bus.{name}"), name, &at, ["backend", "kafka", "nats"]));
            }
        }
    }
    Ok(())
}

/// The backend of this name, in a file or in `BUS_BACKEND`.
pub(super) fn chosen(raw: &Raw, at: &Origin) -> Result<Backend> {
    let wrong = |found: String| {
        let key = at.written.as_ref().unwrap_or(&at.name);
        Err(error(format!("`{key}` is no backend of agora"), at)
            .context("found", found)
            .context("allowed", BACKENDS))
    };
    match raw {
        Raw::Text(name) => match Backend::named(name) {
            Some(backend) if backend != Backend::Memory => Ok(backend),
            _ => wrong(format!("{:?}", short(name))),
        },
        other => wrong(other.sort().to_owned()),
    }
}

/// What the URL of a NATS server says.
pub(super) fn nats_url(raw: &Raw, at: &Origin) -> Result<Vec<Entry>> {
    let Raw::Text(text) = raw else {
        return Err(error("the URL of NATS is no text", at).context("found", raw.sort()));
    };
    let parts = url::parse(text).map_err(|wrong| error(wrong.what, at).help(wrong.help))?;
    if parts.backend != Backend::Nats {
        return Err(error("the URL of NATS is one of another backend", at)
            .context("found", parts.backend)
            .help("it begins with `nats://` or `tls://`"));
    }
    let entries = parts.entries.into_iter();
    Ok(entries.map(|(section, name, raw)| Entry::new(section, &name, raw, at.in_url())).collect())
}

fn unknown_in(words: &'static [(&str, &str)], table: &str, key: &str, at: &Origin) -> Error {
    unknown(&format!("{table}.{key}"), key, at, words.iter().map(|(theirs, _)| *theirs))
}
