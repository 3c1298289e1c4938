//! What one inbox holds: what has arrived, and what is on its way with the time it is due.
//!
//! A pure value: the time comes in, and nothing happens between calls. Every call that looks at the queue first lets
//! arrive what is due ([`Queue::pump`]), in the order in which it was due; the outcome is the one that a timer for
//! each message would give, without the timers.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::network::NodeIx;
use crate::transport::{Inbound, OutFrame, Raw};

#[cfg(test)]
mod tests;

/// A message as it travels: cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) frame: OutFrame,
    pub(super) lane: u32,
    pub(super) from: NodeIx,
}

impl Parcel {
    /// What it weighs.
    pub(super) fn bytes(&self) -> usize {
        let OutFrame { payload, key, headers } = &self.frame;
        let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        payload.len() + key.as_ref().map_or(0, Bytes::len) + headers
    }

    /// It as it arrives.
    pub(super) fn raw(&self, time: Option<SystemTime>) -> Raw {
        let OutFrame { payload, key, headers } = &self.frame;
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Raw { payload: payload.clone(), lane: self.lane, key: key.clone(), headers, time }
    }
}

#[derive(Debug)]
enum Item {
    Parcel(Parcel),
    Dropped(u64),
    Resubscribed,
}

impl Item {
    /// Lets this marker stand for another one of its kind. `false`: it is not of its kind.
    fn absorb(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dropped(count), Self::Dropped(more)) => *count = count.saturating_add(*more),
            (Self::Resubscribed, Self::Resubscribed) => {}
            _ => return false,
        }
        true
    }

    fn is_marker(&self) -> bool {
        !matches!(self, Self::Parcel(_))
    }
}

/// A number of messages and the sum of their bytes, kept below a bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    messages_max: usize,
    bytes_max: usize,
    messages: usize,
    bytes: usize,
}

impl Room {
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { messages_max, bytes_max, messages: 0, bytes: 0 }
    }

    /// Takes a message in, if it fits; one alone always does.
    pub(super) fn enter(&mut self, bytes: usize) -> bool {
        let fits = self.messages == 0
            || (self.messages < self.messages_max && self.bytes.saturating_add(bytes) <= self.bytes_max);
        if fits {
            self.messages += 1;
            self.bytes += bytes;
        }
        fits
    }

    pub(super) fn leave(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
    }

    pub(super) fn clear(&mut self) {
        (self.messages, self.bytes) = (0, 0);
    }
}

/// What one inbox holds.
///
/// In both halves a run of markers between two messages holds each kind of marker once at most, so that there are
/// never more than two markers to a message.
#[derive(Debug)]
pub(super) struct Queue {
    arrived: VecDeque<Item>,
    arrived_room: Room,
    /// By the time it is due and then by the order in which it was sent.
    on_its_way: BTreeMap<(Instant, u64), Item>,
    on_its_way_room: Room,
    /// How much was ever put on its way: what breaks ties.
    sent: u64,
    paused: bool,
}

impl Queue {
    pub(super) fn new(room: Room, paused: bool) -> Self {
        Self {
            arrived: VecDeque::new(),
            arrived_room: room,
            on_its_way: BTreeMap::new(),
            on_its_way_room: room,
            sent: 0,
            paused,
        }
    }

    /// Takes a message that the network brings after `delay`.
    pub(super) fn send(&mut self, now: Instant, delay: Duration, parcel: Parcel) {
        if delay.is_zero() && !self.paused {
            return self.send_local(now, parcel);
        }
        // What has arrived meanwhile is no longer on its way and leaves room.
        self.pump(now);
        if self.on_its_way_room.enter(parcel.bytes()) {
            self.put_on_its_way(now + delay, Item::Parcel(parcel));
        } else {
            self.mark_on_its_way(now + delay, Item::Dropped(1));
        }
    }

    /// Takes a message that does not pass the network and arrives now, whether the node is paused or not.
    pub(super) fn send_local(&mut self, now: Instant, parcel: Parcel) {
        self.pump(now);
        self.arrive(Item::Parcel(parcel));
    }

