//! Which lanes are fetched next, from whom, and on which of the two lines. No clock and no I/O: what came comes in, and
//! the trips to make come out.
//!
//! A broker answers one request of a connection after the other, so a fetch that waits for something new holds up what
//! comes behind it. Hence two lines to each broker. The **parked** fetch waits for all lanes that have reached the end. On
//! the **ready** line go those that have not, at once and without waiting. A lane that has reached the end while a parked
//! fetch is away cannot join it; until that is back it goes on the ready line too, and waits there a little.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::slot::{READ_AHEAD_BYTES, Slot};
use crate::brokers::View;

/// How long a broker keeps a fetch that has nothing to bring.
const PARKED_WAIT: Duration = Duration::from_millis(500);
/// The same on the ready line: by so much a lane that becomes ready may be held up.
const JOIN_WAIT: Duration = Duration::from_millis(20);
/// The most that all lanes together read ahead, in bytes, and what each may have however many there are.
const ALL_BYTES: usize = 64 << 20;
const LANE_BYTES_MIN: usize = 64 << 10;
/// The most and the least that one answer brings, in bytes; a single batch may be larger.
const TRIP_BYTES: (usize, usize) = (8 << 20, 64 << 10);
/// The first and the longest pause of a lane that cannot be fetched. It doubles, and half of it is drawn.
const REST: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// After so many answers without anything for a lane that has not reached the end, something is wrong with it.
const STUCK_MAX: u32 = 3;

/// Who leads a lane, and the epoch of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) node: i32,
    pub(super) epoch: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Parked,
    Ready,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Who leads it is not known.
    Lost,
    /// That is being asked.
    Sought,
    /// To be fetched.
    At { leader: Leader, has_end: bool },
    /// A fetch of this number is on its way.
    Away { leader: Leader, has_end: bool, trip: u64 },
    /// Where the log begins and ends is being asked.
    Looked(Leader),
    /// Not before then.
    Resting(Instant),
}

/// A lane that is read.
pub(super) struct Course {
    pub(super) topic: Arc<str>,
    /// Which of the topics that ever had this name, where the brokers tell.
    pub(super) id: Option<Uuid>,
    pub(super) partition: i32,
    pub(super) next: i64,
    /// Before this the end is not reached, whatever a leader says that is new in office.
    pub(super) end_at_first: i64,
    /// The epoch of the last batch that was read; -1: of none.
    pub(super) read_epoch: i32,
    pub(super) phase: Phase,
    pub(super) slot: Arc<Slot>,
    /// The end was told, and nothing came since.
    pub(super) told_end: bool,
    /// When it was last brought something, in trips: who waits longest comes first.
    served: u64,
    stuck: u32,
    failed: u32,
}

impl Course {
    pub(super) fn new(
        topic: Arc<str>,
        partition: i32,
        next: i64,
        end_at_first: i64,
        slot: Arc<Slot>,
    ) -> Self {
        Self {
            topic,
            id: None,
            partition,
            next,
            end_at_first,
            read_epoch: -1,
            phase: Phase::Lost,
            slot,
            told_end: false,
            served: 0,
            stuck: 0,
            failed: 0,
        }
    }

    /// A fetch has succeeded, and brought something or not.
    pub(super) fn served(
        &mut self,
        leader: Leader,
        trip: u64,
        has_progress: bool,
        has_end: bool,
        now: Instant,
    ) {
        self.failed = 0;
        if !has_progress && !has_end {
            return self.stumbled(leader, now);
        }
        self.phase = Phase::At { leader, has_end };
        self.stuck = 0;
        self.served = trip;
    }

    /// Nothing came of a fetch.
    pub(super) fn stumbled(&mut self, leader: Leader, now: Instant) {
        self.stuck = self.stuck.saturating_add(1);
        self.phase = match self.stuck >= STUCK_MAX {
            true => Phase::Resting(now + REST.0),
            false => Phase::At { leader, has_end: false },
        };
    }

    /// What stands here cannot be read, and is passed by: the next fetch begins behind it.
    pub(super) fn passed_by(&mut self, leader: Leader) {
        self.next = self.next.saturating_add(1);
        self.phase = Phase::At { leader, has_end: false };
    }

