//! How a connection is made: where to, as whom, with which certificates.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agora_core::config::{Protocol, Redis, RedisMode};
use agora_core::{Error, ErrorKind, Result};
use redis::io::tcp::{TcpSettings, socket2};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, PushInfo, TlsCertificates,
};

use crate::call::Connection;
use crate::error::{Failure, error};

/// The longest wait for a connection to be made, however long the server may take to answer.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be silent before the system asks whether the other side is there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How often it asks then.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// What is told to whoever holds a connection: messages, and its end. Called on the task that reads the connection: it
/// must not wait.
pub(crate) type Pushed = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A server: host and port.
pub(crate) type Server = (String, u16);

/// Makes connections.
pub(crate) struct Dialer {
    /// The servers of the configuration, in its order.
    servers: Vec<ConnectionInfo>,
    /// How the servers are reached that sentinels name.
    unnamed: Option<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
    protocol: ProtocolVersion,
    connect_wait: Duration,
}

impl Dialer {
    /// Reads the configuration, and the files that it names.
    ///
    /// # Errors
    /// `Config`: a URL or a file that cannot be used. The password is in none of them.
    pub(crate) fn new(config: &Redis) -> Result<Self> {
        let password = match (&config.password, &config.password_file) {
            (Some(password), _) => Some(password.expose().to_owned()),
            (None, Some(path)) => Some(first_line("redis.password_file", path)?),
            (None, None) => None,
        };
        let protocol = match config.protocol {
            Some(Protocol::Resp2) => ProtocolVersion::RESP2,
            // Every server that is new enough has it.
            _ => ProtocolVersion::RESP3,
        };
        let connect_wait = config.timeout.min(CONNECT_WAIT_MAX);
        let mut servers = Vec::new();
        for url in &config.urls {
            // The client's own error may quote what stands in the URL.
            let info = url.expose().into_connection_info().map_err(|_| {
                error(ErrorKind::Config, "not a URL of a Redis server").context("redis.urls", url).help(
                    "write `redis://[[user]:password@]host[:port][/database]`, or `rediss://..` for TLS",
                )
            })?;
            servers.push(dressed(info, config, password.as_deref(), protocol)?);
        }
        if servers.is_empty() {
            return Err(error(ErrorKind::Config, "no server is named").help("set `redis.urls`"));
        }
        let uses_tls = servers.iter().any(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
        if uses_tls {
            // The client panics where the process has no provider of cryptography. One that is there already stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let certificates = certificates(config)?;
        if certificates.is_some() && !uses_tls {
            return Err(error(ErrorKind::Config, "certificates are set, and no server is reached by TLS")
                .help("write `rediss://` in `redis.urls`, or leave the settings `redis.tls_..` out"));
        }
        // The credentials of a sentinel's URL are the servers' too, unless those have some of their own.
        let unnamed =
            (config.mode == RedisMode::Sentinel).then(|| servers.first().cloned()).flatten().map(|info| {
                let mut settings = info.redis_settings().clone();
                if let Some(password) = &password {
                    settings = settings
                        .set_password(password)
                        .set_username(config.user.as_deref().unwrap_or("default"));
                }
                info.set_redis_settings(settings)
            });
        Ok(Self { servers, unnamed, certificates, protocol, connect_wait })
    }

    /// The servers of the configuration.
    pub(crate) fn servers(&self) -> Vec<Server> {
        self.servers.iter().map(server_of).collect()
    }

    /// Does the server tell what happens without being asked, on any connection?
    pub(crate) fn pushes(&self) -> bool {
        self.protocol == ProtocolVersion::RESP3
    }

    /// Connects to a server and authenticates. Nothing bounds the answers on this connection: each call does that.
    pub(crate) async fn dial(&self, server: &Server, pushed: Option<Pushed>) -> Result<Connection, Failure> {
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(Some(self.connect_wait));
        if let (Some(pushed), true) = (pushed, self.pushes()) {
            config = config.set_push_sender(move |info| {
                pushed(info);
                Ok::<_, ()>(())
            });
        }
        let connecting = self.client(server)?;
        let failed = |cause| self.not_answered(server, not_connected(cause));
        let connected = connecting.get_multiplexed_async_connection_with_config(&config).await;
        connected.map(Connection::from).map_err(failed)
    }

    /// A server without TLS waits for the rest of what it takes for a command, and never answers.
    fn not_answered(&self, server: &Server, failure: Failure) -> Failure {
        let is_tls =
            matches!(self.info(server).map(ConnectionInfo::addr), Some(ConnectionAddr::TcpTls { .. }));
        let is_silent =
            failure.error.kind() == ErrorKind::Unreachable && failure.error.to_string().contains("timed out");
        // And one with TLS hangs up on who does not greet it, or answers with an alert.
        let is_cut_off = failure.error.kind() == ErrorKind::Unreachable
            && !failure.error.to_string().contains("nothing listens there");
        if !is_tls && !is_silent && is_cut_off {
            let what = "the server hung up before it had answered: it may take nothing but TLS on this port";
            let error = error(ErrorKind::Unreachable, what)
                .help("does it speak TLS on this port? then write `rediss://` in `redis.urls`");
            return Failure { error: error.source(failure.error), ..failure };
        }
        if !is_tls || !is_silent {
            return failure;
        }
        let error = error(
            ErrorKind::Unreachable,
            "the TLS handshake got no answer: the server may not speak TLS on this port",
        );
        let error =
            error.help("compare the port with `tls-port` of the server, or write `redis://` in `redis.urls`");
        Failure { error: error.source(failure.error), ..failure }
    }

    /// What is known of a server. Servers that the configuration does not name are reached like the first that it does.
    fn info(&self, server: &Server) -> Option<&ConnectionInfo> {
        let known = self.servers.iter().find(|info| server_of(info) == *server);
        self.unnamed.as_ref().or(known).or(self.servers.first())
    }

    /// Connects to a sentinel. One that asks for no password refuses every one.
    pub(crate) async fn dial_sentinel(&self, sentinel: &Server) -> Result<Connection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(Some(self.connect_wait));
        let info = self.servers.iter().find(|info| server_of(info) == *sentinel).or(self.servers.first());
        let info = info
            .cloned()
            .ok_or_else(|| Failure::not_sent(error(ErrorKind::Config, "no sentinel is named")))?;
        // A sentinel has no databases.
        let settings = info.redis_settings().clone().set_db(0);
        let bare = redis::RedisConnectionInfo::default().set_protocol(self.protocol);
        let first = self.build(info.clone().set_redis_settings(settings))?;
        match first.get_multiplexed_async_connection_with_config(&config).await.map_err(not_connected) {
            Err(failure) if failure.error.kind() == ErrorKind::Unauthorized => {
                let second = self.build(info.set_redis_settings(bare))?;
                let answer = second.get_multiplexed_async_connection_with_config(&config).await;
                // Where that is refused too, the first refusal says more.
                answer.map(Connection::from).map_err(|_| failure)
            }
            answer => answer.map(Connection::from),
        }
    }

    /// Connects for messages alone, where the protocol has no other way.
    pub(crate) async fn dial_for_messages(&self, server: &Server) -> Result<redis::aio::PubSub, Failure> {
        let client = self.client(server)?;
        match tokio::time::timeout(self.connect_wait, client.get_async_pubsub()).await {
            Ok(connected) => connected.map_err(not_connected),
            Err(_) => Err(Failure::not_sent(error(ErrorKind::Unreachable, "no connection was made in time"))),
        }
    }

    fn client(&self, server: &Server) -> Result<Client, Failure> {
        let info = self
            .info(server)
            .cloned()
            .ok_or_else(|| Failure::not_sent(error(ErrorKind::Config, "no server is named")))?;
        let addr = match info.addr() {
            ConnectionAddr::TcpTls { insecure, .. } => ConnectionAddr::TcpTls {
                host: server.0.clone(),
                port: server.1,
                insecure: *insecure,
                tls_params: None,
            },
            _ => ConnectionAddr::Tcp(server.0.clone(), server.1),
        };
        self.build(info.set_addr(addr))
    }

    fn build(&self, info: ConnectionInfo) -> Result<Client, Failure> {
        let client = match (&self.certificates, info.addr()) {
            (Some(certificates), ConnectionAddr::TcpTls { .. }) => {
                Client::build_with_tls(info, certificates.clone())
            }
            _ => Client::open(info),
        };
        client.map_err(not_connected)
    }
}

/// Whatever went wrong before a connection stood, nothing was asked of the server.
fn not_connected(cause: redis::RedisError) -> Failure {
    let failure = Failure::from(cause);
    if failure.error.kind() != ErrorKind::OutcomeUnknown {
        return failure;
    }
    Failure::not_sent(error(ErrorKind::Unreachable, "no connection was made").source(failure.error))
}

fn server_of(info: &ConnectionInfo) -> Server {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
        other => (other.to_string(), 0),
    }
}

