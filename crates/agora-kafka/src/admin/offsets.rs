//! Where the partitions of a topic begin and end, asked of each leader for all that it leads.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agora_core::{ErrorKind, Result};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::look::{self, Known};
use crate::brokers::{Line, TRY_WAIT, Target};
use crate::error::{Refusal, of_repeatable};
use crate::read::offsets::request;

/// Instead of a time: with the record of the latest one.
pub(super) const LATEST: i64 = -3;
/// The earliest time that a record can have.
pub(super) const OLDEST: i64 = 0;

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

/// Where each partition has its first record of this time or later, or what stands for one. Partitions that
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

impl Found {
    /// The time, where it was told.
    pub(super) fn time(&self) -> Option<SystemTime> {
        let ms = u64::try_from(self.time).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(ms))
    }
}
