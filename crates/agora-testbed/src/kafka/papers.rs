//! Certificates and the password, as files: what a broker that asks for them takes, and what its clients do.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::PASSWORD;
use crate::cache;
use crate::failure::{Doing, Failure, Result};

/// An authority, what it signed, and an authority that nobody should trust. Removed when the last broker is dropped.
#[derive(Debug)]
pub struct KafkaPapers {
    directory: PathBuf,
}

impl KafkaPapers {
    pub(super) fn make() -> Result<Self> {
        let papers = Self { directory: cache::data("kafka-papers")? };
        let own = authority("the authority of tests")?;
        papers.write("ca.pem", &own.pem())?;
        papers.write("other-ca.pem", &authority("an authority of nobody")?.pem())?;
        let here = &["localhost", "127.0.0.1"][..];
        for (who, hosts, is_expired) in
            [("broker", here, false), ("client", &["client"], false), ("expired", here, true)]
        {
            let (certificate, key) = signed(who, hosts, is_expired, &own)?;
            papers.write(&format!("{who}.pem"), &certificate)?;
            papers.write(&format!("{who}.key"), &key)?;
            // Kafka reads the key and the chain from one file.
            papers.write(&format!("{who}-store.pem"), &format!("{key}{certificate}{}", own.pem()))?;
        }
        papers.write("password", &format!("{PASSWORD}\n"))?;
        Ok(papers)
    }

    fn write(&self, name: &str, text: &str) -> Result {
        std::fs::write(self.path(name), text).doing(format_args!("write {name}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The certificate of the authority that signed those of the brokers, PEM.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// That of an authority that signed nothing here.
    pub fn other_ca(&self) -> PathBuf {
        self.path("other-ca.pem")
    }

    /// A certificate of a client, signed by the authority of the brokers, PEM. Brokers ask for none unless they are
    /// told to: `("listener.name.sasl_ssl.ssl.client.auth", "required")`.
    pub fn client_certificate(&self) -> PathBuf {
        self.path("client.pem")
    }

    /// The key of that certificate, PKCS #8 in PEM.
    pub fn client_key(&self) -> PathBuf {
        self.path("client.key")
    }

    /// One of the same authority that held until the end of 2024.
    pub fn expired_certificate(&self) -> PathBuf {
        self.path("expired.pem")
    }

    /// The key of that certificate.
    pub fn expired_key(&self) -> PathBuf {
        self.path("expired.key")
    }

    /// A file whose only line is [`PASSWORD`].
    pub fn password_file(&self) -> PathBuf {
        self.path("password")
    }

    /// The client's key and certificate in one file, as Java takes it (`ssl.keystore.location`).
    pub fn client_store(&self) -> PathBuf {
        self.path("client-store.pem")
    }

    /// The same of a broker, or of one whose certificate does not hold any more.
    pub(super) fn broker_store(&self, is_expired: bool) -> PathBuf {
        self.path(if is_expired { "expired-store.pem" } else { "broker-store.pem" })
    }
}

impl Drop for KafkaPapers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.directory));
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)
}

/// A certificate and its key. One that has expired held until the end of 2024.
fn signed(
    name: &str,
    hosts: &[&str],
    is_expired: bool,
    by: &CertifiedIssuer<'static, KeyPair>,
) -> Result<(String, String)> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    // Without it, some clients take the certificate for one that may sign others, and refuse it.
    params.is_ca = IsCa::ExplicitNoCa;
    if is_expired {
        (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2025, 1, 1));
    }
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, by).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn failed(error: rcgen::Error) -> Failure {
    Failure::new(format!("cannot make a certificate: {error}"))
}
