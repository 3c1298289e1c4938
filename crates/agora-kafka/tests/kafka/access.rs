//! Brokers that ask who one is, and that encrypt.

use std::path::PathBuf;
use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::config::{Kafka, Sasl, Secret};
use agora_core::transport::Link;
use agora_kafka::plan::Plan;
use agora_kafka::wire::{Address, Connection, dial};
use agora_testbed::kafka::{PASSWORD, USER};
use agora_testbed::{KafkaBroker, KafkaSetup};
use kafka_protocol::messages::MetadataRequest;
use tokio::time::Instant;

use crate::support::{by, config, connect, link, refused, soon, try_connect};

/// A client of a broker that encrypts, with the right name and password.
fn over_tls(broker: &KafkaBroker, sasl: Sasl) -> Kafka {
    let mut config = config(broker.tls_address());
    config.tls = true;
    config.tls_ca_file = Some(broker.papers().ca());
    config.sasl = Some(sasl);
    config.user = Some(USER.into());
    config.password = Some(Secret::new(PASSWORD));
    config
}

/// Connects, and waits until the link is down for this reason: a young broker takes longer for its first handshake than
/// connecting waits. Why it is down.
async fn down_because(config: &Kafka, text: &str) -> String {
    let brokers = try_connect(config).await.unwrap();
    let down =
        link(&brokers, text, |link| matches!(link, Link::Down { why, .. } if why.contains(text))).await;
    brokers.end();
    let Link::Down { why, .. } = down else { panic!("{down:?}") };
    why
}

const ALL: [Sasl; 3] = [Sasl::Plain, Sasl::ScramSha256, Sasl::ScramSha512];

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_prove_who_one_is_works_over_tls() {
    let broker = KafkaBroker::secured().await.unwrap();
    for sasl in ALL {
        connect(&over_tls(&broker, sasl)).await.end();
    }
    let mut unencrypted = over_tls(&broker, Sasl::ScramSha512);
    (unencrypted.tls, unencrypted.tls_ca_file) = (false, None);
    unencrypted.brokers = vec![broker.sasl_address()];
    // Without `sasl` it is SCRAM with SHA-512.
    unencrypted.sasl = None;
    connect(&unencrypted).await.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_at_once_and_never_shown() {
    let broker = KafkaBroker::secured().await.unwrap();
    for sasl in ALL {
        let mut config = over_tls(&broker, sasl);
        config.password = Some(Secret::new("hunter2"));
        let error = refused(&config).await;
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
        let text = format!("{error:#} {error:?}");
        assert!(text.contains("kafka.password_file") && !text.contains("hunter2"), "{text}");
        assert!(text.contains(&broker.tls_address()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_together_is_told_in_its_own_words() {
    let broker = KafkaBroker::secured().await.unwrap();
    let good = || over_tls(&broker, Sasl::ScramSha512);
    let with = |change: &dyn Fn(&mut Kafka)| {
        let mut config = good();
        change(&mut config);
        config
    };
    let cases = [
        (
            "an authority that signed nothing here",
            with(&|config| config.tls_ca_file = Some(broker.papers().other_ca())),
            ErrorKind::Config,
            "the broker's certificate is not accepted",
        ),
        (
            "TLS where there is none",
            with(&|config| config.brokers = vec![broker.sasl_address()]),
            ErrorKind::Unreachable,
            "TLS handshake",
        ),
        (
            "credentials where nobody asks for them",
            with(&|config| {
                (config.tls, config.tls_ca_file) = (false, None);
                config.brokers = vec![broker.address()];
            }),
            ErrorKind::Config,
            "the broker wants no credentials on this port",
        ),
    ];
    for (what, config, kind, text) in cases {
        let (error, link) = if kind == ErrorKind::Unreachable {
            (kind, down_because(&config, text).await)
        } else {
            let error = refused(&config).await;
            (error.kind(), format!("{error:#}"))
        };
        assert_eq!(error, kind, "{what}: {link}");
        assert!(link.contains(text), "{what}: {link}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_or_credentials_it_is_said_what_the_broker_wants() {
    let broker = KafkaBroker::secured().await.unwrap();
    let error = refused(&config(broker.tls_address())).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(format!("{error:#}").contains("set `kafka.tls` to true"), "{error:#}");
    // A stranger may ask for versions, and is shut out when he asks more. It may also have been a broker that stops.
    down_because(&config(broker.sasl_address()), "it may want credentials").await;
}

/// A broker that takes nobody without a certificate.
async fn asking() -> KafkaBroker {
    let asks = ("listener.name.sasl_ssl.ssl.client.auth", "required");
    KafkaSetup::new().secured().with(&[asks]).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_may_ask_for_a_certificate() {
    let broker = asking().await;
    let mut config = over_tls(&broker, Sasl::ScramSha256);
    let error = refused(&config).await;
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert!(format!("{error:#}").contains("kafka.tls_cert_file"), "{error:#}");
    config.tls_cert_file = Some(broker.papers().client_certificate());
    config.tls_key_file = Some(broker.papers().client_key());
    connect(&config).await.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_have_expired_are_named_as_such() {
    // The broker's: it is not talked to.
    let broker = KafkaSetup::new().secured().expired().start().await.unwrap();
    let error = refused(&over_tls(&broker, Sasl::ScramSha256)).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(format!("{error:#}").contains("expired"), "{error:#}");
    // The client's: it is not let in.
    let broker = asking().await;
    let mut config = over_tls(&broker, Sasl::ScramSha256);
    config.tls_cert_file = Some(broker.papers().expired_certificate());
    config.tls_key_file = Some(broker.papers().expired_key());
    let error = refused(&config).await;
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert!(format!("{error:#}").contains("certificate"), "{error:#}");
}

fn question() -> MetadataRequest {
    MetadataRequest::default().with_topics(Some(Vec::new()))
}

async fn dialled(config: &Kafka) -> agora_core::Result<Connection> {
    let (host, port) = config.brokers[0].split_once(':').unwrap();
    let address = Address { host: host.into(), port: port.parse().unwrap() };
    dial(&Plan::new(config)?, &address, by()).await
}

/// How long the proof of who one is holds, in these tests. Within the first second a broker takes no second one.
const LIFETIME: Duration = Duration::from_secs(8);

async fn forgetful() -> KafkaBroker {
    let lifetime = LIFETIME.as_millis().to_string();
    KafkaSetup::new().secured().with(&[("connections.max.reauth.ms", &lifetime)]).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_one_is_is_proven_anew_before_the_broker_forgets_it() {
    let broker = forgetful().await;
    let connection = dialled(&over_tls(&broker, Sasl::ScramSha512)).await.unwrap();
    let began = Instant::now();
    // Past its time the broker closes the connection of whoever asks something.
    while began.elapsed() < LIFETIME * 2 {
        connection.call(&question(), by()).await.unwrap();
    }
    assert!(!connection.is_over());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_not_right_any_more_ends_the_connection() {
    let broker = forgetful().await;
    let file: PathBuf = std::env::temp_dir().join(format!("agora-kafka-password-{:x}", fastrand::u64(..)));
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let mut config = over_tls(&broker, Sasl::ScramSha512);
    (config.password, config.password_file) = (None, Some(file.clone()));
    let connection = dialled(&config).await.unwrap();
    std::fs::write(&file, "changed\n").unwrap();
    let why = soon("the connection ends", connection.over()).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(why.kind(), ErrorKind::Unauthorized, "{why}");
    assert!(connection.is_over());
}
