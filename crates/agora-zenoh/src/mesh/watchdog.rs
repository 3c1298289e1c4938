//! The thread that does what [`Mesh`] decides: asks the others whom they see, and dials those who are missing.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use agora_core::id::ClusterName;
use agora_core::{ErrorKind, Result};
use zenoh::Wait;
use zenoh::config::WhatAmI;
use zenoh::internal::runtime::ZRuntime;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::{ConsolidationMode, QueryTarget};
use zenoh::sample::Locality;
use zenoh::session::ZenohId;

use super::{Mesh, REPORT_AGE, Report, Tried};
use crate::connect::Network;
use crate::error::{error, from_zenoh};
use crate::keys;
use crate::transport::Shared;

/// How long after a connection came or went the others are asked: several often change together.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the others are asked while somebody is missing, and at most.
const SURVEY_TROUBLED: Duration = Duration::from_millis(500);
/// How often they are asked while all is well.
const SURVEY_IDLE: Duration = Duration::from_secs(20);
/// The longest pause between two looks at the connections.
const LOOK: Duration = Duration::from_secs(1);
/// How long an answer may take.
const SURVEY_WAIT: Duration = Duration::from_millis(500);
/// How long a host may take to say that nobody listens.
const PROBE_WAIT: Duration = Duration::from_millis(500);
/// The most members that are dialled at once, each on a thread of its own.
const DIALS_MAX: usize = 16;

const _: () = assert!(SURVEY_TROUBLED.as_millis() + SURVEY_WAIT.as_millis() < REPORT_AGE.as_millis());

/// What the watchdog is told.
#[derive(Debug)]
pub(crate) enum News {
    /// A connection came or went.
    Changed,
    /// Somebody has answered a question of this node.
    Answered(Vec<u8>),
    /// Somebody has asked, and said who it is.
    Asked(Vec<u8>),
    /// What came of a try to reach somebody.
    Tried(ZenohId, Tried),
}

/// The most news that wait for the watchdog. Further ones are lost: it looks for itself soon enough.
const NEWS_MAX: usize = 4096;

/// Tells the watchdog, and ends it when the last clone that is not the watchdog's own is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Bell(SyncSender<News>);

impl Bell {
    pub(crate) fn new() -> (Self, Receiver<News>) {
        let (bell, news) = sync_channel(NEWS_MAX);
        (Self(bell), news)
    }

    /// Never waits.
    pub(crate) fn tell(&self, news: News) {
        drop(self.0.try_send(news));
    }
}

/// Declares what others may ask of this node: its report. Every node does, so that the question also serves as a
/// way to wait until others have taken notice of something.
pub(crate) fn declare(
    network: &Network,
    cluster: &ClusterName,
    bell: Option<Bell>,
) -> Result<Arc<Mutex<Vec<u8>>>> {
    let me = network.session.zid();
    let answer = Arc::new(Mutex::new(Report { id: me, at: Vec::new(), sees: Vec::new() }.encode()));
    let (said, key) = (Arc::clone(&answer), keys::node(cluster, &me));
    network
        .session
        .declare_queryable(key.clone())
        .callback(move |query| {
            let report = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // Who only waits until others have taken notice says nothing of itself.
            if let (Some(bell), Some(asker)) = (&bell, query.payload().filter(|asker| !asker.is_empty())) {
                bell.tell(News::Asked(asker.to_bytes().into_owned()));
            }
            // Runs on a receive thread. The answer goes the way the question said: dropped rather than waited for.
            if let Err(cause) = query.reply(key.clone(), report).wait() {
                tracing::debug!(%cause, "could not answer who is connected");
            }
        })
        .background()
        .wait()
        .map_err(|cause| from_zenoh("cannot declare a queryable", &cause))?;
    Ok(answer)
}

/// Asks every node of the cluster that is connected for its report, and tells it one's own. The receiver ends when
/// all have answered, or after `wait`.
pub(crate) fn ask(
    session: &zenoh::Session,
    cluster: &ClusterName,
    report: Vec<u8>,
    wait: Duration,
) -> Receiver<Vec<u8>> {
    let (sender, answers) = sync_channel(super::MEMBERS_MAX);
    let asked = session
        .get(keys::node_all(cluster))
        .payload(report)
        // The queues of the control topic: that those of the data are full must not look like a silence.
        .priority(Priority::InteractiveHigh)
        .target(QueryTarget::All)
        .consolidation(ConsolidationMode::None)
        .allowed_destination(Locality::Remote)
        // A connection that is stuck must not hold the question to the others up.
        .congestion_control(CongestionControl::Drop)
        .timeout(wait)
        .callback(move |reply| {
            if let Ok(sample) = reply.result() {
                drop(sender.try_send(sample.payload().to_bytes().into_owned()));
            }
        })
        .wait();
    if let Err(cause) = asked {
        tracing::debug!(%cause, "could not ask who is connected");
    }
    answers
}

/// Starts the thread. It ends soon after the transport has closed.
pub(crate) fn start(
    network: Network,
    shared: &Arc<Shared>,
    answer: Arc<Mutex<Vec<u8>>>,
    bell: Bell,
    news: Receiver<News>,
) -> Result<()> {
    let mesh = Mesh::new(network.session.zid());
    let cluster = shared.cluster.clone();
    let shared = Arc::downgrade(shared);
    let watchdog = Watchdog { network, shared, answer, cluster, mesh, bell, dials: 0 };
    match thread::Builder::new().name("agora-zenoh-mesh".into()).spawn(move || watchdog.run(&news)) {
        Ok(_) => Ok(()),
        Err(cause) => Err(error(ErrorKind::Runtime, "cannot start a thread").source(cause)),
    }
}

