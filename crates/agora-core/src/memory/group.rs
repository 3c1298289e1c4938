//! One group of a log: its members, and how they share.
//!
//! As pure a value as [`Leases`] and [`Lane`] are.

use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::config::GroupStyle;
use super::lane::Lane;
use super::leases::Leases;
use super::logs::Records;
use super::state::EndpointId;
use crate::id::{GroupName, NodeName};
use crate::transport::{GroupDescription, GroupLane, GroupMember, Position, Settle, Token};

/// One place in a group.
pub(super) type MemberId = u64;

/// How a member goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// In an orderly way: what it held counts for nothing.
    Left,
    /// Nobody knows what became of what it held.
    Dropped,
    /// The server cannot reach it, and waits until its leases have ended.
    OutOfReach,
}

/// A token gives no right any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Void;

/// What a member is given.
#[derive(Debug)]
pub(super) enum Given {
    Record { at: u64, token: Token, attempt: u32 },
    Trimmed(u64),
    Assigned,
    Revoking(oneshot::Sender<()>),
    Lost,
}

/// Who is there.
pub(super) struct Member {
    pub(super) endpoint: EndpointId,
    pub(super) node: NodeName,
    pub(super) lease: Duration,
}

/// A group.
pub(super) struct Group {
    pub(super) members: BTreeMap<MemberId, Member>,
    share: Share,
    last_token: u64,
}

/// How the members share.
enum Share {
    Leases(Box<Leases>),
    Lane(Box<Lane>),
}

impl Group {
    /// A group that begins at `next`, of which at most `held_max` records are with members.
    pub(super) fn new(style: GroupStyle, next: u64, held_max: usize) -> Self {
        let share = match style {
            GroupStyle::Leases => Share::Leases(Box::new(Leases::new(next, held_max))),
            GroupStyle::Lanes => Share::Lane(Box::new(Lane::new(next, held_max))),
        };
        Self { members: BTreeMap::new(), share, last_token: 0 }
    }

    /// Lets happen what is due.
    pub(super) fn advance(&mut self, now: Instant, records: &Records) {
        match &mut self.share {
            Share::Leases(leases) => leases.advance(now, records),
            Share::Lane(lane) => lane.advance(now),
        }
    }

    pub(super) fn join(&mut self, now: Instant, id: MemberId, member: Member) {
        if let Share::Lane(lane) = &mut self.share {
            lane.join(now, id, member.lease);
        }
        self.members.insert(id, member);
    }

    /// A member goes. Nothing happens to one that is not there.
    pub(super) fn depart(&mut self, now: Instant, id: MemberId, how: Departure) {
        if self.members.remove(&id).is_none() {
            return;
        }
        match &mut self.share {
            Share::Leases(leases) => leases.depart(id, how),
            Share::Lane(lane) => lane.depart(now, id, how),
        }
    }

    /// All members of a connection go.
    pub(super) fn depart_all(&mut self, now: Instant, endpoint: EndpointId, how: Departure) {
        for id in self.of_endpoint(endpoint) {
            self.depart(now, id, how);
        }
    }

    /// Nothing more is heard of a connection that is there.
    pub(super) fn falls_silent(&mut self, now: Instant, endpoint: EndpointId) {
        for id in self.of_endpoint(endpoint) {
            self.set_waits(now, id, false);
        }
    }

    fn of_endpoint(&self, endpoint: EndpointId) -> Vec<MemberId> {
        let of_endpoint = self.members.iter().filter(|(_, member)| member.endpoint == endpoint);
        of_endpoint.map(|(id, _)| *id).collect()
    }

    /// A member begins to wait for something, or no longer waits.
    pub(super) fn set_waits(&mut self, now: Instant, id: MemberId, waits: bool) {
        if let Share::Lane(lane) = &mut self.share {
            lane.set_waits(now, id, waits);
        }
    }

    /// What there is for a member. `None`: it is no member any more.
    pub(super) fn give(
        &mut self,
        now: Instant,
        id: MemberId,
        records_max: usize,
        records: &Records,
        into: &mut Vec<Given>,
    ) -> Option<()> {
        self.advance(now, records);
        let member = self.members.get(&id)?;
        let last_token = &mut self.last_token;
        let new_token = || {
            *last_token += 1;
            Token(*last_token)
        };
        match &mut self.share {
            Share::Leases(leases) => {
                leases.give(now, (id, member.lease), records_max, records, new_token, into);
            }
            Share::Lane(lane) => lane.give(now, id, records_max, records, new_token, into),
        }
        Some(())
    }

