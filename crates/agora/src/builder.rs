//! From a configuration, a URL and a few settings to a bus.

use std::time::Duration;

use agora_core::bus::{BusConfig, Clock};
use agora_core::config::SecretUrl;
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::limits::Limits;
use agora_core::membership::MembershipConfig;
use agora_core::transport::{TopicKind, TopicSettings, Transport};
use agora_core::{Result, bus};

use crate::backends;
use crate::bus::Bus;
use crate::config::{self, Config};
use crate::host::host_node_name;

/// The cluster where neither the configuration nor the builder nor the URL names one.
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
    config: Config,
    url: Option<SecretUrl>,
    cluster: Option<String>,
    node: Option<String>,
    tags: Vec<(String, String)>,
    logs: Vec<String>,
    topics: Vec<(String, TopicSettings)>,
    limits: Option<Limits>,
    membership: Option<MembershipConfig>,
    clock: Clock,
    observer: bool,
    connect_timeout: Option<Duration>,
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
            config: Config::default(),
            url: None,
            cluster: None,
            node: None,
            tags: Vec::new(),
            logs: Vec::new(),
            topics: Vec::new(),
            limits: None,
            membership: None,
            clock: Clock::default(),
            observer: false,
            connect_timeout: None,
        }
    }

    /// The configuration to begin with. What the other methods of the builder say is the program's own word: it wins
    /// over files and variables, and not over the command line. The order of the calls does not matter. Default: an
    /// empty one.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The URL of the backend. There is no default. Over a configuration it replaces the URL there as a whole.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(SecretUrl::new(url));
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
    /// topic of which nothing is said is live, unless the configuration says `nats.jetstream`. Every node must be told
    /// the same.
    pub fn log(mut self, topic: impl Into<String>) -> Self {
        self.logs.push(topic.into());
        self
    }

    /// Says what a topic is: live or a log, and how it is written. Every node must be told the same.
    pub fn topic(mut self, topic: impl Into<String>, settings: TopicSettings) -> Self {
        self.topics.push((topic.into(), settings));
        self
    }

    /// Memory and time bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// When a silent node is held dead.
    pub fn membership(mut self, membership: MembershipConfig) -> Self {
        self.membership = Some(membership);
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
        self.connect_timeout = Some(timeout);
        self
    }

    /// Connects to the backend that is chosen, and begins to join the cluster. It does not wait for other members: see
    /// [`ready`](bus::Bus::ready). Logs the [warnings](Config::warnings) of the configuration.
    ///
    /// # Errors
    /// - `Config`: no backend is chosen, a URL cannot be read, a scheme is not known, or a setting is out of range.
    /// - `Unsupported`: this version does not have the backend, or it was not compiled in and the help names the
    ///   feature; or a topic's settings ask for what no backend here can do.
    /// - `Runtime`: not called from within a tokio runtime that the backend can use.
    /// - what the backend says: credentials refused, an address in use, nobody reached.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is joined.
    pub async fn connect(self) -> Result<Bus> {
        let (builder, config) = self.resolve().map_err(|error| error.operation("connect"))?;
        let backend = config.backend()?;
        let told = builder.told(&config)?;
        // What is wrong with the configuration is said before anything is connected.
        told.validate().map_err(|error| error.operation("connect"))?;
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        // So is what a topic asks for in vain, as far as it is known before.
        let (logs, lanes) = (backends::logs(backend), backends::lanes(backend));
        config::check_topics(&config, &told, backend.as_str(), logs, lanes)?;
        // On the heap: what each client needs while it connects would stand in every future around this one.
        let wait = builder.time_to_connect(&config);
        let transport = Box::pin(backends::connect(backend, &config, &told, wait)).await;
        open(transport.map_err(|error| error.operation("connect"))?, told, &config)
    }

    /// Opens a bus over a transport that was made by hand: one of a backend crate, of a
    /// [`Space`](crate::memory::Space), or your own. The URL has no meaning here, and of a configuration neither have
    /// the sections of the backends.
    ///
    /// # Errors
    /// As [`connect`](Builder::connect), without what concerns the backend.
    pub fn open(self, transport: impl Transport) -> Result<Bus> {
        let (builder, config) = Self { url: None, ..self }.resolve()?;
        open(transport, builder.told(&config)?, &config)
    }

    /// Adds the program's own word to the configuration.
    fn resolve(mut self) -> Result<(Self, Config)> {
        let url = self.url.as_ref().map(SecretUrl::expose);
        let said = [("url", url), ("cluster", self.cluster.as_deref()), ("node", self.node.as_deref())];
        let said: Vec<(&str, &str)> =
            said.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect();
        let config = std::mem::take(&mut self.config).with_code(&said)?;
        Ok((self, config))
    }

    fn time_to_connect(&self, config: &Config) -> Duration {
        match self.connect_timeout {
            Some(timeout) if !config.said_by_command_line("connect_timeout") => timeout,
            _ => config.model().connect_timeout,
        }
    }

    /// What the bus is told.
    fn told(&self, config: &Config) -> Result<BusConfig> {
        let model = config.model();
        let cluster = match &model.cluster {
            Some(cluster) => cluster.clone(),
            None => ClusterName::new(DEFAULT_CLUSTER)?,
        };
        let node: NodeName = match &model.node {
            Some(node) => node.clone(),
            None => host_node_name()?,
        };
        let mut told = BusConfig::new(cluster, node);
        told.tags = model.tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in &self.tags {
            let by_command_line = config.said_by_command_line(&format!("tags.{name}"));
            if !by_command_line {
                // A file's word of the same name is replaced.
                told.tags.retain(|(other, _)| other != name || !model.tags.contains_key(name));
                told.tags.push((name.clone(), value.clone()));
            }
        }
        told.usual = config.usual();
        told.topics = model.topics.keys().map(|name| (name.clone(), config.topic(name, None))).collect();
        for topic in &self.logs {
            let topic = TopicName::new(topic)?;
            let settings = config.topic(&topic, Some(TopicKind::Log));
            told.topics.insert(topic, settings);
        }
        for (topic, settings) in &self.topics {
            told.topics.insert(TopicName::new(topic)?, *settings);
        }
        told.limits = self.limits_over(config);
        told.membership = self.membership_over(config);
        told.clock = self.clock;
        told.observer = self.observer;
        Ok(told)
    }

    fn limits_over(&self, config: &Config) -> Limits {
        let configured = &config.model().limits;
        let Some(mut limits) = self.limits.clone() else { return configured.clone() };
        if config.said_by_command_line("limits.memory_bytes") {
            limits.memory_bytes = configured.memory_bytes;
        }
        if config.said_by_command_line("limits.repair_age") {
            limits.repair_age = configured.repair_age;
        }
        if config.said_by_command_line("limits.publish_timeout") {
            limits.publish_timeout = configured.publish_timeout;
        }
        limits
    }

    fn membership_over(&self, config: &Config) -> MembershipConfig {
        let configured = &config.model().membership;
        let Some(mut membership) = self.membership.clone() else { return configured.clone() };
        if config.said_by_command_line("membership.heartbeat_interval") {
            membership.heartbeat_interval = configured.heartbeat_interval;
        }
        if config.said_by_command_line("membership.suspect_after") {
            membership.suspect_after = configured.suspect_after;
        }
        if config.said_by_command_line("membership.fail_after") {
            membership.fail_after = configured.fail_after;
        }
        if config.said_by_command_line("membership.hint_grace") {
            membership.hint_grace = configured.hint_grace;
        }
        membership
    }
}

/// Opens a bus, after looking whether the backend can be what the topics ask for.
fn open(transport: impl Transport, told: BusConfig, config: &Config) -> Result<Bus> {
    let capabilities = transport.capabilities();
    config::check_topics(config, &told, capabilities.backend, capabilities.log, capabilities.lanes)?;
    bus::Bus::open(transport, told).map(Bus::from)
}
