//! Where durable subscriptions keep their cursors: in a hash beside the log, with a fence each.

use std::sync::Arc;

use agora_core::id::TopicName;
use agora_core::transport::{CursorStore, Fence, Position};
use agora_core::{ErrorKind, Result};
use async_trait::async_trait;
use redis::cmd;

use crate::call::{bytes, number};
use crate::error::{Failure, closed, error};
use crate::shared::Shared;

/// Sets a new fence, and gives what was saved last. Each fence is drawn by chance: one that counted on could be given out
/// twice, where a failover has lost that it was given out before.
const TAKE: &str = "\
redis.call('HSET', KEYS[1], ARGV[1] .. ':fence', ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1] .. ':cursor')";

/// Saves, where the fence is still the newest.
const SAVE: &str = "\
if redis.call('HGET', KEYS[1], ARGV[1] .. ':fence') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1] .. ':cursor', ARGV[3])
return 1";

/// The cursors of this cluster.
pub(crate) struct Cursors(pub(crate) Arc<Shared>);

#[async_trait]
impl CursorStore for Cursors {
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        let taken = async {
            let mut command = cmd("EVAL");
            let fence = fastrand::u64(..);
            command.arg(TAKE).arg(1).arg(self.0.names.cursors(topic)).arg(name).arg(fence);
            Ok((Fence(fence), bytes(self.0.call(Some(topic), &command).await?)?))
        };
        taken.await.map_err(|failure: Failure| self.named(failure, "take", topic, name))
    }

    async fn save(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        _: &[(u32, Position)],
    ) -> Result<()> {
        let saved = async {
            let mut command = cmd("EVAL");
            command.arg(SAVE).arg(1).arg(self.0.names.cursors(topic)).arg(name).arg(fence.0).arg(cursor);
            number(self.0.call(Some(topic), &command).await?)
        };
        match saved.await.map_err(|failure: Failure| self.named(failure, "save", topic, name))? {
            Some(1) => Ok(()),
            _ => Err(error(ErrorKind::Conflict, "another subscription has taken this name over")
                .operation("save")
                .context("topic", topic)
                .context("name", name)
                .help("two subscriptions must not have the same durable name at the same time")),
        }
    }
}

impl Cursors {
    fn named(
        &self,
        failure: Failure,
        operation: &'static str,
        topic: &TopicName,
        name: &str,
    ) -> agora_core::Error {
        if self.0.is_closed() {
            return closed().operation(operation);
        }
        failure.of_idempotent().operation(operation).context("topic", topic).context("name", name)
    }
}
