//! NATS.

use std::path::PathBuf;
use std::time::Duration;

use super::kafka::{credentials, without_tls};
use super::key::Key;
use super::problem::Problem;
use super::secret::Secret;
use super::takes::Takes;
use super::value::Value;

/// The settings of the backend NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nats {
    /// The servers, `host:port`.
    pub addresses: Vec<String>,
    /// Whom to authenticate as.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The text of a credentials file: a JWT and its key.
    pub credentials: Option<Secret>,
    /// The credentials file.
    pub credentials_file: Option<PathBuf>,
    /// The token, where servers know no users.
    pub token: Option<Secret>,
    /// The file that holds the seed of an NKey.
    pub nkey_seed_file: Option<PathBuf>,
    /// Encrypt the connections.
    pub tls: bool,
    /// The certificates of those who may sign the servers', PEM. `None`: those that the system trusts.
    pub tls_ca_file: Option<PathBuf>,
    /// The certificate that this node shows, PEM.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub tls_key_file: Option<PathBuf>,
    /// A node does not get its own events back. They are left out by the node, not by the server: that a heartbeat
    /// comes back shows that the link works.
    pub no_echo: bool,
    /// How long the server may take to answer. Default 10 s.
    pub request_timeout: Duration,
    /// How often a silent connection is tried. Default 60 s. Whatever it says, a round trip is made every 10 s at least.
    pub ping_interval: Duration,
    /// How often a lost connection is tried again; 0: never; `None`: for ever.
    pub max_reconnects: Option<u64>,
    /// How many commands wait for the connection. Default 2048.
    pub client_capacity: u64,
    /// How many messages wait in a subscription. Default 65536.
    pub subscription_capacity: u64,
    /// The first size of the read buffer, in bytes. Default 65535.
    pub read_buffer_bytes: u64,
    /// Keep topics as logs, in streams of JetStream.
    pub jetstream: bool,
    /// What the names of streams begin with; `None`: `agora`.
    pub stream_name: Option<String>,
    /// Make logs and the bucket of cursors that are not there. `None`: where every address is one of loopback.
    pub auto_create: Option<bool>,
    /// What the logs that are made are kept in. `None`: in files, and as others made them.
    pub storage: Option<Storage>,
    /// For how long a server knows the identities of messages again. `None`: 2 minutes, and as others made it.
    pub duplicate_window: Option<Duration>,
}

/// What a stream is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// Files, which outlive the server.
    File,
    /// Memory, which does not.
    Memory,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            user: None,
            password: None,
            password_file: None,
            credentials: None,
            credentials_file: None,
            token: None,
            nkey_seed_file: None,
            tls: false,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            no_echo: true,
            request_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(60),
            max_reconnects: None,
            client_capacity: 2048,
            subscription_capacity: 65536,
            read_buffer_bytes: 65535,
            jetstream: false,
            stream_name: None,
            auto_create: None,
            storage: None,
            duplicate_window: None,
        }
    }
}

/// The most that a capacity may be.
const CAPACITY_MAX: u64 = 1 << 24;

pub(super) const KEYS: &[Key] = &[
    Key::new("addresses", Takes::Hosts, "", "The servers; the port is 4222 where it is left out."),
    Key::new("user", Takes::Text, "", "Whom to authenticate as."),
    Key::new("password", Takes::Secret, "", "The password."),
    Key::new("password_file", Takes::Path, "", "The file whose first line is the password."),
    Key::new("credentials", Takes::Document, "", "The text of a credentials file: a JWT and its key."),
    Key::new("credentials_file", Takes::Path, "", "The credentials file."),
    Key::new("token", Takes::Secret, "", "The token, where servers know no users."),
    Key::new("nkey_seed_file", Takes::Path, "", "The file that holds the seed of an NKey."),
    Key::new("tls", Takes::Flag, "false", "Encrypt the connections."),
    Key::new(
        "tls_ca_file",
        Takes::Path,
        "",
        "Who may sign the servers' certificates, PEM; by default whom the system trusts.",
    ),
    Key::new("tls_cert_file", Takes::Path, "", "The certificate that this node shows, PEM."),
    Key::new("tls_key_file", Takes::Path, "", "The key of that certificate, PEM."),
    Key::new(
        "no_echo",
        Takes::Flag,
        "true",
        "A node does not get its own events back. They are left out by the node, not by the server: that its \
         heartbeats come back shows it that its link works.",
    ),
    Key::new(
        "request_timeout",
        Takes::time(100, 600_000),
        "\"10s\"",
        "How long the server may take to answer.",
    ),
    Key::new(
        "ping_interval",
        Takes::time(1000, 3_600_000),
        "\"1m\"",
        "How often a silent connection is tried. Whatever it says, a round trip is made every 10 s at least.",
    ),
    Key::new(
        "max_reconnects",
        Takes::Number { least: 0, most: u32::MAX as u64 },
        "for ever",
        "How often a lost connection is tried again. With 0 never: the node stays cut off, and a warning says so.",
    ),
    Key::new(
        "client_capacity",
        Takes::Number { least: 1, most: CAPACITY_MAX },
        "2048",
        "How many commands wait for the connection.",
    ),
    Key::new(
        "subscription_capacity",
        Takes::Number { least: 1, most: CAPACITY_MAX },
        "65536",
        "How many messages wait in a subscription; what is beyond is a `Gap`.",
    ),
    Key::new(
        "read_buffer_bytes",
        Takes::Number { least: 1, most: CAPACITY_MAX },
        "65535",
        "The first size of the read buffer.",
    ),
    Key::new(
        "jetstream",
        Takes::Flag,
        "false",
        "Keep topics as logs, in streams of JetStream; without it they are live.",
    ),
    Key::new(
        "stream_name",
        Takes::Text,
        "\"agora\"",
        "What the names of the streams that hold the topics begin with; needs `jetstream`.",
    ),
    Key::new(
        "auto_create",
        Takes::Flag,
        "true where every address is one of loopback",
        "Make logs that are not there, and the bucket of cursors. Without it an operator makes them.",
    ),
    Key::new(
        "storage",
        Takes::OneOf(&["file", "memory"]),
        "\"file\"",
        "What logs are kept in. Where it is set, a log that is there and kept otherwise is refused.",
    ),
    Key::new(
        "duplicate_window",
        Takes::time(1000, 86_400_000),
        "\"2m\"",
        "For how long the server knows a message again. Where it is set, a log that is there and has another one is \
         refused.",
    ),
];

