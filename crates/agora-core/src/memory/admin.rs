//! What an operator may ask of a space, and do to it.

use async_trait::async_trait;
use tokio::time::Instant;

use super::group::Group;
use super::group_inbox::start_of;
use super::logs::{Log, Records, no_lane};
use super::node::{MemoryTransport, NO_LOG};
use super::state::{EndpointId, State, named};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ClusterName, GroupName, TopicName};
use crate::transport::{
    Admin, GroupDescription, GroupStart, LaneDescription, LaneReset, Position, ResetTo, TopicDescription,
    TopicKind, TopicSettings, TopicSpec,
};

impl State {
    fn log_of(&mut self, of: EndpointId, topic: &TopicName) -> Result<&mut Log> {
        let cluster = self.usable(of)?.cluster.clone();
        let time = self.time_of_day(Instant::now());
        self.logs.get(&(cluster, topic.clone()), time).ok_or_else(|| no_log(topic))
    }

    fn group_of(
        &mut self,
        of: EndpointId,
        topic: &TopicName,
        name: &GroupName,
    ) -> Result<(&[Records], &mut Group)> {
        let Log { lanes, groups, .. } = self.log_of(of, topic)?;
        let group = groups.get_mut(name).ok_or_else(|| {
            let error = named(Error::new(ErrorKind::NotFound, "the log has no group of this name"));
            error.context("topic", topic).context("group", name)
        })?;
        group.advance(Instant::now(), lanes);
        Ok((lanes, group))
    }

    fn create_topic(&mut self, of: EndpointId, topic: &TopicSpec) -> Result<()> {
        if topic.kind() != TopicKind::Log {
            let error =
                Error::unsupported("a live topic is not made", "publish to it: nothing is kept of it");
            return Err(named(error).context("topic", &topic.name));
        }
        let cluster = self.usable(of)?.cluster.clone();
        if self.logs.has(&(cluster.clone(), topic.name.clone())) {
            let error = named(Error::new(ErrorKind::Conflict, "there is a log of this name already"));
            return Err(error.context("topic", &topic.name));
        }
        self.logs.open(Instant::now(), &cluster, topic).map(drop)
    }

    fn delete_topic(&mut self, of: EndpointId, topic: &TopicName) -> Result<()> {
        let key: (ClusterName, TopicName) = (self.usable(of)?.cluster.clone(), topic.clone());
        if !self.logs.delete(&key) {
            return Err(no_log(topic));
        }
        self.cursors.forget(&key.0, topic);
        Ok(())
    }

    fn create_group(
        &mut self,
        of: EndpointId,
        topic: &TopicName,
        name: &GroupName,
        start: GroupStart,
    ) -> Result<()> {
        let (style, held_max) = (self.config.groups, self.config.log_records_max);
        let log = self.log_of(of, topic)?;
        if log.groups.contains_key(name) {
            let error = named(Error::new(ErrorKind::Conflict, "there is a group of this name already"));
            return Err(error.context("topic", topic).context("group", name));
        }
        let next = start_of(&log.lanes, start);
        log.groups.insert(name.clone(), Group::new(style, &next, held_max));
        Ok(())
    }

    fn delete_group(&mut self, of: EndpointId, topic: &TopicName, name: &GroupName) -> Result<()> {
        let (_, group) = self.group_of(of, topic, name)?;
        check_unused(topic, name, group)?;
        self.log_of(of, topic)?.groups.remove(name);
        Ok(())
    }

