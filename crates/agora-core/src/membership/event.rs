//! What the failure detector has to say: events for people and applications, verdicts for the engine.

use std::sync::Arc;

use super::member::MemberInfo;
use crate::id::{Incarnation, NodeName, SourceId};

/// Something happened in the cluster, as this node sees it. More may come: match with a wildcard.
///
/// A member is one *life* of a node. A node that restarts is a new member of the same name, and the events of its
/// two lives may interleave: the new one joins, then the old one fails. Keep books by `info.source`, not by name.
/// Every event carries what the member's latest heartbeat said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// Its first heartbeat was heard.
    Joined(Arc<MemberInfo>),
    /// It has been silent for too long, or the backend reports it gone. No verdict yet.
    Suspected(Arc<MemberInfo>),
    /// It was suspected wrongly.
    Recovered(Arc<MemberInfo>),
    /// It has been silent until its deadline: it crashed, or cannot be reached.
    Failed(Arc<MemberInfo>),
    /// It said goodbye.
    Left(Arc<MemberInfo>),
    /// It had failed and is heard again, or a new life of a node is heard whose former life had failed.
    Returned(Arc<MemberInfo>),
    /// Its heartbeat says something new: other tags, or other topics.
    Changed(Arc<MemberInfo>),
    /// More than half of the others are silent at once. It is more likely that this node is cut off than that they
    /// all died, so nobody is declared failed until [`MemberEvent::Reunited`]. Only where peers talk directly.
    Isolated {
        /// Who is silent.
        silent: Vec<Arc<MemberInfo>>,
        /// Out of so many that had not failed before.
        of: usize,
    },
    /// At least half of the others are heard again: the isolation is over.
    Reunited,
    /// Two live processes use one node name, and each is heard. Give one of them another name. Reported once per
    /// pair; one of the two may be this process.
    Conflict {
        /// The name of both.
        name: NodeName,
        /// The two lives, in no particular order.
        incarnations: [Incarnation; 2],
    },
}

/// What the engine must know of a source, named or not: a source may be known by its frames alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its deadline has passed: what is missing of it will not come.
    Failed(SourceId),
    /// It said goodbye: after its final heads, nothing will come.
    Left(SourceId),
    /// It had failed, and lives: its streams may be taken up again.
    Returned(SourceId),
}

/// What [`Detector::poll_event`](super::Detector::poll_event) hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// For applications.
    Event(MemberEvent),
    /// For the engine. Stands before the event of the same cause.
    Verdict(Verdict),
}

/// Why nobody is judged at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// The link is down.
    LinkDown,
    /// One's own heartbeat has not come back yet, or no longer does.
    NoEcho,
    /// More than half of the others are silent at once.
    Isolated,
}
