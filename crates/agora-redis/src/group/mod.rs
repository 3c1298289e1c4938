//! Groups: consumer groups of a stream, whose entries are shared out by lease.
//!
//! No server takes an entry back by itself: every member looks, at intervals, for entries whose lease has ended. How long
//! the lease of an entry is stands in the name of the consumer that holds it. What is given back goes to a consumer
//! named `released`, whose leases have always ended.

mod leave;
mod member;
mod scripts;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{GroupInbox, GroupSpec, GroupStart};
use agora_core::{ErrorKind, Result};
use redis::cmd;

use crate::call::number;
use crate::error::{Failure, error};
use crate::shared::Shared;
use crate::topics;

pub(crate) use scripts::{COUNT, DESCRIBE, RESET};

/// The consumer that holds what was given back and is nobody's now.
pub const RELEASED: &str = "released";
/// A consumer that holds nothing and was not heard of for so long has gone.
pub const ABSENT_AFTER: Duration = Duration::from_secs(10);

/// The name of a new member: no two are the same, and its end says how long its leases are.
fn member_name(lease: Duration) -> String {
    format!("member-{:016x}:{}", fastrand::u64(..), millis(lease))
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Makes a group where there is none. Answers whether it did; `None`: there is no log.
pub(crate) async fn make(
    shared: &Shared,
    topic: &TopicName,
    group: &GroupName,
    start: GroupStart,
) -> Result<Option<bool>, Failure> {
    let mut command = cmd("EVAL");
    command.arg(scripts::MAKE).arg(1).arg(shared.names.stream(topic)).arg(group.as_str());
    command.arg(if start == GroupStart::Latest { "latest" } else { "earliest" });
    let answer = number(shared.call(Some(topic), &command).await?)?;
    Ok((answer != Some(2)).then_some(answer == Some(1)))
}

/// Joins a group as one more member.
pub(crate) async fn join(
    shared: &Arc<Shared>,
    topic: &TopicName,
    group: &GroupSpec,
) -> Result<Box<dyn GroupInbox>> {
    let joining = async {
        if make(shared, topic, &group.name, group.start).await?.is_none() {
            // It was deleted since it was opened here, and is what it was then.
            if !topics::make_anew(shared, topic).await? {
                return Err(Failure::not_sent(topics::not_found(topic)));
            }
            make(shared, topic, &group.name, group.start).await?;
        }
        let waiting = shared.dial(Some(topic), None).await?;
        Ok(member::Member::new(shared, topic, group, waiting))
    };
    match shared.unless_ended(joining).await {
        Ok(member) => Ok(Box::new(member)),
        Err(failure) => {
            shared.suspect(&failure);
            Err(failure.of_idempotent())
        }
    }
}

/// The error of a group that is not there.
pub(crate) fn not_found(topic: &TopicName, group: &GroupName) -> agora_core::Error {
    error(ErrorKind::NotFound, "there is no group of this name")
        .context("topic", topic)
        .context("group", group)
}
