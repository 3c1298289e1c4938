//! The backends of this house as subjects of the conformance suite.
//!
//! A crate of its own, because the suite must not know the backends, and the command and the tests must agree on how
//! each is set up and how many cases it must pass.
#![forbid(unsafe_code)]

pub mod faults;
mod kafka;
mod named;
mod nats;
mod redis;
mod redis_cluster;
mod zenoh;

use std::sync::Arc;

use agora_conformance::suite::cli::Choice;
use agora_conformance::suite::{MemorySubject, Subject};
use agora_testbed::{KafkaVersion, Program, endpoint};

pub use kafka::{KafkaSubject, delete_records};
pub use named::NamedSubject;
pub use nats::NatsSubject;
pub use redis::RedisSubject;
pub use redis_cluster::RedisClusterSubject;
pub use zenoh::ZenohSubject;

/// Every backend, by the name that the command line has for it.
pub fn choices() -> Vec<Choice> {
    vec![
        Choice {
            name: "memory",
            make: || Box::pin(async { Ok(Arc::new(MemorySubject::with_server()) as Arc<_>) }),
        },
        Choice {
            name: "memory-lanes",
            make: || Box::pin(async { Ok(Arc::new(MemorySubject::by_lane()) as Arc<_>) }),
        },
        Choice {
            name: "memory-peers",
            make: || Box::pin(async { Ok(Arc::new(MemorySubject::of_peers()) as Arc<_>) }),
        },
        Choice {
            name: "nats",
            make: || {
                Box::pin(async {
                    Ok(match NamedSubject::of("nats", endpoint::NATS_URL)? {
                        Some(named) => Arc::new(named) as Arc<dyn Subject>,
                        None => Arc::new(NatsSubject::start().await?),
                    })
                })
            },
        },
        Choice {
            name: "zenoh",
            make: || Box::pin(async { Ok(Arc::new(ZenohSubject::start().await?) as Arc<_>) }),
        },
        Choice {
            name: "redis",
            make: || {
                Box::pin(async {
                    Ok(match NamedSubject::of("redis", endpoint::REDIS_URL)? {
                        Some(named) => Arc::new(named) as Arc<dyn Subject>,
                        None => Arc::new(RedisSubject::start(Program::Redis).await?),
                    })
                })
            },
        },
        Choice {
            name: "kafka",
            make: || {
                Box::pin(async {
                    Ok(match NamedSubject::of("kafka", endpoint::KAFKA_URL)? {
                        Some(named) => Arc::new(named) as Arc<dyn Subject>,
                        None => Arc::new(KafkaSubject::start(KafkaVersion::V4_1).await?),
                    })
                })
            },
        },
        Choice {
            name: "kafka-3.9",
            make: || {
                Box::pin(async { Ok(Arc::new(KafkaSubject::start(KafkaVersion::V3_9).await?) as Arc<_>) })
            },
        },
        Choice {
            name: "kafka-cluster",
            make: || Box::pin(async { Ok(Arc::new(KafkaSubject::start_cluster().await?) as Arc<_>) }),
        },
        Choice {
            name: "redis-cluster",
            make: || {
                Box::pin(async { Ok(Arc::new(RedisClusterSubject::start(Program::Redis).await?) as Arc<_>) })
            },
        },
        Choice {
            name: "valkey",
            make: || Box::pin(async { Ok(Arc::new(RedisSubject::start(Program::Valkey).await?) as Arc<_>) }),
        },
    ]
}
