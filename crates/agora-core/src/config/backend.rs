//! The backends by name.

use std::fmt;

/// A backend that a configuration can choose, whether or not this version or this build has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Backend {
    /// Within one process, for tests.
    Memory,
    /// Peer to peer, with no server.
    Zenoh,
    /// NATS, with JetStream for logs.
    Nats,
    /// Redis or Valkey.
    Redis,
    /// Kafka or Redpanda.
    Kafka,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Zenoh, Self::Nats, Self::Redis, Self::Kafka];

    /// The name, which is also that of its section and of its feature.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Zenoh => "zenoh",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
        }
    }

    /// The backend of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.as_str() == name)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
