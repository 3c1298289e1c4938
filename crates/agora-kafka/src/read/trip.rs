//! A fetch, as the protocol says it, and what its answer means for the lanes.

use std::collections::VecDeque;
use std::sync::Arc;

use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::batch::{Step, Walk};
use super::desk::{Course, Leader, Stop, Trip};
use super::opened::{Aborted, Fetched};
use super::slot::Item;
use crate::error::{Cure, Refusal};

/// Records of transactions are read when these have ended well.
pub(super) const READ_COMMITTED: i8 = 1;

/// The request. `says_epochs`: the broker understands which epoch was read last, and tells where that ended.
pub(super) fn request(trip: &Trip, says_epochs: bool) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for stop in &trip.stops {
        let partition = FetchPartition::default()
            .with_partition(stop.partition)
            .with_current_leader_epoch(stop.leader.epoch)
            .with_fetch_offset(stop.from)
            .with_last_fetched_epoch(if says_epochs { stop.read_epoch } else { -1 })
            .with_partition_max_bytes(i32::try_from(stop.bytes_max).unwrap_or(i32::MAX));
        match topics.iter_mut().find(|topic| topic.topic.0.as_str() == &*stop.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let name = TopicName(StrBytes::from_string(stop.topic.to_string()));
                let id = stop.id.unwrap_or_default();
                let topic = FetchTopic::default().with_topic(name).with_topic_id(id);
                topics.push(topic.with_partitions(vec![partition]));
            }
        }
    }
    FetchRequest::default()
        .with_max_wait_ms(i32::try_from(trip.wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(1)
        .with_max_bytes(i32::try_from(trip.bytes_max).unwrap_or(i32::MAX))
        .with_isolation_level(READ_COMMITTED)
        .with_topics(topics)
}

/// What the answer says of a stop; `None`: nothing.
pub(super) fn of_stop<'a>(answer: &'a FetchResponse, stop: &Stop) -> Option<&'a PartitionData> {
    // The answer names topics as the request did: by their ids, or by their names.
    let mut topics = answer.responses.iter().filter(|topic| match Some(topic.topic_id) {
        id if id == stop.id => true,
        _ => topic.topic.0.as_str() == &*stop.topic,
    });
    topics.find_map(|topic| topic.partitions.iter().find(|one| one.partition_index == stop.partition))
}

/// What became of a lane.
pub(super) enum Became {
    /// It was served.
    Served,
    /// Where its log begins and ends is to be looked at.
    ToLook,
    /// The broker said no: mostly another one is in charge.
    Refused(Refusal),
    /// The log was rewound.
    Rewound,
}

/// Hands what an answer says of a partition to one of its lanes.
pub(super) fn serve(
    course: &mut Course,
    leader: Leader,
    trip: u64,
    found: &PartitionData,
    now: Instant,
) -> Became {
    if let Err(refusal) = Refusal::check(found.error_code) {
        if refusal.code == Code::CorruptMessage {
            return corrupt(course, leader, now);
        }
        return match refusal.cure() {
            Cure::Offset => Became::ToLook,
            _ => Became::Refused(refusal),
        };
    }
    // Where the epoch that was read last ended: before the place where the reading stands.
    if found.diverging_epoch.end_offset >= 0 {
        return Became::Rewound;
    }
    let (mut steps, mut next, epoch) = walk(found, course.next);
    let is_empty = found.records.as_ref().is_none_or(|records| records.is_empty());
    if next == course.next && course.is_stuck() && !is_empty {
        next = next.saturating_add(1);
        steps.push_back(Step::Unreadable { until: next, why: "it never comes whole" });
    }
    let has_progress = next > course.next;
    course.next = next;
    course.read_epoch = epoch.unwrap_or(course.read_epoch);
    // What is read is committed: the end is that of the last transaction that has ended.
    let end = if found.last_stable_offset >= 0 { found.last_stable_offset } else { found.high_watermark };
    let has_end = next >= end.max(course.end_at_first);
    course.served(leader, trip, has_progress, has_end, now);
    if has_progress || has_end && !course.told_end {
        course.told_end = has_end;
        course.slot.push(Item::Fetched(Fetched { steps, aborted: aborted(found), is_end: has_end }));
    }
    Became::Served
}

/// The broker cannot read what it holds here. It is asked again, for a disk may fail once; then one offset after the other
/// is passed by, until it finds something: it can again from the next entry of its index on, or the next file.
fn corrupt(course: &mut Course, leader: Leader, now: Instant) -> Became {
    if course.is_stuck() {
        course.passed_by(leader);
        let step = Step::Unreadable { until: course.next, why: "the broker cannot read it" };
        course.slot.push(Item::Fetched(Fetched { steps: VecDeque::from([step]), ..Fetched::default() }));
    } else {
        course.stumbled(leader, now);
    }
    Became::Served
}

/// What stands there from an offset on, the offset behind it, and the epoch of the last batch.
pub(super) fn walk(found: &PartitionData, from: i64) -> (VecDeque<Step>, i64, Option<i32>) {
    let mut walk = Walk::new(found.records.as_deref().unwrap_or_default(), from);
    let steps = walk.by_ref().collect();
    (steps, walk.next_offset(), walk.leader_epoch())
}

/// The transactions among it that were given up.
pub(super) fn aborted(found: &PartitionData) -> Vec<Aborted> {
    let aborted = found.aborted_transactions.iter().flatten();
    aborted.map(|aborted| Aborted { producer: aborted.producer_id.0, first: aborted.first_offset }).collect()
}

/// The topics of a trip, each once.
pub(super) fn topics(trip: &Trip) -> impl Iterator<Item = (&Arc<str>, i32)> {
    let mut last: Option<&Arc<str>> = None;
    trip.stops.iter().filter_map(move |stop| {
        let is_new = last.is_none_or(|last| *last != stop.topic);
        last = Some(&stop.topic);
        is_new.then_some((&stop.topic, stop.partition))
    })
}
