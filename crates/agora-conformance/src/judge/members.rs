//! Who has crashed is reported in time, who leaves at once, and nobody is held dead without a reason of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use agora_core::limits::TOMBSTONE_AGE;
use agora_core::membership::MembershipConfig;

use super::facts::{End, Facts};
use super::net::State;
use super::{Findings, ms};
use crate::history::{Change, History, Life, What, Wire};
use crate::sim::Profile;

/// How much later than `fail_after` a crash may be reported.
const FAIL_LATE: Duration = ms(500);
/// How long a clean leave may take to be known.
const LEAVE_KNOWN: Duration = ms(1_000);
/// From so many lost messages in a thousand on, five heartbeats in a row may be among them.
const LOSSY: u16 = 30;
/// After a disturbance, deadlines begin anew; so long it matters.
const AFTERMATH: Duration = ms(3_000);

/// What one node thinks of another life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Alive,
    Suspected,
    Failed,
    Left,
}

impl View {
    fn is_live(self) -> bool {
        matches!(self, Self::Alive | Self::Suspected)
    }
}

/// Everything that was said about one life by one node: when, and what followed from it.
type Course = Vec<(Duration, View)>;

struct Judge<'a> {
    facts: &'a Facts<'a>,
    times: MembershipConfig,
    courses: BTreeMap<(Life, Life), Course>,
    /// When a node said that it is isolated, and that it no longer is.
    isolations: BTreeMap<Life, Vec<(Duration, bool)>>,
    /// When the transport of a node dropped messages about the members.
    overruns: BTreeMap<Life, Vec<Duration>>,
    /// When a goodbye reached a node.
    goodbyes: BTreeMap<(Life, Life), Duration>,
}

/// See above.
pub(super) fn check(facts: &Facts<'_>, history: &History, findings: &mut Findings) {
    let times = MembershipConfig::default();
    let (courses, isolations, overruns, goodbyes) = Default::default();
    let mut judge = Judge { facts, times, courses, isolations, overruns, goodbyes };
    for entry in &history.entries {
        match &entry.what {
            What::Member { by, change, of, silent } => {
                judge.note(entry.at, *by, *change, *of, *silent, findings);
            }
            What::Got(by, Wire::Leave { of, .. }) if by != of => {
                judge.goodbyes.entry((*by, *of)).or_insert(entry.at);
            }
            What::Overrun(by, None) => judge.overruns.entry(*by).or_default().push(entry.at),
            What::View(by, alive) => judge.compare(entry.at, *by, alive, findings),
            _ => {}
        }
    }
    judge.conclude(findings);
}

