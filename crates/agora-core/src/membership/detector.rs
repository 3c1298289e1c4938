//! The failure detector: heartbeats and the time in, events and verdicts out.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::config::MembershipConfig;
use super::event::{Frozen, MemberEvent, Output, Verdict};
use super::member::{Member, MemberInfo, MemberState};
use super::peers::Peers;
use crate::id::{NodeId, SourceId, StreamId};
use crate::transport::Hint;

/// Judges who is in the cluster. See [`crate::membership`] for the rules.
///
/// # How to drive it
/// 1. After every call, take [`poll_event`](Self::poll_event) until it is `None`.
/// 2. At [`poll_timeout`](Self::poll_timeout), first hand in everything that has arrived already (heartbeats,
///    leaves, hints, the link), and only then call [`handle_timeout`](Self::handle_timeout): a heartbeat that waits
///    in the inbox of a process that was stopped must count before its sender is judged.
/// 3. `now` never runs backwards; one that does is harmless, and changes nothing that was decided.
#[derive(Debug)]
pub struct Detector {
    config: MembershipConfig,
    me: SourceId,
    peers: Peers,
    link_up: bool,
    echo: Echo,
    company: Company,
    /// When `handle_timeout` is wanted. At most one heartbeat interval after the last one, so that a pause of this
    /// process is noticed even when nobody's deadline falls into it. Every new deadline lies further ahead than
    /// that, hints aside, so it need not be looked for at every call.
    wake: Instant,
    outputs: VecDeque<Output>,
    rejected: u64,
    misnamed: u64,
}

/// What one's own heartbeats, coming back, say about one's own link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    /// Peers talk directly: an echo would prove nothing.
    Meaningless,
    /// None yet, or none for too long.
    Missing,
    /// The last one came at this time.
    Heard(Instant),
}

/// Whether the others are heard, where an echo is [`Echo::Meaningless`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    /// At least half of them are.
    Heard,
    /// Most are silent, but nobody is overdue yet. Noted before it matters: when a cut heals just before the first
    /// deadline, those heard first would otherwise testify against those who come a moment later.
    Silent,
    /// Most are silent, somebody was overdue, and the application was told.
    Isolated,
}

impl Detector {
    /// A detector that knows nobody yet, with the link up.
    ///
    /// `config` must be [valid](MembershipConfig::validate). `me` is this process. `echo` says whether one's own
    /// heartbeats travel through a server
    /// ([`Capabilities::echo_via_server`](crate::transport::Capabilities::echo_via_server)): then nobody is judged
    /// before the first has come back; otherwise isolation is watched for.
    pub fn new(config: MembershipConfig, me: SourceId, echo: bool, now: Instant) -> Self {
        debug_assert!(config.validate().is_ok(), "the configuration is validated when a bus opens");
        let wake = now + config.heartbeat_interval;
        Self {
            config,
            me,
            peers: Peers::default(),
            link_up: true,
            echo: if echo { Echo::Missing } else { Echo::Meaningless },
            company: Company::Heard,
            wake,
            outputs: VecDeque::new(),
            rejected: 0,
            misnamed: 0,
        }
    }

    /// Takes a heartbeat, this process's own included: that one is the echo.
    ///
    /// A failed member returns, a member that left does not: what is heard of it was under way. A heartbeat whose
    /// name is not the one behind its node's identity is dropped and [counted](Self::misnamed).
    pub fn handle_heartbeat(&mut self, now: Instant, info: MemberInfo) {
        let source = info.source;
        if source == self.me {
            self.hear_echo(now);
            return;
        }
        if NodeId::of(&info.name) != source.node {
            self.misnamed += 1;
            return;
        }
        let back = self.peers.former_failed(source);
        let Some(peer) = self.peers.admit(source, now) else {
            self.rejected += 1;
            return;
        };
        if peer.state == MemberState::Left {
            return;
        }
        let same = peer.info.clone().filter(|known| **known == info);
        let changed = same.is_none();
        let info = same.unwrap_or_else(|| Arc::new(info));
        let known = peer.info.replace(info.clone()).is_some();
        let was = std::mem::replace(&mut peer.state, MemberState::Alive);
        peer.sign_of_life(now);
        if was == MemberState::Failed {
            self.verdict(Verdict::Returned(source));
        }
        match (known, was) {
            (false, _) if back => self.event(MemberEvent::Returned(info.clone())),
            (false, _) => self.event(MemberEvent::Joined(info.clone())),
            (true, MemberState::Failed) => self.event(MemberEvent::Returned(info.clone())),
            (true, MemberState::Suspected) => self.event(MemberEvent::Recovered(info.clone())),
            (true, _) if changed => self.event(MemberEvent::Changed(info.clone())),
            (true, _) => {}
        }
        self.watch_for_conflict(now, &info);
        self.watch_for_reunion(now);
    }

