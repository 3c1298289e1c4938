//! What a group has committed, as its coordinator has it.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::Result;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::brokers::{Kind, Line, Target};
use crate::error::Refusal;

/// How long one answer of a coordinator may take.
pub(crate) const EACH: Duration = Duration::from_secs(5);

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// What stands beside it.
    pub(crate) text: String,
}

/// What a group has committed: by topic and partition.
pub(crate) type Topics = BTreeMap<String, BTreeMap<i32, Committed>>;

/// Some partitions of a topic.
pub(crate) type Of<'a> = (&'a str, Vec<i32>);

/// What a group has committed of some partitions, or of all topics. Where `is_stable` asks for it, what a transaction has not
/// decided yet is waited for; Kafka has that since 2.5. `of_partition` judges the answer for a single partition.
///
/// # Errors
/// As [`Line::ask`].
pub(crate) async fn fetch(
    line: &Line,
    group: &str,
    of: Option<Of<'_>>,
    is_stable: bool,
    of_partition: fn(i16) -> Result<(), Refusal>,
    by: Instant,
) -> Result<Topics> {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let topics = of.map(|(topic, partitions)| {
        let of = OffsetFetchRequestTopic::default().with_name(TopicName(text(topic)));
        vec![of.with_partition_indexes(partitions)]
    });
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(topics)
        .with_require_stable(is_stable);
    let judge = |answer: &OffsetFetchResponse| {
        Refusal::check(answer.error_code)?;
        let mut told = answer.topics.iter().flat_map(|topic| &topic.partitions);
        told.try_for_each(|one| of_partition(one.error_code))
    };
    let asking = line.ask(Target::Coordinator(Kind::Group, group), &request, EACH, by, judge);
    let answer = Box::pin(asking).await?;
    let topics = answer.topics.into_iter().map(|topic| {
        let told = topic.partitions.into_iter().filter(|one| one.committed_offset >= 0);
        let committed = told.map(|one| {
            let text = one.metadata.map(|text| text.as_str().to_owned()).unwrap_or_default();
            (one.partition_index, Committed { offset: one.committed_offset, text })
        });
        (topic.name.as_str().to_owned(), committed.collect())
    });
    Ok(topics.collect())
}

/// The same of one topic.
///
/// # Errors
/// As [`Line::ask`].
pub(crate) async fn of_topic(
    line: &Line,
    group: &str,
    of: Of<'_>,
    is_stable: bool,
    of_partition: fn(i16) -> Result<(), Refusal>,
    by: Instant,
) -> Result<BTreeMap<i32, Committed>> {
    let topic = of.0;
    let mut topics = fetch(line, group, Some(of), is_stable, of_partition, by).await?;
    Ok(topics.remove(topic).unwrap_or_default())
}
