//! agora's own style: `agora.toml`, and keys as code and command lines name them.

use agora_core::config::{Raw, SECTIONS};
use agora_core::{Error, Result};

use super::layer::Layer;
use super::origin::Origin;
use super::problem::{error, nearest, short};
use super::tree::{Node, Table};

/// The keys at the top of the file, with the names of the tables.
pub(super) fn top_names() -> impl Iterator<Item = &'static str> {
    let keys = SECTIONS.iter().filter(|section| section.name.is_empty()).flat_map(|section| section.keys);
    let tables = SECTIONS.iter().map(|section| section.name.split('.').next().unwrap_or_default());
    keys.map(|key| key.name).chain(tables.filter(|name| !name.is_empty())).chain(["tags"])
}

/// Reads a file in agora's own style.
pub(super) fn read(table: &Table, from: &Origin, layer: &mut Layer) -> Result<()> {
    for (name, node) in table.iter() {
        match (name, node) {
            ("topics", Node::Table(topics)) => topics_of(&topics, from, layer)?,
            (
                "topics" | "tags" | "limits" | "membership" | "zenoh" | "nats" | "redis" | "kafka",
                Node::Leaf(raw),
            ) => {
                let found = raw.sort();
                return Err(error(format!("`{name}` is a table"), from)
                    .context("found", found)
                    .help(format!("write its keys beneath a line `[{name}]`")));
            }
            (
                "tags" | "limits" | "membership" | "zenoh" | "nats" | "redis" | "kafka",
                Node::Table(section),
            ) => {
                for (key, node) in section.iter() {
                    layer.push(name, key, node.into_raw(), from);
                }
            }
            ("cluster" | "node" | "url" | "connect_timeout", node) => {
                layer.push("", name, node.into_raw(), from)
            }
            (name, _) => return Err(unknown_top(name, from)),
        }
    }
    Ok(())
}

fn unknown_top(name: &str, from: &Origin) -> Error {
    let known: Vec<&str> = top_names().collect();
    let mut help = match name {
        "backend" => "the backend is the scheme of `url`, such as `url = \"nats://host:4222\"`; ".to_owned(),
        _ => nearest(name, &known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default(),
    };
    help.push_str(&format!("known are {}", known.join(", ")));
    error(format!("unknown key `{}`", short(name)), from).help(help)
}

fn topics_of(topics: &Table, from: &Origin, layer: &mut Layer) -> Result<()> {
    for (topic, node) in topics.iter() {
        let Node::Table(settings) = node else {
            return Err(error(format!("`topics.{}` is a table", short(topic)), from)
                .help("write its keys beneath a line `[topics.\"NAME\"]`"));
        };
        for (key, node) in settings.iter() {
            if matches!(node, Node::Table(_)) {
                return Err(error(format!("`topics.{}.{}` is a table", short(topic), short(key)), from)
                    .help(format!("a name with dots stands in quotes: `[topics.\"{topic}.{key}\"]`")));
            }
            layer.push(&format!("topics.{topic}"), key, node.into_raw(), from);
        }
    }
    Ok(())
}

/// Splits a key such as `nats.user`, `tags.role` or `topics."a.b".kind` into section and name.
pub(super) fn split(key: &str) -> (String, String) {
    if let Some(tag) = key.strip_prefix("tags.") {
        return ("tags".to_owned(), tag.to_owned());
    }
    let Some((section, name)) = key.rsplit_once('.') else { return (String::new(), key.to_owned()) };
    match section.strip_prefix("topics.") {
        Some(topic) => {
            let quoted = topic.strip_prefix('"').and_then(|topic| topic.strip_suffix('"'));
            (format!("topics.{}", quoted.unwrap_or(topic)), name.to_owned())
        }
        None => (section.to_owned(), name.to_owned()),
    }
}

/// Adds a setting that a program or a command line names by its key. A later one replaces an earlier one.
pub(super) fn push(layer: &mut Layer, key: &str, value: &str, origin: &Origin) {
    let (section, name) = split(key);
    layer.entries.retain(|entry| entry.section != section || entry.name != name);
    layer.push(&section, &name, Raw::from(value), origin);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_where_the_section_ends() {
        for (key, section, name) in [
            ("url", "", "url"),
            ("nats.ping_interval", "nats", "ping_interval"),
            ("tags.a.b", "tags", "a.b"),
            ("topics.\"stwt.agora\".kind", "topics.stwt.agora", "kind"),
            ("topics.stwt.agora.kind", "topics.stwt.agora", "kind"),
        ] {
            assert_eq!(split(key), (section.to_owned(), name.to_owned()), "{key}");
        }
    }
}
