//! The settings of this backend: plain data, from a URL, a table or zenoh's own JSON5.

mod native;
mod url;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use agora_core::id::ClusterName;
use agora_core::{ErrorKind, Result};

use crate::error::error;

/// How this process takes part in the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Connects to every other peer directly: the default, for up to about 50 nodes.
    #[default]
    Peer,
    /// Connects to one router or peer, which passes everything on. Opening fails when none can be reached.
    Client,
    /// Passes on what clients and other routers send.
    Router,
}

impl Mode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Client => "client",
            Self::Router => "router",
        }
    }
}

/// Whether and where peers find each other by multicast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Multicast {
    /// On where no endpoint to connect to is given, off where one is. The default.
    #[default]
    Auto,
    /// On every interface that can; on the loopback interface where there is no other.
    On,
    /// Off: the endpoints to connect to should be the full list of nodes.
    Off,
    /// On these interfaces: names or addresses, separated by commas.
    Interface(String),
}

/// The multicast group and port on which zenoh looks for peers by default.
pub const MULTICAST_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(224, 0, 0, 224)), 7446);
/// The default [`Settings::lease`]: a peer that is silent for so long is given up. Three seconds leave a second
/// for the rest of a detection within five.
pub const LEASE: Duration = Duration::from_secs(3);
/// The least and the most that [`Settings::lease`] may be.
pub const LEASE_RANGE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// The port that an endpoint has where none is given.
pub const PORT: u16 = 7447;

/// What may be set. `Default` finds peers by multicast and listens on a free port of every interface.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// How this process takes part. Default: [`Mode::Peer`].
    pub mode: Mode,
    /// Whom to connect to, as `host:port` or `[v6]:port`. Default: nobody.
    pub connect: Vec<String>,
    /// Where to listen, as `host:port`; port 0 takes a free one. Default: a free port of every interface for a
    /// peer, 7447 for a router, nowhere for a client.
    pub listen: Vec<String>,
    /// Whether and where to look for peers by multicast.
    pub multicast: Multicast,
    /// The group and port to look at. Default: [`MULTICAST_ADDRESS`]. Nodes with another never find each other so.
    pub multicast_address: SocketAddr,
    /// After how much silence a connection is given up. Default: [`LEASE`]; allowed: [`LEASE_RANGE`].
    pub lease: Duration,
    /// The user to authenticate as. Needs [`Settings::password_file`].
    pub user: Option<String>,
    /// The file that holds the password: its first line, without the line's end.
    pub password_file: Option<PathBuf>,
    /// The file of those whom this process lets in, `user:password` in each line. Needed by routers and peers of a
    /// network with passwords: without it they let nobody in who has one.
    pub users_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            connect: Vec::new(),
            listen: Vec::new(),
            multicast: Multicast::default(),
            multicast_address: MULTICAST_ADDRESS,
            lease: LEASE,
            user: None,
            password_file: None,
            users_file: None,
        }
    }
}

impl Settings {
    /// Does it look for peers by multicast?
    pub fn multicast_enabled(&self) -> bool {
        match self.multicast {
            Multicast::Auto => self.connect.is_empty(),
            Multicast::On | Multicast::Interface(_) => true,
            Multicast::Off => false,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The files are named, never read: there is no secret to leave out. Written by hand so that a field that
        // holds one cannot slip in unseen.
        let Self {
            mode,
            connect,
            listen,
            multicast,
            multicast_address,
            lease,
            user,
            password_file,
            users_file,
        } = self;
        f.debug_struct("Settings")
            .field("mode", mode)
            .field("connect", connect)
            .field("listen", listen)
            .field("multicast", multicast)
            .field("multicast_address", multicast_address)
            .field("lease", lease)
            .field("user", user)
            .field("password_file", password_file)
            .field("users_file", users_file)
            .finish()
    }
}

/// All that [`ZenohTransport::connect`](crate::ZenohTransport::connect) needs to know besides the cluster's name.
#[derive(Clone, PartialEq, Eq)]
pub struct ZenohConfig {
    source: Source,
    cluster: Option<ClusterName>,
}

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Settings(Settings),
    Json5(String),
}

impl ZenohConfig {
    /// Takes settings, after checking them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the setting, what was found and what is allowed.
    pub fn new(settings: Settings) -> Result<Self> {
        native::check(&settings)?;
        Ok(Self { source: Source::Settings(settings), cluster: None })
    }

    /// Reads a URL: `zenoh:`, or `zenoh://host:port,host:port?name=value&..`.
    ///
    /// The names are those of the fields of [`Settings`]: `mode`, `listen` (separated by commas), `multicast`
    /// (`on`, `off` or interfaces), `multicast_port`, `multicast_address`, `lease` (`3s`, `500ms`), `user`,
    /// `password_file`, `users_file`, and `cluster`. Values may be percent-encoded.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the parameter, what was found and what is allowed. Unknown parameters are
    /// errors.
    pub fn from_url(url: &str) -> Result<Self> {
        let (settings, cluster) = url::parse(url)?;
        Ok(Self { cluster, ..Self::new(settings)? })
    }

    /// Takes zenoh's own configuration, as it is: nothing is added to it or changed, so none of the defaults of
    /// [`Settings`] apply.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when zenoh does not accept it, or when it would let a full queue end the process.
    pub fn from_json5(text: &str) -> Result<Self> {
        native::parse_json5(text)?;
        Ok(Self { source: Source::Json5(text.to_owned()), cluster: None })
    }

    /// The cluster that the URL names, where it names one.
    pub fn cluster(&self) -> Option<&ClusterName> {
        self.cluster.as_ref()
    }

    /// The settings; `None` where the configuration is JSON5.
    pub fn settings(&self) -> Option<&Settings> {
        match &self.source {
            Source::Settings(settings) => Some(settings),
            Source::Json5(_) => None,
        }
    }

    /// How this process takes part, and how many endpoints it is to connect to.
    pub(crate) fn part(&self) -> (Mode, usize) {
        match &self.source {
            Source::Settings(settings) => (settings.mode, settings.connect.len()),
            Source::Json5(text) => native::part_of_json5(text),
        }
    }

    /// What zenoh is opened with. Reads the password and the list of interfaces, so it may block briefly.
    pub(crate) fn native(&self) -> Result<zenoh::Config> {
        match &self.source {
            Source::Settings(settings) => native::from_settings(settings),
            Source::Json5(text) => native::parse_json5(text),
        }
    }
}

impl fmt::Debug for ZenohConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ZenohConfig");
        match &self.source {
            Source::Settings(settings) => debug.field("settings", settings),
            // It may hold passwords and private keys.
            Source::Json5(text) => debug.field("json5", &format_args!("<{} bytes>", text.len())),
        };
        debug.field("cluster", &self.cluster).finish()
    }
}

/// A wrong value: what it is of, what was found, what is allowed.
pub(crate) fn wrong(setting: &str, found: impl fmt::Debug, allowed: impl Into<String>) -> agora_core::Error {
    error(ErrorKind::Config, format!("`{setting}` has a value that is not allowed"))
        .context("found", format!("{found:?}"))
        .help(format!("`{setting}` takes {}", allowed.into()))
}

#[cfg(test)]
mod tests;
