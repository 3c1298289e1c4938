//! The configuration as plain data: what may be set, within which bounds, and what it comes to.
//!
//! | module | holds |
//! |---|---|
//! | `model` | [`Model`]: everything that was configured, all backends' sections at once |
//! | `key`, `keys` | [`Key`]: the name, default and bounds of each setting, and the list of all of them |
//! | `takes`, `value` | [`Takes`]: how a raw value is read; [`Value`]: what it is then |
//! | `topics`, `kafka`, `nats`, `redis`, `zenoh` | the sections |
//! | `secret`, `host`, `list`, `duration` | what several of them need |
//!
//! Nothing here reads a file or a variable, and nothing here knows in whose words a setting was written: that is the
//! work of the facade, which turns every style into the keys of this module. A backend takes its section from here and
//! never sees where it came from.

mod backend;
pub mod duration;
mod host;
mod kafka;
mod key;
mod keys;
mod list;
mod model;
mod nats;
mod problem;
mod redis;
mod secret;
mod takes;
mod topics;
mod value;
mod zenoh;

pub use crate::percent::percent_decode;
pub use crate::transport::{Framing, Wire};
pub use backend::Backend;
pub use kafka::{Kafka, Sasl};
pub use key::Key;
pub use keys::{SECTIONS, Section, find, section};
pub use model::Model;
pub use nats::{Nats, Storage};
pub use problem::Problem;
pub use redis::{Protocol, Redis, RedisMode};
pub use secret::{Secret, SecretUrl};
pub use takes::Takes;
pub use topics::TopicConfig;
pub use value::{Raw, Value};
pub use zenoh::{Zenoh, ZenohMode, ZenohMulticast};

#[cfg(test)]
mod tests;
