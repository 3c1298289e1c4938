//! Redis and Valkey.

use std::path::PathBuf;
use std::time::Duration;

use super::key::Key;
use super::problem::Problem;
use super::secret::{Secret, SecretUrl};
use super::takes::Takes;
use super::value::Value;

/// What the servers are to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisMode {
    /// One server.
    #[default]
    Single,
    /// A cluster, of which these are some.
    Cluster,
    /// Sentinels, which know the primary of this name.
    Sentinel,
}

/// The protocol between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// The old one.
    Resp2,
    /// The new one, which pub/sub in a cluster needs.
    Resp3,
}

/// The settings of the backend Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redis {
    /// The servers.
    pub urls: Vec<SecretUrl>,
    /// What they are to each other.
    pub mode: RedisMode,
    /// The name under which sentinels know the primary.
    pub master: Option<String>,
    /// Whom to authenticate as, where the URL does not say.
    pub user: Option<String>,
    /// The password, where the URL does not say.
    pub password: Option<Secret>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Who may sign the servers' certificates, PEM. `None`: whom the system trusts.
    pub tls_ca_file: Option<PathBuf>,
    /// This node's own certificate, PEM, where the servers ask for one.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub tls_key_file: Option<PathBuf>,
    /// How long the server may take to answer. Default 10 s.
    pub timeout: Duration,
    /// In a cluster, read logs from replicas where there are some.
    pub read_from_replicas: bool,
    /// The protocol. `None`: resp3 in a cluster, else what the server has.
    pub protocol: Option<Protocol>,
    /// How often a command is tried again; `None`: until its deadline.
    pub retry_attempts: Option<u64>,
    /// The longest pause between two tries. Default 1 s.
    pub retry_max_wait: Duration,
    /// The shortest pause between two tries. Default 500 ms.
    pub retry_min_wait: Duration,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            mode: RedisMode::default(),
            master: None,
            user: None,
            password: None,
            password_file: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            timeout: Duration::from_secs(10),
            read_from_replicas: false,
            protocol: None,
            retry_attempts: None,
            retry_max_wait: Duration::from_secs(1),
            retry_min_wait: Duration::from_millis(500),
        }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "urls",
        Takes::RedisUrls,
        "",
        "The servers. The fragment `#insecure` leaves the check of the server's certificate out.",
    ),
    Key::new(
        "mode",
        Takes::OneOf(&["single", "cluster", "sentinel"]),
        "\"single\"",
        "What the servers are to each other: one, some of a cluster, or sentinels.",
    ),
    Key::new("master", Takes::Text, "", "The name under which sentinels know the primary."),
    Key::new("user", Takes::Text, "", "Whom to authenticate as, where the URL does not say."),
    Key::new("password", Takes::Secret, "", "The password, where the URL does not say. It needs no user."),
    Key::new("password_file", Takes::Path, "", "The file whose first line is the password."),
    Key::new(
        "tls_ca_file",
        Takes::Path,
        "",
        "Who may sign the servers' certificates, PEM; by default whom the system trusts.",
    ),
    Key::new(
        "tls_cert_file",
        Takes::Path,
        "",
        "This node's own certificate, PEM, where the servers ask for one.",
    ),
    Key::new("tls_key_file", Takes::Path, "", "The key of that certificate, PEM."),
    Key::new("timeout", Takes::time(100, 600_000), "\"10s\"", "How long the server may take to answer."),
    Key::new(
        "read_from_replicas",
        Takes::Flag,
        "false",
        "In a cluster, read logs from replicas where there are some.",
    ),
    Key::new(
        "protocol",
        Takes::OneOf(&["resp2", "resp3"]),
        "\"resp3\" in a cluster",
        "The protocol. Pub/sub in a cluster needs \"resp3\".",
    ),
    Key::new(
        "retry_attempts",
        Takes::Number { least: 0, most: 10_000 },
        "until the deadline",
        "How often a command is tried again.",
    ),
    Key::new("retry_max_wait", Takes::time(1, 600_000), "\"1s\"", "The longest pause between two tries."),
    Key::new("retry_min_wait", Takes::time(1, 600_000), "\"500ms\"", "The shortest pause between two tries."),
];