    /// Is it of no use to ask for the same again? Then nothing came of it although nothing else was asked for.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck >= 2 * STUCK_MAX
    }

    /// Is a topic of this id another one than the one that is read?
    pub(super) fn is_other(&self, id: Option<Uuid>) -> bool {
        matches!((self.id, id), (Some(mine), Some(id)) if mine != id)
    }

    /// A fetch or a question has failed.
    pub(super) fn rest(&mut self, now: Instant) {
        let pause = REST.0.saturating_mul(1 << self.failed.min(10)).min(REST.1);
        self.failed = self.failed.saturating_add(1);
        self.phase = Phase::Resting(now + pause.mul_f64(0.5 + fastrand::f64() / 2.0));
    }
}

/// One partition of a fetch. Several readers that stand at one place are served by it at once.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) lanes: Vec<u64>,
    pub(super) topic: Arc<str>,
    pub(super) id: Option<Uuid>,
    pub(super) partition: i32,
    pub(super) from: i64,
    pub(super) leader: Leader,
    pub(super) read_epoch: i32,
    pub(super) bytes_max: usize,
}

/// One fetch.
#[derive(Clone, Debug)]
pub(super) struct Trip {
    pub(super) number: u64,
    pub(super) node: i32,
    pub(super) way: Way,
    pub(super) wait: Duration,
    pub(super) bytes_max: usize,
    pub(super) stops: Vec<Stop>,
}

#[derive(Default)]
pub(super) struct Desk {
    lanes: BTreeMap<u64, Course>,
    last_lane: u64,
    last_trip: u64,
    /// The trips under way, and whether they have joiners.
    away: BTreeMap<(i32, Way), bool>,
    /// How much slower than usual a broker has to be asked, in halvings of what an answer brings.
    slow: BTreeMap<i32, u32>,
}

impl Desk {
    pub(super) fn add(&mut self, course: Course) {
        self.last_lane += 1;
        self.lanes.insert(self.last_lane, course);
    }

    pub(super) fn remove(&mut self, lane: u64) -> Option<Course> {
        self.lanes.remove(&lane)
    }

