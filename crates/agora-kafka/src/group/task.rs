//! The task behind a member of a group: does what the [member](super::member) asks for, commits what is on the
//! [desk](super::desk), and has the lanes read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use agora_core::transport::{BoxFuture, GroupStart};
use agora_core::{Error, ErrorKind, Result};
use kafka_protocol::ResponseError as Code;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::calls::Place;
use super::desk::Assigned;
use super::inbox::Shared;
use super::lane::{Found, Standing};
use super::lead::Counts;
use super::member::Member;
use super::words::{Ask, Joined, Seat, Trouble};
use crate::error::{Refusal, closed, error};
use crate::read::{Hub, offsets};

/// How long the answer to a commit may take: as long as a broker waits for the replicas of its own log
/// (`offsets.commit.timeout.ms`), and a little more.
const COMMIT_WAIT: Duration = Duration::from_secs(6);
/// The first and the longest pause before a commit that failed is sent again. It doubles in between.
const COMMIT_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How long it is asked where a group stands before the error is told to whoever reads logs. It is asked again.
const ASK_WAIT: Duration = Duration::from_secs(30);
/// How long a member that leaves waits for its last commit, and for its goodbye.
const LEAVE_WAIT: Duration = Duration::from_secs(5);
/// How long a heartbeat may take at least.
const BEAT_WAIT_MIN: Duration = Duration::from_secs(1);

/// What came of joining, of waiting for one's part, or of asking for the bounds.
enum Round {
    Joined(u64, Result<Joined, Trouble>),
    Bounds(u64, Option<(Duration, Duration)>),
    Synced(u64, Counts, Result<BTreeSet<i32>, Trouble>),
}

type Beat = (Seat, Result<(), Trouble>);
type Commit = (Seat, Vec<Standing>, Result<Vec<(u32, Refusal)>, Trouble>);
type Left = oneshot::Sender<Result<()>>;

/// The task behind a member of a group.
pub(super) struct Task {
    place: Arc<Place>,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    member: Member,
    leaving: mpsc::Receiver<Left>,
    /// Where lanes begin that were there when this member came.
    starts: BTreeMap<i32, u64>,
    /// Whose lanes they are.
    seat: Seat,
    round: Option<BoxFuture<Round>>,
    beat: Option<BoxFuture<Beat>>,
    taking: Option<BoxFuture<Result<Vec<Assigned>>>>,
    commit: Option<BoxFuture<Commit>>,
    /// Before then nothing is committed, and how often in a row that has failed.
    commit_at: Instant,
    commit_failures: u32,
    /// Is what stands beside a commit not too much for the brokers?
    has_notes: bool,
    /// The application was asked to give everything back.
    asked: Option<oneshot::Receiver<()>>,
    /// It has, and what is to be committed of it may not be yet.
    is_returning: bool,
    counts: Counts,
    /// A lane in one of its times, and where its log ends.
    mending: Option<BoxFuture<(u32, u64, Result<u64>)>>,
}

impl Task {
    pub(super) fn new(
        place: Place,
        shared: Arc<Shared>,
        hub: Arc<Hub>,
        member: Member,
        starts: BTreeMap<i32, u64>,
        leaving: mpsc::Receiver<Left>,
    ) -> Self {
        Self {
            place: Arc::new(place),
            shared,
            hub,
            member,
            leaving,
            starts,
            seat: Seat { member: String::new(), generation: -1 },
            round: None,
            beat: None,
            taking: None,
            commit: None,
            commit_at: Instant::now(),
            commit_failures: 0,
            has_notes: true,
            asked: None,
            is_returning: false,
            counts: Counts::new(),
            mending: None,
        }
    }

    /// Runs until the group was left, or cannot be used any more.
    pub(super) async fn run(mut self) {
        let (why, left) = self.work().await;
        self.round = None;
        self.stop_reading();
        let result = match &why {
            // There is nobody to say it to.
            None => self.leave().await,
            Some(why) => Err(why.clone()),
        };
        self.shared.state().desk.end(why.unwrap_or_else(gone));
        self.shared.tell();
        if let Some(left) = left {
            let _ = left.send(result);
        }
    }

