//! The cursors of durable subscriptions: committed offsets of a group that nobody is a member of.
//!
//! The group `<prefix>.<name>` ([`cursor_id`](crate::names::cursor_id)) has for each partition of the topic the offset at
//! which the reading stands, so that any tool shows how far it is behind. The cursor itself is text in the metadata beside
//! the offsets. All partitions are committed in one transaction, and the epoch of the transactional id is the fence.
//!
//! Whoever commits for such a group by other means, such as `kafka-consumer-groups --reset-offsets`, makes the cursor void:
//! the metadata is gone with it. The next to take the name gets no cursor, and begins where its configuration says; a
//! holder that is alive saves over it.
//!
//! Brokers forget the offsets of a group without members after `offsets.retention.minutes` (7 days), and a transactional
//! id that is not used after `transactional.id.expiration.ms` (7 days). So what a node holds is saved anew twice a day.
//! The cursor of a node that is away for longer is gone.

mod right;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::id::{ClusterName, TopicName};
use agora_core::transport::{CursorStore, Fence, Position};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tokio::time::{Instant, sleep};

use crate::brokers::{Brokers, Line, Target};
use crate::committed;
use crate::error::{Refusal, error};
use crate::names;
use right::{Commit, Right};
use text::Found;

/// How long taking or saving may take.
const WAIT: Duration = Duration::from_secs(15);
/// After what time without a save what is held is saved anew. Far below the seven days after which brokers forget.
const RENEW_AFTER: Duration = Duration::from_secs(12 * 60 * 60);
/// How often it is looked for what is to be saved anew.
const RENEW_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Where the cursors are.
pub struct Cursors(Arc<Store>);

struct Store {
    line: Line,
    cluster: ClusterName,
    prefix: String,
    /// What this node has taken, by the transactional id. Who has one may call: of two saves at once, the older one could
    /// be the one that stays.
    seats: Mutex<BTreeMap<String, Seat>>,
}

type Seat = Arc<Turn<Option<Held>>>;

/// Where a cursor is on the servers.
#[derive(Clone, Debug)]
struct Place {
    topic: String,
    group: String,
    /// The transactional id.
    right: String,
}

/// A right that this node has taken.
struct Held {
    place: Place,
    right: Right,
    /// What is saved.
    saved: Option<Saved>,
    /// When it was saved or taken.
    at: Instant,
}

struct Saved {
    cursor: Vec<u8>,
    places: BTreeMap<i32, i64>,
}

impl Cursors {
    /// The cursors of this cluster whose groups begin with `prefix`. What is held is saved anew in the background until the
    /// brokers are ended.
    pub fn new(brokers: &Arc<Brokers>, cluster: ClusterName, prefix: String) -> Self {
        let line = brokers.line("cursors");
        let store = Arc::new(Store { line, cluster, prefix, seats: Mutex::default() });
        let (renewing, brokers) = (Arc::downgrade(&store), Arc::clone(brokers));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    () = brokers.closed() => return,
                    () = sleep(RENEW_INTERVAL) => {}
                }
                let Some(store) = renewing.upgrade() else { return };
                store.renew(RENEW_AFTER).await;
            }
        });
        Self(store)
    }

    /// Saves anew what was not saved for so long.
    ///
    /// # Cancel safety
    /// Dropping the future leaves some as they were.
    pub async fn renew(&self, after: Duration) {
        self.0.renew(after).await;
    }

    /// Does something with what this node has of a place, to its end, also where nobody waits for it any more: a
    /// transaction that is left open costs the right one day.
    async fn with_seat<R: Send + 'static, F: Future<Output = Result<R>> + Send>(
        &self,
        place: Place,
        work: impl FnOnce(Arc<Store>, Place, OwnedMutexGuard<Option<Held>>) -> F + Send + 'static,
    ) -> Result<R> {
        let store = Arc::clone(&self.0);
        let working = tokio::spawn(async move {
            let seat = store.seat(&place).lock_owned().await;
            work(store, place, seat).await
        });
        working.await.map_err(|_| error(ErrorKind::Runtime, "the runtime ended before it was done"))?
    }

    async fn take_over(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        let place = self.0.place(topic, name)?;
        self.with_seat(place, |store, place, mut seat| async move {
            let by = Instant::now() + WAIT;
            *seat = None;
            let partitions = store.partitions(&place, by).await?;
            let right = Right::take(&store.line, &place, by).await?;
            let fence = right.to_fence()?;
            let saved = store.saved(&place, partitions, by).await?;
            let cursor = saved.as_ref().map(|saved| saved.cursor.clone());
            *seat = Some(Held { place, right, saved, at: Instant::now() });
            Ok((fence, cursor))
        })
        .await
    }

    async fn save_over(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        places: &[(u32, Position)],
    ) -> Result<()> {
        let place = self.0.place(topic, name)?;
        let offset =
            |(lane, at): &(u32, Position)| Some((i32::try_from(*lane).ok()?, i64::try_from(at.0).ok()?));
        let places = places.iter().filter_map(offset).collect();
        let saved = Saved { cursor: cursor.to_vec(), places };
        self.with_seat(place, move |store, place, mut seat| async move {
            let held = Held { place, right: Right::of_fence(fence), saved: Some(saved), at: Instant::now() };
            match store.write(&held).await {
                Ok(()) => *seat = Some(held),
                Err(error) => {
                    if error.kind() == ErrorKind::Conflict {
                        // One that was taken since stays.
                        seat.take_if(|seat| seat.right == held.right);
                    }
                    return Err(error);
                }
            }
            Ok(())
        })
        .await
    }
}

