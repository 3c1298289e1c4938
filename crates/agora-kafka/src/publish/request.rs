//! One request: batches of several lanes for one broker, and what its answer says of each.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::transport::{OutFrame, Outcome};
use agora_core::{Error, ErrorKind, Result};
use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::time::Instant;

use super::lane::{Fate, Parcel};
use crate::brokers::{Brokers, Line, Target};
use crate::error::{Cure, Refusal, error, odd};

/// All replicas that are in sync.
const ACKS_ALL: i16 = -1;
/// How long a broker may wait for the replicas, at least and at most. A caller's deadline lies in between where it can. Where
/// it takes longer, the broker says so and is asked again; a long wait would hide one that is gone.
const REPLICAS_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// How long the answer may take. After that the connection ends, for all who use it; where the broker says nothing at all,
/// sooner.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// The first version of records that there is headers in, and the only one that is written.
const RECORDS_VERSION: i8 = 2;

/// One batch of a request.
#[derive(Debug)]
pub(super) struct Part {
    /// The lane, as the ledger counts them.
    pub(super) lane: usize,
    pub(super) topic: StrBytes,
    pub(super) partition: i32,
    pub(super) parcel: Parcel,
}

/// What became of one batch: of the lane, its number.
pub(super) type Told = (usize, u64, Fate);

/// Sends batches to a broker. Returns what became of each.
pub(super) async fn send(line: &Line, node: i32, parts: Vec<Part>) -> Vec<Told> {
    let now = Instant::now();
    let wanted = parts.iter().filter_map(|part| part.parcel.wanted_until).max().unwrap_or(now);
    let wait = wanted.saturating_duration_since(now).clamp(REPLICAS_WAIT.0, REPLICAS_WAIT.1);
    let request = match encode(&parts, wait) {
        Ok(request) => request,
        Err(error) => return all(&parts, &refused(Outcome::NotStored, error)),
    };
    match line.call(Target::Node(node), &request, now + ANSWER_WAIT).await {
        Ok(response) => read(line.brokers(), &parts, &response),
        Err(error) => {
            for part in &parts {
                line.brokers().doubt(Target::Leader(part.topic.as_str(), part.partition));
            }
            all(&parts, &without_answer(error))
        }
    }
}

fn all(parts: &[Part], fate: &Fate) -> Vec<Told> {
    parts.iter().map(|part| (part.lane, part.parcel.number, fate.clone())).collect()
}

fn again(outcome: Outcome, error: Error) -> Fate {
    Fate::Again { outcome, error, is_slow: false }
}

fn refused(outcome: Outcome, error: Error) -> Fate {
    Fate::Refused { outcome, error, records: Vec::new() }
}

/// The request failed as a whole.
fn without_answer(error: Error) -> Fate {
    match error.kind() {
        ErrorKind::OutcomeUnknown => again(Outcome::Unknown, error),
        ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::NotFound => again(Outcome::NotStored, error),
        _ => refused(Outcome::NotStored, error),
    }
}

/// # Errors
/// `Backend`: something cannot be said in the protocol.
fn encode(parts: &[Part], wait: Duration) -> Result<ProduceRequest> {
    let mut topics: BTreeMap<&str, TopicProduceData> = BTreeMap::new();
    for part in parts {
        let data = PartitionProduceData::default()
            .with_index(part.partition)
            .with_records(Some(batch(&part.parcel)?));
        let topic = topics
            .entry(part.topic.as_str())
            .or_insert_with(|| TopicProduceData::default().with_name(TopicName(part.topic.clone())));
        topic.partition_data.push(data);
    }
    Ok(ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(ACKS_ALL)
        .with_timeout_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
        .with_topic_data(topics.into_values().collect()))
}

fn batch(parcel: &Parcel) -> Result<Bytes> {
    let records: Vec<Record> =
        parcel.frames.iter().zip(0..).map(|(frame, at)| record(parcel, frame, at)).collect();
    let mut buffer = BytesMut::with_capacity(parcel.bytes);
    let options = RecordEncodeOptions { version: RECORDS_VERSION, compression: Compression::None };
    RecordBatchEncoder::encode(&mut buffer, &records, &options).map_err(|cause| {
        error(ErrorKind::Backend, "the records cannot be encoded").source(cause.into_boxed_dyn_error())
    })?;
    Ok(buffer.freeze())
}

fn record(parcel: &Parcel, frame: &OutFrame, at: i32) -> Record {
    let header =
        |(name, value): &(&'static str, Bytes)| (StrBytes::from_static_str(name), Some(value.clone()));
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: parcel.identity.id,
        producer_epoch: parcel.identity.epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(at),
        // Only the first one's is written; the encoder keeps those together that count on from it.
        sequence: parcel.sequence.wrapping_add(at),
        timestamp: parcel.time_ms,
        key: frame.key.clone(),
        value: Some(frame.payload.clone()),
        headers: frame.headers.iter().map(header).collect(),
    }
}

fn read(brokers: &Brokers, parts: &[Part], response: &ProduceResponse) -> Vec<Told> {
    let mut answers = BTreeMap::new();
    for topic in &response.responses {
        for partition in &topic.partition_responses {
            answers.insert((topic.name.0.as_str(), partition.index), partition);
        }
    }
    let told = parts.iter().map(|part| {
        let fate = match answers.get(&(part.topic.as_str(), part.partition)) {
            Some(answer) => fate(brokers, part, answer),
            None => again(Outcome::Unknown, odd("it says nothing of a partition that was asked for")),
        };
        (part.lane, part.parcel.number, fate)
    });
    told.collect()
}

fn fate(brokers: &Brokers, part: &Part, answer: &PartitionProduceResponse) -> Fate {
    let Err(refusal) = Refusal::check_with(answer.error_code, answer.error_message.as_ref()) else {
        return Fate::Stored;
    };
    brokers.cure(Target::Leader(part.topic.as_str(), part.partition), &refusal);
    let (code, cure, outcome) = (refusal.code, refusal.cure(), refusal.outcome());
    let error = refusal.clone().into_error().context("partition", part.partition);
    tracing::debug!(topic = part.topic.as_str(), %error, "a batch was not stored");
    match code {
        // It is older than the batches that the broker knows again, all of which it has stored.
        Code::DuplicateSequenceNumber => Fate::Stored,
        Code::MessageTooLarge | Code::RecordListTooLarge => Fate::TooMany(error),
        _ if cure == Cure::Producer || code == Code::ProducerFenced => {
            let is_taken = matches!(
                code,
                Code::InvalidProducerEpoch | Code::ProducerFenced | Code::InvalidProducerIdMapping
            );
            Fate::Forgotten { is_taken, error }
        }
        _ if refusal.is_retryable() || outcome == Outcome::Unknown => {
            Fate::Again { outcome, error, is_slow: code == Code::RequestTimedOut }
        }
        _ => {
            let records = answer.record_errors.iter();
            let records = records.filter_map(|record| usize::try_from(record.batch_index).ok()).collect();
            Fate::Refused { outcome, error, records }
        }
    }
}