/// A server with what the other settings say of it.
fn dressed(
    info: ConnectionInfo,
    config: &Redis,
    password: Option<&str>,
    protocol: ProtocolVersion,
) -> Result<ConnectionInfo> {
    if matches!(info.addr(), ConnectionAddr::Unix(_)) {
        return Err(error(
            ErrorKind::Config,
            "a socket of the file system is no server of a cluster of nodes",
        )
        .help("write `redis://host:port`"));
    }
    let mut settings = info.redis_settings().clone().set_protocol(protocol);
    if settings.password().is_none() {
        if let Some(user) = &config.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
    }
    if config.mode == RedisMode::Cluster && settings.db() != 0 {
        return Err(error(ErrorKind::Config, "a Redis cluster has one database, 0")
            .help("leave the path of the URL out"));
    }
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let tcp = tcp.set_user_timeout(config.timeout + KEEPALIVE);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

fn certificates(config: &Redis) -> Result<Option<TlsCertificates>> {
    let client_tls = match (&config.tls_cert_file, &config.tls_key_file) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: read("redis.tls_cert_file", cert)?,
            client_key: read("redis.tls_key_file", key)?,
        }),
        (None, None) => None,
        _ => {
            return Err(error(ErrorKind::Config, "a certificate needs its key, and a key its certificate")
                .help("set both of `redis.tls_cert_file` and `redis.tls_key_file`"));
        }
    };
    let root_cert = config.tls_ca_file.as_deref().map(|path| read("redis.tls_ca_file", path)).transpose()?;
    Ok((client_tls.is_some() || root_cert.is_some()).then_some(TlsCertificates { client_tls, root_cert }))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|cause| unreadable(key, path).source(cause))
}

fn first_line(key: &'static str, path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).map_err(|cause| unreadable(key, path).source(cause))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn unreadable(key: &'static str, path: &Path) -> Error {
    error(ErrorKind::Config, "a file that the configuration names cannot be read")
        .context(key, path.display())
}
