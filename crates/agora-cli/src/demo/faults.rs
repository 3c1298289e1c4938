//! The cluster at fault: scenarios 5 to 7.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::membership;
use super::protocol::{Command, Report, micros};
use super::scenarios::{B, C, deliver_mail, wrong};
use super::timeline::{Timeline, short, thousands};
use crate::failure::Failure;

/// The flow of events through scenario 5.
const FLOW_PER_SECOND: u64 = 100;
const FLOW: Duration = Duration::from_millis(6000);
/// The stop: begins so long after the flow, and lasts longer than the time after which a silent node has failed and
/// its connections are given up, so that nothing in between hides it.
const STOP_AFTER: Duration = Duration::from_millis(700);
const STOP: Duration = Duration::from_secs(4);
/// How long the repair may take, on a machine that is very busy.
const REPAIR: Duration = Duration::from_secs(30);
/// What a busy machine may add to the time of the failure detector: where a timer of its own fires late, it gives everybody
/// their time once more.
const SLACK: Duration = Duration::from_secs(4);
/// How long a member may take to be seen again.
const RETURN: Duration = Duration::from_secs(20);

/// 5: a node is stopped while events flow.
pub(super) async fn stop(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    timeline.scenario("A node is stopped (SIGSTOP) while events flow, and goes on").await?;
    let (all, others, name) = (cluster.alive(), cluster.others(C), cluster.name(C));
    let mark = cluster.mark();
    let milliseconds = u64::try_from(FLOW.as_millis()).unwrap_or(u64::MAX);
    for life in &all {
        cluster.tell(*life, Command::Flow { per_second: FLOW_PER_SECOND, milliseconds }).await?;
    }
    timeline.note(&format!("every node publishes {FLOW_PER_SECOND} events a second for {FLOW:?}")).await?;
    sleep(STOP_AFTER).await;
    cluster.audit(&all).await?;
    let before = published(cluster, &others);
    let repaired = repaired(cluster, C);
    cluster.lives[C].signal(Signal::SIGSTOP)?;
    let mut watch = Watch { looked: mark, stopped_us: micros(SystemTime::now()) };
    let allowed = membership().fail_after;
    timeline.did(&name, &format!("is stopped for {STOP:?}; a silent node fails after {allowed:?}")).await?;
    watch.until(cluster, timeline, STOP, |_| false).await?;
    cluster.audit(&others).await?;
    let after = published(cluster, &others);
    cluster.lives[C].signal(Signal::SIGCONT)?;
    timeline.did(&name, "goes on").await?;
    let flowed = |cluster: &Cluster| {
        let ended = |life: &&usize| {
            cluster.since(mark).any(|(by, report)| by == *life && matches!(report, Report::FlowEnded { .. }))
        };
        all.iter().filter(ended).count() == all.len()
    };
    watch.until(cluster, timeline, REPAIR, flowed).await?;
    // Whoever held it dead must see it again, or the rest would be played by two.
    let reunited = |cluster: &Cluster| {
        let dead = |life: &&usize| last_word(cluster, **life, mark, C).as_deref() == Some("failed");
        others.iter().find(dead).is_none()
    };
    watch.until(cluster, timeline, REPAIR, reunited).await?;
    let closing = cluster.settle(REPAIR).await?;
    watch.say_new(cluster, timeline).await?;
    say_missed(cluster, timeline, &before, &after, repaired).await?;
    if !flowed(cluster) || !reunited(cluster) {
        return Err(wrong(format!("not everyone saw {name} return within {REPAIR:?}")));
    }
    if !closing.balances() {
        let wrongs: Vec<&str> = closing.rows.iter().flat_map(|row| &row.wrongs).map(String::as_str).collect();
        return Err(wrong(format!("the books do not balance after the stop: {}", wrongs.join("; "))));
    }
    Ok(())
}

/// Says what the nodes report of the stopped one and of gaps, as it comes.
struct Watch {
    looked: usize,
    stopped_us: u64,
}

impl Watch {
    /// Goes on until it is enough, or so long.
    async fn until(
        &mut self,
        cluster: &mut Cluster,
        timeline: &mut Timeline<'_>,
        within: Duration,
        enough: impl Fn(&Cluster) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + within;
        loop {
            self.say_new(cluster, timeline).await?;
            if enough(cluster) || !cluster.pump(deadline).await? {
                return Ok(());
            }
        }
    }

