//! What a topic is.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::id::TopicName;

/// What to do instead, where a backend has topics of one lane.
pub const ONE_LANE: &str = "set `lanes` to 1, or leave it out; Kafka has more";

/// For backends whose topics have one lane: refuses every other one.
///
/// # Errors
/// `Config`.
pub fn check_only_lane(lane: u32) -> Result<()> {
    match lane {
        0 => Ok(()),
        _ => Err(Error::new(ErrorKind::Config, "no such lane: topics of this backend have one")
            .context("lane", lane)),
    }
}

/// How a topic keeps what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicKind {
    /// For those who listen now.
    Live,
    /// Kept, and can be read again.
    Log,
}

/// How events become messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// Many events a message.
    #[default]
    Batch,
    /// One event a message, with the backend's own key.
    Each,
}

/// What the messages of a topic hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wire {
    /// Frames of agora.
    #[default]
    Frame,
    /// The plain bodies, for software that knows nothing of agora.
    Plain,
}

/// What a topic is to be. Every node must be told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSettings {
    /// How it keeps what is published.
    pub kind: TopicKind,
    /// How events become messages.
    pub framing: Framing,
    /// What its messages hold.
    pub wire: Wire,
    /// How long a log keeps what was published; `None`: as the backend does by itself.
    pub retention: Option<Duration>,
    /// On how many servers a log is kept; `None`: as the backend does by itself.
    pub replicas: Option<u32>,
    /// How many lanes a log has when it is made; `None`: as the backend does by itself. One that is there keeps its own.
    pub lanes: Option<u32>,
}

/// The form of settings in heartbeats that this version knows.
const KNOWN: u64 = 1;

impl TopicSettings {
    /// A live topic of the usual kind.
    pub const LIVE: Self = Self {
        kind: TopicKind::Live,
        framing: Framing::Batch,
        wire: Wire::Frame,
        retention: None,
        replicas: None,
        lanes: None,
    };
    /// A log of the usual kind.
    pub const LOG: Self = Self { kind: TopicKind::Log, ..Self::LIVE };

    /// Does a source say where it stands, and repeat what did not arrive? On live topics, where messages are frames.
    pub fn is_repaired(&self) -> bool {
        self.kind == TopicKind::Live && self.wire == Wire::Frame
    }

    /// What all nodes must agree on, as a heartbeat states it.
    pub(crate) fn to_bits(self) -> u64 {
        let log = u64::from(self.kind == TopicKind::Log);
        let each = u64::from(self.framing == Framing::Each);
        let plain = u64::from(self.wire == Wire::Plain);
        KNOWN | log << 1 | each << 2 | plain << 3
    }

    /// What a heartbeat states, in words; `None` where that needs a newer version to be read.
    pub fn of_heartbeat(settings: u64) -> Option<Self> {
        let bit = |n: u32| settings >> n & 1 == 1;
        if settings & !0b1110 != KNOWN {
            return None;
        }
        Some(Self {
            kind: if bit(1) { TopicKind::Log } else { TopicKind::Live },
            framing: if bit(2) { Framing::Each } else { Framing::Batch },
            wire: if bit(3) { Wire::Plain } else { Wire::Frame },
            ..Self::LIVE
        })
    }

    /// What all nodes must agree on, in words: `log, framing each, wire frame`.
    pub fn agreed(&self) -> String {
        let kind = if self.kind == TopicKind::Log { "log" } else { "live" };
        let framing = if self.framing == Framing::Each { "each" } else { "batch" };
        let wire = if self.wire == Wire::Plain { "plain" } else { "frame" };
        format!("{kind}, framing {framing}, wire {wire}")
    }

    /// What a topic of this kind is, where one of which nothing is said is as these settings say: the same, or, where it
    /// is of the other kind, as that usually is.
    pub fn of_kind(self, kind: TopicKind) -> Self {
        if self.kind == kind { self } else { Self { kind, ..Self::LIVE } }
    }

    /// The same with this framing.
    pub fn framing(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// The same with this wire. Plain values come one to a message.
    pub fn wire(self, wire: Wire) -> Self {
        let framing = if wire == Wire::Plain { Framing::Each } else { self.framing };
        Self { wire, framing, ..self }
    }
}

/// What the engine wants a topic to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: TopicName,
    /// What it is.
    pub settings: TopicSettings,
}

impl TopicSpec {
    /// A live topic of the usual kind.
    pub fn live(name: TopicName) -> Self {
        Self { name, settings: TopicSettings::LIVE }
    }

    /// A log of the usual kind.
    pub fn log(name: TopicName) -> Self {
        Self { name, settings: TopicSettings::LOG }
    }

    /// How it keeps what is published.
    pub fn kind(&self) -> TopicKind {
        self.settings.kind
    }
}

/// What a topic is, as the backend has it.
#[derive(Clone, Debug)]
pub struct TopicInfo {
    lanes: watch::Receiver<u32>,
}

impl TopicInfo {
    /// A topic of one lane for ever: every live topic, and every log of a backend whose logs have no more.
    pub fn one_lane() -> Self {
        Self { lanes: watch::channel(1).1 }
    }

    /// A log of so many lanes, at least 1. The number only grows: a log that has fewer than before is another log, and
    /// its readers are told [`FromLog::Interrupted`](super::FromLog::Interrupted). What the sender is dropped with is for
    /// ever.
    pub fn of_lanes(lanes: watch::Receiver<u32>) -> Self {
        Self { lanes }
    }

    /// How many lanes there are now. A lane is the unit of order; they are counted from 0.
    pub fn lanes(&self) -> u32 {
        *self.lanes.borrow()
    }

    /// Can there be more lanes one day?
    pub fn may_grow(&self) -> bool {
        self.lanes.has_changed().is_ok()
    }

    /// Waits until there are more than `known` lanes, and says how many there are. Of what cannot grow, for ever.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn more_than(&mut self, known: u32) -> u32 {
        let lanes = self.lanes.wait_for(|lanes| *lanes > known).await.map(|lanes| *lanes);
        match lanes {
            Ok(lanes) => lanes,
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lanes_that_come_later_are_waited_for_and_of_one_lane_there_are_never_more() {
        let (more, lanes) = watch::channel(2);
        let mut info = TopicInfo::of_lanes(lanes);
        assert_eq!(info.more_than(1).await, 2, "there are more already");
        let grown = tokio::spawn(async move { info.more_than(2).await });
        more.send_replace(5);
        assert_eq!(grown.await.unwrap(), 5);
        let mut one = TopicInfo::one_lane();
        assert_eq!((one.lanes(), one.may_grow()), (1, false));
        let never = tokio::time::timeout(Duration::ZERO, one.more_than(1)).await;
        assert!(never.is_err());
    }

    #[test]
    fn what_a_heartbeat_states_is_what_it_was_made_of() {
        for kind in [TopicSettings::LIVE, TopicSettings::LOG] {
            for framing in [Framing::Batch, Framing::Each] {
                for wire in [Wire::Frame, Wire::Plain] {
                    let settings = kind.framing(framing).wire(wire);
                    assert_eq!(TopicSettings::of_heartbeat(settings.to_bits()), Some(settings));
                }
            }
        }
        assert_eq!(TopicSettings::LIVE.to_bits(), 1);
        assert_eq!(TopicSettings::of_heartbeat(0), None);
        assert_eq!(TopicSettings::of_heartbeat(1 | 1 << 9), None);
    }
}
