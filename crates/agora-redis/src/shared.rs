//! What the transport, its tasks and its inboxes share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use agora_core::config::Redis;
use agora_core::id::TopicName;
use agora_core::transport::{Capabilities, Link, TopicSettings};
use agora_core::{Error, ErrorKind, Result};
use redis::{Cmd, Pipeline, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::call::{Connection, ask, ask_all, of_transaction};
use crate::dial::{Dialer, Pushed, Server};
use crate::error::{Failure, closed, error};
use crate::names::Names;
use crate::publish::Sender;
use crate::route::Route;
use crate::subscribe::Hub;

/// How long a server that is only asked whether it is there may take to answer: a connection of which one side has
/// gone is to be noticed within seconds.
pub(crate) const PROBE_WAIT_MAX: Duration = Duration::from_secs(3);

pub(crate) struct Shared {
    pub(crate) names: Names,
    pub(crate) config: Redis,
    pub(crate) dialer: Dialer,
    pub(crate) capabilities: Capabilities,
    pub(crate) link: watch::Sender<Link>,
    pub(crate) route: Route,
    /// Has the transport been closed?
    pub(crate) end: watch::Sender<bool>,
    /// Somebody has seen a connection break: the link is to be looked at now.
    pub(crate) doubt: Notify,
    pub(crate) runtime: Handle,
    /// The topics that were opened here, and what they are.
    topics: Mutex<BTreeMap<TopicName, TopicSettings>>,
    pub(crate) senders: Mutex<BTreeMap<TopicName, Sender>>,
    pub(crate) hubs: Mutex<BTreeMap<Option<TopicName>, Arc<Hub>>>,
    tasks: Mutex<JoinSet<()>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        names: Names,
        config: Redis,
        dialer: Dialer,
        capabilities: Capabilities,
        runtime: Handle,
    ) -> Self {
        let route = Route::new(&config, &dialer);
        let link = Link::Down { since: SystemTime::now(), why: "not connected yet".into() };
        Self {
            names,
            config,
            dialer,
            capabilities,
            link: watch::Sender::new(link),
            route,
            end: watch::Sender::new(false),
            doubt: Notify::new(),
            runtime,
            topics: Mutex::default(),
            senders: Mutex::default(),
            hubs: Mutex::default(),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.end.borrow()
    }

    /// Waits until the transport is closed.
    pub(crate) async fn ended(&self) {
        let mut end = self.end.subscribe();
        // The sender lives as long as `self`.
        let _ = end.wait_for(|end| *end).await;
    }

    /// Runs a task that ends with the transport.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        if !self.is_closed() {
            tasks.spawn_on(task, &self.runtime);
        }
    }

    /// Ends everything at once. Answers whether it was this call that did.
    pub(crate) fn end(&self) -> bool {
        if self.end.send_replace(true) {
            return false;
        }
        lock(&self.tasks).abort_all();
        lock(&self.senders).clear();
        lock(&self.hubs).values().for_each(|hub| hub.close());
        self.route.clear();
        self.link
            .send_replace(Link::Down { since: SystemTime::now(), why: "the transport was closed".into() });
        true
    }

    /// Waits until every task has ended.
    pub(crate) async fn join(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }

    /// What a topic was opened as here.
    pub(crate) fn settings_of(&self, topic: &TopicName) -> Option<TopicSettings> {
        lock(&self.topics).get(topic).copied()
    }

    /// A topic was opened.
    pub(crate) fn opened(&self, topic: &TopicName, settings: TopicSettings) {
        lock(&self.topics).insert(topic.clone(), settings);
    }

    /// The error of a link that is down.
    pub(crate) fn down(&self) -> Error {
        if self.is_closed() {
            return closed();
        }
        let error = error(ErrorKind::Unreachable, "the link is down");
        match &*self.link.borrow() {
            Link::Down { why, .. } | Link::Degraded { why, .. } => error.context("why", why),
            Link::Up => error.context("why", "a connection has just been lost"),
        }
    }

    /// How long the server may take to say that it is there.
    pub(crate) fn probe_wait(&self) -> Duration {
        self.config.timeout.min(PROBE_WAIT_MAX)
    }

    /// A connection of one's own to the server of a topic.
    ///
    /// # Errors
    /// Where the link is down.
    pub(crate) async fn dial(
        &self,
        topic: Option<&TopicName>,
        pushed: Option<Pushed>,
    ) -> Result<Connection, Failure> {
        if self.is_closed() {
            return Err(Failure::not_sent(closed()));
        }
        let server = self.route.server(self, topic)?;
        self.dialer.dial(&server, pushed).await
    }

    /// Something went wrong with a command: the ways and the link are to be looked at.
    pub(crate) fn suspect(&self, failure: &Failure) {
        if failure.moved {
            self.route.moved();
        }
        if failure.moved || matches!(failure.error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Unreachable)
        {
            self.doubt.notify_one();
        }
    }

    /// Sends one command, and again while the server refuses it for a reason that passes, until `by`.
    pub(crate) async fn call(&self, topic: Option<&TopicName>, command: &Cmd) -> Result<Value, Failure> {
        let by = Instant::now() + self.config.timeout;
        let mut tries = Tries::new(self, by);
        loop {
            let asked = self.with_line(topic, &tries, async |connection| {
                ask(connection, command, self.config.timeout).await
            });
            match asked.await {
                Ok(answer) => return Ok(answer),
                Err(failure) => tries.after(failure).await?,
            }
        }
    }

    /// Sends a transaction, its `MULTI` and `EXEC` included, as [`call`](Self::call) sends one command. The answers to what
    /// stands between them, refusals among them.
    pub(crate) async fn call_all(
        &self,
        topic: Option<&TopicName>,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, Failure> {
        let mut tries = Tries::new(self, Instant::now() + self.config.timeout);
        loop {
            let asked = self.with_line(topic, &tries, async |connection| {
                of_transaction(ask_all(connection, commands, self.config.timeout).await?)
            });
            match asked.await {
                Ok(answers) => return Ok(answers),
                Err(failure) => tries.after(failure).await?,
            }
        }
    }

    /// Asks something on the connection for commands, as long as that is of any use: that to the server of the topic, or to
    /// the one where the last of these tries was sent on to.
    pub(crate) async fn with_line<T>(
        &self,
        topic: Option<&TopicName>,
        tries: &Tries<'_>,
        question: impl AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let asked = async {
            let (server, line) = match &tries.sent_on {
                Some(server) => self.route.line_to(self, server.clone()).await?,
                None => self.route.line(self, topic).await?,
            };
            let mut connection = line.connection.clone();
            if tries.sent_on.is_some() {
                connection = connection.asking();
            }
            let answer = tokio::select! {
                biased;
                answer = question(&mut connection) => answer,
                () = line.gone() => Err(Failure::unanswered("the connection was given up")),
            };
            if answer.as_ref().is_err_and(|failure| failure.error.kind() == ErrorKind::OutcomeUnknown) {
                self.route.give_up(&server, &line);
            }
            answer
        };
        self.unless_ended(asked).await
    }

    /// The outcome of a call, or `Closed` as soon as the transport is.
    pub(crate) async fn unless_ended<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.ended() => Err(Failure::not_sent(closed())),
            outcome = call => outcome,
        }
    }
}

