//! All lanes, and which of their batches go to which broker next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::transport::{OutFrame, PublishFailed};
use agora_core::{Error, ErrorKind};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::QUEUE_CALLS_MAX;
use super::lane::{Fate, Identity, Lane};
use super::request::{Part, Told};
use crate::error::{closed, error};

/// The most requests on their way to one broker on one way: what is in one of a lane's batches may be in each of them.
const REQUESTS_MAX: usize = 5;
/// A request is closed to further batches beyond this many bytes.
const REQUEST_BYTES: usize = 1 << 20;

/// For how long a topic that is not there is waited for: one that was just made is known to one broker before the other.
const MISSING_WAIT: Duration = Duration::from_secs(5);

/// A connection to a broker is one of these, and what is stuck on one holds up nothing on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Data,
    /// So that heartbeats pass a long queue.
    Control,
    /// For lanes whose replicas do not follow: the broker answers nothing else on that connection for as long as it waits
    /// for them.
    Slow,
}

pub(super) type Outcome = Result<(), PublishFailed>;

struct Entry {
    topic: StrBytes,
    partition: i32,
    way: Way,
    lane: Lane,
    /// Somebody asks who leads it.
    is_sought: bool,
    is_slow: bool,
    /// Since when there is no such topic or partition.
    missing_since: Option<Instant>,
}

/// What must be asked before a lane can go on.
pub(super) enum Need {
    Identity,
    Leader(usize, StrBytes, i32),
}

/// The batches of one request.
pub(super) struct Load {
    pub(super) node: i32,
    pub(super) way: Way,
    pub(super) parts: Vec<Part>,
    bytes: usize,
}

/// Who leads a partition.
pub(super) enum Leader {
    Node(i32),
    /// It must be asked.
    Unknown,
    Failed(Error),
}

#[derive(Default)]
pub(super) struct Ledger {
    lanes: Vec<Entry>,
    by_name: BTreeMap<(String, i32), usize>,
    /// Those that have something to do.
    active: BTreeSet<usize>,
    /// Where the next round begins, so that no lane is always the last.
    turn: usize,
    requests: BTreeMap<(i32, Way), usize>,
    waiting: BTreeMap<u64, oneshot::Sender<Outcome>>,
    calls: u64,
    identity: Option<Identity>,
    is_asking: bool,
    has_ended: bool,
}

impl Ledger {
    /// Takes a call. Returns its lane, its number and where its answer comes.
    ///
    /// # Errors
    /// `QueueFull`, `Closed`.
    pub(super) fn push(
        &mut self,
        (topic, partition, way): (&str, i32, Way),
        frames: Vec<OutFrame>,
        by: Instant,
        now: Instant,
    ) -> Result<(usize, u64, oneshot::Receiver<Outcome>), Error> {
        if self.has_ended {
            return Err(closed());
        }
        let at = self.lane(topic, partition, way);
        let Some(entry) = self.lanes.get_mut(at) else { return Err(closed()) };
        if entry.lane.calls() >= QUEUE_CALLS_MAX {
            return Err(error(ErrorKind::QueueFull, "too many publishes wait for the brokers")
                .context("allowed", QUEUE_CALLS_MAX));
        }
        self.calls += 1;
        let number = self.calls;
        let (done, answer) = oneshot::channel();
        self.waiting.insert(number, done);
        entry.lane.push(number, frames, by, now);
        self.active.insert(at);
        self.answer(at);
        Ok((at, number, answer))
    }

    fn lane(&mut self, topic: &str, partition: i32, way: Way) -> usize {
        let next = self.lanes.len();
        let at = *self.by_name.entry((topic.to_owned(), partition)).or_insert(next);
        if at == next {
            let topic = StrBytes::from_string(topic.to_owned());
            let lane = Lane::new();
            let (is_sought, is_slow, missing_since) = (false, false, None);
            self.lanes.push(Entry { topic, partition, way, lane, is_sought, is_slow, missing_since });
        }
        at
    }

    /// A caller waits no longer. What is known of the call, unless it was answered.
    pub(super) fn overdue(&mut self, lane: usize, call: u64) -> Option<PublishFailed> {
        self.waiting.remove(&call);
        self.lanes.get_mut(lane)?.lane.overdue(call)
    }

