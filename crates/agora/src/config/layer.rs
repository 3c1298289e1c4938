//! What one place says, in agora's own keys.

use agora_core::config::{Backend, Raw};

use super::origin::Origin;

/// One setting as one place has it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// `kafka`, `topics.NAME`, `tags`, empty at the top.
    pub(super) section: String,
    pub(super) name: String,
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

impl Entry {
    pub(super) fn new(section: &str, name: &str, raw: Raw, origin: Origin) -> Self {
        Self { section: section.to_owned(), name: name.to_owned(), raw, origin }
    }

    /// The key as an operator of agora's own style writes it.
    pub(super) fn key(&self) -> String {
        key(&self.section, &self.name)
    }
}

pub(super) fn key(section: &str, name: &str) -> String {
    match section.strip_prefix("topics.") {
        _ if section.is_empty() => name.to_owned(),
        Some(topic) => format!("topics.\"{topic}\".{name}"),
        None => format!("{section}.{name}"),
    }
}

/// What one place says.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) entries: Vec<Entry>,
    /// The backend, where it is chosen by name and not by a URL.
    pub(super) chooses: Option<(Backend, Origin)>,
}

impl Layer {
    pub(super) fn push(&mut self, section: &str, name: &str, raw: Raw, origin: &Origin) {
        self.entries.push(Entry::new(section, name, raw, origin.clone()));
    }

    /// The entry of this key, where there is one.
    pub(super) fn get(&self, section: &str, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.section == section && entry.name == name)
    }
}
