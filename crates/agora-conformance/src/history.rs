//! What happened in a run: every operation as it was begun and as it ended, every delivery, every gap, every change
//! among the members, every fault, and what passed between the nodes, each with its virtual time.
//!
//! A history is the only thing that the [judge](crate::judge) sees, and all of it is text: two runs of one seed are
//! equal when their texts are equal to the byte.

use std::fmt;
use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::live::Reason;

use crate::sim::Fault;
pub use groups::{GroupWhat, How};
pub use logs::{Durable, From, LogWhat, Place, Stands};

/// One life of a node: its index, and how often it was started, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// The node, from 0.
    pub node: u8,
    /// Its start, from 1.
    pub turn: u8,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.node, self.turn)
    }
}

/// A topic, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic(pub u8);

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// A subscription, by its number in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sub(pub u32);

impl fmt::Display for Sub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// An event as the run counts it: its publisher, its topic, and its number among what was published there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// Who published it.
    pub life: Life,
    /// Where.
    pub topic: Topic,
    /// The how manieth call of this life on this topic it was.
    pub n: u64,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.life, self.topic, self.n)
    }
}

/// How a subscription reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Prompt,
    /// With a pause after each delivery.
    Slow(Duration),
}

/// What the failure detector of one node told about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// See [`agora_core::membership::MemberEvent`], here and below.
    Joined,
    /// It is silent.
    Suspected,
    /// It was suspected wrongly.
    Recovered,
    /// It is held dead.
    Failed,
    /// It said goodbye.
    Left,
    /// It was held dead wrongly, or it is a new life of one that was.
    Returned,
    /// Its heartbeat says something new.
    Changed,
    /// Two live processes have its name.
    Conflict,
    /// Most of the others are silent.
    Isolated,
    /// They are heard again.
    Reunited,
    /// The reader of the changes was too slow.
    Missed,
}

