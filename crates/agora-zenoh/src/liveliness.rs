//! Tokens that vanish with their process: hints for the engine's failure detection.

use std::sync::Arc;

use agora_core::Result;
use agora_core::id::SourceId;
use agora_core::transport::Hint;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zenoh::Wait;
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::Subscriber;
use zenoh::sample::SampleKind;

use crate::error::{closed, from_zenoh};
use crate::keys;
use crate::publish::DECLARE_WAIT;
use crate::subscribe::slow;
use crate::transport::Shared;
use crate::worker::Bench;

/// The most hints that wait to be read. Further ones are dropped: a hint only speeds up what heartbeats find out.
const HINTS_MAX: usize = 1024;

/// What keeps the announcement alive: dropped, the token is taken back.
pub(crate) struct Announcement {
    _token: LivelinessToken,
    _others: Subscriber<()>,
}

/// Declares a token for `me`, and reports the tokens of others.
pub(crate) async fn announce(shared: &Arc<Shared>, me: SourceId) -> Result<mpsc::Receiver<Hint>> {
    let (hints, seen) = mpsc::channel(HINTS_MAX);
    let (done, declared) = oneshot::channel();
    let job = Arc::clone(shared);
    shared.control.submit(move |bench| drop(done.send(declare(bench, &job, me, hints))))?;
    let announcement = match timeout(DECLARE_WAIT, declared).await {
        Ok(Ok(announcement)) => announcement?,
        Ok(Err(_)) => return Err(closed()),
        Err(_) => return Err(slow("the announcement was not made in time")),
    };
    // A second announcement replaces the first, whose token is taken back.
    let former = shared.announcement().replace(announcement);
    if former.is_some() {
        shared.control.submit(move |_| drop(former))?;
    }
    Ok(seen)
}

fn declare(
    bench: &mut Bench,
    shared: &Shared,
    me: SourceId,
    hints: mpsc::Sender<Hint>,
) -> Result<Announcement> {
    let liveliness = bench.session.liveliness();
    let token = liveliness
        .declare_token(keys::alive(&shared.cluster, me))
        .wait()
        .map_err(|cause| from_zenoh("cannot declare a liveliness token", &cause))?;
    let cluster = shared.cluster.clone();
    let others = liveliness
        .declare_subscriber(keys::alive_all(&shared.cluster))
        .history(true)
        .callback(move |sample| {
            let Some(source) = keys::source_of(&cluster, sample.key_expr().as_str()) else { return };
            if source == me {
                return;
            }
            let hint = match sample.kind() {
                SampleKind::Put => Hint::Seen(source),
                SampleKind::Delete => Hint::Gone(source),
            };
            if hints.try_send(hint).is_err() {
                tracing::debug!(%source, "a liveliness hint was dropped: nobody reads them");
            }
        })
        .wait()
        .map_err(|cause| from_zenoh("cannot watch liveliness tokens", &cause))?;
    Ok(Announcement { _token: token, _others: others })
}