    /// Notes, behind all that has arrived, that the subscription was interrupted.
    pub(super) fn resubscribed(&mut self, now: Instant) {
        if self.paused {
            self.mark_on_its_way(now, Item::Resubscribed);
        } else {
            self.pump(now);
            self.arrive(Item::Resubscribed);
        }
    }

    /// Holds what is on its way, however long it is due.
    pub(super) fn pause(&mut self, now: Instant) {
        self.pump(now);
        self.paused = true;
    }

    /// Lets arrive what is due.
    pub(super) fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.pump(now);
    }

    /// Loses what is on its way, or only what comes from one node. Returns how many messages.
    pub(super) fn lose(&mut self, now: Instant, from: Option<NodeIx>) -> u64 {
        self.pump(now);
        let mut lost = 0;
        let room = &mut self.on_its_way_room;
        self.on_its_way.retain(|_, item| match item {
            Item::Parcel(parcel) if from.is_none_or(|from| parcel.from == from) => {
                room.leave(parcel.bytes());
                lost += 1;
                false
            }
            _ => true,
        });
        lost
    }

    /// Nothing more will arrive; what has arrived stays.
    pub(super) fn end(&mut self, now: Instant) {
        self.pump(now);
        self.on_its_way.clear();
        self.on_its_way_room.clear();
    }

    /// As if nothing had ever arrived.
    pub(super) fn clear(&mut self) {
        self.on_its_way.clear();
        self.on_its_way_room.clear();
        self.arrived.clear();
        self.arrived_room.clear();
    }

    /// Moves up to `messages_max` (at least one) of what has arrived to `into`. `false`: there was nothing.
    pub(super) fn take(&mut self, now: Instant, messages_max: usize, into: &mut Vec<Inbound>) -> bool {
        self.pump(now);
        let count = self.arrived.len().min(messages_max.max(1));
        into.reserve(count);
        for item in self.arrived.drain(..count) {
            into.push(match item {
                Item::Parcel(parcel) => {
                    self.arrived_room.leave(parcel.bytes());
                    Inbound::Message(parcel.raw(None))
                }
                Item::Dropped(count) => Inbound::Dropped(Some(count)),
                Item::Resubscribed => Inbound::Resubscribed,
            });
        }
        count > 0
    }

    /// When the next message arrives, if none is sent before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.paused {
            return None;
        }
        self.on_its_way.first_key_value().map(|((due, _), _)| *due)
    }

    fn pump(&mut self, now: Instant) {
        while !self.paused
            && let Some(first) = self.on_its_way.first_entry()
            && first.key().0 <= now
        {
            let item = first.remove();
            if let Item::Parcel(parcel) = &item {
                self.on_its_way_room.leave(parcel.bytes());
            }
            self.arrive(item);
        }
    }

    fn arrive(&mut self, item: Item) {
        let item = match item {
            Item::Parcel(parcel) if !self.arrived_room.enter(parcel.bytes()) => Item::Dropped(1),
            item => item,
        };
        let mut last = self.arrived.iter_mut().rev().take_while(|last| last.is_marker());
        if !last.any(|last| last.absorb(&item)) {
            self.arrived.push_back(item);
        }
    }

    fn put_on_its_way(&mut self, due: Instant, item: Item) {
        self.on_its_way.insert((due, self.sent), item);
        self.sent += 1;
    }

    /// Puts a marker behind everything that is on its way: only there can it be merged with the one before, and
    /// only so is the number of markers bounded.
    fn mark_on_its_way(&mut self, due: Instant, marker: Item) {
        let mut last = self.on_its_way.values_mut().rev().take_while(|last| last.is_marker());
        if last.any(|last| last.absorb(&marker)) {
            return;
        }
        let last_due = self.on_its_way.last_key_value().map_or(due, |((last, _), _)| due.max(*last));
        self.put_on_its_way(last_due, marker);
    }
}