impl Store {
    fn place(&self, topic: &TopicName, name: &str) -> Result<Place> {
        let topic = names::topic_name(&self.cluster, topic)?;
        let group = names::cursor_id(&self.cluster, &self.prefix, name);
        let right = names::cursor_right(&group, &topic);
        Ok(Place { topic, group, right })
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<String, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(&self, place: &Place) -> Seat {
        Arc::clone(self.seats().entry(place.right.clone()).or_default())
    }

    async fn partitions(&self, place: &Place, by: Instant) -> Result<i32> {
        let partitions = *self.line.brokers().partitions(&place.topic, by).await?.borrow();
        Ok(i32::try_from(partitions).unwrap_or(i32::MAX))
    }

    /// What was saved last.
    async fn saved(&self, place: &Place, partitions: i32, by: Instant) -> Result<Option<Saved>> {
        let of = (place.topic.as_str(), (0..partitions).collect());
        // What the former holder has committed may not have reached the coordinator of the group: it is waited for.
        let fetching = committed::of_topic(&self.line, &place.group, of, true, Refusal::check, by);
        let committed = fetching.await?;
        let texts = committed.values().map(|committed| committed.text.as_str());
        match text::join(texts) {
            Found::Nothing => Ok(None),
            Found::Cursor(cursor) => {
                let places = committed.iter().map(|(partition, committed)| (*partition, committed.offset));
                Ok(Some(Saved { cursor, places: places.collect() }))
            }
            Found::Foreign => {
                tracing::warn!(
                    topic = %place.topic,
                    group = %place.group,
                    "the offsets of a durable subscription were committed by other software, and its cursor is gone: it begins \
                     as one that is new"
                );
                Ok(None)
            }
        }
    }

    /// Commits what is held. Where nothing was saved yet, the right alone is used, so that it is not forgotten.
    async fn write(&self, held: &Held) -> Result<()> {
        let by = Instant::now() + WAIT;
        let place = &held.place;
        let commits = match &held.saved {
            Some(saved) => commits(saved, self.partitions(place, by).await?)?,
            None => Vec::new(),
        };
        let written = held.right.commit(&self.line, place, &commits, by).await;
        written.map_err(|error| match error.kind() {
            ErrorKind::Conflict => lost(error),
            ErrorKind::NotFound => {
                // It may have fewer partitions now.
                self.line.brokers().doubt(Target::Leader(&place.topic, 0));
                error
            }
            _ => error,
        })
    }

    async fn renew(&self, after: Duration) {
        let seats: Vec<Seat> = self.seats().values().cloned().collect();
        for seat in seats {
            let mut seat = seat.lock().await;
            let Some(held) = seat.as_mut().filter(|held| held.at.elapsed() >= after) else { continue };
            match self.write(held).await {
                Ok(()) => held.at = Instant::now(),
                // Another node has it now.
                Err(error) if error.kind() == ErrorKind::Conflict => *seat = None,
                Err(error) => {
                    tracing::warn!(group = %held.place.group, %error, "a cursor was not saved anew; it is tried again");
                }
            }
        }
    }
}

/// What is committed for each partition.
fn commits(saved: &Saved, partitions: i32) -> Result<Vec<Commit>> {
    let count = usize::try_from(partitions).unwrap_or_default();
    let texts = text::split(&saved.cursor, count, fastrand::u32(..)).ok_or_else(|| {
        error(ErrorKind::TooLarge, "the cursor is too large for the partitions of the topic")
            .context("bytes", saved.cursor.len())
            .context("partitions", partitions)
    })?;
    let commit = |(partition, text)| Commit {
        partition,
        // Of what nothing is known, nothing was read.
        offset: saved.places.get(&partition).copied().unwrap_or(0),
        text,
    };
    Ok((0..partitions).zip(texts).map(commit).collect())
}

fn lost(cause: Error) -> Error {
    error(ErrorKind::Conflict, "the right to this cursor was lost")
        .help("another subscription of this name has begun: each needs a name of its own")
        .source(cause)
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
        places: &[(u32, Position)],
    ) -> Result<()> {
        let saved = self.save_over(topic, name, fence, cursor, places).await;
        saved.map_err(|error| error.operation("save").context("topic", topic).context("name", name))
    }
}
