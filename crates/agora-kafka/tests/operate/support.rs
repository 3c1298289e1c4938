//! What the tests have in common.

use std::sync::Arc;
use std::time::Duration;

use agora_core::config::Kafka;
use agora_core::id::{ClusterName, TopicName};
use agora_kafka::brokers::Brokers;
use agora_kafka::names::DEFAULT_CLUSTER;
use agora_kafka::plan::Plan;
use agora_testbed::clients::{Client, kafka};

/// Long enough for everything that must happen, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Connects to the brokers at these addresses, parted by commas.
pub(crate) async fn connect(addresses: &str) -> Arc<Brokers> {
    let mut config = Kafka::default();
    config.brokers = addresses.split(',').map(str::to_owned).collect();
    Brokers::connect(Plan::new(&config).unwrap(), PATIENCE).await.unwrap()
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::new(DEFAULT_CLUSTER).unwrap()
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

/// What `kafka-consumer-groups` says, each line in its words.
pub(crate) async fn groups_tool(address: &str, args: &[&str]) -> Vec<Vec<String>> {
    let command = kafka::java_groups(address, args).unwrap();
    let said = Client::run(command, "", PATIENCE).await.unwrap();
    said.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}
