//! One member's place in a group.

use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::group::{Departure, Given, Group, Member, MemberId};
use super::logs::{Log, LogKey, Records};
use super::space::Shared;
use super::state::{EndpointId, State, closed, named};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GroupName, TopicName};
use crate::transport::{BoxFuture, FromGroup, GroupInbox, GroupSpec, GroupStart, Position, Settle, Token};

/// Where a member sits.
#[derive(Clone)]
struct Seat {
    endpoint: EndpointId,
    log: LogKey,
    group: GroupName,
    member: MemberId,
}

/// The member's end of its place.
pub(super) struct MemoryGroupInbox {
    shared: Arc<Shared>,
    changed: Arc<Notify>,
    seat: Seat,
}

/// What a look at a group came to.
enum Look {
    Found,
    /// Nothing is there; something may be at this time, or when something has changed.
    Wait(Option<Instant>),
}

impl State {
    /// Joins a group, which is made if it is not there.
    pub(super) fn join_group(
        &mut self,
        shared: Arc<Shared>,
        of: EndpointId,
        topic: &TopicName,
        spec: &GroupSpec,
    ) -> Result<MemoryGroupInbox> {
        let now = Instant::now();
        let time = self.time_of_day(now);
        let id = self.next_id();
        let (style, held_max) = (self.config.groups, self.config.log_records_max);
        let endpoint = self.usable(of)?;
        let member = Member { endpoint: of, node: endpoint.name.clone(), lease: spec.lease };
        let log_key = (endpoint.cluster.clone(), topic.clone());
        self.logs.open_log(&log_key.0, topic)?;
        let log = self.logs.get(&log_key, time).ok_or_else(closed)?;
        let next = start_of(&log.lanes, spec.start);
        let group = log.groups.entry(spec.name.clone()).or_insert_with(|| Group::new(style, &next, held_max));
        group.advance(now, &log.lanes);
        group.join(now, id, member);
        self.logs.changed.notify_waiters();
        let seat = Seat { endpoint: of, log: log_key, group: spec.name.clone(), member: id };
        Ok(MemoryGroupInbox { shared, changed: Arc::clone(&self.logs.changed), seat })
    }

    /// The log and the group of a seat; `None` when one of them is gone.
    fn seated(&mut self, now: Instant, seat: &Seat) -> Option<(&[Records], &mut Group)> {
        let time = self.time_of_day(now);
        let Log { lanes, groups, .. } = self.logs.get(&seat.log, time)?;
        Some((lanes, groups.get_mut(&seat.group)?))
    }

    fn read_group(&mut self, seat: &Seat, records_max: usize, into: &mut Vec<FromGroup>) -> Result<Look> {
        let now = Instant::now();
        let Some(endpoint) = self.endpoints.get(&seat.endpoint) else {
            return Err(closed().operation("recv"));
        };
        if self.paused.contains(&endpoint.node) {
            return Ok(Look::Wait(None));
        }
        let mut given = Vec::new();
        let Some((records, group)) = self.seated(now, seat) else {
            into.push(FromGroup::Interrupted);
            return Ok(Look::Found);
        };
        let is_member = group.give(now, seat.member, records_max, records, &mut given).is_some();
        let is_news_for_others = group.has_moved();
        let look = if !is_member {
            into.push(FromGroup::Interrupted);
            Look::Found
        } else if given.is_empty() {
            group.set_waits(now, seat.member, true);
            Look::Wait(group.next_end())
        } else {
            into.extend(given.into_iter().filter_map(|(lane, given)| told(lane, given, records)));
            Look::Found
        };
        if is_news_for_others {
            self.logs.changed.notify_waiters();
        }
        Ok(look)
    }

    /// Settles a record. `None`: the node is paused, and nothing of it reaches the server.
    fn settle(&mut self, seat: &Seat, token: Token, how: Settle) -> Option<Result<()>> {
        let node = match self.usable(seat.endpoint) {
            Ok(endpoint) => endpoint.node,
            Err(error) => return Some(Err(error.operation("settle"))),
        };
        if self.paused.contains(&node) {
            return None;
        }
        let now = Instant::now();
        let settled = self
            .seated(now, seat)
            .map(|(records, group)| group.settle(now, seat.member, token, how, records));
        let Some(Ok(())) = settled else { return Some(Err(void(seat))) };
        self.logs.changed.notify_waiters();
        if self.scripts.loses_settle_answer(node) {
            let error = Error::new(ErrorKind::OutcomeUnknown, "a scripted failure: the answer was lost");
            return Some(Err(named(error).operation("settle")));
        }
        Some(Ok(()))
    }

