//! The cursors of durable subscriptions: a bucket of JetStream, one key each, written by compare-and-set.
//!
//! A value is the fence, eight bytes in big endian, and behind it the cursor, where one was saved: a byte 1 and its bytes.
//! Both `take` and `save` write only over the revision that they have read, so that of two who take one name at once one
//! gets it, and whoever has lost it cannot save.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agora_core::id::TopicName;
use agora_core::transport::{CursorStore, Fence, Position};
use agora_core::{ErrorKind, Result};
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::kv::{self, Store};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::api;
use crate::error::{error, from_request, lost};
use crate::names::{self, CURSORS_BUCKET};
use crate::session::Session;
use crate::shared::Shared;
use crate::streams;

/// How often a name that others take at the same time is tried.
const TAKE_TRIES: usize = 64;

/// Where the cursors are.
pub(crate) struct Cursors {
    shared: Arc<Shared>,
    /// Calls go one after the other, in their order: two saves of one holder would otherwise race, and the older place
    /// could be the one that stays.
    turn: Mutex<()>,
}

/// What stands under a key, and the revision to write over; 0 where nothing stands there.
struct Entry {
    revision: u64,
    value: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    fence: u64,
    cursor: Option<Vec<u8>>,
}

impl Value {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (fence, rest) = bytes.split_first_chunk::<8>()?;
        let cursor = match rest.split_first() {
            None => None,
            Some((1, cursor)) => Some(cursor.to_vec()),
            Some(_) => return None,
        };
        Some(Self { fence: u64::from_be_bytes(*fence), cursor })
    }

    fn write(&self) -> Bytes {
        let mut bytes = self.fence.to_be_bytes().to_vec();
        if let Some(cursor) = &self.cursor {
            bytes.push(1);
            bytes.extend_from_slice(cursor);
        }
        bytes.into()
    }
}

/// The stream of the bucket.
fn stream() -> String {
    format!("KV_{CURSORS_BUCKET}")
}

