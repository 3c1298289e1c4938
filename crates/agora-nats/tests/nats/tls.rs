//! Encrypted connections, and certificates of clients.

use std::path::PathBuf;

use agora_core::config::Nats;
use agora_core::transport::{Link, Transport};
use agora_testbed::NatsServer;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::support::{config, connect, down_because, message, numbered, publish, topic, try_connect};

/// A directory that is removed when it is dropped.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Files {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("agora-nats-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// An authority, which writes its own certificate.
    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.pem"), &params.self_signed(&key).unwrap().pem());
        Issuer::new(params, key)
    }

    /// A certificate for 127.0.0.1, and its key.
    fn certificate(&self, name: &str, authority: &Issuer<'static, KeyPair>) -> (PathBuf, PathBuf) {
        self.certificate_until(name, authority, 4000)
    }

    /// The same, of which the last day is in this year.
    fn certificate_until(
        &self,
        name: &str,
        authority: &Issuer<'static, KeyPair>,
        year: i32,
    ) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        let pem = self.write(&format!("{name}.pem"), &certificate.pem());
        (pem, self.write(&format!("{name}.key"), &key.serialize_pem()))
    }
}

async fn encrypting_server(files: &Files, verify: bool) -> (NatsServer, Issuer<'static, KeyPair>) {
    let authority = files.authority("ca");
    let (cert, key) = files.certificate("server", &authority);
    let more = format!(
        "tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {:?}, verify: {verify}, timeout: 10 }}",
        files.0.join("ca.pem")
    );
    (NatsServer::with(&more).await.unwrap(), authority)
}

async fn works(config: &Nats) {
    let transport = connect(config).await;
    let live = topic("live");
    let mut inbox = transport.subscribe(&live).await.unwrap();
    publish(&transport, &live, vec![numbered(1)]).await.unwrap();
    assert_eq!(message(&mut *inbox).await.payload, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_connection_to_a_server_that_can_be_verified() {
    let files = Files::new("verified");
    let (server, _) = encrypting_server(&files, false).await;
    let mut config = config(server.port());
    config.tls = true;
    config.tls_ca_file = Some(files.0.join("ca.pem"));
    works(&config).await;
    files.authority("other");
    config.tls_ca_file = Some(files.0.join("other.pem"));
    let stranger = try_connect(&config).await.unwrap();
    down_because(&stranger, |why| why.to_lowercase().contains("certificate")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_client() {
    let files = Files::new("client");
    let (server, authority) = encrypting_server(&files, true).await;
    let mut config = config(server.port());
    config.tls = true;
    config.tls_ca_file = Some(files.0.join("ca.pem"));
    let nobody = try_connect(&config).await.map(|transport| transport.link().borrow().clone());
    assert!(!matches!(nobody, Ok(Link::Up)), "without a certificate nobody is let in");
    let (cert, key) = files.certificate("client", &authority);
    config.tls_cert_file = Some(cert);
    config.tls_key_file = Some(key);
    works(&config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_not_left_out_where_the_server_has_none() {
    let server = NatsServer::start().await.unwrap();
    let mut config = config(server.port());
    config.tls = true;
    let transport = try_connect(&config).await.unwrap();
    let is_it = |why: &str| why.contains("does this server speak TLS") || why.contains("TLS handshake");
    down_because(&transport, is_it).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_have_expired_are_named_as_such() {
    let files = Files::new("expired");
    let authority = files.authority("ca");
    let (old_cert, old_key) = files.certificate_until("old", &authority, 2020);
    let (cert, key) = files.certificate("server", &authority);
    let ca = files.0.join("ca.pem");
    let serving = |cert: &PathBuf, key: &PathBuf| {
        format!(
            "tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true, timeout: 10 }}"
        )
    };
    // The server's: it is not talked to.
    let server = NatsServer::with(&serving(&old_cert, &old_key)).await.unwrap();
    let mut config = config(server.port());
    config.tls = true;
    config.tls_ca_file = Some(ca.clone());
    (config.tls_cert_file, config.tls_key_file) = (Some(cert.clone()), Some(key.clone()));
    let transport = try_connect(&config).await.unwrap();
    let is_it = |why: &str| ["certificate", "expired"].iter().all(|word| why.to_lowercase().contains(word));
    down_because(&transport, is_it).await;
    // The client's: it is not let in.
    let server = NatsServer::with(&serving(&cert, &key)).await.unwrap();
    config.addresses = vec![format!("127.0.0.1:{}", server.port())];
    (config.tls_cert_file, config.tls_key_file) = (Some(old_cert), Some(old_key));
    let transport = try_connect(&config).await.unwrap();
    let is_it = |why: &str| ["tls", "certificate"].iter().any(|word| why.to_lowercase().contains(word));
    down_because(&transport, is_it).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_not_told_of_encryption_says_what_is_wrong() {
    let files = Files::new("bare");
    let (server, _) = encrypting_server(&files, false).await;
    // The server says that it wants TLS, and the client follows; but it trusts nobody who could have signed that.
    let transport = try_connect(&config(server.port())).await.unwrap();
    down_because(&transport, |why| why.contains("TLS") && why.contains("certificate")).await;
}
