//! How the link to the cluster is, in words for an operator.

use std::time::SystemTime;

use agora_core::transport::Link;
use tokio::sync::watch;

/// How the link is, without its beginning.
pub(crate) enum State {
    Up,
    Degraded(String),
    Down(String),
}

pub(crate) fn not_connected() -> Link {
    Link::Down { since: SystemTime::now(), why: "not connected yet".into() }
}

/// Says how the link is. A trouble keeps its beginning.
pub(crate) fn tell(link: &watch::Sender<Link>, state: State) {
    link.send_if_modified(|link| {
        let now = SystemTime::now();
        let next = match state {
            State::Up => Link::Up,
            State::Degraded(why) => link.degraded(why, now),
            State::Down(why) => link.down(why, now),
        };
        let changed = *link != next;
        if changed {
            tracing::info!(link = ?next, "the link to the brokers");
        }
        *link = next;
        changed
    });
}
