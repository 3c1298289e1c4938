//! The view of the cluster, and the way to whoever is in charge of something.
//!
//! A broker works on one request of a connection after the other, so whoever has requests that take long has a [`Line`] of
//! his own: a set of connections, one to each broker that is needed, made when it is.

mod any;
mod ask;
mod coordinators;
mod line;
mod metadata;
mod pool;
mod refresh;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agora_core::transport::Link;
use agora_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

pub use coordinators::Kind;
pub use line::Line;
pub use metadata::{Partition, Topic, View};
pub use target::Target;

use crate::error::{closed, error};
use crate::keeper;
use crate::link::{self, State};
use crate::plan::Plan;
use coordinators::Coordinators;
use pool::Pool;
use refresh::Refresher;

/// How long one broker may take to answer what each of them can answer, before another one is asked.
pub(crate) const TRY_WAIT: Duration = Duration::from_secs(3);

/// The brokers of a cluster, and what is known of them.
pub struct Brokers {
    pub(crate) plan: Plan,
    pool: Pool,
    refresher: Refresher,
    coordinators: Coordinators,
    link: watch::Sender<Link>,
    closed: watch::Sender<bool>,
    pub(crate) doubt: Notify,
    lines: AtomicU64,
}

impl Brokers {
    /// Connects to the first broker that answers, for at most `wait`. Where none does, the brokers are there all the same:
    /// the link is down, and they are tried in the background until [`Brokers::end`].
    ///
    /// # Errors
    /// What does not pass by waiting: `Unauthorized` when a broker refuses the credentials, `Config` when TLS cannot be
    /// agreed on, `Unsupported` when it is too old.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the attempt; nothing stays open.
    pub async fn connect(plan: Plan, wait: Duration) -> Result<Arc<Self>> {
        let brokers = Arc::new(Self {
            plan,
            pool: Pool::default(),
            refresher: Refresher::default(),
            coordinators: Coordinators::default(),
            link: watch::Sender::new(link::not_connected()),
            closed: watch::Sender::new(false),
            doubt: Notify::new(),
            lines: AtomicU64::new(line::SHARED + 1),
        });
        let line = brokers.shared_line();
        let by = Instant::now() + wait;
        let state = match timeout_at(by, keeper::first(&line, by)).await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) if keeper::is_final(&error) => return Err(error),
            Ok(Err(error)) => State::Down(error.to_string()),
            Err(_) => State::Down(format!("no broker has answered within {wait:?}")),
        };
        brokers.tell(state);
        tokio::spawn(keeper::run(line));
        Ok(brokers)
    }

    /// A set of connections of one's own. `purpose` is for logs alone.
    pub fn line(self: &Arc<Self>, purpose: &'static str) -> Line {
        Line::new(Arc::clone(self), self.lines.fetch_add(1, Ordering::Relaxed), purpose)
    }

    /// The line for questions that are answered at once. Whoever asks them shares it.
    pub(crate) fn shared_line(self: &Arc<Self>) -> Line {
        Line::new(Arc::clone(self), line::SHARED, "questions")
    }

    /// How the link to the cluster is.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    pub(crate) fn tell(&self, state: State) {
        if !self.is_closed() {
            link::tell(&self.link, state);
        }
    }

    /// What is known of the cluster now.
    pub fn view(&self) -> Arc<View> {
        self.refresher.view()
    }

    /// Something did not go as it should: the link is looked at now, and not only when it is time.
    pub fn suspect(&self) {
        self.doubt.notify_one();
    }

    /// Ends everything: every call from here on, and every one that waits, is `Closed`.
    pub fn end(&self) {
        if !self.closed.send_replace(true) {
            link::tell(&self.link, State::Down("the transport was closed".into()));
            self.pool.clear();
            self.refresher.end();
        }
    }

    /// Has it been ended?
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until it is ended.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// What a call comes to, or `Closed` as soon as that is so.
    async fn unless_closed<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.closed() => Err(closed()),
            outcome = call => outcome,
        }
    }
}

fn too_late() -> Error {
    error(ErrorKind::Timeout, "the deadline passed before a broker could be asked")
}
