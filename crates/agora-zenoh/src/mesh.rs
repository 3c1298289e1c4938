//! Is every member of the cluster connected to this one?
//!
//! Peers do not pass messages on to each other: where one connection of the mesh is missing, two nodes are deaf to
//! each other while everything else looks well, and zenoh alone does not always mend it (peers that know each other
//! by gossip only never try again). So each node tells, when asked, whom it sees; what others see and this one does
//! not is missing. What was connected once and is lost is missing too, until its host says that nobody listens
//! there any more, which is how a process that ended is told from a cable that was cut.
//!
//! A connection can also be there and pass nothing on: see [`deaf`].
//!
//! This module decides; it has no clock and no I/O. [`watchdog`] does what it says.

mod deaf;
mod report;
pub(crate) mod watchdog;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use zenoh::session::ZenohId;

use deaf::Unanswered;
pub(crate) use report::Report;

/// The most members that are watched. Further ones are not: a mesh of so many is not advised anyway.
const MEMBERS_MAX: usize = 1024;
/// How long a member that others see may take to connect by itself before it is helped, and counted as missing.
const GRACE: Duration = Duration::from_secs(2);
/// How old a report may be that says that somebody sees a member: longer than it takes to ask again in times of
/// trouble, and shorter than [`GRACE`], so that what was outdated when it was said raises no alarm.
pub(crate) const REPORT_AGE: Duration = Duration::from_millis(1_500);
/// The first and the longest pause between tries to reach a member; it doubles in between.
const TRY_INTERVAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// After how long a lost member that nobody sees is forgotten although its host stays silent.
const GIVE_UP: Duration = Duration::from_secs(600);

const _: () = assert!(REPORT_AGE.as_millis() < GRACE.as_millis());

/// What came of a try to reach a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It is connected.
    Connected,
    /// Its host answered that nobody listens there.
    Refused,
    /// Nothing came back, or something else than a member of this network.
    Silent,
}

#[derive(Debug)]
struct Member {
    /// Where it listens, as far as it is known.
    at: Vec<String>,
    /// When another member was last heard to see it.
    reported: Option<Instant>,
    lost: Option<Lost>,
    unanswered: Unanswered,
}

#[derive(Debug)]
struct Lost {
    since: Instant,
    /// Was it connected before? Otherwise it is known from reports only.
    once_connected: bool,
    tries: u32,
    /// Has a try met silence? That is no process that ended.
    silent: bool,
    next_try: Instant,
    /// Is a try under way?
    dialling: bool,
}

impl Member {
    /// Does another still see it, as of a moment ago, and after it was lost here?
    fn is_seen_elsewhere(&self, now: Instant) -> bool {
        let Some(reported) = self.reported else { return false };
        let since_lost = self.lost.as_ref().is_none_or(|lost| !lost.once_connected || reported > lost.since);
        since_lost && now.saturating_duration_since(reported) <= REPORT_AGE
    }
}

/// The members of the cluster, as this node knows them.
#[derive(Debug)]
pub(crate) struct Mesh {
    me: ZenohId,
    /// Everyone connected, members or not: strangers may share the network.
    connected: BTreeSet<ZenohId>,
    /// Is one of those a router? Then there is a way to everyone.
    routed: bool,
    members: BTreeMap<ZenohId, Member>,
}

impl Mesh {
    pub(crate) fn new(me: ZenohId) -> Self {
        Self { me, connected: BTreeSet::new(), routed: false, members: BTreeMap::new() }
    }

    /// Takes the connections as they are now.
    pub(crate) fn connections(&mut self, now: Instant, connected: BTreeSet<ZenohId>, routed: bool) {
        self.routed = routed;
        self.connected = connected;
        for (id, member) in &mut self.members {
            match (self.connected.contains(id), &member.lost) {
                (true, _) => member.lost = None,
                (false, None) => {
                    member.unanswered.forgive();
                    member.lost = Some(Lost {
                        since: now,
                        once_connected: true,
                        tries: 0,
                        silent: false,
                        next_try: now,
                        dialling: false,
                    });
                }
                (false, Some(_)) => {}
            }
        }
        self.forget_old(now);
    }

    /// A question to everyone connected goes out now.
    pub(crate) fn asked(&mut self, now: Instant) {
        for member in self.members.values_mut().filter(|member| member.lost.is_none()) {
            member.unanswered.asked(now);
        }
    }

    /// Takes an answer, which shows that the connection passes on what is sent, both ways.
    pub(crate) fn answered(&mut self, now: Instant, report: Report) {
        let id = report.id;
        self.report(now, report);
        if let Some(member) = self.members.get_mut(&id) {
            member.unanswered.answered();
        }
    }

    /// Whose connection is to be closed and made anew, because it has passed nothing on for too long. Each is named
    /// once.
    pub(crate) fn deaf(&mut self, now: Instant) -> Vec<ZenohId> {
        if self.routed {
            return Vec::new();
        }
        let connected = self.members.iter_mut().filter(|(_, member)| member.lost.is_none());
        connected.filter_map(|(id, member)| member.unanswered.give_up(now).then_some(*id)).collect()
    }

