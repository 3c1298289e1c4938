//! The one place that knows figment: it reads TOML and JSON, and lays one layer over another.
//!
//! What it does not do is fill the model: figment's errors show the value that they refuse, and it may be a password.
//! So it hands out values as [`Raw`], and the reader knows what each must be.

use agora_core::config::Raw;
use agora_core::{Error, ErrorKind, Result};
use figment::providers::{Format, Json, Toml};
use figment::value::{Dict, Map, Num, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::layer::Layer;
use super::unique::Unique;

/// A table as it was written: its keys in alphabetical order.
#[derive(Clone)]
pub(super) struct Table(Dict);

/// What stands at a key.
pub(super) enum Node {
    /// A single value, or a list.
    Leaf(Raw),
    /// A table.
    Table(Table),
}

/// Why a text could not be read. Never holds a part of the text.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) line: Option<usize>,
    pub(super) why: String,
}

impl Table {
    pub(super) fn toml(text: &str) -> Result<Self, Malformed> {
        // Its `Display` shows the line, and with it whatever stands there.
        Toml::from_str(text).map(Self).map_err(|error| Malformed {
            line: error.span().map(|span| line_of(text, span.start)),
            why: error.message().lines().collect::<Vec<_>>().join(", "),
        })
    }

    pub(super) fn json(text: &str) -> Result<Self, Malformed> {
        // The last of two would win in silence.
        if let Err(error) = Json::from_str::<Unique>(text)
            && error.is_data()
        {
            let why = "a key stands twice in one object".to_owned();
            return Err(Malformed { line: Some(error.line()), why });
        }
        Json::from_str(text).map(Self).map_err(|error| Malformed {
            line: (error.line() > 0).then(|| error.line()),
            // Only of a wrong type would it show the value: then it is no object.
            why: if error.is_data() { "not a JSON object".to_owned() } else { reason(&error.to_string()) },
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<Node> {
        self.0.get(key).map(node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Node)> {
        self.0.iter().map(|(key, value)| (key.as_str(), node(value)))
    }

    /// Every single value within, by its dotted key: a table and dotted keys are the same thing.
    pub(super) fn flatten(&self) -> Vec<(String, Raw)> {
        fn walk(table: &Dict, before: &str, into: &mut Vec<(String, Raw)>) {
            for (key, value) in table {
                let key = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
                match value {
                    Value::Dict(_, inner) => walk(inner, &key, into),
                    _ => into.push((key, raw(value))),
                }
            }
        }
        let mut flat = Vec::new();
        walk(&self.0, "", &mut flat);
        flat
    }
}

fn node(value: &Value) -> Node {
    match value {
        Value::Dict(_, table) => Node::Table(Table(table.clone())),
        _ => Node::Leaf(raw(value)),
    }
}

impl Node {
    pub(super) fn into_raw(self) -> Raw {
        match self {
            Self::Leaf(raw) => raw,
            Self::Table(_) => Raw::Table,
        }
    }
}

fn raw(value: &Value) -> Raw {
    match value {
        Value::String(_, text) => Raw::Text(text.clone()),
        Value::Char(_, sign) => Raw::Text(sign.to_string()),
        Value::Bool(_, flag) => Raw::Flag(*flag),
        Value::Num(_, Num::F32(_) | Num::F64(_)) => Raw::Fraction,
        Value::Num(_, number) => {
            let unsigned = || number.to_u128().and_then(|number| i128::try_from(number).ok());
            number.to_i128().or_else(unsigned).map_or(Raw::Fraction, Raw::Number)
        }
        Value::Empty(..) => Raw::Nothing,
        Value::Dict(..) => Raw::Table,
        Value::Array(_, list) => Raw::List(list.iter().map(raw).collect()),
    }
}

fn value(raw: &Raw) -> Value {
    match raw {
        Raw::Text(text) => text.clone().into(),
        Raw::Number(number) => (*number).into(),
        Raw::Flag(flag) => (*flag).into(),
        Raw::List(list) => list.iter().map(value).collect::<Vec<_>>().into(),
        Raw::Fraction | Raw::Table | Raw::Nothing => Value::Empty(Tag::Default, figment::value::Empty::None),
    }
}

/// A reason without the position, which is said apart.
fn reason(text: &str) -> String {
    text.split(" at line ").next().unwrap_or(text).to_owned()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// One layer, as figment takes it in.
struct Source<'a> {
    /// Names the layer in the tags of its values.
    index: usize,
    layer: &'a Layer,
}

impl Provider for Source<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.index.to_string())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut sections = Dict::new();
        for entry in &self.layer.entries {
            let section = sections.entry(entry.section.clone()).or_insert_with(|| Dict::new().into());
            if let Value::Dict(_, table) = section {
                table.insert(entry.name.clone(), value(&entry.raw));
            }
        }
        Ok(Profile::Default.collect(sections))
    }
}

/// Lays the layers over each other, the weakest first. For each key the section, the name, and the index of the layer
/// whose value counts.
pub(super) fn merge(layers: &[Layer]) -> Result<Vec<(String, String, usize)>> {
    let mut figment = Figment::new();
    for (index, layer) in layers.iter().enumerate() {
        figment = figment.merge(Source { index, layer });
    }
    let mut winners = Vec::new();
    let mut merged = figment.data().map_err(|cause| {
        // It cannot fail on what was read already, and then there is no value in its message.
        Error::new(ErrorKind::Config, "the layers cannot be merged")
            .operation("config")
            .source(cause.to_string())
    })?;
    for (section, table) in merged.remove(&Profile::Default).unwrap_or_default() {
        let Value::Dict(_, table) = table else { continue };
        for (name, value) in table {
            let source = figment.get_metadata(value.tag());
            if let Some(index) = source.and_then(|source| source.name.parse().ok()) {
                winners.push((section.clone(), name, index));
            }
        }
    }
    Ok(winners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::{Origin, Place};

    #[test]
    fn a_stronger_layer_wins_and_a_list_is_not_joined_to_another() {
        let list = |hosts: &[&str]| Raw::List(hosts.iter().map(|host| Raw::from(*host)).collect());
        let mut weak = Layer::default();
        let origin = Origin::new(Place::File, "f");
        weak.push("kafka", "brokers", list(&["a", "b"]), &origin);
        weak.push("kafka", "group", Raw::from("g"), &origin);
        weak.push("topics.a.b", "kind", Raw::from("live"), &origin);
        let mut strong = Layer::default();
        strong.push("kafka", "brokers", list(&["c"]), &Origin::new(Place::Variable, "V"));
        let winners = merge(&[weak, strong]).unwrap();
        let expected = [("kafka", "brokers", 1), ("kafka", "group", 0), ("topics.a.b", "kind", 0)];
        assert_eq!(winners, expected.map(|(section, name, layer)| (section.into(), name.into(), layer)));
    }

    #[test]
    fn what_is_malformed_is_named_by_its_line_and_never_shown() {
        for text in [
            "a = 1\npassword = hunter2\n",
            "password = \"hunter2\n",
            "a = 1\nhunter2\n",
            "password = 'hunter2' hunter2\n",
            "password = \"hun\\ter2 \\q hunter2\"\n",
            "[hunter2\n",
        ] {
            let error = Table::toml(text).map(|_| ()).unwrap_err();
            assert!(error.line.is_some(), "{text}");
            assert!(!format!("{error:?}").contains("hunter2"), "{text}: {error:?}");
        }
        for text in [
            "{\"a\": hunter2}",
            "{\"a\": \"hunter2",
            "\"hunter2\"",
            "[\"hunter2\"]",
            "{\"a\": 1} hunter2",
            "{\"hunter2\": 1, \"hunter2\": 2}",
        ] {
            let error = Table::json(text).map(|_| ()).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{text}: {error:?}");
        }
    }
}
