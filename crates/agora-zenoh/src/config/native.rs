//! From settings to zenoh's own configuration, and the checks on the way.

use std::net::Ipv6Addr;
use std::path::Path;

use agora_core::limits::FRAME_BYTES_MAX;
use agora_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::{LEASE_RANGE, Mode, Multicast, PORT, Settings, wrong};
use crate::error::error;
use crate::interfaces;

/// How long a put may wait for room before the connection that is stuck is closed. A reader that hangs holds
/// every other one up for so long, once; what it misses, the engine repairs or names.
pub(crate) const WAIT_BEFORE_CLOSE_US: u64 = 1_000_000;
/// Keep-alives in one lease: the ratio that zenoh advises.
const KEEP_ALIVES_PER_LEASE: u64 = 4;
/// The most that is put together again from fragments: a frame, and room for what zenoh wraps around it.
const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX + (64 << 10);
/// The most endpoints in one list.
const ENDPOINTS_MAX: usize = 256;
/// Where `wait_before_close` stands in zenoh's configuration.
const WAIT_BEFORE_CLOSE_KEY: &str = "transport/link/tx/queue/congestion_control/block/wait_before_close";

/// Refuses settings that contradict each other or are out of range.
pub(super) fn check(settings: &Settings) -> Result<()> {
    for (name, list) in [("connect", &settings.connect), ("listen", &settings.listen)] {
        if list.len() > ENDPOINTS_MAX {
            return Err(wrong(name, list.len(), format!("at most {ENDPOINTS_MAX} endpoints")));
        }
        for host in list {
            endpoint(name, host)?;
        }
    }
    if settings.mode == Mode::Client && settings.connect.is_empty() && !settings.multicast_enabled() {
        return Err(error(ErrorKind::Config, "a client with nobody to connect to, and multicast off")
            .help("name a router (zenoh://host:port?mode=client), or leave multicast on"));
    }
    if let Multicast::Interface(names) = &settings.multicast {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-' | '@');
        if names.split(',').any(|one| one.trim().is_empty() || !one.trim().chars().all(name)) {
            return Err(wrong("multicast", names, "on, off, or names of interfaces separated by commas"));
        }
    }
    let group = settings.multicast_address;
    if !group.ip().is_multicast() || group.port() == 0 {
        return Err(wrong(
            "multicast_address",
            group,
            "a multicast group and port, such as 224.0.0.224:7446",
        ));
    }
    let (least, most) = LEASE_RANGE;
    if !(least..=most).contains(&settings.lease) {
        return Err(wrong("lease", settings.lease, format!("{least:?} to {most:?}")));
    }
    match (&settings.user, &settings.password_file) {
        (Some(_), None) => Err(error(ErrorKind::Config, "`user` without `password_file`")
            .help("name the file that holds the password with `password_file`")),
        (None, Some(_)) => {
            Err(error(ErrorKind::Config, "`password_file` without `user`").help("name the user with `user`"))
        }
        _ => Ok(()),
    }
}

