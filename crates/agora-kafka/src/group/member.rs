//! The life of a member in a group of the classic protocol, whose members all give back what they have before it is shared
//! out anew ("eager").
//!
//! ```text
//!            join                 sync                  heartbeat: rebalance
//!   Out ------------> Joining ------------> Syncing ------------> Stable ----------> Returning
//!    ^                   |                     |                     |                   |
//!    +-------------------+---------------------+---------------------+-------------------+
//!             refused, silence                    forgotten, fenced     given back, or too late
//! ```
//!
//! No clock and no I/O: the time and the answers come in, and what is to be done comes out. Source:
//! `GroupCoordinator` and `AbstractCoordinator` of Kafka, <https://kafka.apache.org/protocol>.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kafka_protocol::ResponseError as Code;
use tokio::time::Instant;

use super::words::{Ask, Joined, Seat, Trouble};
use crate::error::{Cure, Refusal};

/// The first and the longest pause before a member that was refused joins again. It doubles in between.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often in a row a member joins anew without a pause.
const PROMPT_MAX: u32 = 3;
/// The pause before a heartbeat that came to nothing is sent again: its coordinator may just have moved.
const BEAT_AGAIN: Duration = Duration::from_millis(250);
/// The session timeout that is tried where the brokers do not say which one they allow: the least of a stock broker.
const SESSION_MIN: Duration = Duration::from_secs(6);

/// How a member wants to be treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// After how much silence it has gone.
    pub(super) session: Duration,
    /// How long it may take to give its lanes back.
    pub(super) rebalance: Duration,
    /// It keeps its place when it goes for a while.
    pub(super) is_static: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It joins then.
    Out(Instant),
    Joining,
    /// It waits to be told which session timeouts are allowed.
    Bounded,
    Syncing,
    Stable,
    /// Its lanes are to be given back until then.
    Returning(Instant),
    Over,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    terms: Terms,
    seat: Seat,
    state: State,
    round: u64,
    leads: bool,
    has_lanes: bool,
    /// How often in a row it was refused.
    failures: u32,
    /// When it says next that it is there, and whether it does so now.
    beat_at: Instant,
    is_beating: bool,
    /// Its session timeout was changed to what the brokers allow.
    is_bounded: bool,
    asks: VecDeque<Ask>,
}

impl Member {
    /// One that joins at once.
    pub(super) fn new(now: Instant, terms: Terms) -> Self {
        Self {
            terms,
            seat: Seat { member: String::new(), generation: -1 },
            state: State::Out(now),
            round: 0,
            leads: false,
            has_lanes: false,
            failures: 0,
            beat_at: now,
            is_beating: false,
            is_bounded: false,
            asks: VecDeque::new(),
        }
    }

