//! From layers to the model: who chooses the backend, whose value counts, and whether it all fits together.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::config::{Backend, Model, Problem, Raw, SECTIONS, SecretUrl, Value, find, section};
use agora_core::id::TopicName;
use agora_core::{Error, Result};

use super::layer::{Entry, Layer, key};
use super::loaded::Setting;
use super::origin::{Origin, Place};
use super::problem::{error, of_key, of_keys, short, unknown};
use super::tree::merge;
use super::url;
use super::variables::Foreign;

/// A stock broker throws nobody out after less: `group.min.session.timeout.ms`.
const SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(6);

/// All that was said, by whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) defaults: Layer,
    pub(super) file: Layer,
    pub(super) foreign: Foreign,
    pub(super) variables: Layer,
    pub(super) code: Layer,
    pub(super) command_line: Layer,
    pub(super) warnings: Vec<String>,
}

/// What it comes to.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) model: Model,
    pub(super) settings: Vec<Setting>,
    pub(super) warnings: Vec<String>,
}

/// The index of the layer of foreign variables among the layers, the weakest first.
const FOREIGN: usize = 2;

pub(super) fn resolve(sources: &Sources) -> Result<Resolved> {
    // The weakest first.
    let mut layers = [
        sources.defaults.clone(),
        sources.file.clone(),
        Layer::default(),
        sources.variables.clone(),
        sources.code.clone(),
        sources.command_line.clone(),
    ];
    let chosen = choose(&layers, &sources.foreign)?;
    let mut model = Model::default();
    if let Some((backend, origin)) = &chosen {
        model.backend = Some(*backend);
        sources.foreign.fill(*backend, &mut layers[FOREIGN])?;
        model.space = expand_url(&mut layers, *backend, origin)?;
    }
    for entry in layers.iter().flat_map(|layer| &layer.entries) {
        known(entry)?;
    }
    let mut found: BTreeMap<String, (Value, Origin)> = BTreeMap::new();
    for (section, name, layer) in merge(&layers)? {
        let Some(entry) = layers[layer].get(&section, &name) else { continue };
        let value = value_of(entry)?;
        if section == "tags" {
            if let Value::Text(tag) = &value {
                model.tags.insert(name.clone(), tag.clone());
            }
        } else if !model.set(&section, &name, value.clone()) {
            return Err(unknown(&entry.key(), &name, &entry.origin, []));
        }
        found.insert(entry.key(), (value, entry.origin.clone()));
    }
    model.check().map_err(|problem| relation(problem, &found, chosen.as_ref()))?;
    let mut warnings = sources.warnings.clone();
    warnings.extend(warnings_of(&model, &found));
    let settings = settings(model.backend, found);
    Ok(Resolved { model, settings, warnings })
}

/// The backend, and who chose it: the strongest place that names one.
fn choose(layers: &[Layer], foreign: &Foreign) -> Result<Option<(Backend, Origin)>> {
    for (index, layer) in layers.iter().enumerate().rev() {
        if index == FOREIGN {
            // Only here: whatever it says counts for nothing when a stronger place has chosen.
            if let Some(chosen) = foreign.chooses()? {
                return Ok(Some(chosen));
            }
        }
        if let Some(chosen) = &layer.chooses {
            return Ok(Some(chosen.clone()));
        }
        if let Some(entry) = layer.get("", "url") {
            let text = url_text(entry)?;
            let backend =
                url::backend(&text).map_err(|wrong| error(wrong.what, &entry.origin).help(wrong.help))?;
            return Ok(Some((backend, entry.origin.clone())));
        }
    }
    Ok(None)
}

fn url_text(entry: &Entry) -> Result<String> {
    match &entry.raw {
        Raw::Text(text) if !text.is_empty() => Ok(text.clone()),
        other => Err(error("`url` is no URL", &entry.origin)
            .context("found", if matches!(other, Raw::Text(_)) { "an empty text" } else { other.sort() })
            .help(format!("the URLs that are known begin with {}", url::KNOWN))),
    }
}

/// Puts what the strongest URL of the chosen backend says in the place of that URL's layer. Weaker URLs are replaced as
/// a whole: half of one and half of the other would be nobody's wish. Returns the space of the backend memory.
fn expand_url(layers: &mut [Layer], chosen: Backend, by: &Origin) -> Result<Option<String>> {
    let mut effective = None;
    for (index, layer) in layers.iter_mut().enumerate().rev() {
        let Some(position) =
            layer.entries.iter().position(|entry| entry.section.is_empty() && entry.name == "url")
        else {
            continue;
        };
        let entry = &layer.entries[position];
        let names_chosen = matches!(&entry.raw, Raw::Text(text) if url::backend(text) == Ok(chosen));
        if effective.is_none() && names_chosen {
            effective = Some((index, entry.clone()));
        } else {
            layer.entries.remove(position);
        }
    }
    let Some((index, entry)) = effective else {
        if chosen == Backend::Memory {
            return Err(error("the backend memory needs a URL", by).help("it looks like `memory:NAME`"));
        }
        return Ok(None);
    };
    let text = url_text(&entry)?;
    let parts = url::parse(&text).map_err(|wrong| {
        error(wrong.what, &entry.origin).context("url", SecretUrl::new(text.as_str())).help(wrong.help)
    })?;
    for (section, name, raw) in parts.entries {
        let layer = &mut layers[index];
        match layer.get(section, &name) {
            // The key on its own is the more precise word.
            Some(_) if section.is_empty() => {}
            Some(own) => {
                return Err(error(format!("`{}` is set twice", key(section, &name)), &own.origin)
                    .context("and from", entry.origin.in_url())
                    .help("say it in the URL or in the table, not in both"));
            }
            None => layer.push(section, &name, raw, &entry.origin.in_url()),
        }
    }
    Ok(parts.space)
}

