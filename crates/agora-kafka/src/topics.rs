//! Topics: found as they are asked for, or made.
//!
//! Kafka has no place where a topic could say what is in it, so framing and wire are nowhere held here: nodes compare them
//! by their heartbeats. What Kafka does hold is compared with what is asked for: partitions, replicas, retention, and
//! that a compacted topic takes no record without a key.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::transport::{Framing, TopicInfo, TopicKind, TopicSpec, Wire};
use agora_core::{Error, ErrorKind, Result};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::brokers::Target;
use crate::error::{Refusal, error};
use crate::settings::{self, CLEANUP, Of, RETENTION, TOPIC_BYTES_MAX};
use crate::shared::{Opened, Shared};

/// The lanes of a log that is made, where nothing else is asked for.
pub const LANES: u32 = 4;
/// For how long a live topic that is made keeps what was published: what a reader that was held up or cut off for so long
/// still gets.
pub const LIVE_RETENTION: Duration = Duration::from_secs(60 * 60);
/// After what time a live topic begins a new file: only a file that is closed can leave.
const LIVE_SEGMENT: Duration = Duration::from_secs(10 * 60);
/// How long opening may take.
const OPEN_WAIT: Duration = Duration::from_secs(10);
/// How long the brokers may take to make a topic.
const CREATE_WAIT: Duration = Duration::from_secs(5);
/// How often it is looked whether a topic that was made is known.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Finds a topic as it is asked for, or makes it.
pub(crate) async fn open(shared: &Shared, topic: &TopicSpec) -> Result<TopicInfo> {
    let by = Instant::now() + OPEN_WAIT;
    let name = shared.name_of(&topic.name)?;
    let lanes = match shared.brokers.partitions(&name, by).await {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            if !shared.brokers.plan.auto_create {
                return Err(self::missing(topic, &name, missing));
            }
            match create(shared, topic, by).await {
                // Another node was faster.
                Err(taken) if taken.kind() == ErrorKind::Conflict => {}
                made => made?,
            }
            known(shared, &name, by).await?
        }
        found => found?,
    };
    let bytes_max = verify(shared, topic, &name, &lanes, by).await?;
    let has_frames = (topic.settings.framing, topic.settings.wire) == (Framing::Batch, Wire::Frame);
    shared.remember(&topic.name, Opened { has_frames, bytes_max });
    Ok(match topic.kind() {
        TopicKind::Live => TopicInfo::one_lane(),
        TopicKind::Log => TopicInfo::of_lanes(lanes),
    })
}