    /// What is to be done next; call until `None` after every other call.
    pub(super) fn poll(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); ask again after every other call.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let beat = (self.is_there() && !self.is_beating).then_some(self.beat_at);
        let own = match self.state {
            State::Out(at) | State::Returning(at) => Some(at),
            _ => None,
        };
        [beat, own].into_iter().flatten().min()
    }

    /// Is it one whom the coordinator expects to hear of? While it waits for others to join, that it is heard is of no
    /// use to the coordinator, but shows whether that is still there.
    fn is_there(&self) -> bool {
        let waits =
            matches!(self.state, State::Joining | State::Syncing | State::Stable | State::Returning(_));
        waits && !self.seat.member.is_empty()
    }

    fn beat_interval(&self) -> Duration {
        self.terms.session / 3
    }

    /// Does it lead the group?
    pub(super) fn leads(&self) -> bool {
        self.leads && self.state == State::Stable
    }

    /// How long the members of the group may take to come together, as far as this one goes.
    pub(super) fn rebalance(&self) -> Duration {
        self.terms.rebalance
    }

    /// The session timeout that the coordinator has been told.
    pub(super) fn session(&self) -> Duration {
        self.terms.session
    }

    /// Does what has become due. An early or repeated call does nothing.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Returning(by) if by <= now) {
            self.lose();
            self.out(now);
        }
        if matches!(self.state, State::Out(at) if at <= now) {
            self.join(now);
        }
        if self.is_there() && !self.is_beating && self.beat_at <= now {
            self.is_beating = true;
            self.beat_at = now + self.beat_interval();
            self.asks.push_back(Ask::Beat { seat: self.seat.clone() });
        }
    }

    fn join(&mut self, now: Instant) {
        self.state = State::Joining;
        self.round += 1;
        self.beat_at = now + self.beat_interval();
        self.asks.push_back(Ask::Join {
            round: self.round,
            member: self.seat.member.clone(),
            session: self.terms.session,
            rebalance: self.terms.rebalance,
        });
    }

    /// What came of joining.
    pub(super) fn handle_joined(&mut self, now: Instant, round: u64, joined: Result<Joined, Trouble>) {
        if self.state != State::Joining || round != self.round {
            return;
        }
        match joined {
            Ok(joined) => {
                self.seat = joined.seat.clone();
                self.leads = joined.leads.is_some();
                self.state = State::Syncing;
                self.round += 1;
                self.asks.push_back(Ask::Sync { round: self.round, joined });
            }
            Err(Trouble::Refused(refusal, Some(named))) if refusal.code == Code::MemberIdRequired => {
                // The coordinator counts a member only that has come back with the name it was given.
                self.seat.member = named;
                self.join(now);
            }
            Err(Trouble::Refused(refusal, _))
                if refusal.code == Code::InvalidSessionTimeout && !self.is_bounded =>
            {
                self.is_bounded = true;
                self.state = State::Bounded;
                self.round += 1;
                self.asks.push_back(Ask::Bounds { round: self.round });
            }
            Err(trouble) => self.refused(now, trouble),
        }
    }

    /// Which session timeouts the brokers allow; `None`: they do not say.
    pub(super) fn handle_bounds(&mut self, now: Instant, round: u64, bounds: Option<(Duration, Duration)>) {
        if self.state != State::Bounded || round != self.round {
            return;
        }
        let wanted = self.terms.session;
        let (min, max) = bounds.unwrap_or((SESSION_MIN, wanted.max(SESSION_MIN)));
        self.terms.session = wanted.max(min).min(max.max(min));
        self.terms.rebalance = self.terms.rebalance.max(self.terms.session);
        self.join(now);
    }

    /// What came of waiting for one's part.
    pub(super) fn handle_synced(&mut self, now: Instant, round: u64, synced: Result<BTreeSet<i32>, Trouble>) {
        if self.state != State::Syncing || round != self.round {
            return;
        }
        match synced {
            Ok(lanes) => {
                self.state = State::Stable;
                self.failures = 0;
                self.beat_at = now + self.beat_interval();
                self.has_lanes = !lanes.is_empty();
                if self.has_lanes {
                    self.asks.push_back(Ask::Take { seat: self.seat.clone(), lanes });
                }
            }
            Err(trouble) => self.refused(now, trouble),
        }
    }

    /// What came of saying that one is there.
    pub(super) fn handle_beat(&mut self, now: Instant, seat: &Seat, beat: Result<(), Trouble>) {
        self.is_beating = false;
        let Err(trouble) = beat else { return };
        if *seat != self.seat {
            return;
        }
        let is_unreached = match &trouble {
            Trouble::Silence => true,
            Trouble::Refused(refusal, _) => refusal.cure() == Cure::Coordinator,
            Trouble::Final(_) => false,
        };
        match self.state {
            // It waits for an answer of a coordinator that is none any more.
            State::Joining | State::Syncing if is_unreached => self.again(now),
            State::Stable | State::Returning(_) if is_unreached => {
                self.beat_at = now + BEAT_AGAIN.min(self.beat_interval());
            }
            _ => self.handle_trouble(now, seat, trouble),
        }
    }

    /// The coordinator has refused something of a member that has lanes.
    pub(super) fn handle_trouble(&mut self, now: Instant, seat: &Seat, trouble: Trouble) {
        if *seat != self.seat || !matches!(self.state, State::Stable | State::Returning(_)) {
            return;
        }
        match trouble {
            Trouble::Refused(refusal, _) if refusal.code == Code::RebalanceInProgress => self.give_back(now),
            Trouble::Refused(refusal, _) if refusal.is_retryable() => {}
            Trouble::Silence => {}
            trouble => self.refused(now, trouble),
        }
    }

    /// There is more to share out than before: who leads has it shared out anew.
    pub(super) fn handle_grown(&mut self, now: Instant) {
        if self.leads() {
            self.give_back(now);
        }
    }

    fn give_back(&mut self, now: Instant) {
        if self.state != State::Stable {
            return;
        }
        if !self.has_lanes {
            return self.out(now);
        }
        // The time runs since the first member has joined anew, of which this one may have heard as late as it could.
        let rebalance = self.terms.rebalance;
        let by = now + rebalance.saturating_sub(self.beat_interval()).max(rebalance / 2);
        self.state = State::Returning(by);
        self.asks.push_back(Ask::GiveBack);
    }

    /// All lanes were given back, and what was to be committed is.
    pub(super) fn handle_given_back(&mut self, now: Instant) {
        if matches!(self.state, State::Returning(_)) {
            self.has_lanes = false;
            self.out(now);
        }
    }

    /// It goes, for good.
    pub(super) fn handle_leave(&mut self) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Over;
        if !self.seat.member.is_empty() && !self.terms.is_static {
            self.asks.push_back(Ask::Leave { member: self.seat.member.clone() });
        }
    }

    /// Something was refused, and what it has is lost.
    fn refused(&mut self, now: Instant, trouble: Trouble) {
        let refusal = match trouble {
            Trouble::Silence => return self.again(now),
            Trouble::Final(error) => return self.fail(error),
            Trouble::Refused(refusal, _) => refusal,
        };
        match refusal.code {
            Code::UnknownMemberId => {
                self.lose();
                self.seat.member.clear();
                self.anew(now);
            }
            Code::IllegalGeneration | Code::RebalanceInProgress => {
                self.lose();
                self.anew(now);
            }
            _ if refusal.is_retryable() => self.again(now),
            _ => {
                self.lose();
                self.fail(Refusal::into_error(refusal));
            }
        }
    }

    fn fail(&mut self, error: agora_core::Error) {
        self.state = State::Over;
        self.asks.push_back(Ask::Fail(error));
    }

    fn lose(&mut self) {
        if std::mem::take(&mut self.has_lanes) {
            self.asks.push_back(Ask::Lose);
        }
    }

    fn out(&mut self, now: Instant) {
        self.leads = false;
        self.seat.generation = -1;
        self.state = State::Out(now);
    }

    /// It joins again, at once where it did not have to all the time.
    fn anew(&mut self, now: Instant) {
        if self.failures < PROMPT_MAX {
            self.failures += 1;
            return self.out(now);
        }
        self.again(now);
    }

    /// It joins again, after a pause.
    fn again(&mut self, now: Instant) {
        let pause = BACKOFF.0.saturating_mul(1 << self.failures.min(10)).min(BACKOFF.1);
        self.failures = self.failures.saturating_add(1);
        self.out(now + pause);
    }
}

#[cfg(test)]
mod tests;
