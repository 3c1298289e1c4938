//! What a topic is.

use std::time::Duration;

use crate::id::TopicName;

/// How a topic keeps what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicKind {
    /// For those who listen now.
    Live,
    /// Kept, and can be read again.
    Log,
}

/// How events become messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// Many events a message.
    #[default]
    Batch,
    /// One event a message, with the backend's own key.
    Each,
}

/// What the messages of a topic hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// Frames of agora.
    #[default]
    Frame,
    /// The plain bodies, for software that knows nothing of agora.
    Plain,
}

/// What a topic is to be. Every node must be told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSettings {
    /// How it keeps what is published.
    pub kind: TopicKind,
    /// How events become messages.
    pub framing: Framing,
    /// What its messages hold.
    pub wire: Wire,
    /// How long a log keeps what was published; `None`: as the backend does by itself.
    pub retention: Option<Duration>,
    /// On how many servers a log is kept; `None`: as the backend does by itself.
    pub replicas: Option<u32>,
    /// How many lanes it has when it is made; `None`: as the backend does by itself.
    pub lanes: Option<u32>,
}

impl TopicSettings {
    /// A live topic of the usual kind.
    pub const LIVE: Self = Self {
        kind: TopicKind::Live,
        framing: Framing::Batch,
        wire: Wire::Frame,
        retention: None,
        replicas: None,
        lanes: None,
    };
    /// A log of the usual kind.
    pub const LOG: Self = Self { kind: TopicKind::Log, ..Self::LIVE };

    /// Does a source say where it stands, and repeat what did not arrive? On live topics, where messages are frames.
    pub fn is_repaired(&self) -> bool {
        self.kind == TopicKind::Live && self.wire == Wire::Frame
    }

    /// The same with this framing.
    pub fn framing(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// The same with this wire. Plain values come one to a message.
    pub fn wire(self, wire: Wire) -> Self {
        let framing = if wire == Wire::Plain { Framing::Each } else { self.framing };
        Self { wire, framing, ..self }
    }
}

/// What the engine wants a topic to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: TopicName,
    /// What it is.
    pub settings: TopicSettings,
}

impl TopicSpec {
    /// A live topic of the usual kind.
    pub fn live(name: TopicName) -> Self {
        Self { name, settings: TopicSettings::LIVE }
    }

    /// A log of the usual kind.
    pub fn log(name: TopicName) -> Self {
        Self { name, settings: TopicSettings::LOG }
    }

    /// How it keeps what is published.
    pub fn kind(&self) -> TopicKind {
        self.settings.kind
    }
}

/// What a topic is, as the backend has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// The number of lanes, at least 1. A lane is the unit of order.
    pub lanes: u32,
}
