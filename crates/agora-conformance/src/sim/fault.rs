//! What can go wrong in a run, as data.

use std::fmt;
use std::time::Duration;

use crate::history::Topic;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A node, by its index.
    Node(u8),
    /// The server, where the space has one.
    Server,
}

/// What a link does to every message that passes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// How many of a thousand are lost.
    pub loss: u16,
    /// How many of a thousand arrive twice.
    pub duplication: u16,
    /// How long they are under way, least and most, in milliseconds.
    pub delay: (u16, u16),
}

/// What is handed out instead of a genuine frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit is another.
    Flip,
    /// The frame says that it is of a version to come, with a checksum that is right.
    Newer,
}

/// What a transport says of frames that it did not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// They were not sent, and a later try may succeed.
    NotStored,
    /// They may have been sent: half of the calls were.
    Unknown,
    /// They were not sent, and trying again is of no use.
    Forbidden,
}

/// Something that begins or ends to go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every link is like this.
    Everywhere(Line),
    /// Nothing passes from here to there.
    Cut(Place, Place),
    /// It does again.
    Heal(Place, Place),
    /// Nothing passes to and from this node.
    Isolate(u8),
    /// It does again.
    Rejoin(u8),
    /// What a node sends and what it is sent waits.
    Pause(u8),
    /// It arrives.
    Resume(u8),
    /// The server stops.
    ServerDown,
    /// It runs again.
    ServerUp,
    /// Of a thousand publishes of a node, so many fail so. 0: none.
    Refuse(u8, u16, Refusal),
    /// The answer to each publish of a node takes so many milliseconds.
    SlowAnswer(u8, u16),
    /// Of a thousand messages that a node receives, so many are damaged so. 0: none.
    Damage(u8, u16, Damage),
    /// So many frames that were sent on the first topic are sent again on the second.
    Replay(Topic, Topic, u16),
    /// A message of other software on a topic.
    Foreign(Topic),
    /// Retention: of a log only so many records are left.
    Trim(Topic, u16),
    /// A failover: the last so many records of a log are gone.
    Rewind(Topic, u16),
    /// Somebody deletes a log and makes it anew.
    Replace(Topic),
    /// Every lease in the groups of a log ends, or every owner loses its lane.
    EndLeases(Topic),
    /// The owners of lanes are asked for them.
    Rebalance(Topic),
    /// So many settlements of a node have their effect, and the answers are lost.
    LoseAnswers(u8, u16),
    /// Nothing runs anywhere for this long: the machine was suspended.
    Stall(Duration),
    /// All of the above ends.
    HealAll,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "n{node}"),
            Self::Server => f.write_str("server"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, duplication, delay: (least, most) } = self;
        write!(f, "loss {loss} and duplication {duplication} of 1000, delay {least}..{most} ms")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(line) => write!(f, "everywhere {line}"),
            Self::Cut(from, to) => write!(f, "cut {from} to {to}"),
            Self::Heal(from, to) => write!(f, "heal {from} to {to}"),
            Self::Isolate(node) => write!(f, "isolate n{node}"),
            Self::Rejoin(node) => write!(f, "rejoin n{node}"),
            Self::Pause(node) => write!(f, "pause n{node}"),
            Self::Resume(node) => write!(f, "resume n{node}"),
            Self::ServerDown => f.write_str("server down"),
            Self::ServerUp => f.write_str("server up"),
            Self::Refuse(node, permille, how) => write!(f, "refuse n{node} {permille} of 1000: {how:?}"),
            Self::SlowAnswer(node, ms) => write!(f, "answer n{node} after {ms} ms"),
            Self::Damage(node, permille, how) => write!(f, "damage at n{node} {permille} of 1000: {how:?}"),
            Self::Replay(from, onto, count) => write!(f, "replay {count} of {from} onto {onto}"),
            Self::Foreign(topic) => write!(f, "foreign message on {topic}"),
            Self::Trim(topic, keep) => write!(f, "trim {topic} to {keep}"),
            Self::Rewind(topic, lost) => write!(f, "rewind {topic} by {lost}"),
            Self::Replace(topic) => write!(f, "replace {topic}"),
            Self::EndLeases(topic) => write!(f, "end leases of {topic}"),
            Self::Rebalance(topic) => write!(f, "rebalance {topic}"),
            Self::LoseAnswers(node, times) => write!(f, "lose {times} answers to n{node}"),
            Self::Stall(length) => write!(f, "stall {length:?}"),
            Self::HealAll => f.write_str("heal all"),
        }
    }
}