impl Cursors {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, turn: Mutex::new(()) }
    }

    /// The bucket, which is made where it is not there.
    async fn bucket(&self, session: &Session) -> Result<Store> {
        let jetstream = &session.jetstream;
        if let Ok(store) = jetstream.get_key_value(CURSORS_BUCKET).await {
            return Ok(store);
        }
        // Why not? The client does not say.
        match streams::info(session, &stream()).await {
            Err(missing) if missing.kind() == ErrorKind::NotFound && !self.shared.plan.auto_create => {
                return Err(error(ErrorKind::NotFound, "there is no bucket for cursors")
                    .context("bucket", CURSORS_BUCKET)
                    .help("make it with `nats kv add agora-cursors`; or set `nats.auto_create` to true"));
            }
            Err(missing) if missing.kind() == ErrorKind::NotFound => {
                let config = kv::Config {
                    bucket: CURSORS_BUCKET.to_owned(),
                    description: "agora: the cursors of durable subscriptions".into(),
                    history: 1,
                    ..kv::Config::default()
                };
                if let Ok(store) = jetstream.create_key_value(config).await {
                    return Ok(store);
                }
            }
            Err(other) => return Err(other),
            Ok(_) => {}
        }
        jetstream.get_key_value(CURSORS_BUCKET).await.map_err(|cause| {
            error(ErrorKind::Backend, "the bucket for cursors cannot be used").context("why", cause)
        })
    }

    async fn read(&self, store: &Store, key: &str) -> Result<Entry> {
        // The leader alone: what a replica still holds could be taken for the loss of a right.
        let subject = format!("{}{key}", store.prefix);
        let entry = match store.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(entry) => entry,
            Err(cause) if cause.kind() == LastRawMessageErrorKind::NoMessageFound => {
                return Ok(Entry { revision: 0, value: None });
            }
            Err(cause) => {
                return Err(error(ErrorKind::Unreachable, "a cursor cannot be read").context("why", cause));
            }
        };
        // A mark of deletion.
        if entry.headers.get("KV-Operation").is_some() {
            return Ok(Entry { revision: entry.sequence, value: None });
        }
        let value = Value::read(&entry.payload).ok_or_else(|| {
            error(ErrorKind::Backend, "what stands in the place of a cursor is none")
                .context("bucket", CURSORS_BUCKET)
                .context("key", key)
        })?;
        Ok(Entry { revision: entry.sequence, value: Some(value) })
    }

    /// Writes over a revision. `false`: another one was faster.
    async fn write(&self, store: &Store, key: &str, value: &Value, over: u64) -> Result<bool> {
        match store.update(key, value.write(), over).await {
            Ok(_) => Ok(true),
            Err(cause) if cause.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(cause) if cause.kind() == kv::UpdateErrorKind::TimedOut => {
                Err(from_request(&RequestErrorKind::TimedOut))
            }
            Err(_) => Err(lost()),
        }
    }

    async fn take_over(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        let _turn = self.turn.lock().await;
        let session = self.shared.session()?;
        let store = self.bucket(&session).await?;
        let key = names::cursor_key(&self.shared.cluster, topic, name);
        for _ in 0..TAKE_TRIES {
            let Entry { revision, value } = self.read(&store, &key).await?;
            let fence = value.as_ref().map_or_else(first_fence, |value| value.fence.wrapping_add(1));
            let cursor = value.and_then(|value| value.cursor);
            let taken = Value { fence, cursor };
            if self.write(&store, &key, &taken, revision).await? {
                return Ok((Fence(fence), taken.cursor));
            }
        }
        Err(error(ErrorKind::Backend, "too many take this cursor at once"))
    }

    async fn save_over(&self, topic: &TopicName, name: &str, fence: Fence, cursor: &[u8]) -> Result<()> {
        let _turn = self.turn.lock().await;
        let session = self.shared.session()?;
        let store = self.bucket(&session).await?;
        let key = names::cursor_key(&self.shared.cluster, topic, name);
        let saved = Value { fence: fence.0, cursor: Some(cursor.to_vec()) };
        // A write of one's own whose answer was lost is found again, and written over.
        for _ in 0..TAKE_TRIES {
            let Entry { revision, value } = self.read(&store, &key).await?;
            if value.is_none_or(|value| value.fence != fence.0) {
                return Err(error(ErrorKind::Conflict, "the right to this cursor was lost")
                    .help("another subscription of this name has begun: each needs a name of its own"));
            }
            if self.write(&store, &key, &saved, revision).await? {
                return Ok(());
            }
        }
        Err(error(ErrorKind::Backend, "too many save this cursor at once"))
    }
}

/// The first fence of a name. It is the time, so that a fence from before the log was deleted is none of a later life.
fn first_fence() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(1)
}

/// Removes the cursors of a topic.
pub(crate) async fn forget(shared: &Shared, session: &Session, topic: &TopicName) -> Result<()> {
    let prefix = names::cursors_prefix(&shared.cluster, topic);
    match streams::purge(session, &stream(), &format!("$KV.{CURSORS_BUCKET}.{prefix}*")).await {
        Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(()),
        purged => purged.map_err(api::of_a_read),
    }
}

#[async_trait]
impl CursorStore for Cursors {
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        let taken = self.take_over(topic, name).await;
        taken.map_err(|error| error.operation("take").context("topic", topic).context("name", name))
    }

    async fn save(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        _: &[(u32, Position)],
    ) -> Result<()> {
        let saved = self.save_over(topic, name, fence, cursor).await;
        saved.map_err(|error| error.operation("save").context("topic", topic).context("name", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_and_nothing_else_is() {
        for cursor in [None, Some(Vec::new()), Some(vec![1, 2, 3])] {
            let value = Value { fence: u64::MAX - 1, cursor };
            assert_eq!(Value::read(&value.write()), Some(value));
        }
        assert_eq!(Value::read(b"1234567"), None);
        assert_eq!(Value::read(b"12345678\x02x"), None);
    }
}
