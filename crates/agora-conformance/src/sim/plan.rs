//! What a seed decides: the cluster, what it does, and what goes wrong.
//!
//! A plan is plain data, drawn before the run begins, so that what happens in a run cannot change what is drawn.

use std::fmt;
use std::time::Duration;

use super::draw;
use super::fault::Fault;
use crate::history::{Durable, From, Pace, Topic};

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing goes wrong: then nothing is missing, either.
    Calm,
    /// Messages are lost, doubled, delayed and reordered.
    Lossy,
    /// Links are cut, one way and both ways, and heal.
    Cuts,
    /// Nodes crash and come back under a new incarnation.
    Crashes,
    /// Nodes leave and come back, with loss.
    Churn,
    /// The server stops and runs again; without one, nodes are cut off from all others.
    Outages,
    /// Little memory, large events, slow readers.
    Overload,
    /// The transport refuses to publish, or does not know whether it did.
    Refusals,
    /// Damaged frames, old frames, frames of other topics, other software.
    Hostile,
    /// The traffic of nodes is held up, and the whole machine is suspended.
    Pauses,
    /// All of the above.
    Mixed,
    /// A little of it, over a quarter of an hour: long enough for frames, tombstones and members to be forgotten.
    Long,
    /// Many nodes that come, go and crash, with little to say.
    Crowd,
    /// Logs: crashes, names that are taken over, retention, failovers, logs that are made anew.
    Logs,
    /// A group: handlers that fail, hang and drop, members that crash, come and leave, leases that end, lost answers.
    Groups,
}

/// The profile of a seed: in every twenty-four seeds each profile comes at least once.
const PROFILES: [Profile; 24] = [
    Profile::Calm,
    Profile::Lossy,
    Profile::Cuts,
    Profile::Crashes,
    Profile::Churn,
    Profile::Outages,
    Profile::Overload,
    Profile::Refusals,
    Profile::Hostile,
    Profile::Pauses,
    Profile::Mixed,
    Profile::Long,
    Profile::Lossy,
    Profile::Cuts,
    Profile::Crashes,
    Profile::Churn,
    Profile::Mixed,
    Profile::Overload,
    Profile::Mixed,
    Profile::Crowd,
    Profile::Logs,
    Profile::Groups,
    Profile::Logs,
    Profile::Groups,
];

impl Profile {
    /// The profile of a seed.
    pub fn of(seed: u64) -> Self {
        PROFILES[usize::try_from(seed % PROFILES.len() as u64).unwrap_or(0)]
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Starts a node.
    Start(u8),
    /// Stops a node without a word.
    Crash(u8),
    /// Lets a node leave in an orderly way.
    Leave(u8),
    /// Lets a node publish so many events on a topic at once, each with so many bytes of padding. `waits`: with
    /// `publish`, else with `try_publish`.
    Publish {
        /// Which node.
        node: u8,
        /// Where.
        topic: Topic,
        /// How many.
        count: u16,
        /// How large.
        bytes: u32,
        /// See above.
        waits: bool,
    },
    /// Lets a node wait until all that it published has an outcome.
    Flush(u8),
    /// Subscribes a node.
    Subscribe {
        /// Which node.
        node: u8,
        /// To what.
        topics: Vec<Topic>,
        /// With its own events.
        own: bool,
        /// How it reads.
        pace: Pace,
    },
    /// Lets a node read a log.
    Read {
        /// Which node.
        node: u8,
        /// What.
        topic: Topic,
        /// Where it begins.
        from: From,
        /// Under which name its place is kept.
        durable: Option<Durable>,
        /// It saves its place itself after so many deliveries; 0: never.
        saves: u8,
        /// How it reads.
        pace: Pace,
    },
    /// A node becomes a member of the group of the log.
    Join(u8),
    /// And no longer is one.
    Quit(u8),
    /// Drops the oldest subscription of a node.
    Unsubscribe(u8),
    /// Something goes wrong, or no longer does.
    Fault(Fault),
}

/// How a group shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The lane belongs to one member; else each record goes to one for a time.
    pub lanes: bool,
    /// The log holds one event a message.
    pub each: bool,
}

/// What a seed decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What it is about.
    pub profile: Profile,
    /// How many nodes there are.
    pub nodes: u8,
    /// How many live topics there are.
    pub topics: u8,
    /// How many logs there are. Their numbers follow those of the live topics.
    pub logs: u8,
    /// How the group of the first log shares, where there is one.
    pub group: Option<Sharing>,
    /// Is there a server in the middle?
    pub server: bool,
    /// Does the network hint that a node is gone?
    pub hints: bool,
    /// The memory of each node, in bytes.
    pub memory_bytes: usize,
    /// How many messages the transport holds for a reader.
    pub inbox_messages_max: usize,
    /// How long a publish may take.
    pub publish_timeout: Duration,
    /// What happens when, by time.
    pub acts: Vec<(Duration, Act)>,
    /// When everything heals.
    pub heal_at: Duration,
    /// When every node publishes once more, and everybody must hear it.
    pub probe_at: Duration,
    /// When the history is judged.
    pub end_at: Duration,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        draw::plan(seed, Profile::of(seed))
    }

    /// Is this one of the logs?
    pub fn is_log(&self, topic: Topic) -> bool {
        topic.0 >= self.topics
    }

    /// The logs.
    pub fn logs(&self) -> impl Iterator<Item = Topic> + use<> {
        (self.topics..self.topics + self.logs).map(Topic)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = if self.server { "a server" } else { "peers" };
        let hints = if self.hints { "hints" } else { "no hints" };
        write!(
            f,
            "seed {}: {:?}, {} nodes, {} topics, {} logs, {shape}, {hints}, {} MiB, publishes within {:?}, {} steps",
            self.seed,
            self.profile,
            self.nodes,
            self.topics,
            self.logs,
            self.memory_bytes >> 20,
            self.publish_timeout,
            self.acts.len()
        )
    }
}