    /// Forgets the lanes that nobody reads any more.
    pub(super) fn sweep(&mut self) {
        self.lanes.retain(|_, course| !course.slot.is_gone());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(super) fn lane(&mut self, lane: u64) -> Option<&mut Course> {
        self.lanes.get_mut(&lane)
    }

    /// A lane that is still away on this trip.
    pub(super) fn lane_on(&mut self, lane: u64, trip: u64) -> Option<(&mut Course, Leader)> {
        let course = self.lanes.get_mut(&lane)?;
        match course.phase {
            Phase::Away { leader, trip: number, .. } if number == trip => Some((course, leader)),
            _ => None,
        }
    }

    /// The lanes whose leader is to be asked for.
    pub(super) fn take_lost(&mut self, now: Instant) -> Vec<(u64, Arc<str>, i32)> {
        let mut seek = Vec::new();
        for (lane, course) in &mut self.lanes {
            if matches!(course.phase, Phase::Lost)
                || matches!(course.phase, Phase::Resting(until) if until <= now)
            {
                course.phase = Phase::Sought;
                seek.push((*lane, Arc::clone(&course.topic), course.partition));
            }
        }
        seek
    }

    /// When something is to be done again, if nothing happens before.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let rests = self.lanes.values().filter_map(|course| match course.phase {
            Phase::Resting(until) => Some(until),
            _ => None,
        });
        rests.min()
    }

    /// The lanes that another broker leads, by what is known of the cluster now.
    pub(super) fn moved(&mut self, view: &View) -> Vec<u64> {
        let mut moved = Vec::new();
        for (lane, course) in &mut self.lanes {
            let (Phase::At { leader, .. } | Phase::Away { leader, .. } | Phase::Looked(leader)) =
                course.phase
            else {
                continue;
            };
            let Some(known) = view.topics.get(&*course.topic) else { continue };
            // Whether it is another topic of this name is looked at when its leader is known.
            let is_other = course.is_other(known.id);
            let is_moved = match known.partitions.as_ref().map(|partitions| partitions.get(&course.partition))
            {
                // An answer may be older than what is known already.
                Ok(Some(known)) if known.leader_epoch >= 0 && leader.epoch >= 0 => {
                    known.leader_epoch > leader.epoch
                }
                Ok(Some(known)) => known.leader != Some(leader.node),
                Ok(None) => true,
                Err(refusal) => !refusal.is_retryable() || refusal.cure() == crate::error::Cure::Metadata,
            };
            if is_moved || is_other {
                course.phase = Phase::Lost;
                moved.push(*lane);
            }
        }
        moved
    }

    /// The trips to make now.
    pub(super) fn plan(&mut self) -> Vec<Trip> {
        let nodes: BTreeSet<i32> = self
            .lanes
            .values()
            .filter_map(|course| match course.phase {
                Phase::At { leader, .. } => Some(leader.node),
                _ => None,
            })
            .collect();
        let mut trips = Vec::new();
        for node in nodes {
            let joiners_away = self.away.get(&(node, Way::Ready)).is_some_and(|joiners| *joiners);
            // Those who wait on the ready line are taken along: it is a moment until they are back.
            if !joiners_away && !self.away.contains_key(&(node, Way::Parked)) {
                trips.extend(self.trip(node, Way::Parked));
            }
            if !self.away.contains_key(&(node, Way::Ready)) {
                trips.extend(self.trip(node, Way::Ready));
            }
        }
        trips
    }

    fn trip(&mut self, node: i32, way: Way) -> Option<Trip> {
        let lane_bytes = (ALL_BYTES / self.lanes.len().max(1)).clamp(LANE_BYTES_MIN, READ_AHEAD_BYTES);
        let mut lanes: Vec<(&u64, &mut Course)> = self
            .lanes
            .iter_mut()
            .filter(|(_, course)| match course.phase {
                Phase::At { leader, has_end } => leader.node == node && (has_end || way == Way::Ready),
                _ => false,
            })
            .collect();
        lanes.sort_by_key(|(_, course)| course.served);
        let number = self.last_trip + 1;
        let mut stops: Vec<Stop> = Vec::new();
        let mut places = BTreeMap::new();
        let (mut has_joiners, mut has_ready) = (false, false);
        for (lane, course) in lanes {
            let Phase::At { leader, has_end } = course.phase else { continue };
            let Some(room) = course.slot.room(lane_bytes) else { continue };
            let place = (Arc::clone(&course.topic), course.partition);
            match places.get(&place).and_then(|at: &usize| stops.get_mut(*at)) {
                // A fetch can name a partition once.
                Some(stop) if (stop.from, stop.leader, stop.id) != (course.next, leader, course.id) => {
                    continue;
                }
                Some(stop) => {
                    stop.lanes.push(*lane);
                    stop.bytes_max = stop.bytes_max.min(room);
                }
                None => {
                    // Only the first that has something gets a batch that is larger than what is asked for.
                    let room = if stops.is_empty() { room } else { room.max(LANE_BYTES_MIN) };
                    places.insert(place, stops.len());
                    stops.push(Stop {
                        lanes: vec![*lane],
                        topic: Arc::clone(&course.topic),
                        id: course.id,
                        partition: course.partition,
                        from: course.next,
                        leader,
                        read_epoch: course.read_epoch,
                        bytes_max: room,
                    });
                }
            }
            has_joiners |= has_end;
            has_ready |= !has_end;
            course.phase = Phase::Away { leader, has_end, trip: number };
        }
        if stops.is_empty() {
            return None;
        }
        self.last_trip = number;
        let wait = match way {
            Way::Parked => PARKED_WAIT,
            Way::Ready if has_ready => Duration::ZERO,
            Way::Ready => JOIN_WAIT,
        };
        self.away.insert((node, way), way == Way::Ready && has_joiners);
        let halvings = self.slow.get(&node).copied().unwrap_or(0);
        let bytes_max = (TRIP_BYTES.0 >> halvings.min(16)).max(TRIP_BYTES.1);
        Some(Trip { number, node, way, wait, bytes_max, stops })
    }

    /// A trip is over; `is_late`: its answer did not come in time.
    pub(super) fn back(&mut self, trip: &Trip, is_late: bool) {
        self.away.remove(&(trip.node, trip.way));
        let slow = self.slow.entry(trip.node).or_default();
        *slow = if is_late { (*slow + 1).min(7) } else { slow.saturating_sub(1) };
        if *slow == 0 {
            self.slow.remove(&trip.node);
        }
    }
}

#[cfg(test)]
mod tests;
