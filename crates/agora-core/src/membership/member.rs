//! What is known of a member.

use std::sync::Arc;

use tokio::time::Instant;

use crate::id::{NodeName, SourceId, StreamId};

/// What a heartbeat says about its sender. Its parts are bounded where it is decoded ([`crate::limits`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Who it is: a node, and one life of it.
    pub source: SourceId,
    /// The name of the node. Its identity in `source` must be the hash of it.
    pub name: NodeName,
    /// The software and its version, for people.
    pub software: String,
    /// What the node says of itself, such as `("role", "imap")`.
    pub tags: Vec<(String, String)>,
    /// The topics that it has opened.
    pub topics: Vec<TopicState>,
}

/// One lane of a topic, as a heartbeat states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// The lane.
    pub stream: StreamId,
    /// A hash of the settings that all nodes must share.
    pub settings: u64,
    /// Does the member publish there? When it fails unheard, those who subscribe must still be told.
    pub publishes: bool,
}

/// Where a member stands, as far as this node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// Heard of recently.
    Alive,
    /// Silent for too long, or reported gone by the backend; not yet given up.
    Suspected,
    /// Given up. It may come back.
    Failed,
    /// It said goodbye. This life does not come back.
    Left,
}

impl MemberState {
    /// Every state.
    pub const ALL: &[Self] = &[Self::Alive, Self::Suspected, Self::Failed, Self::Left];

    /// Not failed and not left.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Alive | Self::Suspected)
    }

    /// A stable name, as the command line's JSON shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}

/// One line of a snapshot of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What its last heartbeat said.
    pub info: Arc<MemberInfo>,
    /// Where it stands.
    pub state: MemberState,
    /// When it was last heard of.
    pub heard: Instant,
    /// How far this node's clock is ahead of its clock, in microseconds: the arrival of its latest heartbeats less the
    /// times in them, the least of these. The way of the message is in it, so two clocks that agree come to a little
    /// more than 0. Below 0: the member's clock is ahead.
    pub clock_offset_us: Option<i64>,
}
