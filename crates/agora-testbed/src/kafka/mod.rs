//! Apache Kafka, without ZooKeeper: every node is a broker and a controller in one process of Java.
//!
//! A broker answers about 2 s after its start and takes 160 MB: see `ready` for what makes it so quick, and
//! `settings` for how tests want it to be.

mod ask;
mod broker;
mod cluster;
pub(crate) mod install;
mod papers;
mod ready;
mod settings;
mod setup;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::{Doing, Result};
use crate::find::Found;
use crate::process::Hello;
use ready::Ready;
use settings::Node;

pub use ask::{KafkaPartition, KafkaTopic};
pub use broker::KafkaBroker;
pub use cluster::KafkaCluster;
pub use install::{KAFKA_HOME, KafkaVersion};
pub use papers::KafkaPapers;
pub use setup::KafkaSetup;

/// Who is known to every broker that is asked for a password.
pub const USER: &str = "agora";
/// The password of [`USER`].
pub const PASSWORD: &str = "agora-secret";

/// A request for Metadata, version 1, of no topic. Its answer names the brokers that serve: with none yet, the broker
/// listens but is not there.
pub(crate) const HELLO: Hello = Hello {
    say: b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x07\xff\xff\0\0\0\0",
    hear: |answer| answer.get(4..8) == Some(b"\0\0\0\x07") && answer.get(8..12).is_some_and(|n| n != [0; 4]),
};

/// Where a node stores, beneath its data or on a file system of its own.
const LOG: &str = "log";

/// Options of Java for every program of Kafka: small, and quick to start.
pub(crate) const JAVA: [&str; 10] = [
    "-Xmx400m",
    "-XX:+UseSerialGC",
    // Compiling well takes a second of two processors at the start, and pays off only later.
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    // Warnings about classes that cannot be kept.
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    // Hundreds of lines that say what every setting is.
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",
];

/// Formats a node's data where there are none, writes its configuration beside them, and gives what starts it.
fn arguments(
    found: &Found,
    data: &Path,
    node: &Node,
    for_speed: bool,
    more: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let ready = Ready::of(found)?;
    ready.format(node.id, &data.join(LOG))?;
    let file = data.join("server.properties");
    std::fs::write(&file, settings::properties(node, data, more)).doing("write a configuration")?;
    let java = JAVA.iter().filter(|option| !(for_speed && option.starts_with("-XX:Tiered")));
    let classes = format!("-XX:SharedArchiveFile={}", ready.classes().display());
    let words = java.map(|option| (*option).to_owned());
    Ok(words.chain([classes, ready::SERVER.to_owned(), file.display().to_string()]).collect())
}

/// A broker for people, on this port: what `cargo xtask services` starts. Topics are made by being named, as clients of
/// Kafka expect.
pub(crate) fn service(found: &Found, data: &Path, port: u16) -> Result<Vec<String>> {
    let node = Node::new(0, port, vec![crate::ports::free_port()?]);
    let more = BTreeMap::from([("auto.create.topics.enable".to_owned(), "true".to_owned())]);
    arguments(found, data, &node, false, &more)
}
