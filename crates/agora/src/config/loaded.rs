//! The configuration as it was loaded: the model, and where each value came from.

use std::fmt;
use std::mem;

use agora_core::config::{Backend, Model};
use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{Framing, TopicKind, TopicSettings};
use agora_core::{Error, ErrorKind, Result};

use super::layer::Layer;
use super::options::LoadOptions;
use super::origin::{Origin, Place};
use super::read::{self, Resolved, Sources};
use super::{file, native, url, variables};

/// A configuration: everything that was configured for all backends, which of them is chosen, and where each value
/// came from. Neither `Debug` nor `Display` shows a secret.
///
/// `Display` prints what holds, key by key, and where it came from:
/// ```
/// use agora::config::{Config, LoadOptions};
///
/// let file = "url = \"nats://mail:secret@host:4222\"\n[limits]\nrepair_age = \"10s\"\n";
/// let options = LoadOptions::new().text("agora.toml", file).environment([("AGORA__NODE", "mail-1")]);
/// let shown = Config::load(options)?.to_string();
/// assert!(shown.contains("url = \"nats://***@host:4222\"   # file agora.toml"));
/// assert!(shown.contains("node = \"mail-1\"   # variable AGORA__NODE"));
/// assert!(shown.contains("limits.publish_timeout = \"30s\"   # default"));
/// assert!(!shown.contains("secret"));
/// # Ok::<(), agora::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    sources: Sources,
    model: Model,
    settings: Vec<Setting>,
    warnings: Vec<String>,
}

/// One setting that holds, as an operator may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Its key, such as `nats.ping_interval`.
    pub key: String,
    /// Its value as TOML, secrets hidden.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The defaults alone, with no backend chosen.
impl Default for Config {
    fn default() -> Self {
        Self {
            sources: Sources::default(),
            model: Model::default(),
            settings: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads what the options name, once. A file of a password is not opened before the backend is connected.
    ///
    /// A configuration that chooses no backend is one too: the program may choose it later. It blocks while it reads
    /// the file, of at most 1 MiB.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: a file cannot be read, is malformed or mixes styles; a key is not known, has a value that
    /// is not allowed, or does not fit to another; two places of one strength disagree. It names the key, where it
    /// stands, what was found and what is allowed, and never a secret.
    pub fn load(options: LoadOptions) -> Result<Self> {
        let mut loaded = file::load(options.file.as_ref())?;
        for (key, value) in &options.defaults {
            native::push(&mut loaded.defaults, key, value, &Origin::new(Place::Default, ""));
        }
        let (mut variables, foreign) = variables::read(options.environment)?;
        for (name, key, value) in &options.variables {
            let mut own = Layer::default();
            native::push(&mut own, key, value, &Origin::new(Place::Variable, name));
            variables::join(&mut variables, own)?;
        }
        let mut code = Layer::default();
        for (key, value) in &options.code {
            native::push(&mut code, key, value, &Origin::new(Place::Code, ""));
        }
        let mut command_line = Layer::default();
        for (option, key, value) in &options.command_line {
            native::push(&mut command_line, key, value, &Origin::new(Place::CommandLine, option));
        }
        Self::resolve(Sources {
            defaults: loaded.defaults,
            file: loaded.layer,
            foreign,
            variables,
            code,
            command_line,
            warnings: loaded.warnings,
        })
    }

    /// The configuration that a URL alone makes.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_url(url: impl Into<String>) -> Result<Self> {
        Self::load(LoadOptions::new().set("url", url))
    }

    fn resolve(sources: Sources) -> Result<Self> {
        let Resolved { model, settings, warnings } = read::resolve(&sources)?;
        Ok(Self { sources, model, settings, warnings })
    }

    /// What the program says itself, later: over files and variables, beneath the command line.
    pub(crate) fn with_code(mut self, keys: &[(&str, &str)]) -> Result<Self> {
        if keys.is_empty() {
            return Ok(self);
        }
        let mut sources = mem::take(&mut self.sources);
        for (key, value) in keys {
            native::push(&mut sources.code, key, value, &Origin::new(Place::Code, ""));
        }
        Self::resolve(sources)
    }

    /// What a topic is of which nothing is said: live, a log on NATS with `jetstream`, and on Kafka a log of one event a
    /// message, because groups work on no other there.
    pub fn usual(&self) -> TopicSettings {
        match self.model.backend {
            Some(Backend::Nats) if self.model.nats.jetstream => TopicSettings::LOG,
            Some(Backend::Kafka) => TopicSettings::LOG.framing(Framing::Each),
            _ => TopicSettings::LIVE,
        }
    }

    /// What a topic is; `kind` says whether it is a log, whatever is configured.
    pub fn topic(&self, name: &TopicName, kind: Option<TopicKind>) -> TopicSettings {
        let mut topic = self.model.topics.get(name).cloned().unwrap_or_default();
        topic.kind = kind.or(topic.kind);
        topic.settings(self.usual())
    }

    /// The topic of a domain's events: `PREFIX.events.DOMAIN` with the prefix that `kafka.topic_prefix` says, whichever
    /// backend is chosen, and `events.DOMAIN` where it says none.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where that is not the name of a topic.
    pub fn domain_topic(&self, domain: &str) -> Result<TopicName> {
        let prefix = self.model.kafka.topic_prefix.as_ref();
        TopicName::new(&match prefix {
            Some(prefix) => format!("{prefix}.events.{domain}"),
            None => format!("events.{domain}"),
        })
    }

    /// The group of this service, which `kafka.group` names, whichever backend is chosen; `None` where it does not. What
    /// is no name of a group still is the prefix of durable names.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where it is not the name of a group.
    pub fn group(&self) -> Result<Option<GroupName>> {
        let group = self.model.kafka.group.as_deref().map(GroupName::new).transpose();
        group.map_err(|error| match self.origin("kafka.group") {
            Some(origin) => error.context("from", origin),
            None => error,
        })
    }

    /// Everything that was configured, as plain data.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The backend that is chosen.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when nobody chose one; the help says how, and which variables were set and do not count.
    pub fn backend(&self) -> Result<Backend> {
        self.model.backend.ok_or_else(|| {
            let mut help = format!("set `url`; the URLs that are known begin with {}", url::KNOWN);
            for (variable, backend) in self.sources.foreign.idle(None) {
                help.push_str(&format!(
                    "; {variable} is set, but chooses no backend: for that set BUS_BACKEND={backend} or url = \"{backend}:\""
                ));
            }
            Error::new(ErrorKind::Config, "no URL was given, and nothing else chooses a backend")
                .operation("config")
                .help(help)
        })
    }

    /// What holds, key by key, in the order of the documentation: everything that was set, and the defaults of all
    /// that concerns the chosen backend. Values of weaker places that another one overrides are left out.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Where the value of a key came from; `None` where it has none, or is a default that does not matter here.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.settings.iter().find(|setting| setting.key == key).map(|setting| &setting.origin)
    }

    /// Where each value came from.
    pub fn origins(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.settings.iter().map(|setting| (setting.key.as_str(), &setting.origin))
    }

    /// What is allowed and probably not meant. It is logged when a bus is connected.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Did the command line say it? Then the program's own word does not count.
    pub(crate) fn said_by_command_line(&self, key: &str) -> bool {
        self.origin(key).is_some_and(|origin| origin.place == Place::CommandLine)
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings
            .iter()
            .try_for_each(|setting| writeln!(f, "{} = {}   # {}", setting.key, setting.value, setting.origin))
    }
}