impl Nats {
    pub(super) fn set(&mut self, name: &str, value: Value) -> bool {
        match (name, value) {
            ("addresses", Value::List(addresses)) => self.addresses = addresses,
            ("user", Value::Text(user)) => self.user = Some(user),
            ("password", Value::Secret(secret)) => self.password = Some(secret),
            ("password_file", Value::Text(path)) => self.password_file = Some(path.into()),
            ("credentials", Value::Secret(secret)) => self.credentials = Some(secret),
            ("credentials_file", Value::Text(path)) => self.credentials_file = Some(path.into()),
            ("token", Value::Secret(secret)) => self.token = Some(secret),
            ("nkey_seed_file", Value::Text(path)) => self.nkey_seed_file = Some(path.into()),
            ("tls", Value::Flag(flag)) => self.tls = flag,
            ("tls_ca_file", Value::Text(path)) => self.tls_ca_file = Some(path.into()),
            ("tls_cert_file", Value::Text(path)) => self.tls_cert_file = Some(path.into()),
            ("tls_key_file", Value::Text(path)) => self.tls_key_file = Some(path.into()),
            ("no_echo", Value::Flag(flag)) => self.no_echo = flag,
            ("request_timeout", Value::Time(time)) => self.request_timeout = time,
            ("ping_interval", Value::Time(time)) => self.ping_interval = time,
            ("max_reconnects", Value::Number(number)) => self.max_reconnects = Some(number),
            ("client_capacity", Value::Number(number)) => self.client_capacity = number,
            ("subscription_capacity", Value::Number(number)) => self.subscription_capacity = number,
            ("read_buffer_bytes", Value::Number(number)) => self.read_buffer_bytes = number,
            ("jetstream", Value::Flag(flag)) => self.jetstream = flag,
            ("stream_name", Value::Text(name)) => self.stream_name = Some(name),
            ("auto_create", Value::Flag(flag)) => self.auto_create = Some(flag),
            ("storage", Value::Text(word)) => {
                self.storage = Some(if word == "memory" { Storage::Memory } else { Storage::File });
            }
            ("duplicate_window", Value::Time(time)) => self.duplicate_window = Some(time),
            _ => return false,
        }
        true
    }

    pub(super) fn check(&self, chosen: bool) -> Result<(), Problem> {
        if chosen && self.addresses.is_empty() {
            return Err(Problem::relation(
                ["nats.addresses"],
                "is not set, and the backend nats is chosen",
                "name the servers: `url = \"nats://host:4222\"`, or `addresses` in the table `[nats]`",
            ));
        }
        credentials("nats", self.user.is_some(), self.password.is_some(), self.password_file.is_some())?;
        if self.credentials.is_some() && self.credentials_file.is_some() {
            return Err(Problem::relation(
                ["nats.credentials", "nats.credentials_file"],
                "and `nats.credentials_file` are both set",
                "leave one of the two out",
            ));
        }
        if self.user.is_some() && (self.credentials.is_some() || self.credentials_file.is_some()) {
            return Err(Problem::relation(
                ["nats.user", "nats.credentials", "nats.credentials_file"],
                "and credentials are both set",
                "leave the user and password out, or the credentials",
            ));
        }
        self.one_identity()?;
        if self.stream_name.is_some() && !self.jetstream {
            return Err(Problem::relation(
                ["nats.stream_name", "nats.jetstream"],
                "is set without JetStream: live topics have no stream",
                "set `nats.jetstream` to true, or leave `nats.stream_name` out",
            ));
        }
        if self.tls_ca_file.is_some() && !self.tls {
            return Err(without_tls("nats"));
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            return Err(Problem::relation(
                ["nats.tls_cert_file", "nats.tls_key_file"],
                "and `nats.tls_key_file` belong together, and one of them is not set",
                "set both, or leave both out",
            ));
        }
        if self.tls_cert_file.is_some() && !self.tls {
            return Err(Problem::relation(
                ["nats.tls_cert_file", "nats.tls"],
                "is set without encryption: nobody would see the certificate",
                "set `nats.tls` to true, or leave `nats.tls_cert_file` out",
            ));
        }
        Ok(())
    }

    /// A server looks at one of these; two would leave open at which.
    fn one_identity(&self) -> Result<(), Problem> {
        let given = [
            ("nats.token", self.token.is_some()),
            ("nats.nkey_seed_file", self.nkey_seed_file.is_some()),
            ("nats.user", self.user.is_some()),
            ("nats.credentials", self.credentials.is_some()),
            ("nats.credentials_file", self.credentials_file.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key);
        match (given.next(), given.next()) {
            (Some(first), Some(second)) => Err(Problem::relation(
                [first, second],
                format!("and `{second}` are both set"),
                "leave one of the two out",
            )),
            _ => Ok(()),
        }
    }
}
