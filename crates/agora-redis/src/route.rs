//! Which server is in charge of a topic, and the connections for commands to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use agora_core::ErrorKind;
use agora_core::config::{Redis, RedisMode};
use agora_core::id::TopicName;
use redis::cmd;
use tokio::sync::watch;

use crate::call::{Connection, ask, bytes, list, number};
use crate::dial::{Dialer, Server};
use crate::error::{Failure, error};
use crate::shared::{Shared, lock};
use crate::slots::{Slots, slot_of};

/// A connection for commands, and whether it is still of any use: a question on one that is not need not be waited for.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) connection: Connection,
    gone: Arc<watch::Sender<bool>>,
}

impl Line {
    fn new(connection: Connection) -> Self {
        Self { connection, gone: Arc::new(watch::Sender::new(false)) }
    }

    /// Waits until the connection was given up.
    pub(crate) async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        // The sender lives as long as `self`.
        let _ = gone.wait_for(|gone| *gone).await;
    }
}

/// The ways to the servers.
pub(crate) struct Route {
    mode: RedisMode,
    master: String,
    read_from_replicas: bool,
    /// The server that was found to be in charge, where it is one.
    primary: Mutex<Option<Server>>,
    slots: Mutex<Slots>,
    lines: Mutex<BTreeMap<Server, Line>>,
    /// Another server is in charge of something: what is known of the slots is old.
    moved: AtomicBool,
    losses: watch::Sender<u64>,
}

impl Route {
    pub(crate) fn new(config: &Redis, dialer: &Dialer) -> Self {
        let primary = match config.mode {
            RedisMode::Single => dialer.servers().into_iter().next(),
            _ => None,
        };
        Self {
            mode: config.mode,
            master: config.master.clone().unwrap_or_default(),
            read_from_replicas: config.read_from_replicas && config.mode == RedisMode::Cluster,
            primary: Mutex::new(primary),
            slots: Mutex::default(),
            lines: Mutex::default(),
            moved: AtomicBool::new(false),
            losses: watch::Sender::new(0),
        }
    }

    /// Is a topic's server one of several?
    pub(crate) fn is_cluster(&self) -> bool {
        self.mode == RedisMode::Cluster
    }

