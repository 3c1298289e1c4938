//! What the heartbeats of the members say: who is there, and what their clocks show.

use std::collections::BTreeMap;
use std::time::Duration;

use agora::{Bus, Member, MemberChange, MemberEvent, MemberState, Members};
use tokio::time::{Instant, timeout_at};

use super::check::Check;
use super::round_trip::text_of;
use crate::text;

const MEMBERS: &str = "members";
const CLOCKS: &str = "clocks";
/// From here on the times in events mislead whoever reads them.
const CLOCK_YELLOW: Duration = Duration::from_millis(250);
/// From here on nothing that has a time in it can be relied on, a replay from a time above all.
const CLOCK_RED: Duration = Duration::from_secs(5);
/// At most so many members are named in one line.
const NAMED_MAX: usize = 10;

/// What happened among the members while they were listened to.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Names that two live nodes have.
    conflicts: BTreeMap<String, String>,
    /// More than half of the others were silent at once.
    isolated: bool,
}

impl Heard {
    /// Listens until `deadline`, or until `wanted` members live.
    pub(super) async fn listen(members: &mut Members, wanted: Option<u64>, deadline: Instant) -> Self {
        let mut heard = Self::default();
        let enough = |members: &Members| {
            wanted.is_some_and(|wanted| live(&members.snapshot()).count() as u64 >= wanted)
        };
        while !enough(members) {
            match timeout_at(deadline, members.next()).await {
                Ok(Some(change)) => heard.take(change),
                Ok(None) | Err(_) => break,
            }
        }
        heard
    }

    fn take(&mut self, change: MemberChange) {
        match change {
            MemberChange::Event(MemberEvent::Conflict { name, incarnations: [a, b] }) => {
                self.conflicts.insert(name.to_string(), format!("{name} ({a} and {b})"));
            }
            MemberChange::Event(MemberEvent::Isolated { .. }) => self.isolated = true,
            MemberChange::Event(MemberEvent::Reunited) => self.isolated = false,
            _ => {}
        }
    }
}

fn live(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| member.state.is_live())
}

fn names<'a>(members: impl Iterator<Item = &'a Member>) -> String {
    let mut names: Vec<String> = members.map(|member| member.info.name.to_string()).collect();
    names.sort();
    list(names)
}

/// The first of them, and how many more there are.
pub(super) fn list(mut all: Vec<String>) -> String {
    let more = all.len().saturating_sub(NAMED_MAX);
    all.truncate(NAMED_MAX);
    let text = all.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// Who is there.
pub(super) fn members(bus: &Bus, heard: &Heard, wanted: Option<u64>, waited: Duration) -> Check {
    let snapshot = bus.members().snapshot();
    let of = |state| snapshot.iter().filter(move |member: &&Member| member.state == state);
    let (alive, suspected, failed) =
        (of(MemberState::Alive), of(MemberState::Suspected), of(MemberState::Failed));
    let count = live(&snapshot).count();
    let cluster = bus.config().cluster.as_str();
    let found = format!("{count} in cluster {cluster}: {}", names(live(&snapshot)));
    let (suspected, failed) = (names(suspected), names(failed));
    if !heard.conflicts.is_empty() {
        let conflicts = list(heard.conflicts.values().cloned().collect());
        return Check::red(
            MEMBERS,
            format!("two live nodes have one name: {conflicts}"),
            "give each node a name of its own: `node` in its configuration, --node or AGORA__NODE",
        );
    }
    if heard.isolated {
        return Check::red(
            MEMBERS,
            format!("more than half of the members are silent at once: {suspected}"),
            "look at the network of this host: it is more likely cut off than that they all died",
        );
    }
    if wanted.is_some_and(|wanted| (count as u64) < wanted) {
        return Check::red(
            MEMBERS,
            format!(
                "{count} of {} that should be there: {}",
                wanted.unwrap_or_default(),
                names(live(&snapshot))
            ),
            "look whether the others run, and whether their url and cluster are the same; --wait waits longer",
        );
    }
    if !failed.is_empty() {
        return Check::red(
            MEMBERS,
            format!("{found}; silent, and given up: {failed}"),
            "look whether they still run, and whether they can be reached from here",
        );
    }
    if !suspected.is_empty() {
        return Check::yellow(
            MEMBERS,
            format!("{found}; silent for a while: {suspected}"),
            "look at their load and at the network; `agora node` shows what becomes of them",
        );
    }
    if alive.count() == 0 {
        return Check::yellow(
            MEMBERS,
            format!("nobody was heard in cluster {cluster} for {waited:?}"),
            "where nodes should be there: look whether they run, and whether their url and cluster are the same",
        );
    }
    Check::green(MEMBERS, found)
}

/// What their clocks show.
pub(super) fn clocks(bus: &Bus) -> Check {
    let snapshot = bus.members().snapshot();
    let mut offsets: Vec<(i64, String)> = live(&snapshot)
        .filter_map(|member| Some((member.clock_offset_us?, member.info.name.to_string())))
        .collect();
    // The furthest first.
    offsets.sort_by_key(|(offset, name)| (std::cmp::Reverse(offset.unsigned_abs()), name.clone()));
    let Some((worst, _)) = offsets.first() else {
        return Check::green(CLOCKS, "there is no member whose clock could be compared");
    };
    let worst = Duration::from_micros(worst.unsigned_abs());
    let each = list(offsets.iter().map(|(offset, name)| clock(*offset, name)).collect());
    let todo = || {
        let far = |(offset, _): &&(i64, String)| Duration::from_micros(offset.unsigned_abs()) >= CLOCK_YELLOW;
        let names: Vec<String> = offsets.iter().filter(far).map(|(_, name)| name.clone()).collect();
        format!(
            "let NTP set the clocks of this host and of {}; the way of a message is in the difference",
            list(names)
        )
    };
    let found = text::harmless(&each);
    if worst >= CLOCK_RED {
        Check::red(CLOCKS, found, todo())
    } else if worst >= CLOCK_YELLOW {
        Check::yellow(CLOCKS, found, todo())
    } else {
        Check::green(CLOCKS, format!("they agree within {}", text_of(worst)))
    }
}

fn clock(offset_us: i64, name: &str) -> String {
    let apart = text_of(Duration::from_micros(offset_us.unsigned_abs()));
    let word = if offset_us < 0 { "ahead" } else { "behind" };
    format!("{name} is {apart} {word}")
}