    /// Takes what a member said of itself and of those whom it sees, asked or not.
    pub(crate) fn report(&mut self, now: Instant, report: Report) {
        if report.id == self.me || !self.connected.contains(&report.id) {
            return;
        }
        self.learn(now, report.id, report.at);
        for (seen, at) in report.sees {
            if seen == self.me || !self.learn(now, seen, at) {
                continue;
            }
            if let Some(member) = self.members.get_mut(&seen) {
                member.reported = Some(now);
            }
        }
    }

    /// Makes a member known, or its address. False where there is no room for it.
    fn learn(&mut self, now: Instant, id: ZenohId, at: Vec<String>) -> bool {
        if let Some(member) = self.members.get_mut(&id) {
            if !at.is_empty() {
                member.at = at;
            }
            return true;
        }
        if self.members.len() >= MEMBERS_MAX {
            return false;
        }
        let lost = (!self.connected.contains(&id)).then_some(Lost {
            since: now,
            once_connected: false,
            tries: 0,
            silent: false,
            // Most probably it has just started, and the two are about to connect by themselves.
            next_try: now + GRACE,
            dialling: false,
        });
        self.members.insert(id, Member { at, reported: None, lost, unanswered: Unanswered::default() });
        true
    }

    fn forget_old(&mut self, now: Instant) {
        self.members.retain(|_, member| {
            let Some(lost) = &member.lost else { return true };
            let age = now.saturating_duration_since(lost.since);
            member.is_seen_elsewhere(now)
                || lost.once_connected && age < GIVE_UP && (!member.at.is_empty() || age < GRACE)
        });
    }

    /// Whom to try to reach now, and where: at most `max`. Each is to be answered with [`tried`](Mesh::tried), and
    /// is not named again until then.
    pub(crate) fn due(&mut self, now: Instant, max: usize) -> Vec<(ZenohId, Vec<String>)> {
        if self.routed {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (id, member) in &mut self.members {
            let Some(lost) = &mut member.lost else { continue };
            if due.len() < max && !lost.dialling && lost.next_try <= now && !member.at.is_empty() {
                lost.dialling = true;
                due.push((*id, member.at.clone()));
            }
        }
        due
    }

    /// Takes what came of a try.
    pub(crate) fn tried(&mut self, now: Instant, id: ZenohId, outcome: Tried) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let seen = member.is_seen_elsewhere(now);
        let Some(lost) = &mut member.lost else { return };
        lost.dialling = false;
        match outcome {
            Tried::Connected => member.lost = None,
            // Where another still sees it, the refusal came from somewhere else: its address was ambiguous. Or the
            // other has not noticed yet: so it is no fault of the mesh before some time has passed.
            Tried::Refused if !seen => {
                self.members.remove(&id);
            }
            Tried::Refused | Tried::Silent => {
                let (first, longest) = TRY_INTERVAL;
                lost.next_try = now + (first * 2u32.saturating_pow(lost.tries.min(8))).min(longest);
                lost.tries += 1;
                lost.silent |= outcome == Tried::Silent;
            }
        }
    }

    /// Is somebody missing, or about to be known to be?
    pub(crate) fn is_troubled(&self) -> bool {
        let troubled = |member: &Member| member.lost.is_some() || member.unanswered.any();
        !self.routed && self.members.values().any(troubled)
    }

    /// What is wrong, in words; `None` where everyone is connected.
    pub(crate) fn problem(&self, now: Instant) -> Option<String> {
        if self.routed {
            return None;
        }
        // A crash is no problem of the mesh: whether it is one, the first try tells, or that it takes so long.
        let missing = |member: &&Member| {
            member.lost.as_ref().is_some_and(|lost| {
                let age = now.saturating_duration_since(lost.since);
                lost.silent || age >= GRACE && (lost.once_connected || member.is_seen_elsewhere(now))
            })
        };
        let lost: Vec<&Member> = self.members.values().filter(missing).collect();
        let first = lost.first()?;
        let here = self.members.values().filter(|member| member.lost.is_none()).count();
        let at = first.at.first().map_or("an unknown address", String::as_str);
        let seen = if first.is_seen_elsewhere(now) { ", which others reach" } else { "" };
        let more = if lost.len() > 1 { format!(", and {} more", lost.len() - 1) } else { String::new() };
        Some(format!("connected to {here} of {} other nodes: not to {at}{seen}{more}", here + lost.len()))
    }

    /// What this node says when it is asked.
    pub(crate) fn my_report(&self, at: Vec<String>) -> Report {
        let here = self.members.iter().filter(|(_, member)| member.lost.is_none());
        Report { id: self.me, at, sees: here.map(|(id, member)| (*id, member.at.clone())).collect() }
    }
}

#[cfg(test)]
mod tests;
