//! What topics there are, and who has them: asked of the brokers themselves, and not of what is remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use futures_util::future::join_all;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep};

use crate::brokers::{Line, Partition, TRY_WAIT, Target, Topic};
use crate::error::{Refusal, odd};

/// The most brokers that are asked whether they know something.
const ASKED_MAX: usize = 16;
/// How often they are.
const PAUSE: Duration = Duration::from_millis(30);

/// A topic, and its partitions by number.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) partitions: BTreeMap<i32, Partition>,
}

/// All topics but those that the brokers keep for themselves.
///
/// # Errors
/// As [`Line::ask`].
pub(super) async fn all(line: &Line, by: Instant) -> Result<Vec<Known>> {
    let answer = ask(line, Target::Any, None, by).await?;
    let topics = answer.topics.iter().filter(|topic| !topic.is_internal);
    // One that is being made or deleted has no partitions now.
    Ok(topics.filter_map(|topic| known(topic).ok()).collect())
}

/// A topic.
///
/// # Errors
/// `NotFound`: no broker knows it. As [`Line::ask`].
pub(super) async fn find(line: &Line, name: &str, by: Instant) -> Result<Known> {
    let missing = match one(line, Target::Any, name, by).await? {
        Ok(known) => return Ok(known),
        Err(refusal) => refusal,
    };
    // One that was made a moment ago may have reached another broker.
    let asked = nodes(line).into_iter().map(|node| async move {
        one(line, Target::Node(node), name, by.min(Instant::now() + TRY_WAIT)).await.ok()?.ok()
    });
    let found = join_all(asked).await.into_iter().flatten().next();
    found.ok_or_else(|| missing.into_error())
}

/// Waits until something is so for every broker that answers, but not longer than until `by`.
pub(super) async fn everywhere<F: Future<Output = Result<bool>>>(
    line: &Line,
    by: Instant,
    is_so: impl Fn(i32) -> F,
) {
    let mut left = nodes(line);
    while !left.is_empty() && Instant::now() < by {
        let mut next = Vec::new();
        for node in left {
            // One that does not answer cannot mislead anybody either.
            if let Ok(false) = is_so(node).await {
                next.push(node);
            }
        }
        left = next;
        if !left.is_empty() {
            sleep(PAUSE).await;
        }
    }
}

/// Does this broker know the topic with so many partitions, each with a leader?
pub(super) async fn is_known(line: &Line, node: i32, name: &str, count: usize, by: Instant) -> Result<bool> {
    let known = one(line, Target::Node(node), name, by.min(Instant::now() + TRY_WAIT)).await?;
    Ok(known.is_ok_and(|known| {
        known.partitions.len() >= count && known.partitions.values().all(|one| one.leader.is_some())
    }))
}

/// Does this broker not know the topic?
pub(super) async fn is_gone(line: &Line, node: i32, name: &str, by: Instant) -> Result<bool> {
    let known = one(line, Target::Node(node), name, by.min(Instant::now() + TRY_WAIT)).await?;
    Ok(known.is_err())
}

fn nodes(line: &Line) -> Vec<i32> {
    line.brokers().view().brokers.keys().copied().take(ASKED_MAX).collect()
}

/// A topic as one broker has it, or that it does not know it.
async fn one(line: &Line, target: Target<'_>, name: &str, by: Instant) -> Result<Result<Known, Refusal>> {
    let answer = ask(line, target, Some(name), by).await?;
    let topic = answer.topics.first().ok_or_else(|| odd("it says nothing of the topic"))?;
    match known(topic) {
        Err(refusal) if refusal.code != Code::UnknownTopicOrPartition => Err(Error::from(refusal)),
        known => Ok(known),
    }
}

fn known(topic: &MetadataResponseTopic) -> Result<Known, Refusal> {
    let name = topic.name.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
    let partitions = Topic::new(topic, Instant::now()).partitions?;
    Ok(Known { name, partitions })
}

async fn ask(line: &Line, target: Target<'_>, name: Option<&str>, by: Instant) -> Result<MetadataResponse> {
    let topic = |name: &str| {
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        vec![MetadataRequestTopic::default().with_name(Some(name))]
    };
    let request =
        MetadataRequest::default().with_topics(name.map(topic)).with_allow_auto_topic_creation(false);
    let judge = |answer: &MetadataResponse| {
        // Of all topics, one that cannot be told is no reason to tell of none.
        let asked = answer.topics.iter().filter(|_| name.is_some()).map(|topic| topic.error_code);
        let is_unknown = |code: i16| code == Code::UnknownTopicOrPartition.code();
        asked.filter(|code| !is_unknown(*code)).try_for_each(Refusal::check)
    };
    Box::pin(line.ask(target, &request, TRY_WAIT, by, judge)).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => odd("it does not know what it was asked for").source(error),
        _ => error,
    })
}