    /// Sorts what can be sent into requests, at most one batch of a lane in each.
    pub(super) fn load(
        &mut self,
        now: Instant,
        time_ms: i64,
        leader: impl Fn(&str, i32) -> Leader,
    ) -> (Vec<Load>, Vec<Need>) {
        let mut loads: BTreeMap<(i32, Way), Load> = BTreeMap::new();
        let mut needs = Vec::new();
        let order: Vec<usize> =
            self.active.range(self.turn..).chain(self.active.range(..self.turn)).copied().collect();
        self.turn = self.turn.wrapping_add(1) % self.lanes.len().max(1);
        for at in order {
            let Some(entry) = self.lanes.get_mut(at) else { continue };
            if !entry.lane.is_ready(now) || entry.is_sought {
                continue;
            }
            if entry.lane.identity().is_none() {
                match self.identity {
                    Some(identity) => entry.lane.begin(identity),
                    None => {
                        if !std::mem::replace(&mut self.is_asking, true) {
                            needs.push(Need::Identity);
                        }
                        continue;
                    }
                }
            }
            let node = match leader(entry.topic.as_str(), entry.partition) {
                Leader::Node(node) => node,
                Leader::Unknown => {
                    entry.is_sought = true;
                    needs.push(Need::Leader(at, entry.topic.clone(), entry.partition));
                    continue;
                }
                Leader::Failed(error) => {
                    self.cannot_find(at, error, now);
                    continue;
                }
            };
            let way = if entry.is_slow { Way::Slow } else { entry.way };
            let load =
                loads.entry((node, way)).or_insert_with(|| Load { node, way, parts: Vec::new(), bytes: 0 });
            let is_full = self.requests.get(&(node, way)).is_some_and(|requests| *requests >= REQUESTS_MAX);
            if is_full || load.bytes >= REQUEST_BYTES {
                continue;
            }
            if let Some(parcel) = entry.lane.take(now, time_ms) {
                load.bytes += parcel.bytes;
                let (topic, partition) = (entry.topic.clone(), entry.partition);
                load.parts.push(Part { lane: at, topic, partition, parcel });
            }
            self.answer(at);
        }
        let loads: Vec<Load> = loads.into_values().filter(|load| !load.parts.is_empty()).collect();
        for load in &loads {
            *self.requests.entry((load.node, load.way)).or_default() += 1;
        }
        (loads, needs)
    }

    /// When to look again, if nothing happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let lanes = self.active.iter().filter_map(|at| self.lanes.get(*at));
        lanes.filter_map(|entry| entry.lane.poll_timeout()).min()
    }

    /// A request has come to its end.
    pub(super) fn told(&mut self, node: i32, way: Way, told: Vec<Told>, now: Instant) {
        if let Some(requests) = self.requests.get_mut(&(node, way)) {
            *requests = requests.saturating_sub(1);
            if *requests == 0 {
                self.requests.remove(&(node, way));
            }
        }
        for (at, number, fate) in told {
            let Some(entry) = self.lanes.get_mut(at) else { continue };
            match &fate {
                Fate::Stored => (entry.is_slow, entry.missing_since) = (false, None),
                Fate::Again { is_slow, .. } => entry.is_slow |= is_slow,
                Fate::Forgotten { is_taken: true, .. } => {
                    // The others find out by themselves whether they need a new one too.
                    let former = entry.lane.identity().map(|identity| identity.id);
                    if self.identity.map(|identity| identity.id) == former {
                        self.identity = None;
                    }
                }
                _ => {}
            }
            entry.lane.answered(number, fate, now);
            self.answer(at);
        }
    }

    /// The answer to [`Need::Leader`].
    pub(super) fn found(&mut self, at: usize, error: Option<Error>, now: Instant) {
        if let Some(entry) = self.lanes.get_mut(at) {
            entry.is_sought = false;
        }
        if let Some(error) = error {
            self.cannot_find(at, error, now);
        }
    }

    /// Nobody can be asked to store what this lane holds.
    fn cannot_find(&mut self, at: usize, error: Error, now: Instant) {
        let Some(entry) = self.lanes.get_mut(at) else { return };
        let is_passing = match error.kind() {
            ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::OutcomeUnknown => true,
            ErrorKind::NotFound => {
                let since = *entry.missing_since.get_or_insert(now);
                now.saturating_duration_since(since) < MISSING_WAIT
            }
            _ => false,
        };
        if is_passing {
            entry.lane.failed(error, now);
        } else {
            entry.missing_since = None;
            entry.lane.fail_all(&error);
        }
        self.answer(at);
    }

    /// The answer to [`Need::Identity`].
    pub(super) fn is_known_as(&mut self, identity: Result<Identity, Error>, now: Instant) {
        self.is_asking = false;
        let error = match identity {
            Ok(identity) => {
                self.identity = Some(identity);
                return;
            }
            Err(error) => error,
        };
        let waiting: Vec<usize> = self.active.iter().copied().collect();
        for at in waiting {
            if self.lanes.get(at).is_some_and(|entry| entry.lane.identity().is_none()) {
                self.cannot_find(at, error.clone(), now);
            }
        }
    }

    /// Tells the callers of a lane what there is to tell.
    fn answer(&mut self, at: usize) {
        let Some(entry) = self.lanes.get_mut(at) else { return };
        for (call, outcome) in entry.lane.poll_answers() {
            if let Some(caller) = self.waiting.remove(&call) {
                let topic = entry.topic.as_str();
                let _ = caller.send(outcome.map_err(|failed| PublishFailed {
                    error: failed.error.context("topic", topic),
                    ..failed
                }));
            }
        }
        if entry.lane.is_idle() {
            self.active.remove(&at);
        }
    }

    /// Does nobody wait for an answer?
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes nothing more.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
        for at in 0..self.lanes.len() {
            if let Some(entry) = self.lanes.get_mut(at) {
                entry.lane.fail_all(&closed());
            }
            self.answer(at);
        }
    }

    /// Takes nothing more; what was taken goes on.
    pub(super) fn close(&mut self) {
        self.has_ended = true;
    }
}
