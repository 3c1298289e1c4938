//! Zenoh.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::key::Key;
use super::problem::Problem;
use super::secret::Secret;
use super::takes::Takes;
use super::value::Value;

/// How a process takes part in the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZenohMode {
    /// Connects to every other peer directly.
    #[default]
    Peer,
    /// Connects to one router or peer, which passes everything on.
    Client,
    /// Passes on what clients and other routers send.
    Router,
}

/// Whether and where peers find each other by multicast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZenohMulticast {
    /// On where there is nobody to connect to, off where there is.
    #[default]
    Auto,
    /// On every interface that can.
    On,
    /// Nowhere.
    Off,
    /// On these interfaces, separated by commas.
    Interfaces(String),
}

/// The settings of the backend Zenoh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Zenoh {
    /// How this process takes part. `None`: as a peer.
    pub mode: Option<ZenohMode>,
    /// Whom to connect to, `host:port`.
    pub connect: Vec<String>,
    /// Where to listen, `host:port`. Empty: the backend's default for the mode.
    pub listen: Vec<String>,
    /// Whether and where to look for peers by multicast.
    pub multicast: ZenohMulticast,
    /// The port of the multicast group, where it is not the default one.
    pub multicast_port: Option<u16>,
    /// The multicast group and port, where it is not the default one.
    pub multicast_address: Option<SocketAddr>,
    /// After how much silence a connection is given up. `None`: the backend's default.
    pub lease: Option<Duration>,
    /// Whom to authenticate as.
    pub user: Option<String>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The file of those whom this process lets in.
    pub users_file: Option<PathBuf>,
    /// Zenoh's own configuration as JSON5, which is passed on as it is. It may hold passwords.
    pub config: Option<Secret>,
}

pub(super) const KEYS: &[Key] = &[
    Key::new("mode", Takes::OneOf(&["peer", "client", "router"]), "\"peer\"", "How this process takes part."),
    Key::new(
        "connect",
        Takes::Hosts,
        "",
        "Whom to connect to; the port is 7447 where it is left out. In a URL these are its hosts.",
    ),
    Key::new(
        "listen",
        Takes::Listens,
        "a free port of every interface; a router 7447; a client none",
        "Where to listen.",
    ),
    Key::new(
        "multicast",
        Takes::Multicast,
        "on without `connect`, else off",
        "Whether and where to look for peers by multicast.",
    ),
    Key::new(
        "multicast_port",
        Takes::Number { least: 1, most: 65535 },
        "7446",
        "The port of the multicast group. Nodes with another never find each other so.",
    ),
    Key::new("multicast_address", Takes::Group, "\"224.0.0.224:7446\"", "The multicast group and its port."),
    Key::new("lease", Takes::time(500, 60_000), "\"3s\"", "After how much silence a connection is given up."),
    Key::new("user", Takes::Text, "", "Whom to authenticate as."),
    Key::new("password_file", Takes::Path, "", "The file whose first line is the password."),
    Key::new("users_file", Takes::Path, "", "Whom this node lets in, `user:password` in each line."),
    Key::new(
        "config",
        Takes::Document,
        "",
        "Zenoh's own configuration, JSON5, passed on as it is: no other key of this table goes with it.",
    ),
];

impl Zenoh {
    pub(super) fn set(&mut self, name: &str, value: Value) -> bool {
        match (name, value) {
            ("mode", Value::Text(mode)) => {
                self.mode = Some(match mode.as_str() {
                    "client" => ZenohMode::Client,
                    "router" => ZenohMode::Router,
                    _ => ZenohMode::Peer,
                });
            }
            ("connect", Value::List(hosts)) => self.connect = hosts,
            ("listen", Value::List(hosts)) => self.listen = hosts,
            ("multicast", Value::Text(text)) => {
                self.multicast = match text.as_str() {
                    "on" => ZenohMulticast::On,
                    "off" => ZenohMulticast::Off,
                    _ => ZenohMulticast::Interfaces(text),
                };
            }
            ("multicast_port", Value::Number(port)) => self.multicast_port = u16::try_from(port).ok(),
            ("multicast_address", Value::Address(address)) => self.multicast_address = Some(address),
            ("lease", Value::Time(time)) => self.lease = Some(time),
            ("user", Value::Text(user)) => self.user = Some(user),
            ("password_file", Value::Text(path)) => self.password_file = Some(path.into()),
            ("users_file", Value::Text(path)) => self.users_file = Some(path.into()),
            ("config", Value::Secret(text)) => self.config = Some(text),
            _ => return false,
        }
        true
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        if self.config.is_some() && *self != (Self { config: self.config.clone(), ..Self::default() }) {
            return Err(Problem::relation(
                ["zenoh.config"],
                "is set together with other settings of zenoh; it is passed on as it is, so nothing can be added",
                "write the other settings into it, in zenoh's own words",
            ));
        }
        if self.multicast_port.is_some() && self.multicast_address.is_some() {
            return Err(Problem::relation(
                ["zenoh.multicast_port", "zenoh.multicast_address"],
                "and `zenoh.multicast_address` are both set",
                "`multicast_address` states the port too: leave `multicast_port` out",
            ));
        }
        let nobody = self.connect.is_empty() && self.multicast == ZenohMulticast::Off;
        if self.mode == Some(ZenohMode::Client) && nobody {
            return Err(Problem::relation(
                ["zenoh.mode", "zenoh.connect", "zenoh.multicast"],
                "is \"client\", and there is nobody to connect to and multicast is off",
                "name a router (`zenoh://host:port?mode=client`), or leave multicast on",
            ));
        }
        match (&self.user, &self.password_file) {
            (Some(_), None) => Err(Problem::relation(
                ["zenoh.user"],
                "is set without `zenoh.password_file`",
                "set `zenoh.password_file` to a file whose first line is the password",
            )),
            (None, Some(_)) => {
                Err(Problem::relation(["zenoh.password_file"], "is set without a user", "set `zenoh.user`"))
            }
            _ => Ok(()),
        }
    }
}