/// Waits until a topic that was made is known to whoever is asked.
async fn known(shared: &Shared, name: &str, by: Instant) -> Result<watch::Receiver<u32>> {
    loop {
        let passes = match shared.brokers.partitions(name, by).await {
            Ok(lanes) => return Ok(lanes),
            Err(error) => error,
        };
        let waits = matches!(passes.kind(), ErrorKind::NotFound | ErrorKind::Unreachable);
        if !waits || Instant::now() + LOOK_PAUSE >= by {
            return Err(passes);
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// Makes a topic.
///
/// # Errors
/// `Conflict` where there is one of this name; what the brokers refuse.
pub(crate) async fn create(shared: &Shared, topic: &TopicSpec, by: Instant) -> Result<()> {
    let lanes = topic.settings.lanes.unwrap_or(match topic.kind() {
        TopicKind::Live => 1,
        TopicKind::Log => LANES,
    });
    if topic.kind() == TopicKind::Live && lanes != 1 {
        return Err(one_lane(lanes));
    }
    let name = StrBytes::from_string(shared.name_of(&topic.name)?);
    let config = |(name, value): (&'static str, String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    let made = CreatableTopic::default()
        .with_name(TopicName(name))
        .with_num_partitions(i32::try_from(lanes).unwrap_or(i32::MAX))
        // As many as the brokers make by themselves.
        .with_replication_factor(topic.settings.replicas.map_or(-1, |n| i16::try_from(n).unwrap_or(i16::MAX)))
        .with_configs(configs(topic).into_iter().map(config).collect());
    let request = CreateTopicsRequest::default()
        .with_topics(vec![made])
        .with_timeout_ms(i32::try_from(CREATE_WAIT.as_millis()).unwrap_or(i32::MAX));
    let judge = |answer: &CreateTopicsResponse| {
        answer
            .topics
            .iter()
            .try_for_each(|topic| Refusal::check_with(topic.error_code, topic.error_message.as_ref()))
    };
    let made = shared.questions.ask(Target::Controller, &request, CREATE_WAIT * 2, by, judge).await;
    made.map(drop).map_err(|error| error.context("topic", &topic.name))
}

fn configs(topic: &TopicSpec) -> Vec<(&'static str, String)> {
    let millis = |time: Duration| time.as_millis().to_string();
    let mut configs = Vec::new();
    match (topic.kind(), topic.settings.retention) {
        (TopicKind::Live, retention) => {
            configs.push((RETENTION, millis(retention.unwrap_or(LIVE_RETENTION))));
            configs.push(("segment.ms", millis(LIVE_SEGMENT)));
        }
        (TopicKind::Log, Some(retention)) => configs.push((RETENTION, millis(retention))),
        (TopicKind::Log, None) => {}
    }
    configs
}

/// Is the topic what the node was told? Returns the largest batch that it takes, where that may be known.
async fn verify(
    shared: &Shared,
    topic: &TopicSpec,
    name: &str,
    lanes: &watch::Receiver<u32>,
    by: Instant,
) -> Result<Option<usize>> {
    let found = *lanes.borrow();
    match (topic.kind(), topic.settings.lanes) {
        (TopicKind::Live, _) if found != 1 => return Err(one_lane(found)),
        (_, Some(asked)) if found < asked => {
            return Err(differs("lanes", format!("{asked} or more"), found.to_string()).help(format!(
                "give it more: `kafka-topics --alter --topic {name} --partitions {asked}`; keys that were published before \
                 stay where they are"
            )));
        }
        _ => {}
    }
    if let Some(asked) = topic.settings.replicas {
        let view = shared.brokers.view();
        let made = view.partition(name, 0)?.replicas.len();
        if usize::try_from(asked).ok() != Some(made) {
            return Err(differs("replicas", asked.to_string(), made.to_string()));
        }
    }
    let asked = [RETENTION, CLEANUP, TOPIC_BYTES_MAX];
    match settings::describe(&shared.questions, Of::Topic(name), &asked, by).await {
        Ok(settings) => verify_settings(topic, &settings),
        Err(error) if error.kind() == ErrorKind::Unauthorized => {
            tracing::warn!(topic = %topic.name, %error, "the settings of a topic are not compared");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn verify_settings(topic: &TopicSpec, settings: &BTreeMap<String, String>) -> Result<Option<usize>> {
    if let (Some(asked), Some(found)) = (topic.settings.retention, settings.get(RETENTION))
        && asked.as_millis().to_string() != *found
    {
        let found = found.parse().map_or("for ever".into(), |ms| format!("{:?}", Duration::from_millis(ms)));
        return Err(differs("retention", format!("{asked:?}"), found));
    }
    let is_compacted = settings.get(CLEANUP).is_some_and(|policy| policy.contains("compact"));
    if is_compacted && topic.settings.framing == Framing::Batch {
        return Err(differs("framing", "batch".into(), format!("{CLEANUP}=compact")).help(
            "a compacted topic takes no record without a key: set its `framing` to \"each\" on every node",
        ));
    }
    Ok(settings.get(TOPIC_BYTES_MAX).and_then(|bytes| bytes.parse().ok()))
}

fn differs(setting: &'static str, asked: String, made: String) -> Error {
    error(ErrorKind::Conflict, "the topic is asked for otherwise than it was made")
        .context("setting", setting)
        .context("asked for", asked)
        .context("made with", made)
        .help("every node must be told the same of a topic: correct its settings, or alter the topic")
}

fn one_lane(found: u32) -> Error {
    differs("lanes", "1".into(), found.to_string())
        .help("a live topic has one lane: take another topic, or set its kind to \"log\"")
}

fn missing(topic: &TopicSpec, name: &str, cause: Error) -> Error {
    let lanes = topic.settings.lanes.unwrap_or(if topic.kind() == TopicKind::Live { 1 } else { LANES });
    let configs: String =
        configs(topic).iter().map(|(name, value)| format!(" --config {name}={value}")).collect();
    error(ErrorKind::NotFound, "there is no topic of this name")
        .context("name on the brokers", name)
        .source(cause)
        .help(format!(
            "make it with `agora topics create`, or with `kafka-topics --create --topic {name} --partitions {lanes}{configs}`; \
             or set `kafka.auto_create` to true"
        ))
}
