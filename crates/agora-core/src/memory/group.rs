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
    /// With which lane it begins to look for records: each is the first in its turn.
    turn: usize,
    held_max: usize,
}

/// How the members share, lane by lane.
enum Share {
    Leases(Vec<Leases>),
    Lanes(Vec<Lane>),
}

impl Group {
    /// A group that begins at `next` in each lane, and of each of which at most `held_max` records are with members.
    pub(super) fn new(style: GroupStyle, next: &[u64], held_max: usize) -> Self {
        let share = match style {
            GroupStyle::Leases => {
                Share::Leases(next.iter().map(|next| Leases::new(*next, held_max)).collect())
            }
            GroupStyle::Lanes => Share::Lanes(next.iter().map(|next| Lane::new(*next, held_max)).collect()),
        };
        Self { members: BTreeMap::new(), share, last_token: 0, turn: 0, held_max }
    }

    /// The log has so many lanes now. What stands in a new one is work from its first record on.
    pub(super) fn grow(&mut self, now: Instant, count: usize) {
        let held_max = self.held_max;
        match &mut self.share {
            Share::Leases(lanes) => {
                lanes.resize_with(lanes.len().max(count), || Leases::new(0, held_max));
            }
            Share::Lanes(lanes) => {
                while lanes.len() < count {
                    let mut lane = Lane::new(0, held_max);
                    for (id, member) in &self.members {
                        lane.join(now, *id, member.lease);
                    }
                    // The member that has fewest, of several the oldest.
                    let has = |id: MemberId| lanes.iter().filter(|lane| lane.keeper() == Some(id)).count();
                    if let Some(id) = self.members.keys().copied().min_by_key(|id| has(*id)) {
                        lane.go_to(now, id);
                    }
                    lanes.push(lane);
                }
            }
        }
    }

    /// Lets happen what is due.
    pub(super) fn advance(&mut self, now: Instant, records: &[Records]) {
        match &mut self.share {
            Share::Leases(lanes) => {
                lanes.iter_mut().zip(records).for_each(|(lane, records)| lane.advance(now, records));
            }
            Share::Lanes(lanes) => lanes.iter_mut().for_each(|lane| lane.advance(now)),
        }
    }

    pub(super) fn join(&mut self, now: Instant, id: MemberId, member: Member) {
        if let Share::Lanes(lanes) = &mut self.share {
            lanes.iter_mut().for_each(|lane| lane.join(now, id, member.lease));
            let share = (lanes.len() / (self.members.len() + 1)).max(1);
            let mut has = 0;
            for lane in lanes.iter_mut().filter(|lane| lane.keeper().is_none()) {
                lane.go_to(now, id);
                has += 1;
            }
            // One after the other from whoever has most.
            for _ in has..share {
                let count = |of: Option<MemberId>| lanes.iter().filter(|lane| lane.keeper() == of).count();
                let others = (0..lanes.len()).filter(|ix| lanes[*ix].keeper() != Some(id));
                let Some(from) = others.rev().max_by_key(|ix| count(lanes[*ix].keeper())) else { break };
                lanes[from].go_to(now, id);
            }
        }
        self.members.insert(id, member);
    }

