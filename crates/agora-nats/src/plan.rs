//! How to connect: what a configuration says, checked and read before the first try.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use agora_core::config::Nats;
use agora_core::{ErrorKind, Result};
use async_nats::{ConnectOptions, ServerAddr};

use crate::credentials::{Credentials, unreadable};
use crate::error::error;
use crate::names::STREAM_PREFIX;

/// The longest that one try to connect may take, with its handshakes.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// What every connection is made with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) servers: Vec<String>,
    pub(crate) credentials: Credentials,
    pub(crate) request_timeout: Duration,
    pub(crate) max_reconnects: Option<u64>,
    /// The most messages that wait in a live subscription.
    pub(crate) inbox_messages_max: usize,
    pub(crate) stream_prefix: String,
    pub(crate) auto_create: bool,
    /// JetStream has answered some time, on any connection: where it does not, it will again.
    pub(crate) jetstream_seen: Arc<AtomicBool>,
    config: Nats,
}

impl Plan {
    /// # Errors
    /// `Config`: a setting is wrong, or a file of it cannot be read.
    pub(crate) fn new(config: &Nats) -> Result<Self> {
        if config.addresses.is_empty() {
            return Err(error(ErrorKind::Config, "no server is named").help("set `nats.addresses`"));
        }
        for address in &config.addresses {
            url(config.tls, address).parse::<ServerAddr>().map_err(|cause| {
                error(ErrorKind::Config, "an address is none").context("address", address).source(cause)
            })?;
        }
        let files = [
            (&config.tls_ca_file, "tls_ca_file"),
            (&config.tls_cert_file, "tls_cert_file"),
            (&config.tls_key_file, "tls_key_file"),
        ];
        for (path, setting) in files {
            if let Some(path) = path {
                readable(path, setting)?;
            }
        }
        let stream_prefix = config.stream_name.clone().unwrap_or_else(|| STREAM_PREFIX.to_owned());
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if stream_prefix.is_empty() || !stream_prefix.bytes().all(is_word) {
            return Err(error(ErrorKind::Config, "a stream's name cannot begin like this")
                .context("nats.stream_name", stream_prefix)
                .help("use letters, digits, `_` and `-`"));
        }
        let is_local = config.addresses.iter().all(|address| is_loopback(address));
        Ok(Self {
            servers: config.addresses.clone(),
            credentials: Credentials::load(config)?,
            request_timeout: config.request_timeout,
            max_reconnects: config.max_reconnects,
            inbox_messages_max: usize::try_from(config.subscription_capacity).unwrap_or(usize::MAX),
            stream_prefix,
            auto_create: config.auto_create.unwrap_or(is_local),
            jetstream_seen: Arc::default(),
            config: config.clone(),
        })
    }

    pub(crate) fn url(&self, server: &str) -> String {
        url(self.config.tls, server)
    }

    /// The settings that a stream is made with, and held against where they are given.
    pub(crate) fn config(&self) -> &Nats {
        &self.config
    }

    /// Adds what the configuration says of connections.
    pub(crate) fn dress(&self, options: ConnectOptions) -> Result<ConnectOptions> {
        let config = &self.config;
        let mut options = options
            .name("agora")
            .ping_interval(config.ping_interval)
            .request_timeout(Some(config.request_timeout))
            .connection_timeout(CONNECT_WAIT.min(config.request_timeout))
            .client_capacity(usize::try_from(config.client_capacity).unwrap_or(usize::MAX))
            .read_buffer_capacity(u16::try_from(config.read_buffer_bytes).unwrap_or(u16::MAX))
            .require_tls(config.tls)
            .ignore_discovered_servers();
        if let Some(path) = &config.tls_ca_file {
            options = options.add_root_certificates(path.clone());
        }
        if let (Some(cert), Some(key)) = (&config.tls_cert_file, &config.tls_key_file) {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        Ok(options)
    }
}

fn url(tls: bool, server: &str) -> String {
    format!("{}://{server}", if tls { "tls" } else { "nats" })
}

fn readable(path: &Path, setting: &'static str) -> Result<()> {
    std::fs::File::open(path).map(drop).map_err(|cause| unreadable(path, setting, cause))
}

/// Is this an address of this machine's own, which nobody else can reach?
fn is_loopback(address: &str) -> bool {
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => address.rsplit_once(':').map_or(address, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_ones_own() {
        for address in ["127.0.0.1:4222", "127.9.9.9:1", "localhost:4222", "[::1]:4222", "localhost"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in ["10.0.0.1:4222", "nats:4222", "[2001:db8::1]:4222", "localhost.example:1"] {
            assert!(!is_loopback(address), "{address}");
        }
    }
}
