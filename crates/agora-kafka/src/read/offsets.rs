//! Where a lane begins and ends, and where a reader begins.

use std::time::{SystemTime, UNIX_EPOCH};

use agora_core::{ErrorKind, Result};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::trip::READ_COMMITTED;
use crate::brokers::{Line, TRY_WAIT, Target};
use crate::error::{Refusal, error, odd};

/// Who asks is no broker.
const CONSUMER: i32 = -1;
/// Instead of a time: the end, and the beginning.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Where a lane begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The offset before which everything was trimmed.
    pub start: i64,
    /// The offset behind everything that can be read now. A transaction that has not ended lies behind it.
    pub end: i64,
}

/// Where a lane begins and ends, as its leader says.
///
/// # Errors
/// `NotFound`: there is no such topic or lane. `Unauthorized`. `Unreachable`: nobody says.
///
/// # Cancel safety
/// Dropping the future changes nothing.
pub async fn bounds(line: &Line, topic: &str, partition: i32, by: Instant) -> Result<Bounds> {
    let start = at(line, topic, partition, EARLIEST, by).await?;
    let end = at(line, topic, partition, LATEST, by).await?;
    match (start, end) {
        (Some(start), Some(end)) => Ok(Bounds { start, end: end.max(start) }),
        _ => Err(error(ErrorKind::Unreachable, "the leader does not know where the log begins and ends")),
    }
}

/// The first offset whose record has this time, to the millisecond, or a later one; `None`: there is no such record.
///
/// # Errors
/// As [`bounds`].
///
/// # Cancel safety
/// Dropping the future changes nothing.
pub async fn at_time(
    line: &Line,
    topic: &str,
    partition: i32,
    time: SystemTime,
    by: Instant,
) -> Result<Option<i64>> {
    // Negative numbers are no times.
    let ms = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    at(line, topic, partition, i64::try_from(ms).unwrap_or(i64::MAX), by).await
}

async fn at(line: &Line, topic: &str, partition: i32, timestamp: i64, by: Instant) -> Result<Option<i64>> {
    let asked = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(CONSUMER))
        .with_isolation_level(READ_COMMITTED)
        .with_topics(vec![ListOffsetsTopic::default().with_name(name).with_partitions(vec![asked])]);
    let judge =
        |answer: &ListOffsetsResponse| Refusal::check(only(answer).map_or(0, |found| found.error_code));
    let asking = line.ask(Target::Leader(topic, partition), &request, TRY_WAIT, by, judge);
    let told = |error: agora_core::Error| error.context("topic", topic).context("lane", partition);
    let answer = Box::pin(asking).await.map_err(told)?;
    let found = only(&answer).ok_or_else(|| odd("it says nothing of the partition"))?;
    Ok(Some(found.offset).filter(|offset| *offset >= 0))
}

fn only(answer: &ListOffsetsResponse) -> Option<&ListOffsetsPartitionResponse> {
    answer.topics.first()?.partitions.first()
}
