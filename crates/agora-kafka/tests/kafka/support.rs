//! What the tests have in common.

use std::sync::Arc;
use std::time::Duration;

use agora_core::config::Kafka;
use agora_core::transport::Link;
use agora_core::{Error, Result};
use agora_kafka::brokers::Brokers;
use agora_kafka::plan::Plan;
use tokio::time::{Instant, timeout};

/// Long enough for everything that must happen, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config(address: impl Into<String>) -> Kafka {
    let mut config = Kafka::default();
    config.brokers = vec![address.into()];
    config
}

pub(crate) fn by() -> Instant {
    Instant::now() + PATIENCE
}

pub(crate) async fn try_connect(config: &Kafka) -> Result<Arc<Brokers>> {
    Brokers::connect(Plan::new(config)?, PATIENCE).await
}

/// Connects, and is up.
pub(crate) async fn connect(config: &Kafka) -> Arc<Brokers> {
    let brokers = try_connect(config).await.unwrap();
    link(&brokers, "the link is up", |link| *link == Link::Up).await;
    brokers
}

/// Connecting fails, for what does not pass by waiting. A young broker may take longer for its first handshake than
/// connecting waits: then it is connected to once more.
pub(crate) async fn refused(config: &Kafka) -> Error {
    let refusal = async {
        loop {
            match try_connect(config).await {
                Err(error) => return error,
                Ok(brokers) => {
                    let link = brokers.link().borrow().clone();
                    brokers.end();
                    assert!(matches!(link, Link::Down { .. }), "it is connected");
                }
            }
        }
    };
    soon("the refusal", refusal).await
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits for a state of the link.
pub(crate) async fn link(brokers: &Brokers, what: &str, is: impl FnMut(&Link) -> bool) -> Link {
    let mut link = brokers.link();
    soon(what, link.wait_for(is)).await.unwrap().clone()
}