    /// The command that publishes: in a cluster, to the servers of the topic alone.
    pub(crate) fn publish(&self) -> &'static str {
        if self.is_cluster() { "SPUBLISH" } else { "PUBLISH" }
    }

    /// The command that subscribes.
    pub(crate) fn subscribe(&self) -> &'static str {
        if self.is_cluster() { "SSUBSCRIBE" } else { "SUBSCRIBE" }
    }

    fn slot(&self, shared: &Shared, topic: Option<&TopicName>) -> u16 {
        match topic {
            Some(topic) => slot_of(&shared.names.stream(topic)),
            None => slot_of(&shared.names.topics()),
        }
    }

    /// The server that is in charge of a topic. `None`: of the list of all topics.
    pub(crate) fn server(&self, shared: &Shared, topic: Option<&TopicName>) -> Result<Server, Failure> {
        let found = if self.is_cluster() {
            lock(&self.slots).master(self.slot(shared, topic)).cloned()
        } else {
            lock(&self.primary).clone()
        };
        found.ok_or_else(|| Failure::not_sent(shared.down()))
    }

    /// A replica from which a topic may be read, where that is wanted and there is one.
    pub(crate) fn replica(&self, shared: &Shared, topic: &TopicName) -> Option<Server> {
        if !self.read_from_replicas {
            return None;
        }
        let slots = lock(&self.slots);
        let replicas = slots.replicas(self.slot(shared, Some(topic)));
        (!replicas.is_empty()).then(|| replicas[fastrand::usize(..replicas.len())].clone())
    }

    /// A connection for commands to the server of a topic, made where there is none.
    pub(crate) async fn line(
        &self,
        shared: &Shared,
        topic: Option<&TopicName>,
    ) -> Result<(Server, Line), Failure> {
        let server = self.server(shared, topic)?;
        self.line_to(shared, server).await
    }

    /// A connection for commands to a server, made where there is none.
    pub(crate) async fn line_to(&self, shared: &Shared, server: Server) -> Result<(Server, Line), Failure> {
        if let Some(line) = lock(&self.lines).get(&server) {
            return Ok((server, line.clone()));
        }
        if !shared.link.borrow().is_usable() {
            return Err(Failure::not_sent(shared.down()));
        }
        let connection = shared.dialer.dial(&server, None).await?;
        let line = self.keep(server.clone(), connection);
        Ok((server, line))
    }

    /// Keeps a connection. Where another one was faster, that one.
    pub(crate) fn keep(&self, server: Server, connection: Connection) -> Line {
        lock(&self.lines).entry(server).or_insert_with(|| Line::new(connection)).clone()
    }

    /// The connections that are kept.
    pub(crate) fn lines(&self) -> Vec<(Server, Line)> {
        lock(&self.lines).iter().map(|(server, line)| (server.clone(), line.clone())).collect()
    }

    /// Gives a connection up, where it has not been replaced already.
    pub(crate) fn give_up(&self, server: &Server, line: &Line) {
        let mut lines = lock(&self.lines);
        if lines.get(server).is_some_and(|kept| Arc::ptr_eq(&kept.gone, &line.gone)) {
            lines.remove(server);
        }
        line.gone.send_replace(true);
    }

    /// Gives every connection up.
    pub(crate) fn clear(&self) {
        self.losses.send_modify(|losses| *losses += 1);
        for line in std::mem::take(&mut *lock(&self.lines)).into_values() {
            line.gone.send_replace(true);
        }
    }

    /// Told when the one server was lost or is another one. Not of a cluster, where others go on.
    pub(crate) fn losses(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Is this server in charge of a topic, or a replica of the one that is?
    pub(crate) fn serves(&self, shared: &Shared, topic: &TopicName, server: &Server) -> bool {
        if self.server(shared, Some(topic)).is_ok_and(|now| now == *server) {
            return true;
        }
        self.read_from_replicas && lock(&self.slots).replicas(self.slot(shared, Some(topic))).contains(server)
    }

    /// The keeper is connected to this server.
    pub(crate) fn found(&self, server: &Server) {
        *lock(&self.primary) = Some(server.clone());
    }

    /// Another server is in charge of something.
    pub(crate) fn moved(&self) {
        self.moved.store(true, Ordering::Release);
    }

    /// Is something known to be old? Asked once.
    pub(crate) fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::AcqRel)
    }

    /// Takes over what a server of the cluster tells. Answers what is missing, in words.
    pub(crate) async fn learn(
        &self,
        shared: &Shared,
        server: &Server,
        connection: &mut Connection,
    ) -> Result<Option<String>, Failure> {
        let mut command = cmd("CLUSTER");
        command.arg("SLOTS");
        let slots = Slots::read(ask(connection, &command, shared.probe_wait()).await?, server)?;
        let known = slots.servers();
        let is_whole = slots.is_whole();
        *lock(&self.slots) = slots;
        for (server, line) in self.lines() {
            if !known.contains(&server) {
                self.give_up(&server, &line);
            }
        }
        Ok((!is_whole).then(|| "some slots of the cluster have no master".to_owned()))
    }

    /// The masters of the cluster.
    pub(crate) fn masters(&self) -> Vec<Server> {
        lock(&self.slots).masters()
    }

    /// Where the keeper may find its way: those that were known last come first.
    pub(crate) async fn candidates(&self, shared: &Shared) -> Result<Vec<Server>, Failure> {
        match self.mode {
            RedisMode::Cluster => {
                let mut all = lock(&self.slots).servers();
                fastrand::shuffle(&mut all);
                all.extend(shared.dialer.servers());
                Ok(all)
            }
            RedisMode::Sentinel => Ok(vec![self.ask_sentinels(shared).await?]),
            _ => shared.dialer.servers().into_iter().next().map(|one| vec![one]).ok_or_else(|| {
                Failure::not_sent(error(ErrorKind::Config, "no server is named").help("set `redis.urls`"))
            }),
        }
    }

    /// The primary, by the word of most of the sentinels that answer. One that is cut off together with an old primary
    /// goes on naming that.
    pub(crate) async fn ask_sentinels(&self, shared: &Shared) -> Result<Server, Failure> {
        let sentinels = shared.dialer.servers();
        let answers = sentinels.iter().map(|sentinel| self.ask_sentinel(shared, sentinel));
        let mut why = Failure::not_sent(error(ErrorKind::Unreachable, "no sentinel is named"));
        let mut votes: BTreeMap<Server, usize> = BTreeMap::new();
        for answer in futures_util::future::join_all(answers).await {
            match answer {
                Ok(server) => *votes.entry(server).or_default() += 1,
                // A refusal says more than silence.
                Err(failure) if why.error.kind() == ErrorKind::Unreachable => why = failure,
                Err(_) => {}
            }
        }
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        most.map(|(server, _)| server).ok_or(why)
    }

    async fn ask_sentinel(&self, shared: &Shared, sentinel: &Server) -> Result<Server, Failure> {
        let mut connection = shared.dialer.dial_sentinel(sentinel).await?;
        let mut command = cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let mut answer = list(ask(&mut connection, &command, shared.probe_wait()).await?)?.into_iter();
        let host = bytes(answer.next().unwrap_or_default())?;
        let port = number(answer.next().unwrap_or_default())?;
        match (host, port.and_then(|port| u16::try_from(port).ok())) {
            (Some(host), Some(port)) => Ok((String::from_utf8_lossy(&host).into_owned(), port)),
            _ => Err(Failure::not_sent(
                error(ErrorKind::Config, "the sentinels know no primary of this name")
                    .context("redis.master", &self.master)
                    .help("`SENTINEL MASTERS` lists the names that they know"),
            )),
        }
    }

    pub(crate) fn is_sentinel(&self) -> bool {
        self.mode == RedisMode::Sentinel
    }
}
