//! Consumers: what reads a stream on the server's side.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agora_core::{ErrorKind, Result};
use async_nats::datetime::{DateTime, from_nanos};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, IntoConsumerConfig, pull};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api;
use crate::error::error;
use crate::session::Session;

/// How long the consumer of a reader that has vanished stays.
const INACTIVE: Duration = Duration::from_secs(300);

/// A consumer for one reader, which keeps nothing.
pub(crate) fn of_reader(from: DeliverPolicy) -> pull::Config {
    pull::Config {
        deliver_policy: from,
        ack_policy: AckPolicy::None,
        inactive_threshold: INACTIVE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}

/// A consumer for a group.
pub(crate) fn of_group(name: &str, from: DeliverPolicy, lease: Duration) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        deliver_policy: from,
        ack_policy: AckPolicy::Explicit,
        ack_wait: lease,
        // Without an end: a member that crashes again and again must not use up attempts without a dead letter.
        max_deliver: -1,
        // Each member bounds what it holds.
        max_ack_pending: -1,
        ..pull::Config::default()
    }
}

/// Makes a consumer that is not there yet.
///
/// # Errors
/// `Conflict` where there is another one of this name; otherwise as [`api::ask`].
pub(crate) async fn create(
    session: &Session,
    stream: &str,
    name: &str,
    config: pull::Config,
) -> Result<Info> {
    put(session, stream, name, config, "create").await
}

/// Changes a consumer that is there.
pub(crate) async fn update(
    session: &Session,
    stream: &str,
    name: &str,
    config: pull::Config,
) -> Result<Info> {
    put(session, stream, name, config, "update").await
}

async fn put(
    session: &Session,
    stream: &str,
    name: &str,
    config: pull::Config,
    action: &str,
) -> Result<Info> {
    let mut config = config.into_consumer_config();
    config.name = Some(name.to_owned());
    let request = json!({ "stream_name": stream, "config": config, "action": action });
    api::ask(session, &format!("CONSUMER.CREATE.{stream}.{name}"), Some(&request)).await
}

/// A consumer, and how it stands.
pub(crate) async fn info(session: &Session, stream: &str, name: &str) -> Result<Info> {
    api::ask(session, &format!("CONSUMER.INFO.{stream}.{name}"), api::NOTHING).await.map_err(api::of_a_read)
}

/// Deletes a consumer.
pub(crate) async fn delete(session: &Session, stream: &str, name: &str) -> Result<()> {
    let done: Result<Value> =
        api::ask(session, &format!("CONSUMER.DELETE.{stream}.{name}"), api::NOTHING).await;
    done.map(drop)
}

/// The durable consumers of a stream, by name.
pub(crate) async fn durables(session: &Session, stream: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Page {
        total: usize,
        #[serde(default)]
        consumers: Option<Vec<Info>>,
    }
    let (mut names, mut offset) = (Vec::new(), 0);
    loop {
        let request = json!({ "offset": offset });
        let page: Page = api::ask(session, &format!("CONSUMER.LIST.{stream}"), Some(&request))
            .await
            .map_err(api::of_a_read)?;
        let found = page.consumers.unwrap_or_default();
        offset += found.len();
        let is_last = found.is_empty() || offset >= page.total;
        names.extend(found.into_iter().filter_map(|info| info.config.durable_name));
        if is_last {
            names.sort();
            return Ok(names);
        }
    }
}

/// A time as the server takes it.
pub(crate) fn date(time: SystemTime) -> Result<DateTime> {
    let nanos = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
        // Nothing was appended before.
        Err(_) => 0,
    };
    from_nanos(nanos).map_err(|cause| error(ErrorKind::Config, "this time has no date").source(cause))
}

/// A time as the server gives it.
pub(crate) fn time(date: DateTime) -> SystemTime {
    let nanos = u64::try_from(date.unix_timestamp_nanos()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_nanos(nanos)
}