struct Watchdog {
    network: Network,
    shared: Weak<Shared>,
    answer: Arc<Mutex<Vec<u8>>>,
    cluster: ClusterName,
    mesh: Mesh,
    /// For the threads that dial.
    bell: Bell,
    dials: usize,
}

impl Watchdog {
    fn run(mut self, news: &Receiver<News>) {
        let mut surveyed = Instant::now();
        let mut survey_at = surveyed + SETTLE;
        while self.shared.upgrade().is_some_and(|shared| !shared.is_closed()) {
            self.look();
            // First the lost ones: a host that refuses has lost a process, and then nothing is wrong.
            self.dial();
            self.close_deaf();
            self.close_torn();
            if Instant::now() >= survey_at {
                // Whoever is asked hears whom this one sees: not one whom it has just lost.
                self.note();
                self.survey();
                surveyed = Instant::now();
                survey_at = surveyed + SURVEY_IDLE;
            }
            if self.mesh.is_troubled() {
                survey_at = survey_at.min(surveyed + SURVEY_TROUBLED);
            }
            self.tell();
            let wait = survey_at.saturating_duration_since(Instant::now());
            let Ok(first) = news.recv_timeout(wait.min(LOOK)) else { continue };
            for one in std::iter::once(first).chain(news.try_iter().take(NEWS_MAX)) {
                match one {
                    News::Changed => {
                        let soon = (Instant::now() + SETTLE).max(surveyed + SURVEY_TROUBLED);
                        survey_at = survey_at.min(soon);
                    }
                    News::Answered(report) => self.heard(&report, Mesh::answered),
                    News::Asked(report) => self.heard(&report, Mesh::report),
                    News::Tried(id, outcome) => {
                        self.dials -= 1;
                        tracing::debug!(node = %id, ?outcome, "dialled a node that is missing");
                        self.mesh.tried(Instant::now(), id, outcome);
                    }
                }
            }
        }
    }

    /// Sees who is connected.
    fn look(&mut self) {
        let mut connected = BTreeSet::new();
        let mut routed = false;
        for transport in self.network.session.info().transports().wait() {
            connected.insert(*transport.zid());
            routed |= transport.whatami() == WhatAmI::Router;
        }
        self.mesh.connections(Instant::now(), connected, routed);
    }

    fn survey(&mut self) {
        self.mesh.asked(Instant::now());
        let report = self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers = ask(&self.network.session, &self.cluster, report, SURVEY_WAIT);
        let deadline = Instant::now() + SURVEY_WAIT;
        while let Ok(answer) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.heard(&answer, Mesh::answered);
        }
    }

    fn heard(&mut self, report: &[u8], take: fn(&mut Mesh, Instant, Report)) {
        match Report::decode(report) {
            Some(report) => take(&mut self.mesh, Instant::now(), report),
            None => tracing::debug!("what a node said of its connections cannot be read"),
        }
    }

    /// Closes the connections that pass nothing on. They are then lost, and dialled like any other.
    fn close_deaf(&mut self) {
        for id in self.mesh.deaf(Instant::now()) {
            tracing::warn!(node = %id, "a connection passes nothing on, and is made anew");
            self.network.handles.close(&id);
        }
    }

    /// Closes the connections that lost a part of themselves. Both sides then begin anew, and know it.
    fn close_torn(&self) {
        for id in self.shared.upgrade().map(|shared| shared.torn()).unwrap_or_default() {
            tracing::info!(node = %id, "a connection outlived one of its links, and is made anew");
            self.network.handles.close(&id);
        }
    }

    /// Tries to reach who is missing, on threads that outlive this call: a host that is silent takes its time.
    fn dial(&mut self) {
        for (id, at) in self.mesh.due(Instant::now(), DIALS_MAX.saturating_sub(self.dials)) {
            let (network, bell) = (self.network.clone(), self.bell.clone());
            let dialled = thread::Builder::new()
                .name("agora-zenoh-dial".into())
                .spawn(move || bell.tell(News::Tried(id, dial(&network, &id, &at))));
            match dialled {
                Ok(_) => self.dials += 1,
                Err(_) => self.mesh.tried(Instant::now(), id, Tried::Silent),
            }
        }
    }

    /// Notes the answer for those who ask.
    fn note(&self) {
        let at = self.network.runtime.get_locators().iter().map(ToString::to_string).collect();
        let report = self.mesh.my_report(at).encode();
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// Tells the link's watchers, and those who ask.
    fn tell(&self) {
        self.note();
        if let Some(shared) = self.shared.upgrade() {
            shared.mesh(self.mesh.problem(Instant::now()));
        }
    }
}

/// One try to reach a node.
fn dial(network: &Network, id: &ZenohId, at: &[String]) -> Tried {
    // Zenoh says that it could not connect, never why, and the reason is what tells a process that ended from a
    // cable that was cut. So the addresses are tried first.
    let mut open: Vec<zenoh::config::Locator> = Vec::new();
    let mut refused = true;
    for locator in at {
        let Some(address) = locator.strip_prefix("tcp/").and_then(|at| at.parse::<SocketAddr>().ok()) else {
            refused = false;
            continue;
        };
        match TcpStream::connect_timeout(&address, PROBE_WAIT) {
            Ok(_) => open.extend(locator.parse()),
            Err(cause) => refused &= cause.kind() == std::io::ErrorKind::ConnectionRefused,
        }
    }
    match open.is_empty() {
        false if ZRuntime::Net.block_in_place(network.runtime.connect_peer(&(*id).into(), &open)) => {
            Tried::Connected
        }
        true if refused => Tried::Refused,
        _ => Tried::Silent,
    }
}