    /// A member goes. Nothing happens to one that is not there.
    pub(super) fn depart(&mut self, now: Instant, id: MemberId, how: Departure) {
        if self.members.remove(&id).is_none() {
            return;
        }
        match &mut self.share {
            Share::Leases(lanes) => lanes.iter_mut().for_each(|lane| lane.depart(id, how)),
            Share::Lanes(lanes) => lanes.iter_mut().for_each(|lane| lane.depart(now, id, how)),
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
        if let Share::Lanes(lanes) = &mut self.share {
            lanes.iter_mut().for_each(|lane| lane.set_waits(now, id, waits));
        }
    }

    /// What there is for a member, and of which lane. `None`: it is no member any more.
    pub(super) fn give(
        &mut self,
        now: Instant,
        id: MemberId,
        records_max: usize,
        records: &[Records],
        into: &mut Vec<(u32, Given)>,
    ) -> Option<()> {
        self.advance(now, records);
        let member = self.members.get(&id)?;
        let last_token = &mut self.last_token;
        let mut new_token = || {
            *last_token += 1;
            Token(*last_token)
        };
        let (mut room, mut given) = (records_max, Vec::new());
        for step in 0..records.len() {
            let ix = (self.turn + step) % records.len();
            let (lane, records) = (u32::try_from(ix).unwrap_or(u32::MAX), &records[ix]);
            match &mut self.share {
                Share::Leases(lanes) => {
                    lanes[ix].give(now, (id, member.lease), room, records, &mut new_token, &mut given);
                }
                Share::Lanes(lanes) => lanes[ix].give(now, id, room, records, &mut new_token, &mut given),
            }
            room -= given.iter().filter(|given| matches!(given, Given::Record { .. })).count();
            into.extend(given.drain(..).map(|given| (lane, given)));
        }
        if room < records_max {
            self.turn = (self.turn + 1) % records.len();
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
        records: &[Records],
    ) -> Result<(), Void> {
        self.advance(now, records);
        match &mut self.share {
            Share::Leases(lanes) => {
                let lane = lanes.iter_mut().find(|lane| lane.holds(token));
                lane.ok_or(Void)?.settle(now, id, token, how)
            }
            Share::Lanes(lanes) => {
                lanes.iter_mut().for_each(|lane| lane.hear(now, id));
                let lane = lanes.iter_mut().find(|lane| lane.holds(token));
                lane.ok_or(Void)?.settle(now, id, token, how)
            }
        }
    }

    /// Ready when a lane was given up for this member.
    pub(super) fn poll_given_up(&mut self, id: MemberId, cx: &mut Context<'_>) -> Poll<()> {
        let Share::Lanes(lanes) = &mut self.share else { return Poll::Pending };
        // All of them are asked: each wakes by itself.
        let ready = lanes.iter_mut().filter_map(|lane| lane.poll_given_up(id, cx).is_ready().then_some(()));
        if ready.count() > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When something happens by itself, if nothing comes between.
    pub(super) fn next_end(&self) -> Option<Instant> {
        match &self.share {
            Share::Leases(lanes) => lanes.iter().filter_map(Leases::next_end).min(),
            Share::Lanes(lanes) => lanes.iter().filter_map(Lane::next_end).min(),
        }
    }

    /// Has this member a lane, where lanes are shared out?
    pub(super) fn owns(&self, id: MemberId) -> bool {
        match &self.share {
            Share::Leases(_) => false,
            Share::Lanes(lanes) => lanes.iter().any(|lane| lane.owner() == Some(id)),
        }
    }

    /// Is there news for members that have not asked, since this was asked last?
    pub(super) fn has_moved(&mut self) -> bool {
        match &mut self.share {
            Share::Leases(_) => false,
            Share::Lanes(lanes) => {
                lanes.iter_mut().filter_map(|lane| lane.has_moved().then_some(())).count() > 0
            }
        }
    }

    /// The log was rewound or replaced, and is as it is now. Every member has to join anew: what it knows of places in the
    /// log is worth nothing.
    pub(super) fn begin_era(&mut self, records: &[Records]) {
        self.members.clear();
        let ends = records.iter().map(Records::end);
        match &mut self.share {
            Share::Leases(lanes) => lanes.iter_mut().zip(ends).for_each(|(lane, end)| lane.begin_era(end)),
            Share::Lanes(lanes) => lanes.iter_mut().zip(ends).for_each(|(lane, end)| lane.begin_era(end)),
        }
    }

    /// All leases end now; the owners of lanes lose them.
    pub(super) fn end_leases(&mut self, now: Instant) {
        match &mut self.share {
            Share::Leases(lanes) => lanes.iter_mut().for_each(Leases::end_all),
            Share::Lanes(lanes) => lanes.iter_mut().for_each(|lane| lane.end_all(now)),
        }
    }

    /// The lanes are asked back.
    pub(super) fn rebalance(&mut self, now: Instant) {
        if let Share::Lanes(lanes) = &mut self.share {
            lanes.iter_mut().for_each(|lane| lane.rebalance(now));
        }
    }

    /// Goes on elsewhere in a lane. For a group without members.
    pub(super) fn reset(&mut self, lane: usize, to: u64) {
        match &mut self.share {
            Share::Leases(lanes) => lanes[lane].reset(to),
            Share::Lanes(lanes) => lanes[lane].reset(to),
        }
    }

    /// How it stands, after what is due has happened.
    pub(super) fn describe(&self, name: &GroupName, records: &[Records]) -> GroupDescription {
        let mut description = GroupDescription::new(name.clone());
        description.members =
            self.members.iter().map(|(id, member)| self.describe_member(*id, member)).collect();
        for (ix, (number, records)) in (0..).zip(records).enumerate() {
            let mut lane = GroupLane::new(number, Position(self.next(ix).into()));
            lane.pending = match &self.share {
                Share::Leases(lanes) => lanes[ix].pending(),
                Share::Lanes(lanes) => lanes[ix].pending(),
            };
            lane.lag = self.to_do(ix, 0, records);
            description.lanes.push(lane);
        }
        description
    }

    fn describe_member(&self, id: MemberId, member: &Member) -> GroupMember {
        let mut description = GroupMember::new(id.to_string());
        description.node = Some(member.node.clone());
        match &self.share {
            Share::Leases(lanes) => {
                description.pending = lanes.iter().map(|lane| lane.held_by(id)).sum();
            }
            Share::Lanes(lanes) => {
                let mine = (0..).zip(lanes).filter(|(_, lane)| lane.owner() == Some(id));
                description.lanes = mine.map(|(number, _)| number).collect();
            }
        }
        description
    }

    /// How many records of a lane at `from` or behind are not done.
    pub(super) fn to_do(&self, lane: usize, from: u64, records: &Records) -> u64 {
        match &self.share {
            Share::Leases(lanes) => lanes[lane].to_do(from, records),
            Share::Lanes(lanes) => lanes[lane].to_do(from, records),
        }
    }

    /// Where it goes on in a lane.
    pub(super) fn next(&self, lane: usize) -> u64 {
        match &self.share {
            Share::Leases(lanes) => lanes[lane].next(),
            Share::Lanes(lanes) => lanes[lane].fresh(),
        }
    }
}
