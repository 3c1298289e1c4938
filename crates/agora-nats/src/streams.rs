//! The streams that hold logs: one each, with one subject.

use std::collections::HashMap;
use std::time::Duration;

use agora_core::config::Storage;
use agora_core::id::TopicName;
use agora_core::transport::{Framing, ONE_LANE, TopicKind, TopicSettings, TopicSpec, Wire};
use agora_core::{Error, ErrorKind, Result};
use async_nats::jetstream::stream::{Config, Info, RetentionPolicy, StorageType};
use serde_json::json;

use crate::api;
use crate::error::error;
use crate::names;
use crate::session::Session;
use crate::shared::Shared;

/// Where a stream says what its messages are: `log, framing batch, wire frame`.
const SETTINGS: &str = "agora-settings";
/// For how long a server knows the identities of messages again, where nothing else is said: longer than a publish of the
/// engine may take.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// A stream, and what it holds.
///
/// # Errors
/// `NotFound`, and as [`api::ask`].
pub(crate) async fn info(session: &Session, stream: &str) -> Result<Info> {
    api::ask(session, &format!("STREAM.INFO.{stream}"), api::NOTHING).await.map_err(api::of_a_read)
}

/// Finds the stream of a log as it is asked for, or makes it.
pub(crate) async fn open(shared: &Shared, topic: &TopicSpec) -> Result<()> {
    let session = shared.session()?;
    check_settings(topic)?;
    let stream = shared.stream_of(&topic.name)?;
    match info(&session, &stream).await {
        Ok(found) => verify(shared, topic, &found.config),
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            if !shared.plan.auto_create {
                return Err(self::missing(&topic.name, missing).help(how_to_make(shared, topic, &stream)));
            }
            match create(shared, &session, topic).await {
                // Another node was faster, with other settings.
                Err(taken) if taken.kind() == ErrorKind::Conflict => {
                    verify(shared, topic, &info(&session, &stream).await.map_err(|_| taken)?.config)
                }
                made => made,
            }
        }
        Err(other) => Err(other),
    }
}

/// Makes the stream of a log.
pub(crate) async fn create(shared: &Shared, session: &Session, topic: &TopicSpec) -> Result<()> {
    check_settings(topic)?;
    let config = config(shared, topic)?;
    let subject = format!("STREAM.CREATE.{}", config.name);
    let made: Result<Info> = api::ask(session, &subject, Some(&config)).await;
    made.map(drop).map_err(|error| error.context("topic", &topic.name))
}

fn config(shared: &Shared, topic: &TopicSpec) -> Result<Config> {
    let settings = shared.plan.config();
    let max_age = topic.settings.retention.unwrap_or_default();
    let mut window = settings.duplicate_window.unwrap_or(DUPLICATE_WINDOW);
    if max_age > Duration::ZERO {
        // The server refuses one that is longer than what is kept.
        window = window.min(max_age);
    }
    Ok(Config {
        name: shared.stream_of(&topic.name)?,
        description: Some(format!("agora: the log {} of the cluster {}", topic.name, shared.cluster)),
        subjects: vec![names::log_subject(&shared.cluster, &topic.name)],
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        max_message_size: -1,
        retention: RetentionPolicy::Limits,
        max_age,
        storage: match settings.storage {
            Some(Storage::Memory) => StorageType::Memory,
            _ => StorageType::File,
        },
        num_replicas: topic.settings.replicas.map_or(1, |replicas| replicas as usize),
        duplicate_window: window,
        metadata: HashMap::from([(SETTINGS.to_owned(), topic.settings.agreed())]),
        ..Config::default()
    })
}

/// What a stream cannot be.
fn check_settings(topic: &TopicSpec) -> Result<()> {
    if topic.settings.lanes.is_some_and(|lanes| lanes > 1) {
        return Err(Error::unsupported("a log of NATS has one lane", ONE_LANE)
            .backend(crate::error::BACKEND)
            .context("topic", &topic.name));
    }
    Ok(())
}

