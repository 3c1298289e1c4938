//! What an operator may ask and do.

use std::sync::Arc;

use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{
    Admin, GroupDescription, GroupLane, GroupMember, GroupStart, LaneDescription, LaneReset, Position,
    ResetTo, TopicDescription, TopicSpec, check_only_lane,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use redis::{Value, cmd};

use crate::call::{bytes, list, number, pairs, text};
use crate::error::{Failure, closed, error, odd};
use crate::group::{self, ABSENT_AFTER, COUNT, DESCRIBE, RELEASED, RESET, millis};
use crate::log::{LOOK, Look};
use crate::place::Id;
use crate::shared::Shared;
use crate::topics::{self, not_found};

/// The settings, the newest entry that is there, and what it takes in memory.
const OF_TOPIC: &str = "\
local last = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local bytes = last and redis.call('MEMORY', 'USAGE', KEYS[1])
return {redis.call('HMGET', KEYS[2], 'framing', 'wire', 'retention_ms'), last and last[1] and last[1][1] or false, bytes}";

/// The administration of this cluster's logs.
pub(crate) struct Operator(pub(crate) Arc<Shared>);

/// How a group stands, as the server tells it.
struct Standing {
    last: Id,
    next: Id,
    waiting: u64,
    pending: u64,
    members: Vec<GroupMember>,
}

impl Operator {
    fn failed(&self, operation: &'static str) -> impl FnOnce(Failure) -> Error {
        let is_closed = self.0.is_closed();
        move |failure| if is_closed { closed() } else { failure.of_idempotent() }.operation(operation)
    }

    async fn eval(&self, topic: &TopicName, script: &str, args: &[&str]) -> Result<Value, Failure> {
        let mut command = cmd("EVAL");
        command
            .arg(script)
            .arg(2)
            .arg(self.0.names.stream(topic))
            .arg(self.0.names.settings(topic))
            .arg(args);
        self.0.call(Some(topic), &command).await
    }

    async fn look(&self, topic: &TopicName) -> Result<Look, Failure> {
        Look::read(self.eval(topic, LOOK, &[]).await?)
    }

    async fn is_there(&self, topic: &TopicName) -> Result<bool, Failure> {
        let look = self.look(topic).await?;
        Ok(look.life.is_some() || look.stream.is_some())
    }

    /// Counts entries from a place on.
    async fn count(&self, topic: &TopicName, from: Id) -> Result<u64, Failure> {
        let (mut counted, mut from) = (0, from.to_string());
        loop {
            let mut answer = list(self.eval(topic, COUNT, &[&from]).await?)?.into_iter();
            counted += number(answer.next().unwrap_or_default())?.unwrap_or_default();
            match bytes(answer.next().unwrap_or_default())? {
                Some(next) => from = String::from_utf8_lossy(&next).into_owned(),
                None => return Ok(counted),
            }
        }
    }

    async fn standing(&self, topic: &TopicName, group: &GroupName) -> Result<Option<Standing>, Failure> {
        let mut parts = list(self.eval(topic, DESCRIBE, &[group.as_str()]).await?)?.into_iter();
        let Some(last) = parts.next() else { return Ok(None) };
        let mut part = || parts.next().unwrap_or_default();
        let id = |text: Vec<u8>| Id::parse(&text).ok_or_else(|| odd("a place that is none"));
        let last = id(bytes(last)?.unwrap_or_default())?;
        let next = bytes(part())?
            .map(id)
            .transpose()?
            .unwrap_or(Id { ms: last.ms, seq: last.seq.saturating_add(1) });
        let waiting = match part() {
            Value::Int(waiting) => u64::try_from(waiting).ok(),
            _ => return Err(odd("no number of records that wait")),
        };
        let pending = number(part())?.unwrap_or_default();
        let mut members = Vec::new();
        for consumer in list(part())? {
            let mut fields = list(consumer)?.into_iter();
            let name = text(fields.next().unwrap_or_default())?;
            let held = number(fields.next().unwrap_or_default())?.unwrap_or_default();
            let idle = number(fields.next().unwrap_or_default())?.unwrap_or_default();
            if name != RELEASED && idle <= millis(ABSENT_AFTER) {
                let mut member = GroupMember::new(name);
                member.pending = held;
                members.push(member);
            }
        }
        let waiting = match waiting {
            Some(waiting) => waiting,
            None => self.count(topic, next).await?,
        };
        Ok(Some(Standing { last, next, waiting, pending, members }))
    }

    async fn known(&self, topic: &TopicName, group: &GroupName) -> Result<Result<Standing, Error>, Failure> {
        if !self.is_there(topic).await? {
            return Ok(Err(not_found(topic)));
        }
        Ok(self.standing(topic, group).await?.ok_or_else(|| group::not_found(topic, group)))
    }

    /// Moves a group, or takes it away, unless it has members. Answers whether it did.
    async fn reset(&self, topic: &TopicName, args: &[&str]) -> Result<bool, Failure> {
        Ok(number(self.eval(topic, RESET, args).await?)? == Some(1))
    }
}

fn has_members(topic: &TopicName, group: &GroupName) -> Error {
    error(ErrorKind::Conflict, "the group has members")
        .context("topic", topic)
        .context("group", group)
        .help("stop its members first; one that crashed is forgotten after 10 s")
}

#[async_trait]
impl Admin for Operator {
    async fn topics(&self) -> Result<Vec<TopicName>> {
        let listed = async {
            let mut command = cmd("SMEMBERS");
            command.arg(self.0.names.topics());
            let mut topics = Vec::new();
            for name in list(self.0.call(None, &command).await?)? {
                let Ok(topic) = TopicName::new(&text(name)?) else { continue };
                // One that somebody deleted by hand is still in the list.
                if self.is_there(&topic).await? {
                    topics.push(topic);
                }
            }
            topics.sort();
            Ok(topics)
        };
        listed.await.map_err(self.failed("topics"))
    }

    async fn create_topic(&self, topic: &TopicSpec) -> Result<()> {
        let named = |error: Error| error.operation("create_topic").context("topic", &topic.name);
        if topic.kind() != agora_core::transport::TopicKind::Log {
            let instead = "a live topic needs no making: publish and subscribe";
            return Err(named(
                Error::unsupported("live topics are not kept", instead).backend(crate::error::BACKEND),
            ));
        }
        topics::check(&topic.settings).map_err(named)?;
        if self.0.is_closed() {
            return Err(named(closed()));
        }
        match topics::make(&self.0, topic, true).await.map_err(named)? {
            Some(_) => Ok(()),
            None => Err(named(error(ErrorKind::Conflict, "there is a log of this name already"))),
        }
    }

    async fn describe_topic(&self, topic: &TopicName) -> Result<TopicDescription> {
        let described = async {
            let look = self.look(topic).await?;
            let mut answer = list(self.eval(topic, OF_TOPIC, &[]).await?)?.into_iter();
            let mut part = || answer.next().unwrap_or_default();
            let mut words = Vec::new();
            for word in list(part())? {
                words.push(String::from_utf8_lossy(&bytes(word)?.unwrap_or_default()).into_owned());
            }
            let last = bytes(part())?.as_deref().and_then(Id::parse);
            let used = number(part())?;
            let [framing, wire, retention] = words.as_slice() else {
                return Err(odd("settings of another number"));
            };
            let settings = topics::read_settings(framing, wire, retention);
            Ok((look, settings, last, used))
        };
        let (look, settings, last, used) = described.await.map_err(self.failed("describe_topic"))?;
        if look.life.is_none() && look.stream.is_none() {
            return Err(not_found(topic).operation("describe_topic"));
        }
        let mut lane = LaneDescription::new(0);
        let counts = look.counts();
        let shown = |id: Id| (Position::from(id), id.time());
        lane.records = counts.length;
        lane.bytes = used;
        lane.first = (counts.length > 0).then(|| shown(counts.first));
        lane.last = last.map(shown);
        let mut description = TopicDescription::new(topic.clone(), settings);
        description.lanes.push(lane);
        Ok(description)
    }

    async fn delete_topic(&self, topic: &TopicName) -> Result<()> {
        let deleted = async {
            let names = &self.0.names;
            let mut command = cmd("DEL");
            command.arg(names.stream(topic)).arg(names.settings(topic));
            let found = number(self.0.call(Some(topic), &command).await?)?;
            let mut command = cmd("DEL");
            command.arg(names.cursors(topic));
            self.0.call(Some(topic), &command).await?;
            let mut command = cmd("SREM");
            command.arg(names.topics()).arg(topic.as_str());
            self.0.call(None, &command).await?;
            Ok(found != Some(0))
        };
        match deleted.await.map_err(self.failed("delete_topic"))? {
            true => Ok(()),
            false => Err(not_found(topic).operation("delete_topic")),
        }
    }

    async fn groups(&self, topic: &TopicName) -> Result<Vec<GroupName>> {
        let listed = async {
            let look = self.look(topic).await?;
            if look.stream.is_none() {
                return Ok(look.life.map(|_| Vec::new()));
            }
            let mut command = cmd("XINFO");
            command.arg("GROUPS").arg(self.0.names.stream(topic));
            let mut groups = Vec::new();
            for group in list(self.0.call(Some(topic), &command).await?)? {
                for (field, value) in pairs(group)? {
                    // A group of other software may have a name that is none here.
                    if text(field)? == "name"
                        && let Ok(name) = GroupName::new(&text(value)?)
                    {
                        groups.push(name);
                    }
                }
            }
            groups.sort();
            Ok(Some(groups))
        };
        listed.await.map_err(self.failed("groups"))?.ok_or_else(|| not_found(topic).operation("groups"))
    }

    async fn create_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()> {
        let made = async {
            if !self.is_there(topic).await? {
                return Ok(None);
            }
            group::make(&self.0, topic, group, start).await.map(Some)
        };
        match made.await.map_err(self.failed("create_group"))? {
            Some(true) => Ok(()),
            Some(false) => Err(error(ErrorKind::Conflict, "there is a group of this name already")
                .operation("create_group")
                .context("topic", topic)
                .context("group", group)),
            None => Err(not_found(topic).operation("create_group")),
        }
    }

    async fn describe_group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupDescription> {
        let standing = self.known(topic, group).await.map_err(self.failed("describe_group"))?;
        let standing = standing.map_err(|error| error.operation("describe_group"))?;
        let mut lane = GroupLane::new(0, standing.next.into());
        (lane.pending, lane.lag) = (standing.pending, standing.pending + standing.waiting);
        let mut description = GroupDescription::new(group.clone());
        description.members = standing.members;
        description.lanes.push(lane);
        Ok(description)
    }

    async fn delete_group(&self, topic: &TopicName, group: &GroupName) -> Result<()> {
        let standing = self.known(topic, group).await.map_err(self.failed("delete_group"))?;
        standing.map_err(|error| error.operation("delete_group"))?;
        let args = [group.as_str(), "", "", &millis(ABSENT_AFTER).to_string()];
        match self.reset(topic, &args).await.map_err(self.failed("delete_group"))? {
            true => Ok(()),
            false => Err(has_members(topic, group).operation("delete_group")),
        }
    }

    async fn reset_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        if let ResetTo::At { lane, .. } = to {
            let checked = check_only_lane(lane);
            checked.map_err(|error| error.backend(crate::error::BACKEND).operation("reset_group"))?;
        }
        let standing = self.known(topic, group).await.map_err(self.failed("reset_group"))?;
        let standing = standing.map_err(|error| error.operation("reset_group"))?;
        let found = async {
            let counts = self.look(topic).await?.counts();
            let (place, waiting) = match to {
                ResetTo::Earliest => (Id::ZERO, counts.length),
                ResetTo::Latest => (counts.last, 0),
                ResetTo::Time(time) => {
                    (Id::at_time(time).before(), self.count(topic, Id::at_time(time)).await?)
                }
                ResetTo::At { position, .. } => {
                    (Id::from(position).before(), self.count(topic, position.into()).await?)
                }
            };
            Ok((counts, place.min(counts.last), waiting))
        };
        let (counts, place, waiting) = found.await.map_err(self.failed("reset_group"))?;
        let wanted = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let reset = LaneReset {
            lane: 0,
            from: standing.next.into(),
            to: Position::from(place).0.checked_add(1).map_or(Position::from(place), Position),
            records: wanted(waiting) - wanted(standing.waiting + standing.pending),
        };
        if dry_run {
            return Ok(vec![reset]);
        }
        tracing::info!(%topic, %group, from = %standing.last, to = %place, "a group is moved");
        let read = counts.added.saturating_sub(waiting).to_string();
        let args = [group.as_str(), &place.to_string(), &read, &millis(ABSENT_AFTER).to_string()];
        match self.reset(topic, &args).await.map_err(self.failed("reset_group"))? {
            true => Ok(vec![reset]),
            false => Err(has_members(topic, group).operation("reset_group")),
        }
    }
}