    /// Answers why it is over, where it was not left, and who wants to know.
    async fn work(&mut self) -> (Option<Error>, Option<Left>) {
        let (shared, brokers) = (Arc::clone(&self.shared), Arc::clone(&self.place.brokers));
        loop {
            if let Err(why) = self.advance() {
                return (Some(why), None);
            }
            if shared.state().desk.is_over() {
                return (None, None);
            }
            let timer = self.timer();
            tokio::select! {
                biased;
                () = brokers.closed() => return (Some(closed()), None),
                left = self.leaving.recv() => return (None, left),
                round = done(&mut self.round) => self.rounded(round),
                (seat, beat) = done(&mut self.beat) => self.member.handle_beat(Instant::now(), &seat, beat),
                taken = done(&mut self.taking) => {
                    if let Err(why) = self.taken(taken) {
                        return (Some(why), None);
                    }
                }
                commit = done(&mut self.commit) => self.committed(commit),
                mended = done(&mut self.mending) => self.mended(mended),
                () = answered(&mut self.asked) => self.given_back(),
                () = timer => {}
                () = shared.changed.notified() => {}
            }
        }
    }

    /// When something is due.
    fn timer(&self) -> impl Future<Output = ()> + use<> {
        let commit =
            if self.commit.is_some() { None } else { self.shared.state().desk.commit_due(self.commit_at) };
        let commit = commit.map(|due| due.max(self.commit_at));
        let due = [self.member.poll_timeout(), commit].into_iter().flatten().min();
        async move {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// Why it is over.
    fn advance(&mut self) -> Result<()> {
        let now = Instant::now();
        if self.is_returning && self.commit.is_none() && !self.shared.state().desk.is_unsaved() {
            self.is_returning = false;
            self.shared.state().desk.returned();
            self.member.handle_given_back(now);
        }
        if self.member.leads() && self.counts.iter().any(|count| count.has_changed().unwrap_or(false)) {
            self.counts.clear();
            self.member.handle_grown(now);
        }
        self.member.handle_timeout(now);
        while let Some(ask) = self.member.poll() {
            self.heed(ask)?;
        }
        self.begin_mending();
        self.begin_commit(now);
        Ok(())
    }

    fn heed(&mut self, ask: Ask) -> Result<()> {
        let place = Arc::clone(&self.place);
        let rebalance = self.member.rebalance();
        match ask {
            Ask::Join { round, member, session, rebalance } => {
                self.counts.clear();
                self.round = Some(Box::pin(async move {
                    Round::Joined(round, place.join(&member, session, rebalance).await)
                }));
            }
            Ask::Bounds { round } => {
                self.round =
                    Some(Box::pin(async move { Round::Bounds(round, place.session_bounds().await) }));
            }
            Ask::Sync { round, joined } => {
                self.round = Some(Box::pin(async move {
                    let (counts, part) = place.part(joined, rebalance).await;
                    Round::Synced(round, counts, part)
                }));
            }
            Ask::Beat { seat } => {
                let by = Instant::now() + (self.member.session() / 3).max(BEAT_WAIT_MIN);
                self.beat = Some(Box::pin(async move {
                    let beat = place.beat(&seat, by).await;
                    (seat, beat)
                }));
            }
            Ask::Take { seat, lanes } => {
                self.seat = seat;
                self.taking = Some(Box::pin(take(place, lanes, self.starts.clone())));
            }
            Ask::GiveBack => {
                self.stop_reading();
                self.asked = self.shared.state().desk.revoke();
                if self.asked.is_none() {
                    self.given_back();
                }
                self.shared.tell();
            }
            Ask::Lose => {
                self.stop_reading();
                (self.asked, self.is_returning) = (None, false);
                self.shared.state().desk.lose();
                self.shared.tell();
            }
            // It is said when the member leaves.
            Ask::Leave { .. } => {}
            Ask::Fail(error) => return Err(self.place.told(error)),
        }
        Ok(())
    }

    fn stop_reading(&mut self) {
        (self.taking, self.mending) = (None, None);
        self.shared.state().readers.close();
    }

    fn given_back(&mut self) {
        self.shared.state().desk.give_back();
        self.is_returning = true;
        self.shared.changed.notify_one();
    }

    fn rounded(&mut self, round: Round) {
        let now = Instant::now();
        match round {
            Round::Joined(round, joined) => self.member.handle_joined(now, round, joined),
            Round::Synced(round, counts, part) => {
                self.counts = counts;
                self.member.handle_synced(now, round, part);
            }
            Round::Bounds(round, bounds) => {
                let wanted = self.member.session();
                self.member.handle_bounds(now, round, bounds);
                tracing::warn!(
                    group = %self.place.group, ?wanted, taken = ?self.member.session(),
                    "the brokers do not allow this session timeout: the nearest that they do is taken. Set \
                     `kafka.session_timeout` to it, or `group.min.session.timeout.ms` of the brokers"
                );
            }
        }
    }

    fn taken(&mut self, taken: Result<Vec<Assigned>>) -> Result<()> {
        let assigned = match taken {
            Ok(assigned) => assigned,
            Err(error) => return Err(self.place.told(error)),
        };
        let mut state = self.shared.state();
        for lane in state.desk.assign(assigned) {
            state.readers.open(&self.hub, &self.place.topic, &self.shared.received, lane);
        }
        drop(state);
        self.shared.tell();
        Ok(())
    }

    /// Where the log ends before the place where the group stands, it is found out where that is.
    fn begin_mending(&mut self) {
        if self.mending.is_some() {
            return;
        }
        let Some((lane, serial)) = self.shared.state().readers.next_beyond() else { return };
        let place = Arc::clone(&self.place);
        self.mending = Some(Box::pin(async move {
            let partition = i32::try_from(lane).unwrap_or(i32::MAX);
            let by = Instant::now() + ASK_WAIT;
            let bounds = offsets::bounds(&place.beats, &place.topic, partition, by).await;
            (lane, serial, bounds.map(|bounds| u64::try_from(bounds.end).unwrap_or(0)))
        }));
    }

    fn mended(&mut self, (lane, serial, end): (u32, u64, Result<u64>)) {
        let mut state = self.shared.state();
        match end {
            Ok(end) => {
                tracing::warn!(
                    group = %self.place.group, topic = %self.place.topic, lane, end,
                    "the log ends before the place where the group stands: it was rewound. The group goes on at its end"
                );
                state.desk.find(lane, serial, Found::Rewound { to: end });
                state.readers.open(&self.hub, &self.place.topic, &self.shared.received, (lane, serial, end));
            }
            // Whoever joins anew asks again.
            Err(_) => state.desk.interrupt(),
        }
        drop(state);
        self.shared.tell();
    }

    /// One commit is under way at a time: what changes meanwhile goes together into the next one.
    fn begin_commit(&mut self, now: Instant) {
        let mut state = self.shared.state();
        if self.commit.is_some()
            || now < self.commit_at
            || state.desk.commit_due(now).is_none_or(|due| due > now && !self.is_returning)
        {
            return;
        }
        let mut standings = state.desk.standings();
        drop(state);
        if standings.is_empty() {
            return;
        }
        if !self.has_notes {
            standings.iter_mut().for_each(|standing| standing.notes.clear());
        }
        let (place, seat) = (Arc::clone(&self.place), self.seat.clone());
        self.commit = Some(Box::pin(async move {
            let result = place.commit(&seat, &standings, now + COMMIT_WAIT).await;
            (seat, standings, result)
        }));
    }

    fn committed(&mut self, (seat, standings, result): Commit) {
        let now = Instant::now();
        let refused = match result {
            Ok(refused) => refused,
            Err(trouble) => {
                self.commit_later(now);
                return self.member.handle_trouble(now, &seat, trouble);
            }
        };
        let is_too_large = |(_, refusal): &(u32, Refusal)| refusal.code == Code::OffsetMetadataTooLarge;
        if self.has_notes && refused.iter().any(is_too_large) {
            self.has_notes = false;
            tracing::warn!(
                group = %self.place.group,
                "the brokers keep too little beside a commit: what a member has done out of order is done again when it \
                 crashes, and what crashes it is not counted. Raise `offset.metadata.max.bytes`"
            );
        }
        let mut state = self.shared.state();
        for standing in &standings {
            if !refused.iter().any(|(lane, _)| *lane == standing.lane) {
                state.desk.saved(standing);
            }
        }
        drop(state);
        if refused.is_empty() {
            self.commit_failures = 0;
        } else {
            self.commit_later(now);
        }
        self.shared.tell();
    }

    fn commit_later(&mut self, now: Instant) {
        let pause = COMMIT_AGAIN.0.saturating_mul(1 << self.commit_failures.min(10)).min(COMMIT_AGAIN.1);
        self.commit_failures = self.commit_failures.saturating_add(1);
        self.commit_at = now + pause;
        self.shared.state().desk.not_saved(now);
    }

    /// Releases what is held, and says goodbye.
    async fn leave(&mut self) -> Result<()> {
        let by = Instant::now() + LEAVE_WAIT;
        self.shared.state().desk.give_back();
        self.is_returning = true;
        let committed = timeout_at(by, self.last_commit()).await;
        let committed = committed
            .unwrap_or_else(|_| Err(error(ErrorKind::Timeout, "the last commit was not answered in time")));
        self.member.handle_leave();
        while let Some(ask) = self.member.poll() {
            if let Ask::Leave { member } = ask {
                let left = self.place.leave(&member, Instant::now() + LEAVE_WAIT).await;
                // The coordinator notices by itself, after the session timeout.
                if let Err(error) = left {
                    tracing::debug!(group = %self.place.group, %error, "the goodbye to a group was not heard");
                }
            }
        }
        committed.map_err(|error| self.place.told(error))
    }

    async fn last_commit(&mut self) -> Result<()> {
        loop {
            if self.commit.is_none() {
                if !self.shared.state().desk.is_unsaved() {
                    return Ok(());
                }
                sleep_until(self.commit_at).await;
                self.begin_commit(Instant::now());
            }
            let (seat, standings, result) = done(&mut self.commit).await;
            if let Err(Trouble::Refused(refusal, _)) = &result
                && !refusal.is_retryable()
            {
                // What was settled and not committed is another's work.
                return Err(refusal.clone().into_error());
            }
            self.committed((seat, standings, result));
        }
    }
}

/// Finds out where the group stands in the lanes that this member gets.
async fn take(place: Arc<Place>, lanes: BTreeSet<i32>, starts: BTreeMap<i32, u64>) -> Result<Vec<Assigned>> {
    loop {
        match try_take(&place, &lanes, &starts).await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(group = %place.group, %error, "nobody says where a group stands; it is asked again");
            }
            taken => return taken,
        }
    }
}