    /// Settles a record.
    ///
    /// # Errors
    /// The token is void.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        id: MemberId,
        token: Token,
        how: Settle,
        records: &Records,
    ) -> Result<(), Void> {
        self.advance(now, records);
        match &mut self.share {
            Share::Leases(leases) => leases.settle(now, id, token, how),
            Share::Lane(lane) => lane.settle(now, id, token, how),
        }
    }

    /// Ready when a lane was given up for this member.
    pub(super) fn poll_given_up(&mut self, id: MemberId, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.share {
            Share::Leases(_) => Poll::Pending,
            Share::Lane(lane) => lane.poll_given_up(id, cx),
        }
    }

    /// When something happens by itself, if nothing comes between.
    pub(super) fn next_end(&self) -> Option<Instant> {
        match &self.share {
            Share::Leases(leases) => leases.next_end(),
            Share::Lane(lane) => lane.next_end(),
        }
    }

    /// The member whose the lane is, where lanes are shared out.
    pub(super) fn owner(&self) -> Option<MemberId> {
        match &self.share {
            Share::Leases(_) => None,
            Share::Lane(lane) => lane.owner(),
        }
    }

    /// Is there news for members that have not asked, since this was asked last?
    pub(super) fn has_moved(&mut self) -> bool {
        match &mut self.share {
            Share::Leases(_) => false,
            Share::Lane(lane) => lane.has_moved(),
        }
    }

    /// The log was rewound or replaced and ends here now. Every member has to join anew: what it knows of places in the
    /// log is worth nothing.
    pub(super) fn begin_era(&mut self, end: u64) {
        self.members.clear();
        match &mut self.share {
            Share::Leases(leases) => leases.begin_era(end),
            Share::Lane(lane) => lane.begin_era(end),
        }
    }

    /// All leases end now; the owner of a lane loses it.
    pub(super) fn end_leases(&mut self, now: Instant) {
        match &mut self.share {
            Share::Leases(leases) => leases.end_all(),
            Share::Lane(lane) => lane.end_all(now),
        }
    }

    /// A lane is asked back.
    pub(super) fn rebalance(&mut self, now: Instant) {
        if let Share::Lane(lane) = &mut self.share {
            lane.rebalance(now);
        }
    }

    /// Goes on elsewhere. For a group without members.
    pub(super) fn reset(&mut self, to: u64) {
        match &mut self.share {
            Share::Leases(leases) => leases.reset(to),
            Share::Lane(lane) => lane.reset(to),
        }
    }

    /// How it stands, after what is due has happened.
    pub(super) fn describe(&self, name: &GroupName, records: &Records) -> GroupDescription {
        let mut description = GroupDescription::new(name.clone());
        description.members =
            self.members.iter().map(|(id, member)| self.describe_member(*id, member)).collect();
        let (next, pending) = match &self.share {
            Share::Leases(leases) => (leases.next(), leases.pending()),
            Share::Lane(lane) => (lane.fresh(), lane.pending()),
        };
        let mut lane = GroupLane::new(0, Position(next.into()));
        (lane.pending, lane.lag) = (pending, self.to_do(0, records));
        description.lanes.push(lane);
        description
    }

    fn describe_member(&self, id: MemberId, member: &Member) -> GroupMember {
        let mut description = GroupMember::new(id.to_string());
        description.node = Some(member.node.clone());
        match &self.share {
            Share::Leases(leases) => description.pending = leases.held_by(id),
            Share::Lane(lane) if lane.owner() == Some(id) => description.lanes = vec![0],
            Share::Lane(_) => {}
        }
        description
    }

    /// How many records at `from` or behind are not done.
    pub(super) fn to_do(&self, from: u64, records: &Records) -> u64 {
        match &self.share {
            Share::Leases(leases) => leases.to_do(from, records),
            Share::Lane(lane) => lane.to_do(from, records),
        }
    }

    /// Where it goes on.
    pub(super) fn next(&self) -> u64 {
        match &self.share {
            Share::Leases(leases) => leases.next(),
            Share::Lane(lane) => lane.fresh(),
        }
    }
}
