//! The publishing handle.

use std::cell::RefCell;
use std::sync::Arc;

use super::Bus;
use super::publish::Publish;
use super::queue::Queue;
use super::shared::Shared;
use super::stats::add;
use crate::codec::RecordParts;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Body, Event, Key, Unknown};
use crate::id::TopicName;
use crate::limits::{BODY_BYTES_MAX, KEY_BYTES_MAX};

/// Publishes events on one topic. Cheap to clone; all publishers of a topic on one bus share one ordered sender.
#[derive(Clone)]
pub struct Publisher {
    bus: Bus,
    topic: TopicName,
    queue: Arc<Queue>,
}

thread_local! {
    /// Events are encoded here, then copied under the queue's lock: no code of the application runs under it.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A scratch buffer that grew beyond this is not kept.
const SCRATCH_BYTES_KEPT: usize = 64 << 10;

impl Publisher {
    pub(crate) fn new(bus: Bus, topic: TopicName, queue: Arc<Queue>) -> Self {
        Self { bus, topic, queue }
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Publishes an event: encodes it now, and returns a future of its outcome. `Ok` means that the backend
    /// accepted it to the durability in the receipt. Where the queue is full, the future waits for room.
    ///
    /// Events whose publish was called one after the other arrive in that order. Where the queue is full, this holds
    /// for those that one task awaits in that order.
    ///
    /// # Errors
    /// - `TooLarge`, `Codec`: the event cannot be sent; nothing was queued.
    /// - `Timeout`: not sent within [`publish_timeout`](crate::limits::Limits::publish_timeout), and never will be.
    /// - `OutcomeUnknown`: it was sent, and whether it was accepted is not known.
    /// - `Closed`: the bus was closed before it was sent.
    ///
    /// # Cancel safety
    /// The event is queued when this returns, unless the queue is full. Dropping the future leaves the event's fate
    /// unknown: it may be sent all the same.
    pub fn publish<E: Event>(&self, event: &E) -> Publish {
        self.with_record(event, |record| Ok(self.publish_record(record))).unwrap_or_else(Publish::failed)
    }

    /// Publishes without waiting for anything, and without learning whether it was accepted: the event is queued, or
    /// it is not.
    ///
    /// # Errors
    /// `QueueFull` when the memory for waiting events is used up, or somebody waits for some; otherwise as [`publish`](Self::publish).
    pub fn try_publish<E: Event>(&self, event: &E) -> Result<()> {
        self.with_record(event, |record| self.try_publish_record(record))
    }

    /// Publishes a record that is encoded already: for tools that carry events which they do not know.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_record(&self, record: &RecordParts<'_>) -> Publish {
        if let Err(error) = check(record) {
            return self.failed(error);
        }
        match self.queue.try_append(record) {
            Ok(ticket) => {
                add(&self.bus.shared().counters.published, 1);
                Publish::queued(ticket)
            }
            Err(error) if error.kind() == ErrorKind::QueueFull => {
                let owned = OwnedRecord::from(record);
                let (queue, shared) = (self.queue.clone(), self.bus.shared().clone());
                let waiting = queue.wait();
                Publish::waiting(async move {
                    let appended = queue.wait_append(&owned.parts()).await;
                    let ticket = appended.inspect_err(|error| count_failed(&shared, &queue, error))?;
                    drop(waiting);
                    add(&shared.counters.published, 1);
                    Ok(ticket)
                })
            }
            Err(error) => self.failed(error),
        }
    }

    /// Nothing was queued.
    fn failed(&self, error: Error) -> Publish {
        count_failed(self.bus.shared(), &self.queue, &error);
        Publish::failed(error)
    }

    /// Queues a record that is encoded already, without waiting.
    ///
    /// # Errors
    /// As [`try_publish`](Self::try_publish).
    pub fn try_publish_record(&self, record: &RecordParts<'_>) -> Result<()> {
        let shared = self.bus.shared();
        match check(record).and_then(|()| self.queue.try_append(record)) {
            Ok(_) => {
                add(&shared.counters.published, 1);
                Ok(())
            }
            Err(error) => {
                if error.kind() == ErrorKind::QueueFull {
                    add(&shared.counters.queue_full, 1);
                }
                count_failed(shared, &self.queue, &error);
                Err(error)
            }
        }
    }

    fn with_record<E: Event, R>(
        &self,
        event: &E,
        then: impl FnOnce(&RecordParts<'_>) -> Result<R>,
    ) -> Result<R> {
        // Taken, not borrowed: an event whose serialisation publishes another one finds an empty buffer.
        let mut body = SCRATCH.with(|scratch| std::mem::take(&mut *scratch.borrow_mut()));
        body.clear();
        let encoded = event
            .encode_body(&mut Body::new(&mut body))
            .inspect_err(|error| count_failed(self.bus.shared(), &self.queue, error));
        let key = event.key();
        let result = encoded.and_then(|()| {
            then(&RecordParts {
                kind: E::KIND,
                version: E::VERSION,
                resync: E::UNKNOWN == Unknown::Resync,
                key: key.as_ref().map(Key::as_bytes),
                body: &body,
                id: None,
                correlation: None,
            })
        });
        if body.capacity() <= SCRATCH_BYTES_KEPT {
            SCRATCH.with(|scratch| *scratch.borrow_mut() = body);
        }
        result.map_err(|error| error.operation("publish").context("kind", E::KIND))
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

fn count_failed(shared: &Shared, queue: &Queue, error: &Error) {
    shared.counters.failed(1, error.kind());
    queue.meter.failed(1, error.kind());
}

fn check(record: &RecordParts<'_>) -> Result<()> {
    let too_large = |what: &str, bytes: usize, max: usize| {
        Err(Error::new(ErrorKind::TooLarge, format!("the {what} of the event is too large"))
            .context("bytes", bytes)
            .context("at most", max)
            .help("publish a reference to large data, not the data"))
    };
    let key = record.key.map_or(0, <[u8]>::len);
    if record.body.len() > BODY_BYTES_MAX {
        return too_large("body", record.body.len(), BODY_BYTES_MAX);
    }
    if key > KEY_BYTES_MAX {
        return too_large("key", key, KEY_BYTES_MAX);
    }
    Ok(())
}

struct OwnedRecord {
    kind: String,
    version: u16,
    resync: bool,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
    id: Option<[u8; 16]>,
    correlation: Option<[u8; 16]>,
}

impl OwnedRecord {
    fn parts(&self) -> RecordParts<'_> {
        RecordParts {
            kind: &self.kind,
            version: self.version,
            resync: self.resync,
            key: self.key.as_deref(),
            body: &self.body,
            id: self.id,
            correlation: self.correlation,
        }
    }
}

impl From<&RecordParts<'_>> for OwnedRecord {
    fn from(r: &RecordParts<'_>) -> Self {
        Self {
            kind: r.kind.to_owned(),
            version: r.version,
            resync: r.resync,
            key: r.key.map(<[u8]>::to_vec),
            body: r.body.to_vec(),
            id: r.id,
            correlation: r.correlation,
        }
    }
}
