//! Where durable subscriptions keep their cursors: in a hash beside the log, with a fence each.

use std::sync::Arc;

use agora_core::id::TopicName;
use agora_core::transport::{CursorStore, Fence};
use agora_core::{ErrorKind, Result};
use async_trait::async_trait;
use redis::cmd;

use crate::call::{bytes, list, number};
use crate::error::{Failure, closed, error, odd};
use crate::shared::Shared;

/// Gives the next fence and what was saved last.
///
/// The first fence of a name is drawn by the caller, and later ones count on from there: after a hash was deleted, a
/// fence of before is not one of now.
const TAKE: &str = "\
local fence = redis.call('HGET', KEYS[1], ARGV[1] .. ':fence')
if fence then fence = redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':fence', 1)
else fence = tonumber(ARGV[2]); redis.call('HSET', KEYS[1], ARGV[1] .. ':fence', ARGV[2]) end
return {tostring(redis.call('HGET', KEYS[1], ARGV[1] .. ':fence')), redis.call('HGET', KEYS[1], ARGV[1] .. ':cursor')}";

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
            let first = fastrand::u64(1..1 << 48);
            command.arg(TAKE).arg(1).arg(self.0.names.cursors(topic)).arg(name).arg(first);
            let mut answer = list(self.0.call(Some(topic), &command).await?)?.into_iter();
            let fence =
                number(answer.next().unwrap_or_default())?.ok_or_else(|| odd("a cursor without a fence"))?;
            Ok((Fence(fence), bytes(answer.next().unwrap_or_default())?))
        };
        taken.await.map_err(|failure: Failure| self.named(failure, "take", topic, name))
    }

    async fn save(&self, topic: &TopicName, name: &str, fence: Fence, cursor: &[u8]) -> Result<()> {
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
