//! The configuration of a run: the command line over variables over a file.

use std::ffi::OsString;
use std::time::Duration;

use agora::config::{Backend, Config, LoadOptions, Place};
use agora::{ClusterName, DEFAULT_CLUSTER, Result};

use crate::args::Global;

/// The backend where none is named: peer to peer, with no server.
pub(crate) const DEFAULT_URL: &str = "zenoh:";
/// The variable that names the backend, beside `AGORA__URL`.
pub(crate) const URL_VARIABLE: &str = "AGORA_URL";

/// Loads what a run is told.
///
/// # Errors
/// `Config`, as the library says it.
pub(crate) fn load(global: &Global, environment: &[(OsString, OsString)], member: bool) -> Result<Config> {
    let config = Config::load(options(global, environment))?;
    match free_listens(&config) {
        // The node of this host may listen there: whoever only looks on takes free ports.
        Some(free) if !member => Config::load(options(global, environment).set("zenoh.listen", free)),
        _ => Ok(config),
    }
}

fn options(global: &Global, environment: &[(OsString, OsString)]) -> LoadOptions {
    let mut options = LoadOptions::new().default_value("url", DEFAULT_URL);
    if let Some(file) = &global.config_file {
        options = options.file(file);
    }
    options = options.environment(environment.iter().cloned());
    let variable = environment.iter().find(|(name, _)| name == URL_VARIABLE);
    if let Some(url) = variable.and_then(|(_, value)| value.to_str()).filter(|url| !url.is_empty()) {
        options = options.variable(URL_VARIABLE, "url", url);
    }
    let timeout = global.connect_timeout_asked.map(in_milliseconds);
    for (option, key, value) in [
        ("--url", "url", &global.url),
        ("--cluster", "cluster", &global.cluster),
        ("--node", "node", &global.node),
        ("--connect-timeout", "connect_timeout", &timeout),
    ] {
        if let Some(value) = value {
            options = options.command_line(option, key, value);
        }
    }
    options
}

/// A time as the configuration reads it.
fn in_milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// The addresses that a file or a variable says to listen at, with free ports; the command line means what it says.
fn free_listens(config: &Config) -> Option<String> {
    let listens = &config.model().zenoh.listen;
    let of_file = config.origin("zenoh.listen").is_some_and(|origin| origin.place < Place::Code);
    if config.model().backend != Some(Backend::Zenoh) || listens.is_empty() || !of_file {
        return None;
    }
    let free = listens.iter().map(|address| free_port(address));
    Some(free.collect::<Vec<_>>().join(","))
}

fn free_port(address: &str) -> String {
    // A bare IPv6 address has its colons in brackets.
    let host = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => address,
    };
    format!("{host}:0")
}

/// The cluster that holds.
///
/// # Errors
/// None that could happen: the default is a name.
pub(crate) fn cluster_of(config: &Config) -> Result<ClusterName> {
    match &config.model().cluster {
        Some(cluster) => Ok(cluster.clone()),
        None => ClusterName::new(DEFAULT_CLUSTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_stands_in_the_place_of_a_fixed_one() {
        for (address, free) in [
            ("0.0.0.0:7447", "0.0.0.0:0"),
            ("[::1]:7447", "[::1]:0"),
            ("[::1]", "[::1]:0"),
            ("host", "host:0"),
            ("host:0", "host:0"),
        ] {
            assert_eq!(free_port(address), free);
        }
    }
}