    /// Ready when a lane was given up for this member.
    fn poll_given_up(&mut self, seat: &Seat, cx: &mut Context<'_>) -> Poll<()> {
        let given_up = match self.seated(Instant::now(), seat) {
            Some((_, group)) => group.poll_given_up(seat.member, cx),
            None => Poll::Pending,
        };
        if given_up.is_ready() {
            self.logs.changed.notify_waiters();
        }
        given_up
    }

    /// A member no longer waits. From now on the owner of a lane can be silent too long, which others wait for.
    fn stop_waiting(&mut self, seat: &Seat) {
        let now = Instant::now();
        if self.is_mute(seat.endpoint) {
            return;
        }
        let Some((_, group)) = self.seated(now, seat) else { return };
        group.set_waits(now, seat.member, false);
        if group.owns(seat.member) {
            self.logs.changed.notify_waiters();
        }
    }

    /// A member goes as its node can tell the server.
    fn depart(&mut self, seat: &Seat, how: Departure) {
        let now = Instant::now();
        if let Some((_, group)) = self.seated(now, seat) {
            group.depart(now, seat.member, how);
        }
        self.logs.changed.notify_waiters();
    }

    /// Does the server hear nothing of this connection, though it is there?
    fn is_mute(&self, of: EndpointId) -> bool {
        self.endpoints.get(&of).is_some_and(|endpoint| self.paused.contains(&endpoint.node))
    }
}

/// Where a new group begins in each lane.
pub(super) fn start_of(lanes: &[Records], start: GroupStart) -> Vec<u64> {
    let of_lane = |records: &Records| match start {
        GroupStart::Earliest => records.first,
        GroupStart::Latest => records.end(),
    };
    lanes.iter().map(of_lane).collect()
}

/// It as the contract has it.
fn told(lane: u32, given: Given, records: &[Records]) -> Option<FromGroup> {
    let lanes = vec![lane];
    Some(match given {
        Given::Trimmed(count) => FromGroup::Trimmed { lane, records: Some(count) },
        Given::Assigned => FromGroup::Assigned { lanes },
        Given::Revoking(done) => FromGroup::Revoking { lanes, done },
        Given::Lost => FromGroup::Lost { lanes },
        Given::Record { at, token, attempt } => {
            let record = records.get(lane as usize)?.get(at)?;
            let raw = record.parcel.raw(Some(record.time));
            FromGroup::Message { raw, at: Position(at.into()), token, attempt }
        }
    })
}

fn void(seat: &Seat) -> Error {
    let error =
        Error::new(ErrorKind::Conflict, "the right to settle this record is void: it is another's work");
    named(error).operation("settle").context("topic", &seat.log.1).context("group", &seat.group)
}

/// A member that waits. One that is cancelled waits no longer.
struct Waiting<'a>(&'a MemoryGroupInbox);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.shared.lock().stop_waiting(&self.0.seat);
    }
}

#[async_trait]
impl GroupInbox for MemoryGroupInbox {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()> {
        tokio::task::consume_budget().await;
        let this = &*self;
        // One wait, however often it looks: two owners of lanes that told each other of each look would never rest.
        let mut waiting = None;
        loop {
            let mut changed = pin!(this.changed.notified());
            changed.as_mut().enable();
            let look = this.shared.lock().read_group(&this.seat, records_max, into)?;
            let Look::Wait(until) = look else { return Ok(()) };
            waiting.get_or_insert_with(|| Waiting(this));
            let until = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = until => {}
                () = poll_fn(|cx| this.shared.lock().poll_given_up(&this.seat, cx)) => {}
            }
        }
    }

    /// Settles at once, not when the future is polled; on a paused node, when it is resumed.
    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        if let Some(settled) = self.shared.lock().settle(&self.seat, token, how) {
            return Box::pin(ready(settled));
        }
        let (shared, changed, seat) =
            (Arc::clone(&self.shared), Arc::clone(&self.changed), self.seat.clone());
        Box::pin(async move {
            loop {
                let mut changed = pin!(changed.notified());
                changed.as_mut().enable();
                if let Some(settled) = shared.lock().settle(&seat, token, how) {
                    return settled;
                }
                changed.await;
            }
        })
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        let mut state = self.shared.lock();
        state.usable(self.seat.endpoint).map_err(|error| error.operation("leave"))?;
        if state.is_mute(self.seat.endpoint) {
            let error = Error::new(ErrorKind::Unreachable, "the node is paused: its leases run on");
            return Err(named(error).operation("leave"));
        }
        state.depart(&self.seat, Departure::Left);
        Ok(())
    }
}

impl Drop for MemoryGroupInbox {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let how = if state.is_mute(self.seat.endpoint) { Departure::OutOfReach } else { Departure::Dropped };
        state.depart(&self.seat, how);
    }
}
