//! `member BACKEND ADDRESS CLUSTER TOPIC GROUP LEASE_MS`: a member of a group in a process of its own, so that a test can
//! find it stopped. It prints `begin SEQ NODE INCARNATION LANE` and the same with `done`; in the middle of its third event it
//! stops itself, as SIGSTOP does. Who lets it go on sees it work until it is killed.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "that is how it tells")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agora_conformance::faults::On;
use agora_core::bus::{Bus, BusConfig};
use agora_core::config::{Kafka, Nats, Redis, SecretUrl};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind, Result};
use agora_kafka::KafkaTransport;
use agora_nats::NatsTransport;
use agora_redis::RedisTransport;
use nix::sys::signal::{Signal, raise};

/// How long connecting waits.
const WAIT: Duration = Duration::from_secs(10);
/// How long it handles one event.
const WORK: Duration = Duration::from_millis(100);
/// In the middle of which event it stops: whoever sent the signal from outside could come too late for that.
const STOPS_AT: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match work().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn work() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [backend, address, cluster, topic, group, lease] = &args[..] else {
        return Err(Error::new(ErrorKind::Config, "six arguments are needed"));
    };
    let (cluster, topic) = (ClusterName::new(cluster)?, TopicName::new(topic)?);
    let lease = lease.parse().map(Duration::from_millis);
    let lease =
        lease.map_err(|cause| Error::new(ErrorKind::Config, "the lease is no number").source(cause))?;
    let transport = connect(backend, address, &cluster).await?;
    let mut config = BusConfig::new(cluster, NodeName::new("stopped")?);
    config.topics.insert(topic.clone(), On::Each.settings());
    let bus = Bus::open(transport, config)?;
    bus.ready(WAIT).await?;
    let mut group = bus.group(topic.as_str(), group).lease(lease).await?;
    let begun = AtomicUsize::new(0);
    group
        .run(1, |attempt| {
            let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                let source = attempt.source();
                let event = format!(
                    "{} {} {} {}",
                    attempt.seq(),
                    source.node.0,
                    source.incarnation.0,
                    attempt.lane()
                );
                println!("begin {event}");
                if number == STOPS_AT {
                    raise(Signal::SIGSTOP)
                        .map_err(|cause| Error::new(ErrorKind::Runtime, "cannot stop").source(cause))?;
                }
                tokio::time::sleep(WORK).await;
                println!("done {event}");
                Ok(())
            }
        })
        .await
}

async fn connect(
    backend: &str,
    address: &str,
    cluster: &ClusterName,
) -> Result<std::sync::Arc<dyn Transport>> {
    if backend == "nats" {
        let mut config = Nats::default();
        config.addresses = vec![address.to_owned()];
        return Ok(std::sync::Arc::new(NatsTransport::connect(&config, cluster, WAIT).await?));
    }
    if backend == "kafka" {
        let mut config = Kafka::default();
        config.brokers = vec![address.to_owned()];
        return Ok(std::sync::Arc::new(KafkaTransport::connect(&config, cluster, WAIT).await?));
    }
    let mut config = Redis::default();
    config.urls = vec![SecretUrl::new(format!("redis://{address}"))];
    Ok(std::sync::Arc::new(RedisTransport::connect(&config, cluster, WAIT).await?))
}
