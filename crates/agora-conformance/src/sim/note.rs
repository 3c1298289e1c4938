//! The event that a run publishes: it says what it is, so that whoever gets it can tell whether it is the right one.

use agora_core::event::{Event, Key};
use serde::{Deserialize, Serialize};

use crate::history::{Life, Topic, Value};

/// See above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    node: u8,
    turn: u8,
    topic: u8,
    n: u64,
    padding: Vec<u8>,
}

/// Its kind.
pub(crate) const KIND: &str = "sim.note";

impl Event for Note {
    const KIND: &'static str = KIND;

    fn key(&self) -> Option<Key<'_>> {
        Some(key_of(self.n).into())
    }
}

impl Note {
    pub(crate) fn new(value: Value, bytes: usize) -> Self {
        let (node, turn, topic, n) = (value.life.node, value.life.turn, value.topic.0, value.n);
        Self { node, turn, topic, n, padding: padding(value, bytes) }
    }

    /// What it is; `None` where its padding is not that of what it says.
    pub(crate) fn value(&self) -> Option<Value> {
        let life = Life { node: self.node, turn: self.turn };
        let value = Value { life, topic: Topic(self.topic), n: self.n };
        (self.padding == padding(value, self.padding.len())).then_some(value)
    }
}

/// The key of the event with this number: events of all publishers share a few.
pub(crate) fn key_of(n: u64) -> u64 {
    n % 5
}

fn padding(value: Value, bytes: usize) -> Vec<u8> {
    let seed = [value.life.node, value.life.turn, value.topic.0, value.n.to_le_bytes()[0]];
    seed.iter().copied().cycle().take(bytes).collect()
}
