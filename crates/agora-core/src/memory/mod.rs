//! The in-memory transport, with faults on demand: a network for the nodes of one process.
//!
//! It is meant for tests: of the engine, and of your own service. A [`Space`] takes the place of the network; each
//! node connects to it and gets a [`MemoryTransport`], which is a
//! [`Transport`](crate::transport::Transport) like any other. [`Faults`] spoil it: links that lose, repeat, delay or
//! are cut, a server that goes down, nodes that stop or die, publishes that fail.
//!
//! A space with a server ([`SpaceConfig::echo_via_server`]) also keeps logs, shares them out to groups, by lease or by
//! lane ([`GroupStyle`]), keeps cursors, and lets an operator look into all that.
//!
//! ```
//! use agora_core::id::{ClusterName, NodeName, TopicName};
//! use agora_core::memory::Space;
//! use agora_core::transport::{Address, Inbound, OutFrame, Transport};
//! use std::time::Duration;
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> agora_core::Result<()> {
//! let space = Space::default();
//! let cluster = ClusterName::new("mail")?;
//! let a = space.connect(&cluster, &NodeName::new("a")?);
//! let b = space.connect(&cluster, &NodeName::new("b")?);
//!
//! let topic = TopicName::new("stwt.agora")?;
//! let mut inbox = b.subscribe(&topic).await?;
//!
//! let to = Address { topic, lane: 0 };
//! let by = Instant::now() + Duration::from_secs(5);
//! let frame = |text: &'static str| vec![OutFrame::new(text)];
//! a.publish(&to, frame("heard"), by).await.map_err(|failed| failed.error)?;
//! space.faults().isolate("b");
//! a.publish(&to, frame("missed"), by).await.map_err(|failed| failed.error)?;
//! space.faults().rejoin("b");
//!
//! let mut inbound = Vec::new();
//! inbox.recv(10, &mut inbound).await?;
//! assert!(matches!(&inbound[0], Inbound::Message(raw) if raw.payload == "heard"));
//! assert!(matches!(inbound[1], Inbound::Resubscribed));
//! # Ok(())
//! # }
//! ```
//!
//! # Histories that repeat
//!
//! No task, no thread and no clock of its own: messages that are delayed wait in their inbox until its reader, or
//! another message, comes by after they are due. So on a `current_thread` runtime with paused time, the same seed
//! ([`SpaceConfig::seed`]) and the same calls in the same order give the same deliveries at the same times, to the
//! byte. Times of day count from [`SpaceConfig::wall_clock_start`].
//!
//! # Bounds
//!
//! [`SpaceConfig::inbox_messages_max`] and [`SpaceConfig::inbox_bytes_max`] bound what an inbox holds, what is on its
//! way to one, and what a paused node holds back. What does not fit an inbox is named by
//! [`Inbound::Dropped`](crate::transport::Inbound::Dropped) where it would have stood.
//! [`SpaceConfig::log_records_max`] bounds a lane of a log, and what the members of a group hold of it at once.

mod admin;
mod config;
mod control;
mod cursors;
mod faults;
mod group;
mod group_inbox;
mod hints;
mod inbox;
mod lane;
mod leases;
mod link_faults;
mod log_inbox;
mod logs;
mod network;
mod node;
mod queue;
mod route;
mod script;
mod space;
mod state;
#[cfg(test)]
mod tests;

pub use config::{GroupStyle, SpaceConfig};
pub use cursors::KeptCursor;
pub use faults::Faults;
pub use link_faults::{DELAY_MAX, LinkFaults};
pub use network::{FaultCounts, SERVER};
pub use node::MemoryTransport;
pub use script::PublishFault;
pub use space::Space;
