//! The socket beneath a connection, and its encryption.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::Address;
use crate::error::error;

/// How long a connection may be silent before the system asks whether the other side is there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How often it asks then.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// What to look at where no connection comes to be.
const LOOK: &str = "check `kafka.brokers`, that the broker runs and that this node may reach its port, also the address that it \
                    gives for itself, `advertised.listeners`";
/// What to look at where TLS is the trouble.
const LOOK_TLS: &str = "does this broker speak TLS on this port? If it does, check `kafka.tls_ca_file` and the names in the broker's \
                        certificate; if it wants one of this node, `kafka.tls_cert_file` and `kafka.tls_key_file`";

/// What a connection runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects, with TLS where there is a configuration of it.
pub(super) async fn connect(
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
    by: Instant,
) -> Result<Box<dyn Stream>> {
    let not_reached = |why: String| {
        error(ErrorKind::Unreachable, "the broker cannot be reached")
            .context("broker", address)
            .context("why", why)
            .help(LOOK)
    };
    let dialing = TcpStream::connect((address.host.as_str(), address.port));
    let socket = match timeout_at(by, dialing).await {
        Err(_) => return Err(not_reached("no connection was made in time".into())),
        Ok(Err(cause)) => return Err(not_reached(cause.to_string())),
        Ok(Ok(socket)) => socket,
    };
    tune(&socket).map_err(|cause| not_reached(cause.to_string()))?;
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let name = ServerName::try_from(address.host.clone()).map_err(|_| {
        error(ErrorKind::Config, "the name of a broker is none that a certificate can have")
            .context("broker", address)
    })?;
    let handshake = Box::pin(TlsConnector::from(Arc::clone(tls)).connect(name, socket));
    match timeout_at(by, handshake).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(cause)) => Err(from_tls(&cause)
            .unwrap_or_else(|| {
                error(ErrorKind::Unreachable, "the broker broke the TLS handshake off")
                    .context("why", cause)
                    .help(LOOK_TLS)
            })
            .context("broker", address)),
        Err(_) => Err(error(ErrorKind::Unreachable, "the TLS handshake got no answer in time")
            .context("broker", address)
            .help(LOOK_TLS)),
    }
}

/// Small requests are not held back to be joined with others, and a host that has gone is noticed.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// The error of TLS within one of the stream, where there is one.
fn from_tls(cause: &io::Error) -> Option<Error> {
    use AlertDescription as Alert;
    let tls = cause.get_ref()?.downcast_ref::<rustls::Error>()?;
    let (kind, message) = match tls {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            (ErrorKind::Config, "the broker's certificate is not accepted")
        }
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied,
        ) => (ErrorKind::Unauthorized, "the broker does not accept this node's certificate"),
        rustls::Error::InvalidMessage(_) => {
            (ErrorKind::Config, "what listens on this port does not speak TLS")
        }
        _ => (ErrorKind::Config, "the broker and this node cannot agree on how to encrypt"),
    };
    Some(error(kind, message).context("why", tls).help(LOOK_TLS))
}

/// The stream has failed under a connection that was made.
pub(super) fn broken(cause: io::Error) -> Error {
    if let Some(error) = from_tls(&cause) {
        return error;
    }
    error(ErrorKind::Unreachable, "the connection broke").source(cause)
}

/// The broker has closed the connection, after so many answers.
pub(super) fn closed(answered: u64) -> Error {
    match answered {
        0 => error(ErrorKind::Unreachable, "the broker closed the connection before it said anything")
            .help("does it want TLS on this port? Then set `kafka.tls`"),
        // A broker tells its versions to everybody, and closes the connection of a stranger who asks more.
        1 => error(ErrorKind::Unreachable, "the broker closed the connection at the first request: it may want credentials")
            .help("set `kafka.user` and `kafka.password_file`, or name the port of a listener that lets everybody in"),
        _ => error(ErrorKind::Unreachable, "the broker closed the connection"),
    }
}