async fn try_take(
    place: &Place,
    lanes: &BTreeSet<i32>,
    starts: &BTreeMap<i32, u64>,
) -> Result<Vec<Assigned>> {
    let by = Instant::now() + ASK_WAIT;
    let mut committed = place.committed(lanes, by).await?;
    let unknown = lanes.iter().filter(|lane| !committed.contains_key(lane) && !starts.contains_key(lane));
    // What has come since is read from its beginning.
    let mut new = place.starts(&unknown.copied().collect(), GroupStart::Earliest, by).await?;
    let assigned = lanes.iter().filter_map(|lane| {
        let number = u32::try_from(*lane).ok()?;
        Some(match committed.remove(lane) {
            Some(of) => Assigned { lane: number, committed: of.offset, notes: of.notes, is_new: false },
            None => {
                let committed = starts.get(lane).copied().or_else(|| new.remove(lane))?;
                Assigned { lane: number, committed, notes: Default::default(), is_new: true }
            }
        })
    });
    Ok(assigned.collect())
}

/// The output of what is under way, which is then no more; for ever where nothing is.
async fn done<T>(future: &mut Option<BoxFuture<T>>) -> T {
    match future {
        Some(running) => {
            let output = running.await;
            *future = None;
            output
        }
        None => std::future::pending().await,
    }
}

/// The application has told, or has dropped the question.
async fn answered(asked: &mut Option<oneshot::Receiver<()>>) {
    match asked {
        Some(told) => {
            let _ = told.await;
            *asked = None;
        }
        None => std::future::pending().await,
    }
}

fn gone() -> Error {
    error(ErrorKind::Closed, "the group was left")
}