    /// Takes the arrival of a heartbeat less the time in it, in microseconds, by the clocks of both. Returns whether the
    /// [offset](Member::clock_offset_us) of that member changed. Nothing is judged by it.
    pub fn handle_clock(&mut self, source: SourceId, difference_us: i64) -> bool {
        self.peers.get_mut(source).is_some_and(|peer| peer.info.is_some() && peer.clock.take(difference_us))
    }

    /// One's own sign of life came back. [`handle_heartbeat`](Self::handle_heartbeat) does the same for one that is a
    /// heartbeat.
    pub fn handle_echo(&mut self, now: Instant) {
        self.hear_echo(now);
    }

    /// Takes a goodbye. It is believed at once, even while verdicts are frozen, and for good.
    pub fn handle_leave(&mut self, now: Instant, source: SourceId) {
        if source == self.me {
            return;
        }
        let Some(peer) = self.peers.admit(source, now) else {
            // There is no room to remember it, but whoever reads its streams must still know.
            self.rejected += 1;
            self.verdict(Verdict::Left(source));
            return;
        };
        if peer.state == MemberState::Left && !peer.armed {
            return;
        }
        let told = peer.state == MemberState::Left;
        let info = peer.info.clone().filter(|_| !told);
        peer.end(now, MemberState::Left);
        self.verdict(Verdict::Left(source));
        if let Some(info) = info {
            self.event(MemberEvent::Left(info));
        }
        self.watch_for_reunion(now);
    }

    /// Takes a word from the backend about a source.
    ///
    /// `Gone` suspects it at once and shortens its deadline to
    /// [`hint_grace`](MembershipConfig::hint_grace) from now, never more. It is believed only if one's own link is
    /// seen to work, just before the hint and again after it: by one's echo, or by at least half of the other
    /// members. If not, the usual deadline holds. `Seen` takes a `Gone` back and proves nothing else.
    pub fn handle_hint(&mut self, now: Instant, hint: Hint) {
        match hint {
            Hint::Gone(source) => self.hint_gone(now, source),
            Hint::Seen(source) => self.hint_seen(now, source),
        }
    }

    /// The link went down or came up. Down freezes every verdict; up restarts every deadline, and where there is an
    /// echo, it must be heard again first. Telling what is known already does nothing.
    pub fn handle_link(&mut self, now: Instant, up: bool) {
        if self.link_up == up {
            return;
        }
        self.link_up = up;
        if self.echo != Echo::Meaningless {
            self.echo = Echo::Missing;
        }
        if up {
            self.peers.restart(now);
        }
    }

    /// A frame of this source was seen on a live topic. An unknown source gets an entry without a name, and a
    /// deadline: should it die before its first heartbeat is heard, its streams must end all the same.
    ///
    /// For a source without a name, a frame is a sign of life: nothing better is known of it, and the worst that
    /// an old frame can do is to put off a verdict of which no application is told. For a member it is none: a
    /// slow reader may work through frames that a dead node sent minutes ago, so they would put off
    /// [`MemberEvent::Failed`] beyond the configured time. Nor does a frame bring back who failed or left: it may
    /// have been under way (see [`observe_resumed`](Self::observe_resumed)). But it may have opened a stream, which
    /// must end too: [`Verdict::Failed`] comes again after the usual time, and no application is told.
    pub fn observe(&mut self, now: Instant, source: SourceId) {
        if source == self.me {
            return;
        }
        let Some(peer) = self.peers.admit(source, now) else {
            self.rejected += 1;
            return;
        };
        if !peer.is_live_member() {
            peer.frame_seen(now);
        }
    }

    /// A fresh head of this source resumed a stream: one that answers a hello sent *after* the source was given
    /// up, and so proves that it lived later than that.
    ///
    /// A failed source returns, and its next verdict is armed. Without this, it could send again, die, and never be
    /// given up again. For any other it is as good as a frame; who left does not return.
    pub fn observe_resumed(&mut self, now: Instant, source: SourceId) {
        let Some(peer) = self.peers.get_mut(source).filter(|peer| peer.state == MemberState::Failed) else {
            self.observe(now, source);
            return;
        };
        peer.state = MemberState::Alive;
        peer.sign_of_life(now);
        let info = peer.info.clone();
        self.verdict(Verdict::Returned(source));
        if let Some(info) = info {
            self.event(MemberEvent::Returned(info));
        }
        self.watch_for_reunion(now);
    }

