//! `zenoh://host:port,host:port?name=value`, read by hand: URL libraries know one host, and this has several.

use std::path::PathBuf;
use std::time::Duration;

use agora_core::config::percent_decode;
use agora_core::id::ClusterName;
use agora_core::{Error, ErrorKind, Result};

use super::{Mode, Multicast, Settings, wrong};
use crate::error::error;

/// The longest URL that is read, in bytes.
const URL_BYTES_MAX: usize = 16 << 10;
/// Every parameter, as errors list them.
const NAMES: &str = "mode, listen, multicast, multicast_port, multicast_address, lease, user, password_file, \
                     users_file and cluster";

/// Reads a URL into settings, and the cluster where it names one.
pub(super) fn parse(url: &str) -> Result<(Settings, Option<ClusterName>)> {
    if url.len() > URL_BYTES_MAX {
        return Err(malformed(format!("it has {} bytes, and {URL_BYTES_MAX} are allowed", url.len())));
    }
    let Some(rest) = url.strip_prefix("zenoh:") else {
        return Err(malformed("it does not begin with `zenoh:`"));
    };
    if rest.contains('#') {
        return Err(malformed("it has a fragment (`#`); write %23 where the sign is meant"));
    }
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, query),
        None => (rest, ""),
    };
    let mut settings = Settings { connect: hosts(place)?, ..Settings::default() };
    let mut cluster = None;
    let mut seen: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name, name)?, decode(name, value)?);
        if seen.contains(&name) {
            return Err(error(ErrorKind::Config, format!("`{name}` is given twice")));
        }
        set(&mut settings, &mut cluster, &name, &value)?;
        seen.push(name);
    }
    if seen.iter().any(|n| n == "multicast_port") && seen.iter().any(|n| n == "multicast_address") {
        return Err(error(ErrorKind::Config, "`multicast_port` and `multicast_address` are both given")
            .help("`multicast_address` states the port too: leave `multicast_port` out"));
    }
    Ok((settings, cluster))
}

/// The hosts between `//` and `?`.
fn hosts(place: &str) -> Result<Vec<String>> {
    if place.is_empty() {
        return Ok(Vec::new());
    }
    let Some(list) = place.strip_prefix("//") else {
        return Err(malformed(format!("{place:?} stands where `//host:port` or `?` should")));
    };
    let list = list.strip_suffix('/').unwrap_or(list);
    if list.contains('/') {
        return Err(malformed("it has a path; a cluster is named by `?cluster=`"));
    }
    if list.contains('@') {
        return Err(malformed("it has a user before `@`; use `?user=` and `?password_file=`"));
    }
    if list.is_empty() {
        return Ok(Vec::new());
    }
    list.split(',').map(|host| decode("the host", host)).collect()
}

/// Takes one parameter.
fn set(settings: &mut Settings, cluster: &mut Option<ClusterName>, name: &str, value: &str) -> Result<()> {
    if value.is_empty() {
        return Err(error(ErrorKind::Config, format!("`{name}` has no value")));
    }
    match name {
        "mode" => {
            settings.mode = match value {
                "peer" => Mode::Peer,
                "client" => Mode::Client,
                "router" => Mode::Router,
                _ => return Err(wrong(name, value, "peer, client or router")),
            }
        }
        "listen" => settings.listen = value.split(',').map(str::to_owned).collect(),
        "multicast" => {
            settings.multicast = match value {
                "on" => Multicast::On,
                "off" => Multicast::Off,
                interface => Multicast::Interface(interface.to_owned()),
            }
        }
        "multicast_port" => match value.parse() {
            Ok(port) if port != 0 => settings.multicast_address.set_port(port),
            _ => return Err(wrong(name, value, "a port from 1 to 65535")),
        },
        "multicast_address" => {
            settings.multicast_address = value
                .parse()
                .map_err(|_| wrong(name, value, "a multicast group and port, such as 224.0.0.224:7446"))?;
        }
        "lease" => {
            settings.lease = duration(value)
                .ok_or_else(|| wrong(name, value, "a whole number with its unit, such as 3s or 500ms"))?;
        }
        "user" => settings.user = Some(value.to_owned()),
        "password_file" => settings.password_file = Some(PathBuf::from(value)),
        "users_file" => settings.users_file = Some(PathBuf::from(value)),
        "cluster" => *cluster = Some(ClusterName::new(value)?),
        "password" => {
            return Err(error(ErrorKind::Config, "a password does not belong into a URL")
                .help("write it to a file and name it with `password_file=`"));
        }
        _ => {
            return Err(error(ErrorKind::Config, format!("unknown parameter `{name}`"))
                .help(format!("the parameters are {NAMES}")));
        }
    }
    Ok(())
}

/// `3s`, `500ms`, `1m`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

fn decode(what: &str, text: &str) -> Result<String> {
    percent_decode(text).ok_or_else(|| {
        malformed(format!("{what} is badly percent-encoded")).context("found", format!("{text:?}"))
    })
}

fn malformed(why: impl std::fmt::Display) -> Error {
    error(ErrorKind::Config, format!("not a URL of this backend: {why}"))
        .help("`zenoh:` or `zenoh://host:port,host:port?name=value&name=value`")
}