/// `host:port`, as zenoh writes it. Only TCP: what else zenoh speaks is not built in.
fn endpoint(setting: &str, text: &str) -> Result<String> {
    let allowed = "host:port or [v6 address]:port; the port may be left out and is then 7447";
    let bad = || wrong(setting, text, allowed);
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let (address, port) = v6.split_once(']').ok_or_else(bad)?;
            address.parse::<Ipv6Addr>().map_err(|_| bad())?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(bad)?) };
            (format!("[{address}]"), port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let port = match port {
        // Only where one listens, 0 means something: any free port.
        Some(port) => port.parse().ok().filter(|port| *port != 0 || setting == "listen").ok_or_else(bad)?,
        None => PORT,
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !host.starts_with('[') && (host.is_empty() || !host.chars().all(letter)) {
        return Err(bad());
    }
    Ok(format!("tcp/{host}:{port}"))
}

/// The whole of it, with the tuning that this backend has measured.
pub(super) fn from_settings(settings: &Settings) -> Result<zenoh::Config> {
    check(settings)?;
    let mut config = zenoh::Config::default();
    let mut set = |key: &str, value: Value| -> Result<()> {
        config.insert_json5(key, &value.to_string()).map_err(|cause| {
            // The value stays out of the message: it may be a password.
            error(ErrorKind::Config, "zenoh refused a setting").context("key", key).source(cause.to_string())
        })
    };
    set("mode", json!(settings.mode.as_str()))?;
    let list = |name: &str, hosts: &[String]| -> Result<Value> {
        hosts.iter().map(|host| endpoint(name, host).map(Value::from)).collect()
    };
    if !settings.connect.is_empty() {
        set("connect/endpoints", list("connect", &settings.connect)?)?;
    }
    if !settings.listen.is_empty() {
        set("listen/endpoints", list("listen", &settings.listen)?)?;
    }
    // A peer that comes back should not wait four seconds, zenoh's default, to be tried again.
    set("connect/retry", json!({"period_init_ms": 250, "period_max_ms": 1000, "period_increase_factor": 2}))?;
    set("scouting/multicast/enabled", json!(settings.multicast_enabled()))?;
    set("scouting/multicast/address", json!(settings.multicast_address.to_string()))?;
    if let Some(interface) = interface(&settings.multicast) {
        set("scouting/multicast/interface", json!(interface))?;
    }
    set("transport/link/tx/lease", json!(settings.lease.as_millis()))?;
    set("transport/link/tx/keep_alive", json!(KEEP_ALIVES_PER_LEASE))?;
    set(WAIT_BEFORE_CLOSE_KEY, json!(WAIT_BEFORE_CLOSE_US))?;
    set("transport/link/rx/max_message_size", json!(MESSAGE_BYTES_MAX))?;
    // A connection to a node that hangs waits to be answered for so long. Not for the lease itself: a node that hangs
    // for twice that time would answer in the very moment in which everyone's first try runs out.
    let handshake = settings.lease.as_millis() * 5 / 4;
    set("transport/unicast/open_timeout", json!(handshake))?;
    set("transport/unicast/accept_timeout", json!(handshake))?;
    if let (Some(user), Some(file)) = (&settings.user, &settings.password_file) {
        set("transport/auth/usrpwd/user", json!(user))?;
        set("transport/auth/usrpwd/password", json!(password_of(file)?))?;
    }
    if let Some(file) = &settings.users_file {
        set("transport/auth/usrpwd/dictionary_file", json!(file))?;
    }
    Ok(config)
}

/// The interface to look for peers on; `None` leaves the choice to zenoh.
fn interface(multicast: &Multicast) -> Option<String> {
    match multicast {
        Multicast::Interface(names) => Some(names.clone()),
        Multicast::Off => None,
        // Zenoh's own choice finds nobody where loopback is all there is.
        Multicast::Auto | Multicast::On => interfaces::loopback_if_alone(),
    }
}

/// The first line of a password file.
fn password_of(file: &Path) -> Result<String> {
    let problem = |why: String| {
        error(ErrorKind::Config, format!("`password_file` {why}")).context("file", file.display())
    };
    let text =
        std::fs::read_to_string(file).map_err(|cause| problem("cannot be read".into()).source(cause))?;
    match text.lines().next().map(str::trim_end) {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(problem("has an empty first line".into())),
    }
}

/// Zenoh's own format, taken as it is.
pub(super) fn parse_json5(text: &str) -> Result<zenoh::Config> {
    let config = zenoh::Config::from_json5(text).map_err(|cause| refused(text, &cause))?;
    // Measured: with a negative time zenoh ends the process when a queue is full.
    let wait = config.get_json(WAIT_BEFORE_CLOSE_KEY).ok().and_then(|wait| wait.parse::<i64>().ok());
    if let Some(wait @ ..=0) = wait {
        return Err(wrong(WAIT_BEFORE_CLOSE_KEY, wait, "microseconds, more than 0; a second is advised"));
    }
    Ok(config)
}

/// Why zenoh refused a text: not JSON5, or which key. Zenoh's own message says neither where nor what.
fn refused(text: &str, cause: &zenoh::Error) -> Error {
    let value: Value = match json5::from_str(text) {
        Ok(value) => value,
        Err(json5::Error::Message { location, .. }) => {
            // Its message shows the line, and with it whatever secret stands there.
            let error = error(ErrorKind::Config, "zenoh's configuration is not JSON5");
            return match location {
                Some(place) => error.context("line", place.line).context("column", place.column),
                None => error,
            };
        }
    };
    let error = error(ErrorKind::Config, "zenoh does not accept this configuration");
    let help = "DEFAULT_CONFIG.json5 of zenoh 1.10 explains every key";
    match guilty(&value, "") {
        Some((key, why)) => error.context("key", key).source(why).help(help),
        None => error.source(without_values(&cause.to_string(), &value)).help(help),
    }
}

/// The deepest key whose value zenoh refuses, and why. The value is not shown: it may be a secret.
fn guilty(value: &Value, path: &str) -> Option<(String, String)> {
    for (key, inner) in value.as_object()? {
        let key = if path.is_empty() { key.clone() } else { format!("{path}/{key}") };
        if let Err(why) = zenoh::Config::default().insert_json5(&key, &inner.to_string()) {
            return guilty(inner, &key).or_else(|| Some((key, without_values(&why.to_string(), inner))));
        }
    }
    None
}

/// What zenoh says of a value, without the value: what it expected, or nothing that could be one.
fn without_values(why: &str, value: &Value) -> String {
    fn is_in(value: &Value, text: &str) -> bool {
        match value {
            Value::Object(object) => object.values().any(|inner| is_in(inner, text)),
            Value::Array(list) => list.iter().any(|inner| is_in(inner, text)),
            // A text with signs that are escaped might be in there in another form.
            Value::String(secret) => {
                text.contains(secret.as_str()) || secret.chars().any(|c| matches!(c, '"' | '\\' | '\0'..' '))
            }
            scalar => text.contains(&scalar.to_string()),
        }
    }
    if !is_in(value, why) {
        return why.to_owned();
    }
    match why.rsplit_once("expected ") {
        Some((_, expected)) if !is_in(value, expected) => format!("expected {expected}"),
        _ => "its value is not one that zenoh takes".to_owned(),
    }
}

/// The mode that a text of [`parse_json5`] states, and the number of endpoints that it lists for it.
pub(super) fn part_of_json5(text: &str) -> (Mode, usize) {
    let Ok(config) = parse_json5(text) else { return (Mode::Peer, 0) };
    let value = |key: &str| -> Value {
        config.get_json(key).ok().and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
    };
    let mode = match value("mode").as_str() {
        Some("client") => Mode::Client,
        Some("router") => Mode::Router,
        _ => Mode::Peer,
    };
    let endpoints = value("connect/endpoints");
    // One list for all modes, or one for each.
    let list = endpoints.as_array().or_else(|| endpoints.get(mode.as_str())?.as_array());
    (mode, list.map_or(0, Vec::len))
}
