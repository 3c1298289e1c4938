//! `agora-core` and one backend crate, without the facade: what `agora::Bus::connect("zenoh:")` does, by hand.
//!
//! `cargo run -p agora --features zenoh --example direct_backend`
//!
//! In a program of your own the dependencies are `agora-core` and `agora-zenoh`, and no feature is needed.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use agora_core::bus::{Bus, BusConfig};
use agora_core::id::{ClusterName, NodeName};
use agora_zenoh::{Multicast, Settings, ZenohConfig, ZenohTransport};

/// Joins a cluster, and leaves it. Returns what it is called there.
pub(crate) async fn run() -> agora_core::Result<String> {
    let cluster = ClusterName::new("direct-example")?;
    // Nobody from outside of this machine takes part.
    let zenoh = ZenohConfig::new(Settings {
        multicast: Multicast::Off,
        listen: vec!["127.0.0.1:0".to_owned()],
        ..Settings::default()
    })?;

    let transport = ZenohTransport::connect(&zenoh, &cluster, Duration::from_secs(5)).await?;
    let bus = Bus::open(transport, BusConfig::new(cluster, NodeName::new("direct-1")?))?;
    bus.ready(Duration::from_secs(5)).await?;
    let said = format!("{} over {}", bus.config().node, bus.capabilities().backend);
    bus.close(Duration::from_secs(1)).await?;
    Ok(said)
}

#[tokio::main]
async fn main() -> agora_core::Result<()> {
    println!("{}", run().await?);
    Ok(())
}
