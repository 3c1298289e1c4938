//! Reads one lane for a member of a group, as far ahead as there is room.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agora_core::transport::Raw;
use agora_core::{ErrorKind, Result};
use bytes::{Buf, Bytes};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::RecordBatchDecoder;
use tokio::time::{Instant, sleep};

use super::inbox::Shared;
use super::lane::Found;
use super::standing::log_range;
use crate::brokers::{Brokers, Line, Target};
use crate::error::{Refusal, odd};

/// How many records of a lane are read ahead.
const AHEAD: usize = 1000;
/// How long a fetch waits for records, and how long its answer may take besides.
const WAIT: Duration = Duration::from_millis(500);
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The pause after something failed.
const PAUSE: Duration = Duration::from_millis(200);
const BYTES: i32 = 1 << 20;

/// Which lane, in which of the times that it was this member's.
pub(super) struct Lane {
    pub(super) topic: String,
    pub(super) number: u32,
    pub(super) serial: u64,
    pub(super) next: u64,
}

/// Reads until the lane is not this member's any more.
pub(super) async fn read(brokers: Arc<Brokers>, shared: Arc<Shared>, mut lane: Lane) {
    let line = brokers.line("reads for a group");
    let mut is_begun = false;
    loop {
        if !shared.has_room(lane.number, lane.serial, AHEAD).await {
            return;
        }
        match fetch(&line, &lane).await {
            Ok(Fetched::Records(records)) => {
                is_begun = true;
                if let Some((last, _)) = records.last() {
                    lane.next = last.saturating_add(1);
                }
                let found = records.into_iter().map(|(at, raw)| Found::Record { at, raw });
                shared.find(lane.number, lane.serial, found.collect());
            }
            Ok(Fetched::OutOfRange(first, end)) => {
                let is_rewound = lane.next > end;
                if is_rewound && is_begun {
                    shared.interrupt();
                    return;
                }
                let to = if is_rewound { end } else { first };
                let found = Found::Trimmed { from: lane.next, to, is_rewound };
                lane.next = to;
                shared.find(lane.number, lane.serial, vec![found]);
            }
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => {
                tracing::debug!(topic = %lane.topic, lane = lane.number, %error, "not read for a group");
                sleep(PAUSE).await;
            }
        }
    }
}

enum Fetched {
    Records(Vec<(u64, Raw)>),
    OutOfRange(u64, u64),
}

async fn fetch(line: &Line, lane: &Lane) -> Result<Fetched> {
    let partition = i32::try_from(lane.number).unwrap_or(i32::MAX);
    let one = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(i64::try_from(lane.next).unwrap_or(i64::MAX))
        .with_partition_max_bytes(BYTES);
    let of = FetchTopic::default()
        .with_topic(TopicName(StrBytes::from_string(lane.topic.clone())))
        .with_partitions(vec![one]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(WAIT.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(BYTES)
        .with_isolation_level(1)
        .with_session_epoch(-1)
        .with_topics(vec![of]);
    let target = Target::Leader(&lane.topic, partition);
    let answer = line.call(target, &request, Instant::now() + WAIT + ANSWER_WAIT).await?;
    let of = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let of = of.ok_or_else(|| odd("nothing is said of the partition"))?;
    if let Err(refusal) = Refusal::check(of.error_code) {
        line.brokers().cure(target, &refusal);
        if refusal.code == Code::OffsetOutOfRange {
            let (first, end) = log_range(line, &lane.topic, partition, Instant::now() + ANSWER_WAIT).await?;
            return Ok(Fetched::OutOfRange(first, end));
        }
        return Err(refusal.into_error());
    }
    let mut bytes = of.records.unwrap_or_default();
    let mut records = Vec::new();
    while let Some(length) = bytes.get(8..12).and_then(|length| length.try_into().ok()) {
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX).saturating_add(12);
        if bytes.len() < length {
            break;
        }
        let mut batch = bytes.copy_to_bytes(length);
        let set = RecordBatchDecoder::decode(&mut batch);
        let set = set.map_err(|_| odd("a batch cannot be read"))?;
        for record in set.records {
            let at = u64::try_from(record.offset).unwrap_or(0);
            if record.control || at < lane.next {
                continue;
            }
            let time = u64::try_from(record.timestamp).unwrap_or(0);
            let headers = record.headers.into_iter();
            let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.unwrap_or_default()));
            records.push((
                at,
                Raw {
                    payload: record.value.unwrap_or_default(),
                    lane: lane.number,
                    key: record.key.filter(|key: &Bytes| !key.is_empty()),
                    headers: headers.collect(),
                    time: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(time)),
                },
            ));
        }
    }
    Ok(Fetched::Records(records))
}