    /// Signs of life may have been lost on the way to this node. Who was silent is not known, so every deadline begins
    /// anew.
    pub fn handle_missed(&mut self, now: Instant) {
        self.peers.restart(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); ask again after every other call. At most one
    /// heartbeat interval ahead.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.wake)
    }

    /// Judges who is overdue at `now`. An early or repeated call does nothing. A call that comes more than one
    /// heartbeat interval late judges nobody: this process did not run, so it cannot know who was silent, and
    /// every deadline begins anew.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.wake {
            return;
        }
        self.peers.forget(now);
        if self.echo_is_stale(now) {
            self.echo = Echo::Missing;
        }
        if self.is_late(now) {
            self.peers.restart(now);
        } else if matches!(self.frozen(), None | Some(Frozen::Isolated)) {
            self.watch_for_isolation(now);
            self.suspect_the_silent(now);
            self.fail_the_overdue(now);
        }
        self.wake = self.next_wake(now);
    }

    /// What happened, oldest first; call until `None`.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Why nobody is judged at present, as of the last call.
    pub fn frozen(&self) -> Option<Frozen> {
        if !self.link_up {
            Some(Frozen::LinkDown)
        } else if self.echo == Echo::Missing {
            Some(Frozen::NoEcho)
        } else {
            (self.company == Company::Isolated).then_some(Frozen::Isolated)
        }
    }

    /// All members, by node and then by life, without this process itself. Those that failed or left stay for ten
    /// minutes.
    pub fn members(&self) -> Vec<Member> {
        self.peers.iter().filter_map(|(_, peer)| peer.member()).collect()
    }

    /// How many members have neither failed nor left, without this process itself.
    pub fn alive_count(&self) -> usize {
        self.peers.live_members().count()
    }

    /// The members that have neither failed nor left and whose heartbeat says that they publish on `stream`.
    pub fn publishers_of(&self, stream: StreamId) -> impl Iterator<Item = SourceId> {
        let publishes = move |info: &MemberInfo| {
            info.topics.iter().any(|topic| topic.stream == stream && topic.publishes)
        };
        self.peers
            .live_members()
            .filter(move |(_, peer)| peer.info.as_deref().is_some_and(publishes))
            .map(|(source, _)| source)
    }

    /// What the last heartbeat of a source said, and where it stands; also of one that failed or left.
    pub fn member(&self, source: SourceId) -> Option<Member> {
        self.peers.get(source)?.member()
    }

    /// How many sources were not taken in, because [`MEMBERS_MAX`](crate::limits::MEMBERS_MAX) live ones are known.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// How many heartbeats gave a name that is not the one behind their node's identity.
    pub fn misnamed(&self) -> u64 {
        self.misnamed
    }

    fn hear_echo(&mut self, now: Instant) {
        if self.echo == Echo::Meaningless {
            return;
        }
        if self.echo == Echo::Missing || self.echo_is_stale(now) {
            self.peers.restart(now);
        }
        self.echo = Echo::Heard(now);
    }

    /// Two intervals without an echo: one was lost, or the link is.
    fn echo_is_stale(&self, now: Instant) -> bool {
        matches!(self.echo, Echo::Heard(at) if now >= at + 2 * self.config.heartbeat_interval)
    }

    fn is_late(&self, now: Instant) -> bool {
        now > self.wake + self.config.heartbeat_interval
    }

    fn hint_gone(&mut self, now: Instant, source: SourceId) {
        if self.frozen().is_some() || self.echo_is_stale(now) || self.is_late(now) {
            return;
        }
        // Those who fall silent with it were heard until just now; after a cut of one's own, nobody was.
        let recently = self.config.heartbeat_interval * 3 / 2;
        if self.echo == Echo::Meaningless && !self.peers.others_heard(source, |at| now < at + recently) {
            return;
        }
        let Some(peer) = self.peers.get_mut(source).filter(|peer| peer.state.is_live()) else { return };
        peer.hinted.get_or_insert(now);
        self.wake = self.wake.min(now + self.config.hint_grace);
        let was = std::mem::replace(&mut peer.state, MemberState::Suspected);
        if let Some(info) = peer.info.clone().filter(|_| was == MemberState::Alive) {
            self.event(MemberEvent::Suspected(info));
        }
        self.watch_for_isolation(now);
    }

    fn hint_seen(&mut self, now: Instant, source: SourceId) {
        let Some(peer) = self.peers.get_mut(source) else { return };
        if peer.hinted.take().is_none() {
            return;
        }
        // Its silence may be reason enough to suspect it.
        if now < peer.heard + self.config.suspect_after {
            peer.state = MemberState::Alive;
            if let Some(info) = peer.info.clone() {
                self.event(MemberEvent::Recovered(info));
            }
        }
        self.watch_for_reunion(now);
    }

    fn suspect_the_silent(&mut self, now: Instant) {
        let due: Vec<SourceId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.suspect_at(&self.config).is_some_and(|at| at <= now))
            .map(|(source, _)| source)
            .collect();
        for source in due {
            let Some(peer) = self.peers.get_mut(source) else { continue };
            peer.state = MemberState::Suspected;
            if let Some(info) = peer.info.clone() {
                self.event(MemberEvent::Suspected(info));
            }
        }
    }

    fn fail_the_overdue(&mut self, now: Instant) {
        if self.company == Company::Isolated {
            return;
        }
        let due = self.overdue(now);
        if due.is_empty() {
            return;
        }
        if self.company == Company::Silent {
            self.company = Company::Isolated;
            let (silent, of) = self.peers.silence(now, self.config.suspect_after);
            self.event(MemberEvent::Isolated { silent, of });
            return;
        }
        for source in due {
            let Some(peer) = self.peers.get_mut(source) else { continue };
            // Of one that ended before, the application was told then.
            let info = peer.info.clone().filter(|_| peer.state.is_live());
            let left = peer.state == MemberState::Left;
            peer.end(now, if left { MemberState::Left } else { MemberState::Failed });
            self.verdict(Verdict::Failed(source));
            if let Some(info) = info {
                self.event(MemberEvent::Failed(info));
            }
        }
    }

    /// Who is to fail at `now`. A deadline that a hint shortened counts only if this node was not cut off in the
    /// meantime; otherwise the hint is set aside.
    fn overdue(&mut self, now: Instant) -> Vec<SourceId> {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let due: Vec<(SourceId, Option<Instant>)> = self
            .peers
            .iter()
            .filter(|(_, peer)| passed(peer.fail_at(&self.config)))
            .map(|(source, peer)| {
                (source, peer.hinted.filter(|_| !passed(peer.fail_unhinted_at(&self.config))))
            })
            .collect();
        let mut overdue = Vec::with_capacity(due.len());
        for (source, early) in due {
            let believed = early.is_none_or(|hinted| match self.echo {
                Echo::Heard(at) => at > hinted,
                Echo::Missing => false,
                Echo::Meaningless => {
                    self.company == Company::Heard && self.peers.others_heard(source, |at| at > hinted)
                }
            });
            if believed {
                overdue.push(source);
            } else if let Some(peer) = self.peers.get_mut(source) {
                peer.hinted = None;
            }
        }
        overdue
    }

    fn watch_for_conflict(&mut self, now: Instant, info: &MemberInfo) {
        let source = info.source;
        let rival = self.peers.take_turn(source, now, self.config.heartbeat_interval / 2);
        let second_self = self.peers.is_second_self(source, self.me).then_some(self.me.incarnation);
        for other in [rival, second_self].into_iter().flatten() {
            let incarnations = [source.incarnation, other];
            self.event(MemberEvent::Conflict { name: info.name.clone(), incarnations });
        }
    }

    fn watch_for_isolation(&mut self, now: Instant) {
        if self.echo == Echo::Meaningless && self.company == Company::Heard && self.most_are_silent(now) {
            self.company = Company::Silent;
        }
    }

    fn watch_for_reunion(&mut self, now: Instant) {
        if self.company == Company::Heard || self.most_are_silent(now) {
            return;
        }
        self.peers.restart(now);
        if std::mem::replace(&mut self.company, Company::Heard) == Company::Isolated {
            self.event(MemberEvent::Reunited);
        }
    }

    fn most_are_silent(&self, now: Instant) -> bool {
        let (silent, of) = self.peers.silence(now, self.config.suspect_after);
        silent.len() * 2 > of
    }

    /// One interval ahead, or the next deadline that could have an effect before that.
    fn next_wake(&self, now: Instant) -> Instant {
        let (suspecting, failing) = match self.frozen() {
            None => (true, true),
            Some(Frozen::Isolated) => (true, false),
            Some(Frozen::LinkDown | Frozen::NoEcho) => (false, false),
        };
        let deadlines = self.peers.iter().flat_map(|(_, peer)| {
            let suspect = peer.suspect_at(&self.config).filter(|_| suspecting);
            let fail = peer.fail_at(&self.config).filter(|_| failing);
            suspect.into_iter().chain(fail)
        });
        let pulse = now + self.config.heartbeat_interval;
        deadlines.chain(self.peers.next_forget()).fold(pulse, Instant::min)
    }

    fn event(&mut self, event: MemberEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn verdict(&mut self, verdict: Verdict) {
        self.outputs.push_back(Output::Verdict(verdict));
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;
