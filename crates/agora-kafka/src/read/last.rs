//! The newest record of a lane.
//!
//! The last offset need not be a record: it may be the mark of a transaction, one that was given up, or gone through
//! compaction. So the search goes back, twice as far each time.

use agora_core::Result;
use kafka_protocol::messages::FetchResponse;
use tokio::time::Instant;

use super::desk::{Leader, Stop, Trip, Way};
use super::offsets::Bounds;
use super::opened::{Fetched, Opened, Piece};
use super::record::Record;
use super::slot::READ_AHEAD_BYTES;
use super::trip;
use crate::brokers::{Line, TRY_WAIT, Target};
use crate::error::{Refusal, odd};

/// The most fetches that are made to find it. Where they find none, the lane counts as one that has none.
const FETCHES_MAX: usize = 64;

/// The newest record of a lane whose bounds are these; `None`: it holds none.
///
/// # Errors
/// As [`bounds`](super::offsets::bounds).
///
/// # Cancel safety
/// Dropping the future changes nothing.
pub(super) async fn last(
    line: &Line,
    topic: &str,
    partition: i32,
    bounds: Bounds,
    by: Instant,
) -> Result<Option<Record>> {
    let (mut stop, mut step, mut fetches) = (bounds.end, 1_i64, 0);
    while stop > bounds.start && fetches < FETCHES_MAX {
        let from = bounds.end.saturating_sub(step).max(bounds.start);
        let (mut at, mut found) = (from, None);
        while at < stop && fetches < FETCHES_MAX {
            fetches += 1;
            let opened = fetch(line, topic, partition, at, by).await?;
            let end = opened.1;
            for piece in opened.0 {
                match piece {
                    Piece::Record(record) if record.offset < bounds.end => found = Some(record),
                    Piece::Record(_) | Piece::Unreadable { .. } => {}
                }
            }
            if end <= at {
                // Nothing is there up to the end.
                break;
            }
            at = end;
        }
        if found.is_some() {
            return Ok(found);
        }
        (stop, step) = (from, step.saturating_mul(2));
    }
    Ok(None)
}

/// What stands from an offset on, and the offset behind it.
async fn fetch(line: &Line, topic: &str, partition: i32, from: i64, by: Instant) -> Result<(Opened, i64)> {
    let leader = Leader { node: -1, epoch: -1 };
    let stop = Stop {
        lanes: Vec::new(),
        topic: topic.into(),
        id: None,
        partition,
        from,
        leader,
        read_epoch: -1,
        bytes_max: READ_AHEAD_BYTES,
    };
    let trip = Trip {
        number: 0,
        node: leader.node,
        way: Way::Ready,
        wait: std::time::Duration::ZERO,
        bytes_max: READ_AHEAD_BYTES,
        stops: vec![stop],
    };
    let request = trip::request(&trip, false);
    let code = |answer: &FetchResponse| match answer.error_code {
        0 => trip
            .stops
            .first()
            .and_then(|stop| trip::of_stop(answer, stop))
            .map_or(0, |found| found.error_code),
        code => code,
    };
    let judge = |answer: &FetchResponse| Refusal::check(code(answer));
    let asking = line.ask(Target::Leader(topic, partition), &request, TRY_WAIT, by, judge);
    let answer = Box::pin(asking).await?;
    let found = trip.stops.first().and_then(|stop| trip::of_stop(&answer, stop));
    let found = found.ok_or_else(|| odd("it says nothing of the partition"))?;
    let (steps, end, _) = trip::walk(found, from);
    let fetched = Fetched { steps, aborted: trip::aborted(found), is_end: false };
    Ok((Opened::new(fetched, u32::try_from(partition).unwrap_or(0), from), end))
}
