//! Kafka and Redpanda.

use std::path::PathBuf;
use std::time::Duration;

use super::key::Key;
use super::problem::Problem;
use super::secret::Secret;
use super::takes::Takes;
use super::value::Value;
use crate::id::TopicName;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sasl {
    /// The password itself: only with TLS.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

/// The settings of the backend Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kafka {
    /// The first servers to ask, `host:port`.
    pub brokers: Vec<String>,
    /// The group of this service, and the prefix of durable names.
    pub group: Option<String>,
    /// What the names of domain topics begin with: `PREFIX.events.DOMAIN`. `None`: `events.DOMAIN`.
    pub topic_prefix: Option<String>,
    /// After how much silence a member of a group is thrown out. Default 10 s.
    pub session_timeout: Duration,
    /// The name under which this node keeps its place in groups while it is away for less than the session timeout.
    /// `None`: what a member had is shared out as soon as it goes.
    pub instance: Option<String>,
    /// Make topics that are not there. `None`: where every broker is named by an address of loopback.
    pub auto_create: Option<bool>,
    /// Encrypt the connections.
    pub tls: bool,
    /// The certificates of those who may sign the brokers', PEM. `None`: those that the system trusts.
    pub tls_ca_file: Option<PathBuf>,
    /// This node's own certificate, PEM, where the brokers ask for one.
    pub tls_cert_file: Option<PathBuf>,
    /// The key of that certificate, PEM.
    pub tls_key_file: Option<PathBuf>,
    /// How to prove who one is. `None`: not at all, or by SCRAM with SHA-512 where a user is given.
    pub sasl: Option<Sasl>,
    /// Whom to authenticate as.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            group: None,
            topic_prefix: None,
            session_timeout: Duration::from_secs(10),
            instance: None,
            auto_create: None,
            tls: false,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            sasl: None,
            user: None,
            password: None,
            password_file: None,
        }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key::new("brokers", Takes::Hosts, "", "The first servers to ask; the port is 9092 where it is left out."),
    Key::new(
        "group",
        Takes::Text,
        "",
        "The group of this service, and the prefix of durable names, which is \"agora\" without it.",
    ),
    Key::new(
        "topic_prefix",
        Takes::Text,
        "",
        "What the names of domain topics begin with: `PREFIX.events.DOMAIN`, without it `events.DOMAIN`.",
    ),
    Key::new(
        "session_timeout",
        Takes::time(1000, 30 * 60 * 1000),
        "\"10s\"",
        "After how much silence a member of a group is thrown out. A stock broker refuses less than 6 s.",
    ),
    Key::new(
        "instance",
        Takes::Text,
        "",
        "The name under which this node keeps its place in groups while it is restarted; another one for each node.",
    ),
    Key::new(
        "auto_create",
        Takes::Flag,
        "true where every address is one of loopback",
        "Make topics that are not there. Without it an operator makes them.",
    ),
    Key::new("tls", Takes::Flag, "false", "Encrypt the connections."),
    Key::new(
        "tls_ca_file",
        Takes::Path,
        "",
        "Who may sign the brokers' certificates, PEM; by default whom the system trusts.",
    ),
    Key::new(
        "tls_cert_file",
        Takes::Path,
        "",
        "This node's own certificate, PEM, where the brokers ask for one.",
    ),
    Key::new("tls_key_file", Takes::Path, "", "The key of that certificate, PEM."),
    Key::new(
        "sasl",
        Takes::OneOf(&["plain", "scram-sha-256", "scram-sha-512"]),
        "\"scram-sha-512\" with a user",
        "How to prove who one is.",
    ),
    Key::new("user", Takes::Text, "", "Whom to authenticate as."),
    Key::new("password", Takes::Secret, "", "The password."),
    Key::new("password_file", Takes::Path, "", "The file whose first line is the password."),
];

