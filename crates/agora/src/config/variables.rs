//! Variables: agora's own, and those by which other software is told of a backend.
//!
//! The pairs come from the caller; nothing here looks at the process. A variable is text and stays it: nobody guesses
//! that `0123` is a number, so no secret loses a zero.

use std::ffi::OsString;
use std::fmt;

use agora_core::Result;
use agora_core::config::{Backend, Raw};

use super::bus;
use super::layer::Layer;
use super::origin::{Origin, Place};
use super::problem::{error, short};

/// How agora's own variables begin. One underscore alone, as in `AGORA_URL`, is somebody else's.
const PREFIX: &str = "AGORA__";
const BACKEND: &str = "BUS_BACKEND";
const BROKERS: &str = "KAFKA_BROKERS";
const BOOTSTRAP: &str = "KAFKA_BOOTSTRAP_SERVERS";
const TOPIC_PREFIX: &str = "KAFKA_TOPIC_PREFIX";
const NATS_URL: &str = "NATS_URL";

/// The foreign variables, and the backend for which each counts.
const FOREIGN: &[(&str, Option<Backend>)] = &[
    (BACKEND, None),
    (BROKERS, Some(Backend::Kafka)),
    (BOOTSTRAP, Some(Backend::Kafka)),
    (TOPIC_PREFIX, Some(Backend::Kafka)),
    (NATS_URL, Some(Backend::Nats)),
];

/// The foreign variables that are set.
#[derive(Clone, Default)]
pub(super) struct Foreign(Vec<(&'static str, OsString)>);

/// Picks out what concerns agora: its own variables as a layer, and the foreign ones as they are.
pub(super) fn read(pairs: Vec<(OsString, OsString)>) -> Result<(Layer, Foreign)> {
    let mut own = Layer::default();
    let mut foreign = Foreign::default();
    for (name, value) in pairs {
        // A name that is no text is none of ours.
        let Some(name) = name.to_str() else { continue };
        if let Some(rest) = name.strip_prefix(PREFIX) {
            let origin = Origin::new(Place::Variable, name);
            let (section, key) = key_of(rest);
            let text = text(value, &origin)?;
            if text.is_empty() {
                return Err(error("the variable is empty", &origin).help("give it a value, or unset it"));
            }
            let mut one = Layer::default();
            one.push(&section, &key, Raw::Text(text), &origin);
            join(&mut own, one)?;
        } else if let Some((name, _)) = FOREIGN.iter().find(|(known, _)| *known == name) {
            // Empty is how a template says that it is not set.
            if !value.is_empty() {
                foreign.0.push((name, value));
            }
        }
    }
    Ok((own, foreign))
}

/// Adds what further variables say.
pub(super) fn join(own: &mut Layer, further: Layer) -> Result<()> {
    for entry in further.entries {
        if let Some(other) = own.get(&entry.section, &entry.name) {
            return Err(error(format!("`{}` is set by two variables", other.key()), &entry.origin)
                .context("and from", &other.origin)
                .help("unset one of the two"));
        }
        own.entries.push(entry);
    }
    Ok(())
}

/// `NATS__PING_INTERVAL` is `ping_interval` of the section `nats`. The names of topics and tags stay as they are.
fn key_of(rest: &str) -> (String, String) {
    let lower = |text: &str| text.to_ascii_lowercase();
    match rest.split_once("__") {
        None => (String::new(), lower(rest)),
        Some((section, tag)) if section.eq_ignore_ascii_case("tags") => ("tags".to_owned(), tag.to_owned()),
        Some((section, rest)) if section.eq_ignore_ascii_case("topics") => match rest.rsplit_once("__") {
            Some((topic, name)) => (format!("topics.{topic}"), lower(name)),
            None => ("topics".to_owned(), lower(rest)),
        },
        Some((section, name)) => (lower(section), lower(name)),
    }
}

fn text(value: OsString, origin: &Origin) -> Result<String> {
    value.into_string().map_err(|_| error("the variable is not UTF-8", origin))
}

/// A value may hold a password, as the URL of a server does.
impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Foreign {
    fn get(&self, name: &str) -> Result<Option<(String, Origin)>> {
        let Some((name, value)) = self.0.iter().find(|(known, _)| *known == name) else { return Ok(None) };
        let origin = Origin::new(Place::ForeignVariable, *name);
        Ok(Some((text(value.clone(), &origin)?, origin)))
    }

    /// The backend that `BUS_BACKEND` names.
    pub(super) fn chooses(&self) -> Result<Option<(Backend, Origin)>> {
        let Some((name, origin)) = self.get(BACKEND)? else { return Ok(None) };
        Ok(Some((bus::chosen(&Raw::Text(name), &origin)?, origin)))
    }

    /// What the variables of the chosen backend say. Those of others are theirs, and may say anything.
    pub(super) fn fill(&self, chosen: Backend, layer: &mut Layer) -> Result<()> {
        if chosen == Backend::Kafka {
            let brokers = self.get(BROKERS)?;
            let bootstrap = self.get(BOOTSTRAP)?;
            if let (Some((one, origin)), Some((other, other_origin))) = (&brokers, &bootstrap)
                && list(one) != list(other)
            {
                // A list with `@` may hold a password that does not belong there.
                let shown =
                    |list: &str| if list.contains('@') { "not shown".to_owned() } else { short(list) };
                return Err(error("two variables name different brokers", origin)
                    .context("found", shown(one))
                    .context("and from", other_origin)
                    .context("found", shown(other))
                    .help("unset one of the two, or give both the same list"));
            }
            if let Some((text, origin)) = brokers.or(bootstrap) {
                layer.push("kafka", "brokers", Raw::Text(text), &origin);
            }
            if let Some((text, origin)) = self.get(TOPIC_PREFIX)? {
                layer.push("kafka", "topic_prefix", Raw::Text(text), &origin);
            }
        }
        if chosen == Backend::Nats
            && let Some((text, origin)) = self.get(NATS_URL)?
        {
            layer.entries.extend(bus::nats_url(&Raw::Text(text), &origin)?);
        }
        Ok(())
    }

    /// The variables that are set and do not count, because another backend is chosen or none.
    pub(super) fn idle(&self, chosen: Option<Backend>) -> Vec<(&'static str, Backend)> {
        let of =
            |name: &str| FOREIGN.iter().find(|(known, _)| *known == name).and_then(|(_, backend)| *backend);
        let idle = self.0.iter().filter_map(|(name, _)| of(name).map(|backend| (*name, backend)));
        idle.filter(|(_, backend)| Some(*backend) != chosen).collect()
    }
}

fn list(text: &str) -> Vec<&str> {
    let mut hosts: Vec<&str> = text.split(',').map(str::trim).collect();
    hosts.sort_unstable();
    hosts
}
