//! Leaving: what is held is given back, at once where the server can be told.

use std::sync::Arc;
use std::time::Duration;

use agora_core::id::TopicName;
use redis::cmd;
use tokio::time::{Instant, sleep_until};

use super::scripts::LEAVE;
use crate::call::number;
use crate::error::Failure;
use crate::shared::{Shared, pause};

/// Tells the server. A group or a log that is gone was left.
pub(super) async fn leave(shared: &Shared, topic: &TopicName, group: &str, me: &str) -> Result<(), Failure> {
    loop {
        let mut command = cmd("EVAL");
        command.arg(LEAVE).arg(1).arg(shared.names.stream(topic)).arg(group).arg(me);
        let held = match shared.call(Some(topic), &command).await {
            Ok(answer) => number(answer)?,
            Err(failure) if failure.error.to_string().contains("NOGROUP") => return Ok(()),
            Err(failure) => return Err(failure),
        };
        if held.is_none_or(|held| held < 256) {
            return Ok(());
        }
    }
}

/// Leaves in the background, for as long as that is of any use: when the lease has ended, others take what was held.
pub(super) fn leave_later(
    shared: &Arc<Shared>,
    topic: TopicName,
    group: String,
    me: String,
    lease: Duration,
) {
    let of_task = Arc::clone(shared);
    shared.spawn(async move {
        let (shared, until) = (of_task, Instant::now() + lease);
        let mut failed = 0;
        while let Err(failure) = leave(&shared, &topic, &group, &me).await {
            failed += 1;
            let next = Instant::now() + pause(&shared.config, failed);
            if next >= until {
                tracing::debug!(error = %failure.error, member = me, "a member's records wait for the end of its lease");
                return;
            }
            sleep_until(next).await;
        }
    });
}
