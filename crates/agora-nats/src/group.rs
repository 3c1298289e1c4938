//! Groups: a durable pull consumer each, whose members ask for records and acknowledge them one by one.

mod inbox;
mod presence;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{GroupInbox, GroupSpec, GroupStart};
use agora_core::{Error, ErrorKind, Result};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info};

use crate::consumers;
use crate::error::error;
use crate::names;
use crate::session::Session;
use crate::shared::Shared;
use crate::streams;

pub(crate) use presence::members;

/// The lease of a group that an operator makes, until its first member says another.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Joins a group, and makes it where it is not there.
pub(crate) async fn join(
    shared: &Arc<Shared>,
    topic: &TopicName,
    group: &GroupSpec,
) -> Result<Box<dyn GroupInbox>> {
    let session = shared.session()?;
    let stream = shared.stream_of(topic)?;
    let name = names::consumer_name(&group.name);
    let info = find_or_make(&session, &stream, &name, group).await;
    let info = info.map_err(|cause| not_found(topic, &group.name, cause))?;
    let inbox = inbox::Member::join(shared, session, topic, group, &stream, info).await?;
    Ok(Box::new(inbox))
}

async fn find_or_make(session: &Session, stream: &str, name: &str, group: &GroupSpec) -> Result<Info> {
    let found = match consumers::info(session, stream, name).await {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            let config = consumers::of_group(name, policy(group.start), group.lease);
            match consumers::create(session, stream, name, config).await {
                // Another member was faster.
                Err(taken) if taken.kind() == ErrorKind::Conflict => {
                    consumers::info(session, stream, name).await?
                }
                made => return made,
            }
        }
        found => found?,
    };
    check_consumer(&found)?;
    // Nobody holds anything: the lease may be changed. Where somebody does, it stays as it is, and the member sees to
    // its own records.
    if found.config.ack_wait != group.lease && found.num_ack_pending == 0 && found.num_waiting == 0 {
        let config = consumers::of_group(name, found.config.deliver_policy, group.lease);
        return consumers::update(session, stream, name, config).await;
    }
    Ok(found)
}

/// A consumer that somebody else made may lose records of a group, or give them out in another way.
fn check_consumer(info: &Info) -> Result<()> {
    let config = &info.config;
    let differs = |setting: &'static str, needed: &str| {
        Err(error(ErrorKind::Conflict, "there is a consumer of this name that is no group")
            .context("consumer", &info.name)
            .context("setting", setting)
            .context("needed", needed)
            .help("delete it with `nats consumer rm`, or give the group another name"))
    };
    if config.ack_policy != AckPolicy::Explicit {
        return differs("ack policy", "explicit");
    }
    if config.max_deliver > 0 {
        return differs("maximum of deliveries", "none");
    }
    if !config.filter_subject.is_empty() || !config.filter_subjects.is_empty() {
        return differs("filter", "none");
    }
    if config.deliver_subject.is_some() {
        return differs("delivery", "pull");
    }
    Ok(())
}

pub(crate) fn policy(start: GroupStart) -> DeliverPolicy {
    match start {
        GroupStart::Earliest => DeliverPolicy::All,
        GroupStart::Latest => DeliverPolicy::New,
    }
}

/// The error of a group that is not there, or of a log that is not.
pub(crate) fn not_found(topic: &TopicName, group: &GroupName, cause: Error) -> Error {
    if cause.kind() != ErrorKind::NotFound {
        return cause.context("topic", topic).context("group", group);
    }
    if cause.to_string().contains("stream not found") {
        return streams::missing(topic, cause).context("group", group);
    }
    error(ErrorKind::NotFound, "the log has no group of this name")
        .context("topic", topic)
        .context("group", group)
        .source(cause)
}
