//! What the transport and its tasks share.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use agora_core::id::{ClusterName, TopicName};
use agora_core::transport::{Capabilities, Link, TopicKind};
use agora_core::{Error, Result};
use tokio::sync::watch;

use crate::by_hand::Doubts;
use crate::error::{closed, down};
use crate::names;
use crate::plan::Plan;
use crate::publish::Lanes;
use crate::session::Session;

/// What the transport and its tasks share.
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) cluster: ClusterName,
    pub(crate) capabilities: Capabilities,
    pub(crate) link: watch::Sender<Link>,
    pub(crate) lanes: Lanes,
    pub(crate) probe: String,
    /// Where connections were lost.
    pub(crate) doubts: Doubts,
    session: watch::Sender<Option<Arc<Session>>>,
    closed: watch::Sender<bool>,
    kinds: Mutex<BTreeMap<TopicName, TopicKind>>,
}

impl Shared {
    pub(crate) fn new(plan: Arc<Plan>, cluster: &ClusterName, capabilities: Capabilities) -> Self {
        let link = Link::Down { since: SystemTime::now(), why: "not connected yet".into() };
        Self {
            plan,
            cluster: cluster.clone(),
            capabilities,
            link: watch::Sender::new(link),
            lanes: Lanes::default(),
            probe: names::probe_subject(cluster),
            doubts: Doubts::default(),
            session: watch::Sender::new(None),
            closed: watch::Sender::new(false),
            kinds: Mutex::default(),
        }
    }

    /// What is known of the kinds of topics: those that were opened here.
    pub(crate) fn kinds(&self) -> MutexGuard<'_, BTreeMap<TopicName, TopicKind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stream_of(&self, topic: &TopicName) -> Result<String> {
        names::stream_name(&self.plan.stream_prefix, &self.cluster, topic)
    }

    /// The connection, where there is one.
    ///
    /// # Errors
    /// `Closed`; `Unreachable` with the reason.
    pub(crate) fn session(&self) -> Result<Arc<Session>> {
        if self.is_closed() {
            return Err(closed());
        }
        match &*self.session.borrow() {
            Some(session) if !session.is_over() => Ok(Arc::clone(session)),
            Some(session) => Err(down(&session.why_over().unwrap_or_default())),
            None => Err(self.down()),
        }
    }

    /// Why there is no connection.
    fn down(&self) -> Error {
        match &*self.link.borrow() {
            Link::Down { why, .. } | Link::Degraded { why, .. } => down(why),
            Link::Up => down("the connection was lost"),
        }
    }

    /// Waits for a connection that is not over. `None`: the transport was closed.
    pub(crate) async fn next_session(&self) -> Option<Arc<Session>> {
        let mut sessions = self.session.subscribe();
        let usable =
            |session: &Option<Arc<Session>>| session.as_ref().is_some_and(|session| !session.is_over());
        let next = self.unless_closed(sessions.wait_for(usable)).await?;
        next.ok().and_then(|session| session.clone())
    }

    /// Puts a connection in its place, or takes the last one away.
    pub(crate) fn set_session(&self, session: Option<Arc<Session>>) {
        self.session.send_replace(session);
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the transport is closed.
    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// What a future comes to; `None` where the transport is closed first.
    pub(crate) async fn unless_closed<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.closed() => None,
            done = future => Some(done),
        }
    }

    /// Begins the end: nothing is taken any more. The last connection, where this was the first call.
    pub(crate) fn end(&self) -> Option<Arc<Session>> {
        if self.closed.send_replace(true) {
            return None;
        }
        self.lanes.end();
        let why = "the transport was closed".to_owned();
        self.link.send_replace(Link::Down { since: SystemTime::now(), why });
        self.session.send_replace(None)
    }

    /// Says how the link is. A trouble keeps its beginning.
    pub(crate) fn tell(&self, state: State) {
        self.link.send_if_modified(|link| {
            if self.is_closed() {
                return false;
            }
            let now = SystemTime::now();
            let next = match state {
                State::Up => Link::Up,
                State::Degraded(why) => link.degraded(why, now),
                State::Down(why) => link.down(why, now),
            };
            let changed = *link != next;
            *link = next;
            changed
        });
    }
}

/// How the link is, without its beginning.
pub(crate) enum State {
    Up,
    Degraded(String),
    Down(String),
}
