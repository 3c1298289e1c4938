//! Zenoh on loopback, in one process: peers that find each other through the first one.

use std::time::Duration;

use agora_conformance::suite::{Carries, Subject};
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_testbed::free_port;
use agora_zenoh::{ZenohConfig, ZenohTransport};
use async_trait::async_trait;

/// How long a session may take to open.
const WAIT: Duration = Duration::from_secs(10);

/// Peers on loopback, without multicast.
pub struct ZenohSubject {
    url: String,
    /// The peer that all others dial: they hear of each other from it, and then talk directly.
    _first: ZenohTransport,
}

impl ZenohSubject {
    /// Opens the first peer.
    ///
    /// # Errors
    /// What zenoh says; `Unreachable` where loopback has no free port.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing stays open.
    pub async fn start() -> Result<Self> {
        let port = free_port().map_err(|source| {
            Error::new(ErrorKind::Unreachable, "there is no free port on loopback").source(source)
        })?;
        let config = ZenohConfig::from_url(&format!("zenoh:?listen=127.0.0.1:{port}&multicast=off"))?;
        let first = ZenohTransport::connect(&config, &ClusterName::new("conformance")?, WAIT).await?;
        Ok(Self { url: format!("zenoh://127.0.0.1:{port}?listen=127.0.0.1:0"), _first: first })
    }
}

#[async_trait]
impl Subject for ZenohSubject {
    fn name(&self) -> &str {
        "zenoh"
    }

    async fn connect(&self, cluster: &ClusterName, _: &NodeName) -> Result<Box<dyn Transport>> {
        let config = ZenohConfig::from_url(&self.url)?;
        Ok(Box::new(ZenohTransport::connect(&config, cluster, WAIT).await?))
    }

    fn minimum(&self) -> usize {
        60
    }

    /// A put of this transport is bytes alone.
    fn carries(&self) -> Carries {
        Carries::NOTHING
    }

    /// Peers that meet, part and meet again take their time on a busy machine.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}
