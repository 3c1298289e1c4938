//! From the settings of a backend to its transport, for the backends that were compiled in.

use std::sync::Arc;
use std::time::Duration;

use agora_core::bus::BusConfig;
use agora_core::config::Backend;
use agora_core::memory::Space;
use agora_core::transport::{ONE_LANE, Support, Transport};
use agora_core::{Error, Result};

use crate::config::Config;

/// Zenoh keeps nothing. Said here too, because it shall be said before anything is connected.
const ZENOH_LOG: Support = Support::No {
    instead: "make it live, or take a backend that keeps what is published: NATS with JetStream, Redis or Kafka",
};

/// Does this backend keep what is published?
pub(crate) fn logs(backend: Backend) -> Support {
    if backend == Backend::Zenoh { ZENOH_LOG } else { Support::Yes }
}

/// Has this backend logs of several lanes?
pub(crate) fn lanes(backend: Backend) -> Support {
    match backend {
        Backend::Memory | Backend::Kafka => Support::Yes,
        _ => Support::No { instead: ONE_LANE },
    }
}

/// Connects to the backend, or begins to.
pub(crate) async fn connect(
    backend: Backend,
    config: &Config,
    told: &BusConfig,
    wait: Duration,
) -> Result<Arc<dyn Transport>> {
    match backend {
        Backend::Memory => {
            let space = Space::named(config.model().space.as_deref().unwrap_or_default())?;
            Ok(Arc::new(space.connect(&told.cluster, &told.node)))
        }
        Backend::Zenoh => zenoh(config, told, wait).await,
        Backend::Nats => nats(config, told, wait).await,
        Backend::Redis => redis(config, told, wait).await,
        Backend::Kafka => kafka(config, told, wait).await,
        _ => Err(Error::unsupported(
            "a backend that is not known here",
            "use a newer version of the crate `agora`",
        )),
    }
}

/// One backend: connects to it, or names the feature that would.
macro_rules! backend {
    ($name:ident, $feature:literal, $config:ident, $told:ident, $wait:ident => $connect:expr) => {
        #[cfg(feature = $feature)]
        async fn $name($config: &Config, $told: &BusConfig, $wait: Duration) -> Result<Arc<dyn Transport>> {
            Ok(Arc::new($connect))
        }

        #[cfg(not(feature = $feature))]
        #[allow(clippy::unused_async, reason = "the same signature as with the feature")]
        async fn $name(_: &Config, _: &BusConfig, _: Duration) -> Result<Arc<dyn Transport>> {
            Err(Error::unsupported(
                concat!("this program was built without the backend ", $feature),
                concat!("build it with the feature `", $feature, "` of the crate `agora`"),
            ))
        }
    };
}

backend!(zenoh, "zenoh", config, told, wait => {
    let zenoh = crate::config::zenoh(&config.model().zenoh)?;
    agora_zenoh::ZenohTransport::connect(&zenoh, &told.cluster, wait).await?
});
backend!(kafka, "kafka", config, told, wait => {
    agora_kafka::KafkaTransport::connect(&config.model().kafka, &told.cluster, wait).await?
});
backend!(nats, "nats", config, told, wait => {
    agora_nats::NatsTransport::connect(&config.model().nats, &told.cluster, wait).await?
});
backend!(redis, "redis", config, told, wait => {
    agora_redis::RedisTransport::connect(&config.model().redis, &told.cluster, wait).await?
});
