#![doc = include_str!("docs.md")]
#![forbid(unsafe_code)]

mod backends;
mod builder;
mod bus;
pub mod config;
mod host;

pub use builder::{Builder, CONNECT_TIMEOUT, DEFAULT_CLUSTER};
pub use bus::Bus;
pub use config::{Config, LoadOptions};
pub use host::host_node_name;

pub use agora_core::bus::{
    Administration, Attempt, BusConfig, Clock, Delivery, Failed, Foreign, ForeignJob, Gap, Group, Job,
    JoinGroup, MemberChange, Members, Missing, Peeked, PeekedWhat, Publish, Publisher, Receipt, Received,
    Start, Stats, Subscribe, Subscription, Topics, Work,
};
pub use agora_core::codec::Record;
pub use agora_core::event::{DeadLetter, DecodeError, Event, Events, Key, RawBytes, Unknown};
pub use agora_core::id::{ClusterName, GroupName, Incarnation, NodeId, NodeName, SourceId, TopicName};
pub use agora_core::limits::Limits;
pub use agora_core::live::Reason;
pub use agora_core::log::Cursor;
pub use agora_core::membership::{Member, MemberEvent, MemberInfo, MemberState, MembershipConfig};
pub use agora_core::transport::{
    Capabilities, Durability, Framing, GroupOrder, GroupStart, Link, Support, TopicKind, TopicSettings, Wire,
};
pub use agora_core::{Error, ErrorKind, Result, events, for_each_builtin};

/// The events that every clustered service needs: mailboxes, push, blocked addresses, certificates, and more.
pub use agora_core::event::builtin;
/// The in-memory transport, with faults on demand: for the tests of your own service.
pub use agora_core::memory;

/// Everything of `agora-core`, for those who need more than this crate's root shows.
pub use agora_core as core;
/// For events without a dependency on serde of one's own: derive with `#[serde(crate = "agora::serde")]`.
pub use serde;

/// The transport over NATS: live topics on the core, logs and groups on JetStream.
#[cfg(feature = "kafka")]
pub use agora_kafka as kafka;
#[cfg(feature = "nats")]
pub use agora_nats as nats;
/// The transport over Redis and Valkey: pub/sub for live topics, streams for logs and groups.
#[cfg(feature = "redis")]
pub use agora_redis as redis;
/// The transport over Zenoh: peer to peer, with no server.
#[cfg(feature = "zenoh")]
pub use agora_zenoh as zenoh;