impl Redis {
    pub(super) fn set(&mut self, name: &str, value: Value) -> bool {
        match (name, value) {
            ("urls", Value::Urls(urls)) => self.urls = urls,
            ("mode", Value::Text(mode)) => {
                self.mode = match mode.as_str() {
                    "cluster" => RedisMode::Cluster,
                    "sentinel" => RedisMode::Sentinel,
                    _ => RedisMode::Single,
                };
            }
            ("master", Value::Text(master)) => self.master = Some(master),
            ("user", Value::Text(user)) => self.user = Some(user),
            ("password", Value::Secret(secret)) => self.password = Some(secret),
            ("password_file", Value::Text(path)) => self.password_file = Some(path.into()),
            ("tls_ca_file", Value::Text(path)) => self.tls_ca_file = Some(path.into()),
            ("tls_cert_file", Value::Text(path)) => self.tls_cert_file = Some(path.into()),
            ("tls_key_file", Value::Text(path)) => self.tls_key_file = Some(path.into()),
            ("timeout", Value::Time(time)) => self.timeout = time,
            ("read_from_replicas", Value::Flag(flag)) => self.read_from_replicas = flag,
            ("protocol", Value::Text(word)) => {
                self.protocol = Some(if word == "resp2" { Protocol::Resp2 } else { Protocol::Resp3 });
            }
            ("retry_attempts", Value::Number(number)) => self.retry_attempts = Some(number),
            ("retry_max_wait", Value::Time(time)) => self.retry_max_wait = time,
            ("retry_min_wait", Value::Time(time)) => self.retry_min_wait = time,
            _ => return false,
        }
        true
    }

    pub(super) fn check(&self, chosen: bool) -> Result<(), Problem> {
        if chosen && self.urls.is_empty() {
            return Err(Problem::relation(
                ["redis.urls"],
                "is not set, and the backend redis is chosen",
                "name the server: `url = \"redis://host:6379\"`, or `urls` in the table `[redis]`",
            ));
        }
        if self.password.is_some() && self.password_file.is_some() {
            return Err(Problem::relation(
                ["redis.password", "redis.password_file"],
                "and `redis.password_file` are both set",
                "leave one of the two out",
            ));
        }
        if self.user.is_some() && self.password.is_none() && self.password_file.is_none() {
            return Err(Problem::relation(
                ["redis.user"],
                "is set without a password",
                "set `redis.password_file` to a file whose first line is the password",
            ));
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            return Err(Problem::relation(
                ["redis.tls_cert_file", "redis.tls_key_file"],
                "and `redis.tls_key_file` go together, and one of them is not set",
                "set both, or neither",
            ));
        }
        if self.mode == RedisMode::Single && self.urls.len() > 1 {
            return Err(Problem::relation(
                ["redis.urls", "redis.mode"],
                "has several entries, and the mode is \"single\"",
                "name one server, or set `redis.mode` to \"cluster\" or \"sentinel\"",
            ));
        }
        if self.mode == RedisMode::Cluster && self.protocol == Some(Protocol::Resp2) {
            return Err(Problem::relation(
                ["redis.protocol", "redis.mode"],
                "is \"resp2\", and pub/sub in a cluster needs \"resp3\"",
                "set `redis.protocol` to \"resp3\", or leave it out",
            ));
        }
        if self.mode != RedisMode::Cluster && self.read_from_replicas {
            return Err(Problem::relation(
                ["redis.read_from_replicas", "redis.mode"],
                "is true, and that has a meaning in a cluster only",
                "set `redis.mode` to \"cluster\", or leave `redis.read_from_replicas` out",
            ));
        }
        match (self.mode, &self.master) {
            (RedisMode::Sentinel, None) => Err(Problem::relation(
                ["redis.master", "redis.mode"],
                "is not set, and the mode is \"sentinel\"",
                "name the primary as the sentinels know it: `redis+sentinel://host,host/NAME`",
            )),
            (RedisMode::Single | RedisMode::Cluster, Some(_)) => Err(Problem::relation(
                ["redis.master", "redis.mode"],
                "is set, and that has a meaning with sentinels only",
                "set `redis.mode` to \"sentinel\", or leave `redis.master` out",
            )),
            _ if self.retry_min_wait > self.retry_max_wait => Err(Problem::relation(
                ["redis.retry_min_wait", "redis.retry_max_wait"],
                "is longer than `redis.retry_max_wait`",
                "make the one shorter, or the other longer",
            )),
            _ => Ok(()),
        }
    }
}