    async fn say_new(&mut self, cluster: &Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
        for (life, report) in cluster.since(self.looked) {
            let by = cluster.name(*life);
            match report {
                Report::Member { event, node, at_us, .. } => {
                    let after = short(Duration::from_micros(at_us.saturating_sub(self.stopped_us)));
                    let text = format!("reports {node} {event}, {after} after the stop");
                    timeline.did_at(*at_us, &by, &text).await?;
                }
                Report::Gap { source, from, to, reason, at_us } => {
                    let source =
                        source.as_deref().map_or_else(|| "somebody".to_owned(), |s| cluster.name_of(s));
                    let range = match (from, to) {
                        (Some(from), Some(to)) => format!("{source}#{from} to #{}", to.saturating_sub(1)),
                        (Some(from), None) => format!("{source}#{from} and on, if there are any,"),
                        (None, _) => format!("events of {source}"),
                    };
                    timeline.did_at(*at_us, &by, &format!("is handed a gap: {range} ({reason})")).await?;
                }
                _ => {}
            }
        }
        self.looked = cluster.mark();
        Ok(())
    }
}

fn by_time(seen: BTreeMap<usize, u64>) -> Vec<(usize, u64)> {
    let mut seen: Vec<_> = seen.into_iter().collect();
    seen.sort_by_key(|(_, at_us)| *at_us);
    seen
}

fn published(cluster: &Cluster, lives: &[usize]) -> BTreeMap<usize, u64> {
    lives.iter().map(|life| (*life, cluster.lives[*life].books.published)).collect()
}

fn repaired(cluster: &Cluster, life: usize) -> u64 {
    cluster.lives[life].books.stats.get("repaired").copied().unwrap_or(0)
}

async fn say_missed(
    cluster: &Cluster,
    timeline: &mut Timeline<'_>,
    before: &BTreeMap<usize, u64>,
    after: &BTreeMap<usize, u64>,
    repaired_before: u64,
) -> Result<(), Failure> {
    let life = &cluster.lives[C];
    let (mut missed, mut delivered, mut named) = (0, 0, 0);
    for (source, from) in before {
        let (from, to) = (from + 1, after.get(source).copied().unwrap_or(*from) + 1);
        let incarnation = cluster.lives[*source].incarnation.as_deref().unwrap_or_default();
        let verdict = life.books.ledger.judge(incarnation, from, to);
        missed += to.saturating_sub(from);
        delivered += verdict.delivered;
        named += verdict.named;
    }
    let repaired = repaired(cluster, C).saturating_sub(repaired_before);
    let text = format!(
        "missed {} events while it was stopped: {} were delivered after it went on ({} through repair), {} are named \
         in gaps, {} are missing silently",
        thousands(missed),
        thousands(delivered),
        thousands(repaired),
        thousands(named),
        thousands(missed - delivered - named)
    );
    timeline.did(&life.name, &text).await
}

fn is_member(report: &Report, word: &str, incarnation: Option<&str>) -> bool {
    matches!(report, Report::Member { event, incarnation: about, .. }
        if event == word && Some(about.as_str()) == incarnation)
}

/// What a life last reported of another.
fn last_word(cluster: &Cluster, life: usize, mark: usize, about: usize) -> Option<String> {
    let incarnation = cluster.lives[about].incarnation.as_deref();
    let words = cluster.since(mark).filter(|(by, _)| *by == life).filter_map(|(_, report)| match report {
        Report::Member { event, incarnation: about, .. } if Some(about.as_str()) == incarnation => {
            Some(event)
        }
        _ => None,
    });
    words.last().cloned()
}

