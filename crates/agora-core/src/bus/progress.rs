//! How far a subscription has come in its logs, and who keeps that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use super::backlog::Backlog;
use super::queue::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{StreamId, TopicName};
use crate::limits::CURSOR_SAVE_INTERVAL;
use crate::log::{Cursor, LaneCursor, Progress};
use crate::transport::{CursorStore, Fence, Position};

/// Where a subscription stands. What was returned last counts as taken when the next is asked for.
#[derive(Debug, Default)]
pub(crate) struct Place {
    lanes: Mutex<Lanes>,
    moved: Notify,
    /// Held while the place is saved: an older one that is on its way must not arrive behind a newer one.
    saving: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Lanes {
    cursors: BTreeMap<StreamId, LaneCursor>,
    /// Of which topic each stream is that is read, and which lane of it.
    topics: BTreeMap<StreamId, (TopicName, u32)>,
}

/// A step that is not taken yet: see [`LaneCursor::advance`].
pub(crate) type Step = (StreamId, Progress, Option<u64>);

impl Place {
    /// This stream is that lane of that topic.
    pub(crate) fn know(&self, stream: StreamId, topic: &TopicName, lane: u32) {
        lock(&self.lanes).topics.insert(stream, (topic.clone(), lane));
    }

    /// Goes on from a cursor.
    pub(crate) fn begin(&self, stream: StreamId, lane: LaneCursor) {
        lock(&self.lanes).cursors.insert(stream, lane);
    }

    pub(crate) fn take(&self, (stream, progress, taken): &Step) {
        lock(&self.lanes).cursors.entry(*stream).or_default().advance(progress, *taken);
        self.moved.notify_one();
    }

    /// The cursor, with a step that is not taken yet.
    pub(crate) fn cursor(&self, with: Option<&Step>) -> Cursor {
        let mut lanes = lock(&self.lanes).cursors.clone();
        if let Some((stream, progress, taken)) = with {
            lanes.entry(*stream).or_default().advance(progress, *taken);
        }
        let mut cursor = Cursor::default();
        lanes.into_iter().for_each(|(stream, lane)| cursor.set(stream, lane));
        cursor
    }

    /// The cursor of one topic, and where it stands in each lane that has a place; `None` as long as none has.
    fn cursor_of(&self, topic: &TopicName) -> Option<(Cursor, Vec<(u32, Position)>)> {
        let lanes = lock(&self.lanes);
        let (mut cursor, mut places) = (None, Vec::new());
        for (stream, (of, number)) in &lanes.topics {
            if let Some(lane) = lanes.cursors.get(stream).filter(|_| of == topic) {
                cursor.get_or_insert_with(Cursor::default).set(*stream, lane.clone());
                places.extend(lane.low.position().map(|at| (*number, at)));
            }
        }
        places.sort();
        cursor.map(|cursor| (cursor, places))
    }
}

/// What a durable subscription holds at the backend.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) name: String,
    pub(crate) topics: Vec<(TopicName, Fence)>,
}

impl Durable {
    /// Saves where each topic stands.
    pub(crate) async fn save(&self, store: &dyn CursorStore, place: &Place) -> Result<()> {
        let _turn = place.saving.lock().await;
        for (topic, fence) in &self.topics {
            let Some((cursor, places)) = place.cursor_of(topic) else { continue };
            store.save(topic, &self.name, *fence, &cursor.to_bytes()?, &places).await?;
        }
        Ok(())
    }
}

/// Saves the place of a durable subscription whenever it has moved, as long as there is the subscription.
pub(crate) async fn keep_saving(
    shared: Arc<Shared>,
    durable: Durable,
    place: Arc<Place>,
    backlog: Arc<Backlog>,
) {
    loop {
        tokio::select! {
            biased;
            () = backlog.wait_abandoned() => return,
            () = place.moved.notified() => {}
        }
        let began = Instant::now();
        let Some(store) = shared.transport.cursors() else { return };
        match durable.save(store, &place).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => return backlog.end(Err(error)),
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => {
                tracing::warn!(durable = %durable.name, %error, "a cursor was not saved; it is tried again");
                place.moved.notify_one();
            }
        }
        tokio::time::sleep_until(began + CURSOR_SAVE_INTERVAL).await;
    }
}

/// Is this a name for a durable subscription?
///
/// # Errors
/// `Config`, saying what a name is.
pub(crate) fn check_name(name: &str) -> Result<()> {
    crate::id::check_words("durable", name, crate::id::NAME_BYTES_MAX)
}

/// The error of a cursor that says nothing of a topic.
pub(crate) fn not_of(topic: &TopicName) -> Error {
    Error::new(ErrorKind::Config, "the cursor is not one of this topic, or of another cluster")
        .context("topic", topic)
        .help("take the cursor that a subscription to this topic gave; or begin at `earliest` or `live`")
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::log::{Low, Mark, Print};

    /// A backend whose first answer comes late: what is asked first arrives last, if it is not waited for.
    #[derive(Default)]
    struct Late {
        first: Mutex<bool>,
        go: Notify,
        saved: Mutex<Vec<u8>>,
    }

    #[async_trait]
    impl CursorStore for Late {
        async fn take(&self, _: &TopicName, _: &str) -> Result<(Fence, Option<Vec<u8>>)> {
            Ok((Fence(1), None))
        }

        async fn save(
            &self,
            _: &TopicName,
            _: &str,
            _: Fence,
            cursor: &[u8],
            _: &[(u32, Position)],
        ) -> Result<()> {
            if !std::mem::replace(&mut *lock(&self.first), true) {
                self.go.notified().await;
            }
            *lock(&self.saved) = cursor.to_vec();
            Ok(())
        }
    }

    fn standing_at(at: u128) -> LaneCursor {
        let print = Print { node: 1, incarnation: 1, seq: 1, crc: 1, stamp: 1 };
        let low = Low { before: None, at: Some(Mark { at, print }) };
        LaneCursor { low, ..LaneCursor::default() }
    }

    #[tokio::test]
    async fn an_older_place_never_arrives_behind_a_newer_one() {
        let (store, place, topic) = (Late::default(), Place::default(), TopicName::new("t").unwrap());
        let durable = Durable { name: "d".into(), topics: vec![(topic.clone(), Fence(1))] };
        place.know(StreamId(1), &topic, 0);
        place.begin(StreamId(1), standing_at(1));
        let mut older = Box::pin(durable.save(&store, &place));
        assert!(futures_util::poll!(&mut older).is_pending());
        place.begin(StreamId(1), standing_at(2));
        let mut newer = Box::pin(durable.save(&store, &place));
        let _ = futures_util::poll!(&mut newer);
        store.go.notify_one();
        older.await.unwrap();
        newer.await.unwrap();
        let saved = Cursor::from_bytes(&lock(&store.saved)).unwrap();
        assert_eq!(saved.lane(StreamId(1)), Some(&standing_at(2)));
    }
}
