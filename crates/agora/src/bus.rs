//! The bus, with the ways to connect it.

use std::ops::Deref;

use agora_core::{Result, bus};

use crate::builder::Builder;
use crate::config::Config;

/// A node's membership of a cluster: publishes, subscribes, and knows the other members. Cheap to clone.
///
/// All of its methods are those of [`agora_core::bus::Bus`], to which it dereferences:
/// [`publisher`](bus::Bus::publisher), [`subscribe`](bus::Bus::subscribe), [`members`](bus::Bus::members),
/// [`ready`](bus::Bus::ready), [`flush`](bus::Bus::flush), [`stats`](bus::Bus::stats), [`close`](bus::Bus::close).
#[derive(Clone, Debug)]
pub struct Bus(bus::Bus);

impl Bus {
    /// Connects to the backend that a URL names, as the node that the host is named after.
    ///
    /// Known schemes: `memory:NAME`, and with the feature of the same name `zenoh:`. For anything but the defaults
    /// use [`builder`](Bus::builder).
    ///
    /// # Errors
    /// As [`Builder::connect`].
    ///
    /// # Cancel safety
    /// As [`Builder::connect`].
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder().url(url).connect().await
    }

    /// Connects as a configuration says: see [`Config::load`].
    ///
    /// # Errors
    /// As [`Builder::connect`].
    ///
    /// # Cancel safety
    /// As [`Builder::connect`].
    pub async fn from_config(config: Config) -> Result<Self> {
        Self::builder().config(config).connect().await
    }

    /// Describes a bus: its URL, cluster, name, tags, limits.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The bus of `agora-core` within.
    pub fn into_inner(self) -> bus::Bus {
        self.0
    }
}

impl From<bus::Bus> for Bus {
    fn from(bus: bus::Bus) -> Self {
        Self(bus)
    }
}

impl Deref for Bus {
    type Target = bus::Bus;

    fn deref(&self) -> &bus::Bus {
        &self.0
    }
}
