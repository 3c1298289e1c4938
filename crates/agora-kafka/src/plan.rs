//! How to connect: what a configuration says, checked and read before the first try.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use agora_core::config::Kafka;
use agora_core::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::credentials::{Credentials, unreadable};
use crate::error::error;
use crate::wire::Address;

/// The port of a broker where the configuration leaves it out.
const PORT: u16 = 9092;

/// What every connection is made with.
pub struct Plan {
    /// The first servers to ask.
    pub(crate) brokers: Vec<Address>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// May topics be made that are not there?
    pub(crate) auto_create: bool,
}

impl Plan {
    /// Reads a configuration, and the files that it names.
    ///
    /// # Errors
    /// `Config`: a setting is wrong, or a file of it cannot be used.
    pub fn new(config: &Kafka) -> Result<Self> {
        if config.brokers.is_empty() {
            return Err(error(ErrorKind::Config, "no broker is named").help("set `kafka.brokers`"));
        }
        let brokers: Vec<_> = config.brokers.iter().map(|text| address(text)).collect::<Result<_>>()?;
        let auto_create = config.auto_create.unwrap_or_else(|| brokers.iter().all(is_loopback));
        let credentials = Credentials::load(config)?;
        let tls = if config.tls { Some(Arc::new(tls(config)?)) } else { None };
        Ok(Self { brokers, credentials, tls, auto_create })
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn address(text: &str) -> Result<Address> {
    let wrong = || {
        error(ErrorKind::Config, "an address is none")
            .context("kafka.brokers", text)
            .help("write host:port or [v6 address]:port; the port may be left out")
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Ok(PORT), str::parse).map_err(|_| wrong())?;
    if host.is_empty() || port == 0 {
        return Err(wrong());
    }
    Ok(Address { host: host.into(), port })
}

fn is_loopback(address: &Address) -> bool {
    address.host == "localhost" || address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn tls(config: &Kafka) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &config.tls_ca_file {
        Some(path) => {
            for certificate in certificates(path, "tls_ca_file")? {
                roots.add(certificate).map_err(|cause| unreadable(path, "tls_ca_file").source(cause))?;
            }
        }
        None => {
            // One that cannot be read is no reason to trust none.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(error(ErrorKind::Config, "nobody may sign the brokers' certificates")
            .help("set `kafka.tls_ca_file` to the authority's certificate, PEM"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| error(ErrorKind::Config, "TLS cannot be used").source(cause))?
        .with_root_certificates(roots);
    match (&config.tls_cert_file, &config.tls_key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "tls_cert_file")?;
            let secret =
                PrivateKeyDer::from_pem_file(key).map_err(|cause| pem(key, "tls_key_file", &cause))?;
            builder
                .with_client_auth_cert(chain, secret)
                .map_err(|cause| unreadable(key, "tls_key_file").source(cause))
        }
        _ => Err(error(ErrorKind::Config, "a certificate needs its key, and a key its certificate")
            .help("set both of `kafka.tls_cert_file` and `kafka.tls_key_file`")),
    }
}

fn certificates(path: &Path, setting: &'static str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|cause| pem(path, setting, &cause))?;
    if read.is_empty() {
        return Err(unreadable(path, setting).context("why", "no certificate is in it"));
    }
    Ok(read)
}

fn pem(path: &Path, setting: &'static str, cause: &rustls::pki_types::pem::Error) -> Error {
    // The text of the cause may quote what stands in the file.
    let why = match cause {
        rustls::pki_types::pem::Error::Io(cause) => cause.to_string(),
        _ => "it is not PEM, or holds something else".to_owned(),
    };
    unreadable(path, setting).context("why", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (text, host, port) in [
            ("a", "a", 9092),
            ("a:1", "a", 1),
            ("[::1]", "::1", 9092),
            ("[::1]:29092", "::1", 29092),
            ("10.0.0.1:65535", "10.0.0.1", 65535),
        ] {
            assert_eq!(address(text).unwrap(), Address { host: host.into(), port }, "{text}");
        }
        for text in ["", ":1", "a:", "a:x", "a:0", "a:65536", "[::1", "[::1]7"] {
            assert_eq!(address(text).unwrap_err().kind(), ErrorKind::Config, "{text}");
        }
    }

    #[test]
    fn topics_are_made_on_this_machine_or_where_somebody_says_so() {
        let mut config = Kafka::default();
        for (brokers, set, is_made) in [
            (&["localhost", "127.0.0.1:1", "[::1]"][..], None, true),
            (&["127.0.0.1", "10.0.0.1"], None, false),
            (&["127.0.0.1"], Some(false), false),
            (&["kafka.example"], Some(true), true),
        ] {
            config.brokers = brokers.iter().map(|broker| (*broker).to_owned()).collect();
            config.auto_create = set;
            assert_eq!(Plan::new(&config).unwrap().auto_create, is_made, "{brokers:?} {set:?}");
        }
    }

    #[test]
    fn without_brokers_it_says_what_to_set() {
        let error = Plan::new(&Kafka::default()).err().unwrap();
        assert!(format!("{error:#}").contains("kafka.brokers"), "{error:#}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_setting() {
        let mut config = Kafka::default();
        (config.brokers, config.tls) = (vec!["a".into()], true);
        config.tls_ca_file = Some("/nowhere/ca.pem".into());
        let error = Plan::new(&config).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("kafka.tls_ca_file"), "{error}");
    }
}
