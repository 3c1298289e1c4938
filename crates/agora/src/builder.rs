//! From a URL and a few settings to a bus.

use std::time::Duration;

use agora_core::bus::{BusConfig, Clock};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::limits::Limits;
use agora_core::membership::MembershipConfig;
use agora_core::memory::Space;
use agora_core::transport::{TopicKind, Transport};
use agora_core::{Error, ErrorKind, Result, bus};

use crate::bus::Bus;
use crate::host::host_node_name;
use crate::url::{self, Scheme};

/// The cluster where neither the builder nor the URL names one.
pub const DEFAULT_CLUSTER: &str = "default";
/// How long [`Builder::connect`] waits for the backend by default.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bus that is being described. [`connect`](Builder::connect) makes it.
///
/// ```no_run
/// # async fn example() -> agora::Result<()> {
/// use std::time::Duration;
///
/// let mut limits = agora::Limits::default();
/// limits.memory_bytes = 16 << 20;
///
/// let bus = agora::Bus::builder()
///     .url("memory:example")
///     .cluster("prod")
///     .node("mail-1")
///     .tag("role", "imap")
///     .limits(limits)
///     .connect_timeout(Duration::from_secs(2))
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect` is awaited"]
pub struct Builder {
    url: Option<String>,
    cluster: Option<String>,
    node: Option<String>,
    tags: Vec<(String, String)>,
    logs: Vec<String>,
    limits: Limits,
    membership: MembershipConfig,
    clock: Clock,
    observer: bool,
    connect_timeout: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// A builder with the defaults.
    pub fn new() -> Self {
        Self {
            url: None,
            cluster: None,
            node: None,
            tags: Vec::new(),
            logs: Vec::new(),
            limits: Limits::default(),
            membership: MembershipConfig::default(),
            clock: Clock::default(),
            observer: false,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }

    /// The URL of the backend. There is no default.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The cluster: nodes of different clusters never hear each other. Wins over the URL's `?cluster=`. Default:
    /// [`DEFAULT_CLUSTER`].
    pub fn cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// The name of this node; no other live node of the cluster may have it. Default: the host's name, see
    /// [`host_node_name`].
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// Adds a word that the other members see, such as `role` and `imap`. At most 32, of at most 200 bytes each.
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    /// Says that a topic is a log: the backend keeps what is published, and a subscription can begin in the past. A
    /// topic of which nothing is said is live. Every node must be told the same.
    pub fn log(mut self, topic: impl Into<String>) -> Self {
        self.logs.push(topic.into());
        self
    }

    /// Memory and time bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// When a silent node is held dead.
    pub fn membership(mut self, membership: MembershipConfig) -> Self {
        self.membership = membership;
        self
    }

    /// Where the times in events come from. Default: the system's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Take part without being a member: publish and subscribe, see the members, and be told to nobody as one. For
    /// command lines and probes.
    pub fn observer(mut self) -> Self {
        self.observer = true;
        self
    }

    /// How long [`connect`](Builder::connect) may take. Default: [`CONNECT_TIMEOUT`]. Without meaning for
    /// backends that have nothing to wait for.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Connects to the backend that the URL names, and begins to join the cluster. It does not wait for other
    /// members: see [`ready`](bus::Bus::ready).
    ///
    /// # Errors
    /// - `Config`: no URL, one that cannot be read, a scheme that is not known, or a setting out of range.
    /// - `Unsupported`: the backend is known and was not compiled in; the help names the feature.
    /// - `Runtime`: not called from within a tokio runtime that the backend can use.
    /// - what the backend says: credentials refused, an address in use, nobody reached.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is joined.
    pub async fn connect(self) -> Result<Bus> {
        let Some(url) = self.url.clone() else {
            return Err(Error::new(ErrorKind::Config, "no URL was given")
                .operation("connect")
                .help("name the backend, such as `zenoh:` or `memory:NAME`"));
        };
        match url::scheme(&url)? {
            Scheme::Memory => {
                let (space, cluster) = url::memory(&url)?;
                let space = Space::named(space).map_err(|error| error.operation("connect"))?;
                let config = self.config(cluster)?;
                let transport = space.connect(&config.cluster, &config.node);
                open(transport, config)
            }
            Scheme::Zenoh => self.connect_zenoh(&url).await,
        }
    }

    /// Opens a bus over a transport that was made by hand: one of a backend crate, of a
    /// [`Space`](crate::memory::Space), or your own. The URL has no meaning here.
    ///
    /// # Errors
    /// As [`connect`](Builder::connect), without what concerns the URL.
    pub fn open(self, transport: impl Transport) -> Result<Bus> {
        open(transport, self.config(None)?)
    }

    #[cfg(feature = "zenoh")]
    async fn connect_zenoh(self, url: &str) -> Result<Bus> {
        let zenoh = agora_zenoh::ZenohConfig::from_url(url).map_err(|error| error.operation("connect"))?;
        let config = self.config(zenoh.cluster().cloned())?;
        // What is wrong with the configuration is said before anything is connected.
        config.validate().map_err(|error| error.operation("connect"))?;
        let transport =
            agora_zenoh::ZenohTransport::connect(&zenoh, &config.cluster, self.connect_timeout).await?;
        open(transport, config)
    }

    #[cfg(not(feature = "zenoh"))]
    #[allow(clippy::unused_async, reason = "the same signature as with the feature")]
    async fn connect_zenoh(self, _url: &str) -> Result<Bus> {
        Err(Error::unsupported(
            "this program was built without the backend zenoh",
            "build it with the feature `zenoh` of the crate `agora`",
        )
        .operation("connect"))
    }

    /// What the bus is told: the builder's settings, the URL's cluster, the defaults.
    fn config(&self, from_url: Option<ClusterName>) -> Result<BusConfig> {
        let cluster = match (&self.cluster, from_url) {
            (Some(cluster), _) => ClusterName::new(cluster)?,
            (None, Some(cluster)) => cluster,
            (None, None) => ClusterName::new(DEFAULT_CLUSTER)?,
        };
        let node = match &self.node {
            Some(node) => NodeName::new(node)?,
            None => host_node_name()?,
        };
        let mut config = BusConfig::new(cluster, node);
        config.tags.clone_from(&self.tags);
        for topic in &self.logs {
            config.topics.insert(TopicName::new(topic)?, TopicKind::Log);
        }
        config.limits = self.limits.clone();
        config.membership = self.membership.clone();
        config.clock = self.clock;
        config.observer = self.observer;
        Ok(config)
    }
}

fn open(transport: impl Transport, config: BusConfig) -> Result<Bus> {
    bus::Bus::open(transport, config).map(Bus::from)
}
