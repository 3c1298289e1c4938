//! What an operator may ask and do.

mod groups;
mod look;
mod offsets;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agora_core::id::{ClusterName, GroupName, NodeName, TopicName};
use agora_core::transport::{
    Admin, GroupDescription, GroupLane, GroupMember, GroupStart, LaneDescription, LaneReset, LaneServers,
    Position, ResetTo, TopicChange, TopicDescription, TopicSettings, TopicSpec,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, sleep};

use crate::brokers::{Brokers, Line, Partition, Target};
use crate::error::error;
use crate::group;
use crate::names;
use crate::read::offsets::{BEGINNING, END, millis};
use crate::wire::CLIENT_ID;
use groups::{At, Group, Member};
use look::Known;
use offsets::{Found, LATEST, OLDEST};

/// How long one call may take. It is longer than a cluster takes to notice that a broker is gone (9 s where nobody changed
/// it), so that what goes on afterwards is an answer.
const WAIT: Duration = Duration::from_secs(20);
/// How long it may take until every broker knows what was changed.
const SPREAD_WAIT: Duration = Duration::from_secs(10);
/// How many groups are asked about at once.
const GROUPS_AT_ONCE: usize = 16;
/// The pause before it is looked again whether something is gone.
const PAUSE: Duration = Duration::from_millis(50);

/// The transport, as operators see it.
pub struct Operator {
    line: Line,
    cluster: ClusterName,
}

/// A group of one topic, and how it stands.
struct Standing {
    topic: Known,
    group: Group,
    lanes: BTreeMap<i32, Lane>,
}

/// How a group stands in one partition.
#[derive(Clone, Copy)]
struct Lane {
    first: i64,
    end: i64,
    /// Where it goes on.
    next: i64,
    pending: u64,
    lag: i64,
}

fn by() -> Instant {
    Instant::now() + WAIT
}

/// An offset as a place; there are none below 0.
fn position(offset: i64) -> Position {
    Position(u128::try_from(offset).unwrap_or(0))
}