/// Is there such a key?
fn known(entry: &Entry) -> Result<()> {
    if entry.section == "tags" {
        return match entry.name.as_str() {
            "" => Err(error("a tag has no name", &entry.origin).help("write `tags.NAME = \"VALUE\"`")),
            _ => Ok(()),
        };
    }
    if let Some(topic) = entry.section.strip_prefix("topics.") {
        TopicName::new(topic).map_err(|cause| {
            let help = cause.help_text().map(str::to_owned).unwrap_or_default();
            error(format!("`{}` is not for a topic: {}", short(&entry.key()), cause.message()), &entry.origin)
                .help(help)
        })?;
    }
    if find(&entry.section, &entry.name).is_some() {
        return Ok(());
    }
    match section(&entry.section) {
        Some(section) if !section.name.is_empty() => {
            let names = section.keys.iter().map(|key| key.name);
            Err(unknown(&entry.key(), &entry.name, &entry.origin, names))
        }
        Some(_) => Err(unknown(&entry.key(), &entry.name, &entry.origin, super::native::top_names())),
        None => {
            let tables = SECTIONS.iter().map(|section| section.name).filter(|name| !name.is_empty());
            Err(unknown(&entry.key(), &entry.section, &entry.origin, tables.chain(["tags.NAME"])))
        }
    }
}

fn value_of(entry: &Entry) -> Result<Value> {
    if entry.section == "tags" {
        return match &entry.raw {
            Raw::Text(text) => Ok(Value::Text(text.clone())),
            other => Err(error(format!("`{}` is no text", short(&entry.key())), &entry.origin)
                .context("found", other.sort())
                .help("put it in quotes")),
        };
    }
    match find(&entry.section, &entry.name) {
        Some(key) => {
            key.takes.read(&entry.raw).map_err(|problem| of_key(&entry.key(), &entry.origin, problem))
        }
        None => Err(unknown(&entry.key(), &entry.name, &entry.origin, [])),
    }
}

/// The error of settings that do not fit together: where each of them came from.
fn relation(
    problem: Problem,
    found: &BTreeMap<String, (Value, Origin)>,
    chosen: Option<&(Backend, Origin)>,
) -> Error {
    let origin = |key: &String| found.get(key).map(|(_, origin)| origin);
    let first = problem.keys.first().cloned().unwrap_or_default();
    let also: Vec<&Origin> = problem.keys.iter().skip(1).filter_map(origin).collect();
    // What is missing has no origin; then it is whoever chose the backend who wants it.
    let from = origin(&first).or_else(|| also.first().copied()).or_else(|| chosen.map(|(_, origin)| origin));
    of_keys(&first, from, &also, problem)
}

fn warnings_of(model: &Model, found: &BTreeMap<String, (Value, Origin)>) -> Vec<String> {
    let mut warnings = Vec::new();
    let from = |key: &str| found.get(key).map(|(_, origin)| origin.to_string()).unwrap_or_default();
    if model.backend == Some(Backend::Nats) && model.nats.max_reconnects == Some(0) {
        let from = from("nats.max_reconnects");
        warnings.push(format!(
            "`nats.max_reconnects` is 0 ({from}): a lost connection is not made again, and this node then stays cut off"
        ));
    }
    if model.backend == Some(Backend::Kafka) && model.kafka.session_timeout < SESSION_TIMEOUT_MIN {
        let from = from("kafka.session_timeout");
        warnings.push(format!(
            "`kafka.session_timeout` is {:?} ({from}): a stock broker refuses members of groups with less than {:?}",
            model.kafka.session_timeout, SESSION_TIMEOUT_MIN
        ));
    }
    warnings
}

/// What holds, in the order of the documentation: everything that was set, and the defaults of what matters here.
fn settings(chosen: Option<Backend>, mut found: BTreeMap<String, (Value, Origin)>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let default = Origin::new(Place::Default, "");
    let setting =
        |key: String, value: &Value, origin: Origin| Setting { key, value: value.to_string(), origin };
    for section in SECTIONS {
        let matters = matches!(section.name, "" | "limits" | "membership")
            || chosen.is_some_and(|backend| backend.as_str() == section.name);
        for of_section in section.keys {
            let key = key(section.name, of_section.name);
            if let Some((value, origin)) = found.remove(&key) {
                settings.push(setting(key, &value, origin));
            } else if matters && !of_section.default.is_empty() {
                let value = of_section.default.to_owned();
                settings.push(Setting { key, value, origin: default.clone() });
            }
        }
    }
    // Topics and tags, whose keys are the operator's own.
    settings.extend(found.into_iter().map(|(key, (value, origin))| setting(key, &value, origin)));
    settings
}