/// A frame on its way, as far as the judge needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Events: of whom, where, from which sequence up to which, the oldest one that is held, and the checksum of
    /// the whole frame.
    Data {
        /// Whose.
        of: Life,
        /// Where.
        topic: Topic,
        /// The first sequence.
        seq: u64,
        /// The one after the last.
        end: u64,
        /// The oldest that its source holds.
        floor: u64,
        /// The checksum of all its bytes.
        crc: u32,
    },
    /// Where a source stands.
    Head {
        /// Whose.
        of: Life,
        /// Where.
        topic: Topic,
        /// Its next sequence.
        next: u64,
        /// The oldest that it holds.
        floor: u64,
        /// It forms nothing more.
        fin: bool,
        /// The hellos that it answers.
        nonces: Vec<u64>,
    },
    /// A call to all sources of a topic to say where they stand.
    Hello {
        /// Who asks.
        by: Life,
        /// Where.
        topic: Topic,
        /// What the answer carries.
        nonce: u64,
    },
    /// A request to repeat what is missing.
    Ask {
        /// Who asks.
        by: Life,
        /// Whom.
        of: Life,
        /// Where.
        topic: Topic,
        /// What.
        ranges: Vec<(u64, u64)>,
    },
    /// A heartbeat that says something new: the topics on which its sender publishes.
    Heartbeat {
        /// Whose.
        of: Life,
        /// Where it publishes.
        topics: Vec<Topic>,
    },
    /// A goodbye, with the end of each stream.
    Leave {
        /// Whose.
        of: Life,
        /// Topic, next sequence, the oldest that it holds.
        ends: Vec<(Topic, u64, u64)>,
    },
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A node was started.
    Start(Life),
    /// A node was stopped without a word.
    Crash(Life),
    /// A node begins to leave.
    Leaving(Life),
    /// It has left, or could not in time.
    Gone(Life, Result<(), ErrorKind>),
    /// The network, a node or the server misbehaves from now on, or stops doing so.
    Fault(Fault),
    /// The activity ends: what follows is the drain.
    Healed,
    /// What follows must reach everyone.
    Probing,
    /// An event is handed to a publisher. `waits`: with `publish`, else with `try_publish`.
    Publish {
        /// Which.
        value: Value,
        /// See above.
        waits: bool,
    },
    /// What became of it: its sequence where it was accepted. `None`: queued by `try_publish`, of which no more is
    /// known.
    Published(Value, Result<Option<u64>, ErrorKind>),
    /// A flush has ended, and so many of the publishes begun before it have no outcome.
    Flushed(Life, Result<(), ErrorKind>, usize),
    /// A subscription is asked for.
    Subscribe {
        /// Its number.
        sub: Sub,
        /// Whose.
        life: Life,
        /// To what.
        topics: Vec<Topic>,
        /// With the node's own events.
        own: bool,
        /// How it reads.
        pace: Pace,
    },
    /// It is established, or was refused.
    Established(Sub, Result<(), ErrorKind>),
    /// It is dropped.
    Unsubscribe(Sub),
    /// It has ended by itself: regularly, or with an error.
    Ended(Sub, Option<ErrorKind>),
    /// It was handed an event.
    Event {
        /// To whom.
        sub: Sub,
        /// Whose. `None`: of nobody in this run.
        of: Option<Life>,
        /// Where.
        topic: Topic,
        /// Its sequence.
        seq: u64,
        /// What it says it is. `None`: its content is not what this value has.
        value: Option<Value>,
    },
    /// It was handed a gap.
    Gap {
        /// To whom.
        sub: Sub,
        /// Whose events are missing.
        of: Option<Life>,
        /// Where.
        topic: Topic,
        /// From which sequence.
        from: Option<u64>,
        /// Up to which.
        to: Option<u64>,
        /// Why.
        reason: Reason,
    },
    /// It was handed a message of other software, or told that some are missing.
    Foreign(Sub),
    /// The failure detector of a node says something about another life. `silent`: how long ago a heartbeat of that
    /// life last reached this node.
    Member {
        /// Whose detector.
        by: Life,
        /// What it says.
        change: Change,
        /// Of whom, where it is about one.
        of: Option<Life>,
        /// See above.
        silent: Option<Duration>,
    },
    /// Whom a node holds alive, at the end of the run.
    View(Life, Vec<Life>),
    /// Its transport was handed frames: the number of the call, where it sends, what.
    Send {
        /// Who sends.
        by: Life,
        /// The number of the call.
        call: u64,
        /// What.
        wires: Vec<Wire>,
        /// The events in those of the frames that are sent for the first time, in order of their sequences.
        formed: Vec<(u64, Option<Value>)>,
    },
    /// What the transport said of a call: how many frames it accepted, and, where not all, whether it is certain that
    /// the others were not sent, and whether trying again can help.
    Sent {
        /// Who sent.
        by: Life,
        /// The number of the call.
        call: u64,
        /// How many frames were accepted.
        accepted: usize,
        /// `None`: all were.
        failed: Option<ErrorKind>,
    },
    /// A frame was handed to a node.
    Got(Life, Wire),
    /// A frame was made unreadable before it was handed to a node. `newer`: it says that it is of a version to come.
    Spoiled {
        /// Who got it.
        by: Life,
        /// What it was.
        wire: Wire,
        /// See above.
        newer: bool,
    },
    /// The transport of a node told it that it dropped messages, and on which topic; `None`: those about the members.
    Overrun(Life, Option<Topic>),
    /// The transport of a node told it that its subscription was interrupted.
    Interrupted(Life),
    /// Something happened to a log.
    Log(LogWhat),
    /// Something happened in a group.
    Group(GroupWhat),
    /// What was done to a real server or network, or seen of one, in words: the judge does not read it.
    Remark(String),
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Since the beginning of the run.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened in a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In the order in which it happened.
    pub entries: Vec<Entry>,
}

impl History {
    /// One line for each entry.
    pub fn to_text(&self) -> String {
        use std::fmt::Write;
        let mut text = String::with_capacity(self.entries.len() * 64);
        for entry in &self.entries {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{entry}");
        }
        text
    }
}

mod groups;
mod logs;
mod text;
