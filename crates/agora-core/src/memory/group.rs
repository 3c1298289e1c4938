//! One group of a log: its members, and how they share.
//!
//! A pure value, as [`Leases`] is.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::leases::Leases;
use super::logs::Records;
use super::state::EndpointId;
use crate::id::NodeName;
use crate::transport::{Settle, Token};

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
    pub(super) leases: Leases,
    last_token: u64,
}

impl Group {
    pub(super) fn new(next: u64) -> Self {
        Self { members: BTreeMap::new(), leases: Leases::new(next), last_token: 0 }
    }

    pub(super) fn join(&mut self, id: MemberId, member: Member) {
        self.members.insert(id, member);
    }

    /// A member goes. Nothing happens to one that is not there.
    pub(super) fn depart(&mut self, _now: Instant, id: MemberId, how: Departure) {
        if self.members.remove(&id).is_some() {
            self.leases.depart(id, how);
        }
    }

    /// All members of a connection go.
    pub(super) fn depart_all(&mut self, now: Instant, endpoint: EndpointId, how: Departure) {
        let of_endpoint = self.members.iter().filter(|(_, member)| member.endpoint == endpoint);
        let ids: Vec<MemberId> = of_endpoint.map(|(id, _)| *id).collect();
        for id in ids {
            self.depart(now, id, how);
        }
    }

    /// What there is for a member. `None`: it is no member any more.
    pub(super) fn give(
        &mut self,
        now: Instant,
        id: MemberId,
        bounds: (usize, usize),
        records: &Records,
        into: &mut Vec<Given>,
    ) -> Option<()> {
        self.leases.advance(now, records);
        let member = self.members.get(&id)?;
        let last_token = &mut self.last_token;
        let new_token = || {
            *last_token += 1;
            Token(*last_token)
        };
        self.leases.give(now, (id, member.lease), bounds, records, new_token, into);
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
        self.leases.advance(now, records);
        self.leases.settle(now, id, token, how)
    }

    /// The log was rewound or replaced and ends here now. Every member has to join anew: what it knows of places in the
    /// log is worth nothing.
    pub(super) fn begin_era(&mut self, end: u64) {
        self.members.clear();
        self.leases.begin_era(end);
    }
}
