//! TLS: whom the client trusts, and whom the server does.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::{Path, PathBuf};

use agora_core::ErrorKind;
use agora_core::transport::{Link, Transport};
use agora_redis::RedisTransport;
use agora_testbed::{Program, RedisServer, free_port};
use common::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority, and what it signed: files of certificates and keys.
struct Papers {
    directory: PathBuf,
}

impl Papers {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("agora-redis-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let papers = Self { directory };
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        papers.write("ca.pem", &authority.pem());
        for (who, until) in [("server", 4000), ("client", 4000), ("old", 2020)] {
            let key = KeyPair::generate().unwrap();
            let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut params = CertificateParams::new(hosts).unwrap();
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            let certificate = params.signed_by(&key, &authority).unwrap();
            papers.write(&format!("{who}.pem"), &certificate.pem());
            papers.write(&format!("{who}.key"), &key.serialize_pem());
        }
        papers
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Papers {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn server(papers: &Papers, clients: &str) -> (RedisServer, u16) {
    server_of("server", papers, clients).await
}

/// A server with the certificate of this name.
async fn server_of(name: &str, papers: &Papers, clients: &str) -> (RedisServer, u16) {
    let port = free_port().unwrap();
    let file = |end: &str| text(&papers.path(&format!("{name}.{end}")));
    let (cert, key, ca) = (file("pem"), file("key"), text(&papers.path("ca.pem")));
    let port_text = port.to_string();
    let args = [
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        clients,
    ];
    (RedisServer::with(Program::Redis, &args).await.unwrap(), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_its_authority_or_not_at_all() {
    let papers = Papers::new("trust");
    let (_server, port) = server(&papers, "no").await;
    let url = format!("rediss://localhost:{port}");
    let mut trusting = config([url.clone()]);
    trusting.tls_ca_file = Some(papers.path("ca.pem"));
    let transport = connect_with(&trusting).await;
    up(&transport).await;
    let mut inbox = transport.subscribe(&topic("live")).await.unwrap();
    send(&transport, &topic("live"), [1]).await;
    soon("a message", inbox.recv(1, &mut Vec::new())).await.unwrap();
    let wait = std::time::Duration::from_millis(500);
    let strict = RedisTransport::connect(&config([url.clone()]), &cluster(), wait).await.unwrap();
    down_because(&strict, |why| why.to_lowercase().contains("certificate")).await;
    up(&connect(&format!("{url}#insecure")).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_named_as_what_it_may_be() {
    let server = RedisServer::with(Program::Redis, &[]).await.unwrap();
    let mut config = config([format!("rediss://localhost:{}", server.port())]);
    config.timeout = std::time::Duration::from_millis(300);
    let wait = std::time::Duration::from_secs(1);
    let transport = RedisTransport::connect(&config, &cluster(), wait).await.unwrap();
    down_because(&transport, |why| why.contains("TLS")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_gets_it() {
    let papers = Papers::new("client");
    let (_server, port) = server(&papers, "yes").await;
    let mut config = config([format!("rediss://localhost:{port}")]);
    config.tls_ca_file = Some(papers.path("ca.pem"));
    let wait = std::time::Duration::from_millis(500);
    let bare = RedisTransport::connect(&config, &cluster(), wait).await.unwrap();
    assert!(matches!(&*bare.link().borrow(), Link::Down { .. }));
    config.tls_cert_file = Some(papers.path("client.pem"));
    config.tls_key_file = Some(papers.path("client.key"));
    up(&connect_with(&config).await).await;
    config.tls_key_file = Some(papers.path("nothing.key"));
    let error = RedisTransport::connect(&config, &cluster(), WAIT).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_have_expired_are_named_as_such() {
    let papers = Papers::new("expired");
    let wait = std::time::Duration::from_millis(500);
    // The server's: it is not talked to.
    let (_server, port) = server_of("old", &papers, "no").await;
    let mut config = config([format!("rediss://localhost:{port}")]);
    config.tls_ca_file = Some(papers.path("ca.pem"));
    let transport = RedisTransport::connect(&config, &cluster(), wait).await.unwrap();
    let is_it = |why: &str| ["certificate", "expired"].iter().all(|word| why.to_lowercase().contains(word));
    down_because(&transport, is_it).await;
    // The client's: it is not let in.
    let (_server, port) = server(&papers, "yes").await;
    config.urls = vec![agora_core::config::SecretUrl::new(format!("rediss://localhost:{port}"))];
    config.tls_cert_file = Some(papers.path("old.pem"));
    config.tls_key_file = Some(papers.path("old.key"));
    let transport = RedisTransport::connect(&config, &cluster(), wait).await.unwrap();
    down_because(&transport, |why| why.to_lowercase().contains("certificate")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_tls_gets_nothing_out_of_a_server_with_it() {
    let papers = Papers::new("bare");
    let (_server, port) = server(&papers, "no").await;
    let wait = std::time::Duration::from_millis(500);
    let transport = RedisTransport::connect(&config([format!("redis://localhost:{port}")]), &cluster(), wait)
        .await
        .unwrap();
    down_because(&transport, |why| why.contains("TLS")).await;
}
