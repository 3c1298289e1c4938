//! Where the partitions of a topic begin and end, asked of each leader for all that it leads.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agora_core::{ErrorKind, Result};
use futures_util::future::join_all;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep};

use super::look::{self, Known};
use crate::brokers::{Line, TRY_WAIT, Target};
use crate::error::{Refusal, of_repeatable};

/// Instead of a time: behind the newest record, with the oldest, with the one of the latest time.
pub(super) const END: i64 = -1;
pub(super) const BEGINNING: i64 = -2;
pub(super) const LATEST: i64 = -3;
/// The earliest time that a record can have.
pub(super) const OLDEST: i64 = 0;

/// `IsolationLevel.READ_COMMITTED` of Kafka: what a transaction has not ended yet is not there.
const READ_COMMITTED: i8 = 1;
/// The pause before who leads is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// A place that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// -1: there is none.
    pub(super) offset: i64,
    /// In milliseconds; -1: not told.
    pub(super) time: i64,
}

/// Where each partition has its first record of this time or later, or what the constants above say. Partitions that
/// nobody leads are left out.
///
/// # Errors
/// `Unauthorized`. `Unreachable`: a leader has not answered until `by`.
pub(super) async fn list(line: &Line, topic: &Known, time: i64, by: Instant) -> Result<BTreeMap<i32, Found>> {
    let (mut known, mut found) = (topic.clone(), BTreeMap::new());
    loop {
        let mut asked: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (index, partition) in &known.partitions {
            if let Some(leader) = partition.leader.filter(|_| !found.contains_key(index)) {
                asked.entry(leader).or_default().push(*index);
            }
        }
        if asked.is_empty() {
            return Ok(found);
        }
        let asking = asked.iter().map(|(node, partitions)| {
            let request = request(&topic.name, partitions, time);
            async move {
                let by = by.min(Instant::now() + TRY_WAIT);
                Box::pin(line.call(Target::Node(*node), &request, by)).await
            }
        });
        let mut why = None;
        for answer in join_all(asking).await {
            match answer {
                Ok(answer) => {
                    for one in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                        match Refusal::check(one.error_code) {
                            Ok(()) => {
                                let place = Found { offset: one.offset, time: one.timestamp };
                                found.insert(one.partition_index, place);
                            }
                            Err(refusal) if refusal.is_retryable() => why = Some(refusal.into_error()),
                            Err(refusal) => return Err(refusal.into_error()),
                        }
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::OutcomeUnknown => {
                        why = Some(of_repeatable(error));
                    }
                    _ => return Err(error),
                },
            }
        }
        let Some(why) = why else { return Ok(found) };
        if Instant::now() + PAUSE >= by {
            return Err(why.context("topic", &topic.name));
        }
        sleep(PAUSE).await;
        known = look::find(line, &topic.name, by).await?;
    }
}

fn request(topic: &str, partitions: &[i32], time: i64) -> ListOffsetsRequest {
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
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(READ_COMMITTED)
        .with_topics(vec![of])
}

/// A time as the brokers count it. What was before 1970 is all that there is.
pub(super) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Found {
    /// The time, where it was told.
    pub(super) fn time(&self) -> Option<SystemTime> {
        let ms = u64::try_from(self.time).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(ms))
    }
}