    fn reset_group(
        &mut self,
        of: EndpointId,
        topic: &TopicName,
        name: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        let (lanes, group) = self.group_of(of, topic, name)?;
        let only = match to {
            ResetTo::At { lane, .. } if lane as usize >= lanes.len() => {
                return Err(no_lane(topic, lane, u32::try_from(lanes.len()).unwrap_or(u32::MAX)));
            }
            ResetTo::At { lane, .. } => Some(lane),
            _ => None,
        };
        if !dry_run {
            check_unused(topic, name, group)?;
        }
        let mut resets = Vec::new();
        for (ix, (lane, records)) in (0..).zip(lanes).enumerate() {
            if only.is_some_and(|only| only != lane) {
                continue;
            }
            let (first, end) = (records.first, records.end());
            let to = match to {
                ResetTo::Earliest => first,
                ResetTo::Latest => end,
                ResetTo::Time(time) => records.at_time(time),
                ResetTo::At { position, .. } => {
                    u64::try_from(position.0).unwrap_or(u64::MAX).clamp(first, end)
                }
            };
            let (before, after) = (group.to_do(ix, first, records), end - to);
            let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            let from = Position(group.next(ix).into());
            if !dry_run {
                group.reset(ix, to);
            }
            let records = signed(after) - signed(before);
            resets.push(LaneReset { lane, from, to: Position(to.into()), records });
        }
        Ok(resets)
    }
}

fn no_log(topic: &TopicName) -> Error {
    named(Error::new(ErrorKind::NotFound, "there is no log of this name")).context("topic", topic)
}

fn check_unused(topic: &TopicName, name: &GroupName, group: &Group) -> Result<()> {
    if group.members.is_empty() {
        return Ok(());
    }
    let error = named(Error::new(ErrorKind::Conflict, "the group has members"))
        .context("topic", topic)
        .context("group", name)
        .context("members", group.members.len());
    Err(error.help("stop its members first"))
}

/// What a lane holds.
fn describe(lane: u32, records: &Records) -> LaneDescription {
    let place = |at: u64| records.get(at).map(|record| (Position(at.into()), Some(record.time)));
    let mut lane = LaneDescription::new(lane);
    lane.records = records.records.len() as u64;
    lane.bytes = Some(records.bytes as u64);
    lane.first = place(records.first);
    lane.last = records.end().checked_sub(1).and_then(place);
    lane
}

impl MemoryTransport {
    /// Does something to the state of the server, if this space has one.
    fn administer<T>(
        &self,
        operation: &'static str,
        what: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.shared.lock();
        let done = if state.config.echo_via_server {
            what(&mut state)
        } else {
            Err(named(Error::unsupported("this space keeps nothing that could be looked into", NO_LOG)))
        };
        done.map_err(|error| error.operation(operation))
    }
}

#[async_trait]
impl Admin for MemoryTransport {
    async fn topics(&self) -> Result<Vec<TopicName>> {
        self.administer("list topics", |state| {
            let cluster = state.usable(self.id)?.cluster.clone();
            Ok(state.logs.names(&cluster))
        })
    }

    async fn create_topic(&self, topic: &TopicSpec) -> Result<()> {
        self.administer("create topic", |state| state.create_topic(self.id, topic))
    }

    async fn describe_topic(&self, topic: &TopicName) -> Result<TopicDescription> {
        self.administer("describe topic", |state| {
            let log = state.log_of(self.id, topic)?;
            let settings = log.settings.unwrap_or(TopicSettings::LOG);
            let mut description = TopicDescription::new(topic.clone(), settings);
            description.lanes =
                (0..).zip(&log.lanes).map(|(lane, records)| describe(lane, records)).collect();
            Ok(description)
        })
    }

    async fn delete_topic(&self, topic: &TopicName) -> Result<()> {
        self.administer("delete topic", |state| state.delete_topic(self.id, topic))
    }

    async fn groups(&self, topic: &TopicName) -> Result<Vec<GroupName>> {
        self.administer("list groups", |state| {
            Ok(state.log_of(self.id, topic)?.groups.keys().cloned().collect())
        })
    }

    async fn create_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()> {
        self.administer("create group", |state| state.create_group(self.id, topic, group, start))
    }

    async fn describe_group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupDescription> {
        self.administer("describe group", |state| {
            let (records, found) = state.group_of(self.id, topic, group)?;
            Ok(found.describe(group, records))
        })
    }

    async fn delete_group(&self, topic: &TopicName, group: &GroupName) -> Result<()> {
        self.administer("delete group", |state| state.delete_group(self.id, topic, group))
    }

    async fn reset_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        self.administer("reset group", |state| state.reset_group(self.id, topic, group, to, dry_run))
    }
}
