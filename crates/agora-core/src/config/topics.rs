//! What a topic is to be.

use std::time::Duration;

use super::key::Key;
use super::problem::Problem;
use super::takes::Takes;
use super::value::Value;
use crate::transport::{Framing, TopicKind, TopicSettings, Wire};

/// Milliseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// The settings of one topic. `None`: nobody set it, and the backend's default holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicConfig {
    /// Live, or kept as a log.
    pub kind: Option<TopicKind>,
    /// How events become messages.
    pub framing: Option<Framing>,
    /// How long a log keeps what was published.
    pub retention: Option<Duration>,
    /// On how many servers a log is kept.
    pub replicas: Option<u64>,
    /// How many lanes it has; a lane is the unit of order.
    pub lanes: Option<u64>,
    /// What its messages hold.
    pub wire: Option<Wire>,
}

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "kind",
        Takes::OneOf(&["live", "log"]),
        "a log on Kafka, else live",
        "Whether what is published is for those who listen now, or kept and read again.",
    ),
    Key::new(
        "framing",
        Takes::OneOf(&["batch", "each"]),
        "\"batch\", but \"each\" for a log on Kafka",
        "Many events a message, or one event a message with the backend's own key.",
    ),
    Key::new(
        "retention",
        Takes::time(1000, 3650 * DAY),
        "the backend's",
        "How long a log keeps what was published.",
    ),
    Key::new(
        "replicas",
        Takes::Number { least: 1, most: 32 },
        "the backend's",
        "On how many servers a log is kept.",
    ),
    Key::new(
        "lanes",
        Takes::Number { least: 1, most: 1024 },
        "1, on Kafka the topic's partitions",
        "How many lanes it has; a lane is the unit of order.",
    ),
    Key::new(
        "wire",
        Takes::OneOf(&["frame", "plain"]),
        "\"frame\"",
        "What its messages hold: frames of agora, or the plain values, for software that knows nothing of agora.",
    ),
];

impl TopicConfig {
    /// What the topic is, where one of which nothing is said is `usual`.
    pub fn settings(&self, usual: TopicSettings) -> TopicSettings {
        let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let mut settings = usual.of_kind(self.kind.unwrap_or(usual.kind));
        settings.framing = self.framing.unwrap_or(settings.framing);
        settings.retention = self.retention;
        settings.replicas = small(self.replicas);
        settings.lanes = small(self.lanes);
        settings.wire(self.wire.unwrap_or_default())
    }

    pub(super) fn set(&mut self, name: &str, value: Value) -> bool {
        match (name, value) {
            ("kind", Value::Text(kind)) => {
                self.kind = Some(if kind == "log" { TopicKind::Log } else { TopicKind::Live });
            }
            ("framing", Value::Text(framing)) => {
                self.framing = Some(if framing == "each" { Framing::Each } else { Framing::Batch });
            }
            ("retention", Value::Time(time)) => self.retention = Some(time),
            ("replicas", Value::Number(number)) => self.replicas = Some(number),
            ("lanes", Value::Number(number)) => self.lanes = Some(number),
            ("wire", Value::Text(wire)) => {
                self.wire = Some(if wire == "plain" { Wire::Plain } else { Wire::Frame });
            }
            _ => return false,
        }
        true
    }

    /// `topic` is the name of its table.
    pub(super) fn check(&self, topic: &str) -> Result<(), Problem> {
        let kind = format!("{topic}.kind");
        let help = "set `kind` to \"log\", or leave the other out";
        if self.kind == Some(TopicKind::Live) {
            if self.retention.is_some() {
                let key = format!("{topic}.retention");
                return Err(Problem::relation(
                    [&key, &kind],
                    "is set, and the topic is live: it keeps nothing",
                    help,
                ));
            }
            if self.replicas.is_some() {
                let key = format!("{topic}.replicas");
                return Err(Problem::relation(
                    [&key, &kind],
                    "is set, and the topic is live: it keeps nothing",
                    help,
                ));
            }
        }
        if self.wire == Some(Wire::Plain) && self.framing == Some(Framing::Batch) {
            return Err(Problem::relation(
                [&format!("{topic}.wire"), &format!("{topic}.framing")],
                "is \"plain\", and several plain values do not fit into one message",
                "set `framing` to \"each\", or leave it out",
            ));
        }
        Ok(())
    }
}