impl Kafka {
    pub(super) fn set(&mut self, name: &str, value: Value) -> bool {
        match (name, value) {
            ("brokers", Value::List(brokers)) => self.brokers = brokers,
            ("group", Value::Text(group)) => self.group = Some(group),
            ("topic_prefix", Value::Text(prefix)) => self.topic_prefix = Some(prefix),
            ("session_timeout", Value::Time(time)) => self.session_timeout = time,
            ("instance", Value::Text(instance)) => self.instance = Some(instance),
            ("auto_create", Value::Flag(flag)) => self.auto_create = Some(flag),
            ("tls", Value::Flag(flag)) => self.tls = flag,
            ("tls_ca_file", Value::Text(path)) => self.tls_ca_file = Some(path.into()),
            ("tls_cert_file", Value::Text(path)) => self.tls_cert_file = Some(path.into()),
            ("tls_key_file", Value::Text(path)) => self.tls_key_file = Some(path.into()),
            ("sasl", Value::Text(word)) => {
                self.sasl = Some(match word.as_str() {
                    "plain" => Sasl::Plain,
                    "scram-sha-256" => Sasl::ScramSha256,
                    _ => Sasl::ScramSha512,
                });
            }
            ("user", Value::Text(user)) => self.user = Some(user),
            ("password", Value::Secret(secret)) => self.password = Some(secret),
            ("password_file", Value::Text(path)) => self.password_file = Some(path.into()),
            _ => return false,
        }
        true
    }

    pub(super) fn check(&self, chosen: bool) -> Result<(), Problem> {
        if chosen && self.brokers.is_empty() {
            return Err(Problem::relation(
                ["kafka.brokers"],
                "is not set, and the backend kafka is chosen",
                "name the servers: `url = \"kafka://host:9092,host:9092\"`, or `brokers` in the table `[kafka]`",
            ));
        }
        if let Some(prefix) = &self.topic_prefix
            && TopicName::new(&format!("{prefix}.events.domain")).is_err()
        {
            return Err(Problem::relation(
                ["kafka.topic_prefix"],
                "is nothing that the name of a topic can begin with",
                "take words of A-Z a-z 0-9 _ - joined by dots",
            ));
        }
        credentials("kafka", self.user.is_some(), self.password.is_some(), self.password_file.is_some())?;
        if self.sasl.is_some() && self.user.is_none() {
            return Err(Problem::relation(
                ["kafka.sasl", "kafka.user"],
                "is set without a user",
                "set `kafka.user` and `kafka.password_file`, or leave `kafka.sasl` out",
            ));
        }
        if self.sasl == Some(Sasl::Plain) && !self.tls {
            return Err(Problem::relation(
                ["kafka.sasl", "kafka.tls"],
                "is \"plain\" without TLS: everybody on the way could read the password",
                "set `kafka.tls` to true, or `kafka.sasl` to \"scram-sha-512\"",
            ));
        }
        if self.tls_ca_file.is_some() && !self.tls {
            return Err(without_tls("kafka"));
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            return Err(Problem::relation(
                ["kafka.tls_cert_file", "kafka.tls_key_file"],
                "and `kafka.tls_key_file` belong together, and one of them is not set",
                "set both, or leave both out",
            ));
        }
        if self.tls_cert_file.is_some() && !self.tls {
            return Err(Problem::relation(
                ["kafka.tls_cert_file", "kafka.tls"],
                "is set without encryption: nobody would see the certificate",
                "set `kafka.tls` to true, or leave `kafka.tls_cert_file` out",
            ));
        }
        Ok(())
    }
}

/// A password has a user, and a user one password.
pub(super) fn credentials(section: &str, user: bool, password: bool, file: bool) -> Result<(), Problem> {
    let [user_key, password_key, file_key] =
        ["user", "password", "password_file"].map(|name| format!("{section}.{name}"));
    match (user, password, file) {
        (_, true, true) => Err(Problem::relation(
            [&password_key, &file_key],
            format!("and `{file_key}` are both set"),
            "leave one of the two out",
        )),
        (true, false, false) => Err(Problem::relation(
            [&user_key],
            "is set without a password",
            format!("set `{file_key}` to a file whose first line is the password"),
        )),
        (false, true, false) => {
            Err(Problem::relation([&password_key], "is set without a user", format!("set `{user_key}`")))
        }
        (false, false, true) => {
            Err(Problem::relation([&file_key], "is set without a user", format!("set `{user_key}`")))
        }
        _ => Ok(()),
    }
}

pub(super) fn without_tls(section: &str) -> Problem {
    let key = format!("{section}.tls_ca_file");
    Problem::relation(
        [&key, &format!("{section}.tls")],
        "is set without TLS",
        format!("set `{section}.tls` to true, or leave `{key}` out"),
    )
}