/// 6: a node is killed, found out, and started again.
pub(super) async fn kill(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    timeline.scenario("A node is killed (SIGKILL); the others find out, and it is started again").await?;
    let (others, name) = (cluster.others(B), cluster.name(B));
    let (mark, allowed) = (cluster.mark(), membership().fail_after);
    cluster.stop_owing(B, "killed");
    let killed_us = micros(SystemTime::now());
    cluster.lives[B].signal(Signal::SIGKILL)?;
    timeline.did(&name, "is killed").await?;
    let old = cluster.lives[B].incarnation.clone();
    let failed = |report: &Report| match report {
        Report::Member { at_us, .. } if is_member(report, "failed", old.as_deref()) => Some(*at_us),
        _ => None,
    };
    let failed =
        cluster.each(mark, &others, allowed + RETURN, "reported the killed node failed", failed).await?;
    for (life, at_us) in by_time(failed) {
        let after = Duration::from_micros(at_us.saturating_sub(killed_us));
        let by = cluster.name(life);
        let text = format!("reports {name} failed, {} after the kill; configured: {allowed:?}", short(after));
        timeline.did_at(at_us, &by, &text).await?;
        if after > allowed + SLACK {
            return Err(wrong(format!("{by} took longer than configured to report the failure")));
        }
    }
    cluster.lives[B].ended().await;
    let mark = cluster.mark();
    let new = cluster.start(&name)?;
    timeline.did(&name, &format!("is started again, as process {}", cluster.lives[new].pid())).await?;
    let ready = |report: &Report| matches!(report, Report::Ready { .. }).then_some(());
    cluster.each(mark, &[new], RETURN, "became ready again", ready).await?;
    for life in &others {
        // All of them were subscribed before it began to publish.
        cluster.lives[*life].owed_from.insert(new, 1);
    }
    cluster.begin_to_owe(new).await?;
    let incarnation = cluster.lives[new].incarnation.clone();
    let returned = |report: &Report| {
        let seen =
            ["returned", "joined"].iter().find(|word| is_member(report, word, incarnation.as_deref()))?;
        let Report::Member { at_us, .. } = report else { return None };
        Some(((*seen).to_owned(), *at_us))
    };
    let returned =
        cluster.each(mark, &others, RETURN, "saw the new life of the killed node", returned).await?;
    let mut returned: Vec<_> = returned.into_iter().collect();
    returned.sort_by_key(|(_, (_, at_us))| *at_us);
    for (life, (word, at_us)) in returned {
        let by = cluster.name(life);
        timeline.did_at(at_us, &by, &format!("reports {name} {word}, in a new life")).await?;
    }
    deliver_mail(cluster, timeline, new, 13).await
}

/// 7: a node leaves, and nobody takes it for a failure.
pub(super) async fn leave(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    timeline.scenario("A node leaves; nobody takes it for a failure").await?;
    cluster.settle(REPAIR).await?;
    let (others, name) = (cluster.others(C), cluster.name(C));
    let (mark, told_us) = (cluster.mark(), micros(SystemTime::now()));
    timeline.did(&name, "is told to leave").await?;
    cluster.tell(C, Command::Leave).await?;
    let gone = |report: &Report| matches!(report, Report::Left).then_some(());
    cluster.each(mark, &[C], RETURN, "left", gone).await?;
    cluster.stop_owing(C, "left");
    let incarnation = cluster.lives[C].incarnation.clone();
    let left = |report: &Report| match report {
        Report::Member { at_us, .. } if is_member(report, "left", incarnation.as_deref()) => Some(*at_us),
        _ => None,
    };
    for (life, at_us) in by_time(cluster.each(mark, &others, RETURN, "saw the node leave", left).await?) {
        let after = short(Duration::from_micros(at_us.saturating_sub(told_us)));
        let by = cluster.name(life);
        timeline.did_at(at_us, &by, &format!("reports {name} left, {after} after it was told to")).await?;
    }
    match cluster.lives[C].ended().await {
        Some(status) if status.success() => timeline.did(&name, "has ended, with status 0").await?,
        status => return Err(wrong(format!("{name} did not end as it should: {status:?}"))),
    }
    // Longer than the failure detector would wait after the backend says that the connection is gone.
    sleep(membership().hint_grace + Duration::from_millis(250)).await;
    cluster.settle(REPAIR).await?;
    if let Some((life, _)) = cluster.since(mark).find(|(_, r)| is_member(r, "failed", incarnation.as_deref()))
    {
        return Err(wrong(format!("{} took the leave for a failure", cluster.name(*life))));
    }
    timeline.note("nobody reported it failed").await?;
    Ok(())
}