/// The tries of one command.
pub(crate) struct Tries<'a> {
    shared: &'a Shared,
    by: Instant,
    made: u64,
    /// The last one was answered that this server has the key already, whose slot is on its way there.
    sent_on: Option<Server>,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(shared: &'a Shared, by: Instant) -> Self {
        Self { shared, by, made: 0, sent_on: None }
    }

    /// After a failure: waits for the next try, or gives the failure back where there is none. Only what certainly had
    /// no effect is tried again, and only where the reason passes by itself.
    pub(crate) async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        // Once, and at once: who was sent on and is sent on again waits, as after any other refusal.
        let is_first = self.sent_on.take().is_none();
        if is_first && failure.ask.is_some() {
            self.sent_on = failure.ask;
            return Ok(());
        }
        self.shared.suspect(&failure);
        let config = &self.shared.config;
        if !failure.passes || config.retry_attempts.is_some_and(|most| self.made >= most) {
            return Err(failure);
        }
        self.made += 1;
        let at = Instant::now() + pause(config, self.made);
        if at >= self.by {
            return Err(failure);
        }
        tokio::select! {
            biased;
            () = self.shared.ended() => Err(Failure::not_sent(closed())),
            () = tokio::time::sleep_until(at) => Ok(()),
        }
    }
}

/// The pause before a try: it doubles from `retry_min_wait` to `retry_max_wait`, and is drawn between its half and its
/// whole, so that the nodes of a cluster do not all come back at once.
pub(crate) fn pause(config: &Redis, made: u64) -> Duration {
    let doubled = config.retry_min_wait.saturating_mul(1 << made.saturating_sub(1).min(16));
    doubled.min(config.retry_max_wait).mul_f64(0.5 + fastrand::f64() / 2.0)
}
