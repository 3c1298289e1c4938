//! What the tests have in common.

use std::sync::Arc;
use std::time::Duration;

use agora_core::Result;
use agora_core::config::Kafka;
use agora_core::transport::Link;
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
    assert_eq!(*brokers.link().borrow(), Link::Up);
    brokers
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits for a state of the link.
pub(crate) async fn link(brokers: &Brokers, what: &str, is: impl FnMut(&Link) -> bool) -> Link {
    let mut link = brokers.link();
    soon(what, link.wait_for(is)).await.unwrap().clone()
}
