//! Topics: changed and deleted, and what the brokers say of their settings and sizes.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::transport::TopicChange;
use agora_core::{ErrorKind, Result};
use futures_util::future::join_all;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::look::Known;
use crate::brokers::{Line, TRY_WAIT, Target};
use crate::error::{Refusal, odd};
use crate::settings::{CLEANUP, RETENTION};

/// How long the brokers may take to do something to a topic.
const CHANGE_WAIT: Duration = Duration::from_secs(10);
/// `ConfigResource.Type.TOPIC` of Kafka.
const TOPIC: i8 = 2;
/// `DescribeConfigsResponse.ConfigSource.TOPIC_CONFIG`: it was set for this topic.
const OF_TOPIC: i8 = 1;
/// `AlterConfigOp.OpType` of Kafka: set a value, and go back to what the brokers do.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// What is set up for a topic.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) retention: Option<Duration>,
    /// What was set for this topic.
    pub(super) own: BTreeMap<String, String>,
}

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn wait_ms() -> i32 {
    i32::try_from(CHANGE_WAIT.as_millis()).unwrap_or(i32::MAX)
}

fn millis(time: Duration) -> String {
    // It is a 64-bit number there.
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).to_string()
}

/// Deletes a topic.
///
/// # Errors
/// `Unsupported`: the brokers delete none. As [`Line::ask`].
pub(super) async fn delete(line: &Line, on_servers: &str, by: Instant) -> Result<()> {
    let request =
        DeleteTopicsRequest::default().with_topic_names(vec![name(on_servers)]).with_timeout_ms(wait_ms());
    let judge = |answer: &DeleteTopicsResponse| {
        let mut topics = answer.responses.iter();
        topics.try_for_each(|topic| Refusal::check_with(topic.error_code, topic.error_message.as_ref()))
    };
    Box::pin(line.ask(Target::Controller, &request, CHANGE_WAIT, by, judge)).await.map(drop)
}

/// Changes settings.
///
/// # Errors
/// `Config`: what the brokers do not know or take.
pub(super) async fn alter(line: &Line, on_servers: &str, change: &TopicChange, by: Instant) -> Result<()> {
    let mut settings = change.own.clone();
    if let Some(retention) = change.retention {
        settings.insert(RETENTION.to_owned(), Some(millis(retention)));
    }
    if settings.is_empty() {
        return Ok(());
    }
    let config = |(name, value): (&String, &Option<String>)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(if value.is_some() { SET } else { DELETE })
            .with_value(value.as_deref().map(text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(on_servers))
        .with_configs(settings.iter().map(config).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let judge = |answer: &IncrementalAlterConfigsResponse| {
        let mut told = answer.responses.iter();
        told.try_for_each(|one| Refusal::check_with(one.error_code, one.error_message.as_ref()))
    };
    Box::pin(line.ask(Target::Any, &request, CHANGE_WAIT, by, judge)).await.map(drop)
}

/// Are these settings so on this broker?
pub(super) async fn is_altered(
    line: &Line,
    node: i32,
    on_servers: &str,
    change: &TopicChange,
    by: Instant,
) -> Result<bool> {
    let found = settings(line, Target::Node(node), on_servers, by.min(Instant::now() + TRY_WAIT)).await?;
    let is_so = |(name, value): (&String, &Option<String>)| found.own.get(name) == value.as_ref();
    Ok(change.own.iter().all(is_so) && change.retention.is_none_or(|time| found.retention == Some(time)))
}

/// Gives a topic more partitions.
///
/// # Errors
/// `Config`: it has as many already.
pub(super) async fn grow(line: &Line, on_servers: &str, lanes: u32, by: Instant) -> Result<()> {
    let topic = CreatePartitionsTopic::default()
        .with_name(name(on_servers))
        .with_count(i32::try_from(lanes).unwrap_or(i32::MAX))
        .with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(wait_ms());
    let judge = |answer: &CreatePartitionsResponse| {
        let mut topics = answer.results.iter();
        topics.try_for_each(|topic| Refusal::check_with(topic.error_code, topic.error_message.as_ref()))
    };
    Box::pin(line.ask(Target::Controller, &request, CHANGE_WAIT, by, judge)).await.map(drop)
}

/// What is set up for a topic. Nothing of it where the access rules do not allow to look (`DescribeConfigs`).
///
/// # Errors
/// As [`Line::ask`].
pub(super) async fn settings(
    line: &Line,
    target: Target<'_>,
    on_servers: &str,
    by: Instant,
) -> Result<Settings> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(text(on_servers))
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let judge = |answer: &DescribeConfigsResponse| {
        let mut told = answer.results.iter();
        told.try_for_each(|one| Refusal::check_with(one.error_code, one.error_message.as_ref()))
    };
    let answer = match Box::pin(line.ask(target, &request, TRY_WAIT, by, judge)).await {
        Err(error) if error.kind() == ErrorKind::Unauthorized => return Ok(Settings::default()),
        answer => answer?,
    };
    let told = answer.results.into_iter().next().ok_or_else(|| odd("no settings are in it"))?;
    let (mut settings, mut deletes, mut retention) = (Settings::default(), true, None);
    for config in told.configs {
        let (name, Some(value)) = (config.name.as_str(), &config.value) else { continue };
        match name {
            // -1 is for ever.
            RETENTION => retention = value.parse().ok().map(Duration::from_millis),
            CLEANUP => deletes = value.contains("delete"),
            _ => {}
        }
        if config.config_source == OF_TOPIC && !config.is_sensitive {
            settings.own.insert(name.to_owned(), value.as_str().to_owned());
        }
    }
    settings.retention = retention.filter(|_| deletes);
    Ok(settings)
}

/// How many bytes each partition takes on the disk of its leader, as far as the brokers tell (`Describe` on the cluster).
pub(super) async fn sizes(line: &Line, topic: &Known, by: Instant) -> BTreeMap<i32, u64> {
    let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (index, partition) in &topic.partitions {
        if let Some(leader) = partition.leader {
            led.entry(leader).or_default().push(*index);
        }
    }
    let asking = led.iter().map(|(node, partitions)| async move {
        let of = DescribableLogDirTopic::default()
            .with_topic(name(&topic.name))
            .with_partitions(partitions.clone());
        let request = DescribeLogDirsRequest::default().with_topics(Some(vec![of]));
        let by = by.min(Instant::now() + TRY_WAIT);
        Box::pin(line.call(Target::Node(*node), &request, by)).await
    });
    let mut sizes = BTreeMap::new();
    for answer in join_all(asking).await {
        let Ok(answer) = answer else { continue };
        let topics = answer.results.iter().flat_map(|directory| &directory.topics);
        for one in topics.flat_map(|topic| &topic.partitions).filter(|one| !one.is_future_key) {
            if let Ok(size) = u64::try_from(one.partition_size) {
                sizes.insert(one.partition_index, size);
            }
        }
    }
    sizes
}
