//! Configuration: from files, variables, code and command lines, in agora's own words or in those of the systems that
//! a service comes from.
//!
//! ```no_run
//! # async fn example() -> agora::Result<()> {
//! use agora::Bus;
//! use agora::config::{Config, LoadOptions};
//!
//! let options = LoadOptions::new().file("agora.toml").environment(std::env::vars_os());
//! let bus = Bus::from_config(Config::load(options)?).await?;
//! # Ok(()) }
//! ```
//!
//! # Who wins
//! For each key the strongest place that names it: the command line, then the program itself, then `AGORA__`
//! variables, then variables of other software (`BUS_BACKEND`, `KAFKA_BROKERS`, `KAFKA_BOOTSTRAP_SERVERS`,
//! `KAFKA_TOPIC_PREFIX`, `NATS_URL`), then the file, then the defaults. [`Config`] remembers who won, and its `Display`
//! shows it.
//!
//! # Styles of files
//! - agora's own: `url`, `cluster`, `node`, a table for each backend, `[topics."NAME"]`, `[limits]`, `[membership]`;
//! - a mail server's: `[cluster] coordinator = "x"` with `[store."x"]`, or one JSON object with `@type`;
//! - a framework's: `[bus] backend = ".."` with `[bus.kafka]` and `[bus.nats]`.
//!
//! One file is in one style. Every key is honoured or refused with a reason; one that nobody knows is an error.
//!
//! # Secrets
//! A password, credentials, zenoh's own configuration and the user part of a URL are never shown: in no error, no
//! `Debug`, no `Display`.

mod bus;
mod connect;
mod file;
mod layer;
mod loaded;
mod native;
mod options;
mod origin;
mod problem;
mod read;
mod store;
mod tree;
mod unique;
mod url;
mod variables;

pub use loaded::{Config, Setting};
pub use options::LoadOptions;
pub use origin::{Origin, Place};

/// The model: everything that was configured, as plain data.
pub use agora_core::config::{
    Backend, Framing, Kafka, Model, Nats, Protocol, Redis, RedisMode, Sasl, Secret, SecretUrl, TopicConfig,
    Wire, Zenoh, ZenohMode, ZenohMulticast,
};

pub(crate) use connect::check_topics;
#[cfg(feature = "zenoh")]
pub(crate) use connect::zenoh;
