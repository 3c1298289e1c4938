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
/// Instead of a time: behind the newest record, and with the oldest.
pub(crate) const END: i64 = -1;
pub(crate) const BEGINNING: i64 = -2;

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
    let start = at(line, topic, partition, BEGINNING, by).await?;
    let end = at(line, topic, partition, END, by).await?;
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
    at(line, topic, partition, millis(time), by).await
}

async fn at(line: &Line, topic: &str, partition: i32, timestamp: i64, by: Instant) -> Result<Option<i64>> {
    let request = request(topic, &[partition], timestamp);
    let judge =
        |answer: &ListOffsetsResponse| Refusal::check(only(answer).map_or(0, |found| found.error_code));
    let asking = line.ask(Target::Leader(topic, partition), &request, TRY_WAIT, by, judge);
    let told = |error: agora_core::Error| error.context("topic", topic).context("lane", partition);
    let answer = Box::pin(asking).await.map_err(told)?;
    let found = only(&answer).ok_or_else(|| odd("it says nothing of the partition"))?;
    Ok(Some(found.offset).filter(|offset| *offset >= 0))
}

/// Asks the leader of these partitions where each has its first record of this time or later, or what the constants above
/// say.
pub(crate) fn request(topic: &str, partitions: &[i32], time: i64) -> ListOffsetsRequest {
    let one = |index: &i32| {
        ListOffsetsPartition::default()
            .with_partition_index(*index)
            .with_current_leader_epoch(-1)
            .with_timestamp(time)
    };
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let of =
        ListOffsetsTopic::default().with_name(name).with_partitions(partitions.iter().map(one).collect());
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(CONSUMER))
        .with_isolation_level(READ_COMMITTED)
        .with_topics(vec![of])
}

/// A time as the brokers count it. Negative numbers are no times: what was before 1970 is all that there is.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn only(answer: &ListOffsetsResponse) -> Option<&ListOffsetsPartitionResponse> {
    answer.topics.first()?.partitions.first()
}
