//! Keeps a connection: makes the first one and each that follows, and says how the link is.

use std::sync::Arc;
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use crate::plan::Plan;
use crate::session::Session;
use crate::shared::{Shared, State};

/// The first and the longest pause between two rounds of tries. It doubles in between, and half of it is drawn, so that a
/// cluster of nodes does not return to its server in one moment.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// The pause after the server has refused the credentials: they do not become right by trying.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// How often a round trip is made, to see that the server still answers; and how long it may take.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// The most servers of a cluster that are remembered beside those of the configuration.
const OTHERS_MAX: usize = 64;
/// How many denials the state of the link names.
const DENIALS_SHOWN: usize = 3;

/// Tries every server once, in a drawn order.
///
/// # Errors
/// The worst that was met: a refusal by one server is no reason to call another one unreachable.
pub(crate) async fn connect(plan: &Arc<Plan>, others: &[String]) -> Result<Session> {
    let mut servers: Vec<&String> = plan.servers.iter().collect();
    fastrand::shuffle(&mut servers);
    servers.extend(others.iter().filter(|other| !plan.servers.contains(other)));
    let mut worst: Option<Error> = None;
    for server in servers {
        match Session::connect(plan, server).await {
            Ok(session) => return Ok(session),
            Err(error) => {
                tracing::debug!(%error, "cannot connect");
                if worst.as_ref().is_none_or(|worst| worst.kind() == ErrorKind::Unreachable) {
                    worst = Some(error);
                }
            }
        }
    }
    Err(worst.unwrap_or_else(|| crate::error::down("no server is named")))
}

/// Is it of no use to try again, and an error of the first call?
pub(crate) fn is_final(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::OutcomeUnknown)
}

/// Puts a connection into use.
pub(crate) fn begin(shared: &Arc<Shared>, session: Session) -> Arc<Session> {
    let session = Arc::new(session);
    session.keep_for(shared);
    shared.set_session(Some(Arc::clone(&session)));
    shared.tell(State::Up);
    if shared.is_closed() {
        // It was closed meanwhile, and nobody would take this one away again.
        shared.set_session(None);
        let _ = session.close().now_or_never();
    }
    if let Some(why) = session.why_over() {
        // It ended while the link was said to be up.
        shared.tell(State::Down(why));
    }
    tracing::debug!(server = session.server, "connected");
    session
}

/// Keeps a connection until the transport is closed, beginning with one that is in use already.
pub(crate) async fn run(shared: Arc<Shared>, first: Option<Arc<Session>>) {
    let mut others = Vec::new();
    if let Some(session) = first {
        watch(&shared, session, &mut others).await;
    }
    let (mut pause, mut failures) = (BACKOFF.0, 0);
    while !shared.is_closed() {
        if shared.plan.max_reconnects.is_some_and(|max| failures >= max) {
            tracing::warn!("the connection is not tried again: `nats.max_reconnects` is reached");
            return shared.closed().await;
        }
        match shared.unless_closed(connect(&shared.plan, &others)).await {
            None => return,
            Some(Ok(session)) => {
                (pause, failures) = (BACKOFF.0, 0);
                watch(&shared, begin(&shared, session), &mut others).await;
            }
            Some(Err(error)) => {
                failures += 1;
                shared.tell(State::Down(error.to_string()));
                let refused = is_final(&error);
                let wait = if refused { REFUSED_PAUSE } else { pause };
                pause = (pause * 2).min(BACKOFF.1);
                let jittered = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
                if shared.unless_closed(sleep(jittered)).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Uses a connection until it is over.
async fn watch(shared: &Shared, session: Arc<Session>, others: &mut Vec<String>) {
    others.clone_from(&session.others);
    others.truncate(OTHERS_MAX);
    tokio::select! {
        () = shared.closed() => return,
        () = session.over() => {}
        () = session.ended() => {}
        () = probe(shared, &session) => {}
        () = trouble(shared, &session) => {}
    }
    shared.set_session(None);
    let why = session.why_over().unwrap_or_default();
    let why = session.refusal().map_or(format!("{}: {why}", session.server), |refusal| refusal.to_string());
    tracing::debug!(why, "disconnected");
    shared.tell(State::Down(why));
    // Whoever still waits for an answer of it gets none. The next connection does not wait for that.
    let _ = session.close().now_or_never();
}

/// Makes round trips, and ends a connection that answers no more.
async fn probe(shared: &Shared, session: &Session) {
    loop {
        sleep(PROBE_INTERVAL).await;
        match session.probe(&shared.probe, PROBE_INTERVAL).await {
            Ok(()) => {}
            // Where it may not be asked, the client's own pings have to do.
            Err(denial) if denial.kind() == ErrorKind::Unauthorized => {}
            Err(_) => return session.end("the server does not answer any more"),
        }
    }
}

/// Says what is wrong with a connection that works.
async fn trouble(shared: &Shared, session: &Session) {
    let (mut leaving, mut denied) = (session.leaving(), session.denied());
    // It may have been said before anybody listened.
    denied.mark_changed();
    loop {
        let why = tokio::select! {
            () = leaving.wait_for(|leaving| *leaving).map(drop) => {
                shared.tell(State::Degraded("the server is about to shut down".into()));
                // The server ends the connection when it is ready.
                return session.over().await;
            }
            Ok(()) = denied.changed() => denials(&denied.borrow_and_update()),
        };
        if let Some(why) = why {
            shared.tell(State::Degraded(format!("the server denies something: {why}")));
        }
    }
}

/// What was denied, the newest first. A client asks for one thing after the other: the last one alone would hide the others.
fn denials(denied: &[(Instant, String)]) -> Option<String> {
    let newest = denied.iter().rev().map(|(_, text)| text.as_str());
    let shown: Vec<&str> = newest.take(DENIALS_SHOWN).collect();
    let more = match denied.len() - shown.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!shown.is_empty()).then(|| shown.join("; ") + &more)
}
