//! One connection to one broker: the socket and its encryption, the handshakes, requests and answers.

pub mod api;
mod connection;
mod flight;
mod hello;
mod pending;
mod reader;
mod sasl;
mod socket;
#[cfg(test)]
mod tests;
mod versions;
mod writer;

use std::fmt;

use agora_core::Result;
use tokio::time::Instant;

pub use api::Api;
pub use connection::Connection;

use crate::plan::Plan;

/// The name under which brokers know this client in their logs and quotas.
pub const CLIENT_ID: &str = "agora";
/// The most requests that await an answer on one connection; one more waits before it is sent.
pub const IN_FLIGHT_MAX: usize = 16;
/// The longest answer that is read, in bytes. A broker that announces a longer one is not believed.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Its name or its IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Connects to a broker, with TLS and credentials where the plan has some.
///
/// # Errors
/// `Unreachable`: no connection was made by `by`. `Unauthorized`: the broker refused the credentials. `Config`: TLS cannot
/// be agreed on, or not this way to prove who one is. `Unsupported`: the broker is too old.
///
/// # Cancel safety
/// Dropping the future abandons the attempt; nothing stays open.
pub async fn dial(plan: &Plan, address: &Address, by: Instant) -> Result<Connection> {
    let stream = socket::connect(address, plan.tls.as_ref(), by).await?;
    Connection::open(stream, address.to_string(), plan.credentials.clone(), by).await
}