/// Is the stream what the node was told, and what its configuration says?
fn verify(shared: &Shared, topic: &TopicSpec, found: &Config) -> Result<()> {
    let wanted = config(shared, topic)?;
    let differs = |setting: &'static str, asked: String, made: String| {
        Err(error(ErrorKind::Conflict, "the log is asked for otherwise than it was made")
            .context("topic", &topic.name)
            .context("setting", setting)
            .context("asked for", asked)
            .context("made with", made)
            .help("every node must be told the same of a topic: correct its settings, or change the stream"))
    };
    if found.subjects != wanted.subjects {
        return differs("subjects", wanted.subjects.join(", "), found.subjects.join(", "));
    }
    if found.retention != RetentionPolicy::Limits {
        return differs("retention policy", "limits".into(), format!("{:?}", found.retention).to_lowercase());
    }
    if topic.settings.retention.is_some() && found.max_age != wanted.max_age {
        return differs("retention", format!("{:?}", wanted.max_age), age(found.max_age));
    }
    if topic.settings.replicas.is_some() && found.num_replicas != wanted.num_replicas {
        return differs("replicas", wanted.num_replicas.to_string(), found.num_replicas.to_string());
    }
    let settings = shared.plan.config();
    if settings.storage.is_some() && found.storage != wanted.storage {
        return differs("storage", word(wanted.storage).into(), word(found.storage).into());
    }
    if settings.duplicate_window.is_some() && found.duplicate_window != wanted.duplicate_window {
        let (asked, made) = (wanted.duplicate_window, found.duplicate_window);
        return differs("duplicate window", format!("{asked:?}"), format!("{made:?}"));
    }
    match found.metadata.get(SETTINGS) {
        Some(made) if *made != topic.settings.agreed() => {
            differs("what nodes agree on", topic.settings.agreed(), made.clone())
        }
        _ => Ok(()),
    }
}

/// The settings of a log as its stream has them.
pub(crate) fn settings(found: &Config) -> TopicSettings {
    let agreed = found.metadata.get(SETTINGS).map(String::as_str).unwrap_or_default();
    let each = if agreed.contains("framing each") { Framing::Each } else { Framing::Batch };
    let wire = if agreed.contains("wire plain") { Wire::Plain } else { Wire::Frame };
    let mut settings = TopicSettings::LOG.framing(each).wire(wire);
    settings.kind = TopicKind::Log;
    settings.retention = (found.max_age > Duration::ZERO).then_some(found.max_age);
    settings.replicas = u32::try_from(found.num_replicas).ok();
    settings.lanes = Some(1);
    settings
}

/// The error of a log that is not there.
pub(crate) fn missing(topic: &TopicName, cause: Error) -> Error {
    error(ErrorKind::NotFound, "there is no log of this name").context("topic", topic).source(cause)
}

fn how_to_make(shared: &Shared, topic: &TopicSpec, stream: &str) -> String {
    let subject = names::log_subject(&shared.cluster, &topic.name);
    format!(
        "make it with `agora topics create`, or with `nats stream add {stream} --subjects={subject}`; or set \
         `nats.auto_create` to true"
    )
}

fn word(storage: StorageType) -> &'static str {
    match storage {
        StorageType::File => "file",
        StorageType::Memory => "memory",
    }
}

fn age(age: Duration) -> String {
    if age.is_zero() { "for ever".into() } else { format!("{age:?}") }
}

/// Deletes a stream with everything in it.
pub(crate) async fn delete(session: &Session, stream: &str) -> Result<()> {
    let done: Result<serde_json::Value> =
        api::ask(session, &format!("STREAM.DELETE.{stream}"), api::NOTHING).await;
    done.map(drop)
}

/// Removes the messages of a subject from a stream.
pub(crate) async fn purge(session: &Session, stream: &str, subject: &str) -> Result<()> {
    let filter = json!({ "filter": subject });
    let done: Result<serde_json::Value> =
        api::ask(session, &format!("STREAM.PURGE.{stream}"), Some(&filter)).await;
    done.map(drop)
}