impl Judge<'_> {
    fn note(
        &mut self,
        at: Duration,
        by: Life,
        change: Change,
        of: Option<Life>,
        silent: Option<Duration>,
        findings: &mut Findings,
    ) {
        let facts = self.facts;
        // A hint that somebody is gone may overtake its goodbye.
        let leaves = of.is_some_and(|of| facts.lives.get(&of).is_some_and(|life| life.end.is_some()));
        let calm = facts.plan.profile == Profile::Calm && !(leaves && change == Change::Suspected);
        if calm && matches!(change, Change::Suspected | Change::Failed | Change::Isolated) {
            findings.add(at, format!("{by} sees {change:?}, and nothing went wrong"));
        }
        match change {
            Change::Isolated => return self.isolated(at, by, findings),
            Change::Reunited => return self.isolations.entry(by).or_default().push((at, false)),
            Change::Conflict => return findings.add(at, format!("{by} sees a conflict where there is none")),
            Change::Missed => return findings.add(at, format!("{by} missed changes among the members")),
            _ => {}
        }
        let Some(of) = of else {
            return findings.add(at, format!("{by} sees {change:?} of nobody in this run"));
        };
        let was = self.view(by, of);
        let now = match (was, change) {
            (None, Change::Joined | Change::Returned) | (Some(View::Failed), Change::Returned) => View::Alive,
            (Some(View::Failed), Change::Joined) if self.is_forgotten(by, of, at) => View::Alive,
            (Some(View::Alive), Change::Changed) => View::Alive,
            (Some(View::Alive), Change::Suspected) => View::Suspected,
            (Some(View::Suspected), Change::Recovered) => View::Alive,
            (Some(View::Suspected), Change::Failed) => View::Failed,
            (Some(View::Alive | View::Suspected | View::Failed), Change::Left) => View::Left,
            _ => {
                return findings.add(at, format!("{by} sees {change:?} of {of}, which was {was:?} to it"));
            }
        };
        self.courses.entry((by, of)).or_default().push((at, now));
        match now {
            View::Failed => self.failed(at, by, of, silent, findings),
            View::Left
                if self
                    .facts
                    .lives
                    .get(&of)
                    .is_none_or(|life| !matches!(life.end, Some((_, End::Leave)))) =>
            {
                findings.add(at, format!("{by} sees {of} leave, which did not"));
            }
            _ => {}
        }
    }

    fn view(&self, by: Life, of: Life) -> Option<View> {
        self.courses.get(&(by, of)).and_then(|course| course.last()).map(|(_, view)| *view)
    }

    /// Was it held dead for so long that its judge no longer knows of it?
    fn is_forgotten(&self, by: Life, of: Life, at: Duration) -> bool {
        let last = self.courses.get(&(by, of)).and_then(|course| course.last());
        last.is_some_and(|(since, view)| *view == View::Failed && at >= *since + TOMBSTONE_AGE)
    }

    fn view_at(&self, by: Life, of: Life, at: Duration) -> Option<View> {
        let course = self.courses.get(&(by, of))?;
        course.iter().take_while(|(when, _)| *when <= at).last().map(|(_, view)| *view)
    }

    /// A verdict needs silence, and, where its subject lives, a fault that is not the judge's own.
    fn failed(&self, at: Duration, by: Life, of: Life, silent: Option<Duration>, findings: &mut Findings) {
        let facts = self.facts;
        let least = if facts.plan.hints { self.times.hint_grace } else { self.times.fail_after };
        if silent.is_none_or(|silent| silent < least) {
            findings.add(at, format!("{by} holds {of} dead, which it heard {silent:?} ago"));
        }
        let since = at.saturating_sub(self.times.fail_after + 2 * self.times.heartbeat_interval);
        if !facts.lives_through(of, since, at) {
            return;
        }
        let excuse = |state: &State| {
            state.is_mute(of.node) || state.is_cut_between(of.node, by.node) || state.line.loss > LOSSY
        };
        if !facts.net.ever(since, at, excuse) && !self.was_overrun(by, since, at) {
            findings.add(at, format!("{by} holds {of} dead, which lives and had no trouble of its own"));
        }
    }

    /// Isolation needs more than half of the others to be out of reach.
    fn isolated(&mut self, at: Duration, by: Life, findings: &mut Findings) {
        self.isolations.entry(by).or_default().push((at, true));
        let facts = self.facts;
        if facts.plan.server {
            return findings.add(at, format!("{by} holds itself isolated, although its echo would tell"));
        }
        let others = self.courses.iter().filter(|((b, _), _)| *b == by);
        let live: Vec<Life> = others
            .filter(|(_, course)| course.last().is_some_and(|(_, view)| view.is_live()))
            .map(|((_, of), _)| *of)
            .collect();
        let since = at.saturating_sub(self.times.suspect_after + self.times.heartbeat_interval);
        let heard = |of: &&Life| {
            facts.lives_through(**of, since, at)
                && facts
                    .net
                    .always(since, at, |state| state.passes(of.node, by.node) && state.line.loss <= LOSSY)
        };
        let reachable = live.iter().filter(heard).count();
        if reachable * 2 >= live.len() && !self.was_overrun(by, since, at) {
            findings
                .add(at, format!("{by} holds itself isolated, and {reachable} of {} reach it", live.len()));
        }
    }

    fn is_isolated(&self, by: Life, at: Duration) -> bool {
        let isolations = self.isolations.get(&by).into_iter().flatten();
        isolations.take_while(|(when, _)| *when <= at).last().is_some_and(|(_, isolated)| *isolated)
    }

    /// Among peers: had more than half of those whom this node held alive ended, or were they out of reach, at any time?
    /// Then it judges nobody.
    fn was_lonely(&self, by: Life, since: Duration, until: Duration) -> bool {
        let ends = self.facts.lives.values().filter_map(|life| life.end).map(|(at, _)| at);
        let mut times = ends.filter(|at| (since..=until).contains(at)).chain([since]);
        times.any(|at| {
            let live = |of: &&Life| self.view_at(by, **of, at).is_some_and(View::is_live);
            let known: Vec<&Life> = self.facts.lives.keys().filter(live).collect();
            let ended =
                |of: &&&Life| self.facts.lives.get(of).is_some_and(|l| l.end.is_some_and(|(e, _)| e <= at));
            let unheard = |of: &&&Life| {
                ended(of) || self.facts.net.ever(since, until, |state| !state.passes(of.node, by.node))
            };
            known.iter().filter(unheard).count() * 2 > known.len()
        })
    }

    /// Did the transport drop messages for this node that may have been heartbeats?
    fn was_overrun(&self, by: Life, since: Duration, until: Duration) -> bool {
        self.overruns.get(&by).into_iter().flatten().any(|at| (since..=until).contains(at))
    }

    /// At the end, everybody sees those who live and nobody else.
    fn compare(&self, at: Duration, by: Life, alive: &[Life], findings: &mut Findings) {
        let lives = self.facts.lives.iter();
        let expected =
            lives.filter(|(life, facts)| **life != by && facts.end.is_none()).map(|(life, _)| *life);
        let expected: Vec<Life> = expected.collect();
        for life in expected.iter().filter(|life| !alive.contains(life)) {
            findings.add(at, format!("{by} does not see {life}, which lives"));
        }
        for life in alive.iter().filter(|life| !expected.contains(life)) {
            // Who is alone does not know who has died.
            if !self.is_isolated(by, at) {
                findings.add(at, format!("{by} still sees {life}, which is gone"));
            }
        }
    }

    fn conclude(&self, findings: &mut Findings) {
        for (of, facts) in &self.facts.lives {
            match facts.end {
                Some((at, End::Crash)) => self.crashed(at, *of, findings),
                Some((at, End::Leave)) => self.left(at, *of, facts.left, findings),
                None => {}
            }
        }
        for ((by, of), at) in &self.goodbyes {
            let known = *at + ms(50);
            let heard = self.view_at(*by, *of, *at).is_some();
            if heard
                && self.facts.lives_through(*by, *at, known)
                && self.view_at(*by, *of, known) != Some(View::Left)
            {
                findings.add(known, format!("{by} got the goodbye of {of} and did not see it leave"));
            }
        }
    }

    /// Who is connected and undisturbed reports a crash in time.
    fn crashed(&self, at: Duration, of: Life, findings: &mut Findings) {
        let facts = self.facts;
        let due = at + self.times.fail_after + FAIL_LATE;
        for by in facts.lives.keys().filter(|by| **by != of) {
            let undisturbed = |state: &State| {
                !state.is_deaf(by.node)
                    && !state.is_mute(by.node)
                    && !state.server_down
                    && !state.is_stalled()
                    && state.line.loss == 0
            };
            let since = at.saturating_sub(AFTERMATH);
            let concerned = facts.lives_through(*by, at, due)
                && due <= facts.end
                && self.view_at(*by, of, at).is_some_and(View::is_live)
                && facts.net.always(since, due, undisturbed)
                && !self.was_overrun(*by, since, due)
                && (facts.plan.server || !self.was_lonely(*by, since, due));
            if concerned && !matches!(self.view_at(*by, of, due), Some(View::Failed)) {
                findings.add(due, format!("{by} did not notice in time that {of} had crashed"));
            }
        }
    }

    fn left(&self, at: Duration, of: Life, left: Option<Duration>, findings: &mut Findings) {
        let (facts, Some(left)) = (self.facts, left) else { return };
        let due = left + LEAVE_KNOWN;
        for by in facts.lives.keys().filter(|by| **by != of) {
            let passes = |state: &State| state.is_perfect(of.node, by.node);
            let concerned = facts.lives_through(*by, at, due)
                && due <= facts.end
                && self.view_at(*by, of, at).is_some_and(View::is_live)
                && facts.net.always(at.saturating_sub(AFTERMATH), due, passes)
                && !self.was_overrun(*by, at, due);
            if concerned && self.view_at(*by, of, due) != Some(View::Left) {
                findings.add(due, format!("{by} did not notice in time that {of} had left"));
            }
        }
    }
}
