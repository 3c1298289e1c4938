//! Whether retention was faster than a group: looked up now and then, because the numbers of deliveries alone hide it where
//! records were given out more than once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::Info;
use tokio::time::sleep;

use crate::consumers;
use crate::session::Session;
use crate::streams;

/// The shortest and the longest time between two looks. A third of the lease lies between them.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What the two who look tell each other.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Records are gone that nobody was given; to be told.
    pub(super) gone: AtomicBool,
    /// The member has told of it by itself since the last look.
    pub(super) told: AtomicBool,
}

/// Looks until the connection is over.
///
/// What lies between the last record that was given out at the last look and the oldest that is there now was given to
/// nobody, or within one interval before it went. The latter cannot be told apart, and is told as well: a group that is
/// so close to the end of its retention loses records with the next delay.
pub(super) async fn look(session: Arc<Session>, info: Info, lease: Duration, seen: Arc<Seen>) {
    let (stream, consumer) = (info.stream_name, info.name);
    let mut given = info.delivered.stream_sequence;
    while !session.is_over() {
        sleep((lease / 3).clamp(INTERVAL.0, INTERVAL.1)).await;
        let Ok(found) = streams::info(&session, &stream).await else { continue };
        let Ok(now) = consumers::info(&session, &stream, &consumer).await else { continue };
        let oldest = found.state.first_sequence;
        let told = seen.told.swap(false, Ordering::AcqRel);
        if oldest > given.saturating_add(1) && !told {
            seen.gone.store(true, Ordering::Release);
        }
        given = now.delivered.stream_sequence.max(oldest.saturating_sub(1));
    }
}