fn lane(index: i32) -> u32 {
    u32::try_from(index).unwrap_or(0)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn servers(partition: &Partition) -> LaneServers {
    let names = |nodes: &[i32]| nodes.iter().map(ToString::to_string).collect();
    LaneServers {
        leader: partition.leader.map(|node| node.to_string()),
        replicas: names(&partition.replicas),
        in_sync: names(&partition.in_sync),
    }
}

fn no_group(topic: &TopicName, group: &GroupName) -> Error {
    error(ErrorKind::NotFound, "the log has no group of this name")
        .context("topic", topic)
        .context("group", group)
        .help("`agora groups list` shows those that there are")
}

impl Operator {
    /// What operators may ask and do in this cluster.
    pub fn new(brokers: &Arc<Brokers>, cluster: ClusterName) -> Self {
        Self { line: brokers.line("administration"), cluster }
    }

    async fn found(&self, topic: &TopicName, by: Instant) -> Result<Known> {
        let name = names::topic_name(&self.cluster, topic)?;
        look::find(&self.line, &name, by).await.map_err(|error| error.context("topic", topic))
    }

    /// How a group stands in a topic; `None`: it has no part in it.
    async fn standing(&self, topic: &Known, id: &str, by: Instant) -> Result<Option<Standing>> {
        let at = At { line: &self.line, group: id };
        let committed = at.committed(&topic.name, topic.partitions.keys().copied(), by).await?;
        let described = at.describe(&topic.name, by).await?;
        let reads = described.iter().any(|group| group.members.iter().any(|member| member.reads));
        if committed.is_empty() && !reads {
            return Ok(None);
        }
        let group = match described {
            Some(group) => group,
            // One whose members use a later protocol is not described, but it is listed.
            None => {
                let state = groups::list(&self.line, by).await?.remove(id).unwrap_or_default();
                Group { state, members: Vec::new() }
            }
        };
        let (first, end) = tokio::try_join!(
            offsets::list(&self.line, topic, BEGINNING, by),
            offsets::list(&self.line, topic, END, by),
        )?;
        let lanes = first.iter().filter_map(|(index, first)| {
            let (first, end) = (first.offset, end.get(index)?.offset);
            let committed = committed.get(index);
            // What was trimmed away does not come; where nothing is committed, everything does.
            let next = committed.map_or(first, |committed| committed.offset).max(first);
            let notes = committed.map(|committed| group::notes(count(committed.offset), &committed.text));
            let notes = notes.unwrap_or_default();
            let (done, pending) = (notes.done.len() as u64, notes.attempts.len() as u64);
            let lag = (end - next).saturating_sub_unsigned(done).max(0);
            Some((*index, Lane { first, end, next, pending, lag }))
        });
        let lanes = lanes.collect();
        Ok(Some(Standing { topic: topic.clone(), group, lanes }))
    }

    async fn of_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        by: Instant,
    ) -> Result<(String, Standing)> {
        let known = self.found(topic, by).await?;
        let id = names::group_id(&self.cluster, group);
        let standing = self.standing(&known, &id, by).await?;
        standing.map(|standing| (id, standing)).ok_or_else(|| no_group(topic, group))
    }

    /// The groups of all brokers that have committed something of a topic, or whose members read it, by their names there.
    async fn group_ids(&self, topic: &Known, by: Instant) -> Result<Vec<String>> {
        let listed = groups::list(&self.line, by).await?;
        let asking = stream::iter(listed.into_iter().map(|(id, state)| async move {
            let at = At { line: &self.line, group: &id };
            let committed = at.committed(&topic.name, topic.partitions.keys().copied(), by).await?;
            let mut is_of_topic = !committed.is_empty();
            if !is_of_topic && state != "Empty" {
                let group = at.describe(&topic.name, by).await?.unwrap_or_default();
                is_of_topic = group.members.iter().any(|member| member.reads);
            }
            Ok(is_of_topic.then_some(id))
        }));
        let asked: Vec<Result<Option<String>>> = asking.buffer_unordered(GROUPS_AT_ONCE).collect().await;
        let mut ids = Vec::new();
        for found in asked {
            match found {
                Ok(found) => ids.extend(found),
                // A group that others alone may see is none of ours.
                Err(error) if error.kind() == ErrorKind::Unauthorized => {}
                Err(error) => return Err(error),
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// Waits until nothing is left of what groups have committed of a topic that was deleted: the brokers see to it.
    async fn forgotten(&self, topic: &Known, ids: &[String], by: Instant) {
        for id in ids {
            let at = At { line: &self.line, group: id };
            while Instant::now() < by
                && at
                    .committed(&topic.name, topic.partitions.keys().copied(), by)
                    .await
                    .is_ok_and(|committed| !committed.is_empty())
            {
                sleep(PAUSE).await;
            }
        }
    }

    async fn make(&self, topic: &TopicSpec, own: &BTreeMap<String, String>) -> Result<()> {
        let (by, name) = (by(), names::topic_name(&self.cluster, &topic.name)?);
        let lanes = crate::topics::create(&self.line, &name, topic, own, by).await?;
        let count = usize::try_from(lanes).unwrap_or(usize::MAX);
        let spread = by.min(Instant::now() + SPREAD_WAIT);
        look::everywhere(&self.line, spread, |node| look::is_known(&self.line, node, &name, count, spread))
            .await;
        Ok(())
    }

    async fn change(&self, topic: &TopicName, change: &TopicChange) -> Result<()> {
        let by = by();
        let known = self.found(topic, by).await?;
        topics::alter(&self.line, &known.name, change, by).await?;
        if let Some(lanes) = change.lanes {
            topics::grow(&self.line, &known.name, lanes, by).await?;
        }
        let spread = by.min(Instant::now() + SPREAD_WAIT);
        let count = usize::try_from(change.lanes.unwrap_or(1)).unwrap_or(usize::MAX);
        let (line, name) = (&self.line, &known.name);
        look::everywhere(line, spread, |node| async move {
            Ok(look::is_known(line, node, name, count, spread).await?
                && topics::is_altered(line, node, name, change, spread).await?)
        })
        .await;
        Ok(())
    }

    async fn describe(&self, topic: &TopicName) -> Result<TopicDescription> {
        let by = by();
        let known = self.found(topic, by).await?;
        let line = &self.line;
        let (first, end, settings, sizes) = tokio::join!(
            offsets::list(line, &known, BEGINNING, by),
            offsets::list(line, &known, END, by),
            topics::settings(line, Target::Any, &known.name, by),
            topics::sizes(line, &known, by),
        );
        let (first, end, settings) = (first?, end?, settings?);
        // Times are shown where they can be had; nothing depends on them.
        let (oldest, newest) =
            tokio::join!(offsets::list(line, &known, OLDEST, by), offsets::list(line, &known, LATEST, by),);
        let (oldest, newest) = (oldest.unwrap_or_default(), newest.unwrap_or_default());
        let replicas = known.partitions.values().next().map_or(0, |one| one.replicas.len());
        let mut told = TopicSettings::LOG;
        told.retention = settings.retention;
        told.replicas = u32::try_from(replicas).ok();
        told.lanes = u32::try_from(known.partitions.len()).ok();
        let mut description = TopicDescription::new(topic.clone(), told);
        description.knows_framing = false;
        description.own = settings.own;
        description.lanes = known
            .partitions
            .iter()
            .map(|(index, partition)| {
                let mut described = LaneDescription::new(lane(*index));
                described.servers = Some(servers(partition));
                described.bytes = sizes.get(index).copied();
                if let (Some(first), Some(end)) = (first.get(index), end.get(index))
                    && end.offset > first.offset
                {
                    described.records = count(end.offset - first.offset);
                    let time = |of: &BTreeMap<i32, Found>| of.get(index).and_then(Found::time);
                    described.first = Some((position(first.offset), time(&oldest)));
                    described.last = Some((position(end.offset - 1), time(&newest)));
                }
                described
            })
            .collect();
        Ok(description)
    }

    async fn delete(&self, topic: &TopicName) -> Result<()> {
        let by = by();
        let known = self.found(topic, by).await?;
        let ids = self.group_ids(&known, by).await?;
        topics::delete(&self.line, &known.name, by).await?;
        let spread = by.min(Instant::now() + SPREAD_WAIT);
        look::everywhere(&self.line, spread, |node| look::is_gone(&self.line, node, &known.name, spread))
            .await;
        // Their groups and cursors go with it: what is made under this name next finds nothing of them.
        self.forgotten(&known, &ids, spread).await;
        self.line.brokers().doubt(Target::Leader(&known.name, 0));
        Ok(())
    }

    async fn make_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()> {
        let by = by();
        let known = self.found(topic, by).await?;
        let id = names::group_id(&self.cluster, group);
        if self.standing(&known, &id, by).await?.is_some() {
            return Err(error(ErrorKind::Conflict, "there is a group of this name already")
                .context("topic", topic)
                .context("group", group));
        }
        let time = match start {
            GroupStart::Earliest => BEGINNING,
            GroupStart::Latest => END,
        };
        let starts = offsets::list(&self.line, &known, time, by).await?;
        let starts = starts.into_iter().map(|(index, found)| (index, found.offset)).collect();
        At { line: &self.line, group: &id }.commit(&known.name, &starts, by).await
    }

    async fn reset(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        let by = by();
        let (id, standing) = self.of_group(topic, group, by).await?;
        if !dry_run && !standing.group.members.is_empty() {
            return Err(groups::has_members().context("members", standing.group.members.len()));
        }
        let targets = self.targets(&standing, to, by).await?;
        let reset = |(index, target): (&i32, &i64)| {
            let stands = standing.lanes.get(index)?;
            let records = (stands.end - target).saturating_sub(stands.lag);
            let (from, to) = (position(stands.next), position(*target));
            Some(LaneReset { lane: lane(*index), from, to, records })
        };
        let resets = targets.iter().filter_map(reset).collect();
        if !dry_run {
            tracing::info!(%topic, %group, ?targets, "a group is moved");
            At { line: &self.line, group: &id }.commit(&standing.topic.name, &targets, by).await?;
        }
        Ok(resets)
    }

    /// Where each partition that is meant goes on.
    async fn targets(&self, standing: &Standing, to: ResetTo, by: Instant) -> Result<BTreeMap<i32, i64>> {
        let of = |place: &dyn Fn(i32, &Lane) -> i64| {
            standing.lanes.iter().map(|(index, lane)| (*index, place(*index, lane))).collect()
        };
        Ok(match to {
            ResetTo::Earliest => of(&|_, lane| lane.first),
            ResetTo::Latest => of(&|_, lane| lane.end),
            ResetTo::Time(time) => {
                let found = offsets::list(&self.line, &standing.topic, millis(time), by).await?;
                let at = |index: i32| found.get(&index).map(|found| found.offset);
                of(&|index, lane| at(index).filter(|at| *at >= 0).unwrap_or(lane.end))
            }
            ResetTo::At { lane, position } => {
                let meant =
                    i32::try_from(lane).ok().and_then(|index| Some((index, standing.lanes.get(&index)?)));
                let (index, stands) = meant.ok_or_else(|| {
                    error(ErrorKind::Config, "the log has no such lane, or nobody leads it now")
                        .context("lane", lane)
                        .context("lanes", standing.topic.partitions.len())
                })?;
                let offset = i64::try_from(position.0).unwrap_or(i64::MAX).clamp(stands.first, stands.end);
                BTreeMap::from([(index, offset)])
            }
        })
    }
}

fn described(member: &Member, topic: &str) -> GroupMember {
    let mut told = GroupMember::new(member.id.clone());
    // A member of agora that keeps its place by a name has that of its node before the topic.
    let instance = member.instance.as_deref().filter(|_| member.client == CLIENT_ID);
    let node = instance.and_then(|instance| instance.strip_suffix(topic)?.strip_suffix('.'));
    told.node = node.and_then(|name| NodeName::new(name).ok());
    told.host = Some(member.host.clone()).filter(|host| !host.is_empty());
    told.lanes = member.partitions.iter().map(|index| lane(*index)).collect();
    told
}

#[async_trait]
impl Admin for Operator {
    async fn topics(&self) -> Result<Vec<TopicName>> {
        let listed = look::all(&self.line, by()).await.map_err(|error| error.operation("list topics"))?;
        let names = listed.iter().filter_map(|topic| names::topic_of(&self.cluster, &topic.name));
        let control = TopicName::control();
        let mut topics: Vec<_> = names.filter(|topic| *topic != control).collect();
        topics.sort();
        Ok(topics)
    }

    async fn create_topic(&self, topic: &TopicSpec) -> Result<()> {
        self.create_topic_with(topic, &BTreeMap::new()).await
    }

    async fn create_topic_with(&self, topic: &TopicSpec, own: &BTreeMap<String, String>) -> Result<()> {
        let made = self.make(topic, own).await;
        made.map_err(|error| error.operation("create topic").context("topic", &topic.name))
    }

    async fn alter_topic(&self, topic: &TopicName, change: &TopicChange) -> Result<()> {
        self.change(topic, change).await.map_err(|error| error.operation("alter topic"))
    }

    async fn describe_topic(&self, topic: &TopicName) -> Result<TopicDescription> {
        self.describe(topic).await.map_err(|error| error.operation("describe topic"))
    }

    async fn delete_topic(&self, topic: &TopicName) -> Result<()> {
        self.delete(topic).await.map_err(|error| error.operation("delete topic"))
    }

    async fn short_lanes(&self) -> Result<Option<Vec<(TopicName, u32, LaneServers)>>> {
        let all = look::all(&self.line, by()).await.map_err(|error| error.operation("short lanes"))?;
        let mut short = Vec::new();
        for known in &all {
            let Some(topic) = names::topic_of(&self.cluster, &known.name) else { continue };
            for (index, partition) in &known.partitions {
                let servers = servers(partition);
                if servers.is_short() {
                    short.push((topic.clone(), lane(*index), servers));
                }
            }
        }
        short.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        Ok(Some(short))
    }

    async fn groups(&self, topic: &TopicName) -> Result<Vec<GroupName>> {
        let listing = async {
            let by = by();
            let known = self.found(topic, by).await?;
            let ids = self.group_ids(&known, by).await?;
            let mut groups: Vec<_> = ids.iter().filter_map(|id| names::group_of(&self.cluster, id)).collect();
            groups.sort();
            Ok(groups)
        };
        listing.await.map_err(|error: Error| error.operation("list groups"))
    }

    async fn create_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()> {
        self.make_group(topic, group, start).await.map_err(|error| error.operation("create group"))
    }

    async fn describe_group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupDescription> {
        let standing = self.of_group(topic, group, by()).await;
        let (_, standing) = standing.map_err(|error| error.operation("describe group"))?;
        let mut told = GroupDescription::new(group.clone());
        told.state = Some(standing.group.state).filter(|state| !state.is_empty());
        let readers = standing.group.members.iter().filter(|member| member.reads);
        told.members = readers.map(|member| described(member, &standing.topic.name)).collect();
        told.lanes = standing
            .lanes
            .iter()
            .map(|(index, stands)| {
                let mut told = GroupLane::new(lane(*index), position(stands.next));
                (told.pending, told.lag) = (stands.pending, count(stands.lag));
                told.end = Some(position(stands.end));
                told
            })
            .collect();
        Ok(told)
    }

    async fn delete_group(&self, topic: &TopicName, group: &GroupName) -> Result<()> {
        let deleting = async {
            let by = by();
            let (id, standing) = self.of_group(topic, group, by).await?;
            let readers = standing.group.members.iter().filter(|member| member.reads).count();
            if readers > 0 {
                return Err(groups::has_members().context("members", readers));
            }
            let partitions = standing.topic.partitions.keys().copied();
            At { line: &self.line, group: &id }.delete(&standing.topic.name, partitions, by).await
        };
        let named =
            |error: Error| error.operation("delete group").context("topic", topic).context("group", group);
        deleting.await.map_err(named)
    }

    async fn reset_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        let reset = self.reset(topic, group, to, dry_run).await;
        reset.map_err(|error| error.operation("reset group"))
    }
}
