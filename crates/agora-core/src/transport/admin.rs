//! The part of the contract that is for operators: what logs and groups there are, and how they stand.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::{GroupStart, Position, TopicSettings, TopicSpec};
use crate::error::{Error, Result};
use crate::id::{GroupName, NodeName, TopicName};

/// One log, as its backend shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its settings, as far as the backend knows them.
    pub settings: TopicSettings,
    /// Does the backend know how events become messages there, and what those hold? Where not, the framing and the wire in
    /// the settings mean nothing. Default `true`.
    pub knows_framing: bool,
    /// The backend's own settings that were made for this log, by their names there. Empty where it has none.
    pub own: BTreeMap<String, String>,
    /// What each lane holds, in the order of the lanes.
    pub lanes: Vec<LaneDescription>,
}

/// What one lane of a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneDescription {
    /// The lane.
    pub lane: u32,
    /// How many records; where a backend cannot count them, how many places there are from the first to the last.
    pub records: u64,
    /// How many bytes, where that is known.
    pub bytes: Option<u64>,
    /// The oldest record and its time, `None` where the lane is empty.
    pub first: Option<(Position, Option<SystemTime>)>,
    /// The newest record and its time, `None` where the lane is empty.
    pub last: Option<(Position, Option<SystemTime>)>,
    /// The servers that keep it, where the backend tells.
    pub servers: Option<LaneServers>,
}

/// The servers that keep one lane of a log, by the backend's own names of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneServers {
    /// The one that takes what is published; `None` where there is none now, and the lane can be neither written nor read.
    pub leader: Option<String>,
    /// Those that are to have it.
    pub replicas: Vec<String>,
    /// Those of them that have everything now.
    pub in_sync: Vec<String>,
}

/// What is to become of a log that is there. What is `None` or not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// How long it keeps what was published.
    pub retention: Option<Duration>,
    /// How many lanes it has; more than now. What was published before stays where it is, also where its key would be dealt
    /// to another lane now.
    pub lanes: Option<u32>,
    /// The backend's own settings, by their names there; `None` for what it does by itself.
    pub own: BTreeMap<String, Option<String>>,
}

impl LaneServers {
    /// Do fewer servers have everything than should?
    pub fn is_short(&self) -> bool {
        self.leader.is_none() || self.in_sync.len() < self.replicas.len()
    }
}

impl TopicDescription {
    /// A topic without lanes yet.
    pub fn new(name: TopicName, settings: TopicSettings) -> Self {
        Self { name, settings, knows_framing: true, own: BTreeMap::new(), lanes: Vec::new() }
    }
}

impl LaneDescription {
    /// An empty lane.
    pub fn new(lane: u32) -> Self {
        Self { lane, records: 0, bytes: None, first: None, last: None, servers: None }
    }
}

/// One group of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its name.
    pub name: GroupName,
    /// The backend's own word for how it is, such as `Stable` or `PreparingRebalance`, where it has one.
    pub state: Option<String>,
    /// The members that are there now.
    pub members: Vec<GroupMember>,
    /// How it stands on each lane, in the order of the lanes.
    pub lanes: Vec<GroupLane>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupMember {
    /// The backend's own name of it.
    pub id: String,
    /// The node, where it is one of ours and the backend knows.
    pub node: Option<NodeName>,
    /// From where it is connected, as the backend shows it, where it does.
    pub host: Option<String>,
    /// The records that it holds, where records are given out one by one.
    pub pending: u64,
    /// The lanes that are its own, where lanes are given out.
    pub lanes: Vec<u32>,
}

/// How a group stands on one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupLane {
    /// The lane.
    pub lane: u32,
    /// The record that is given out next for the first time.
    pub next: Position,
    /// Records that were given out and are not done.
    pub pending: u64,
    /// Records that are not done: those that wait, and those that are given out.
    pub lag: u64,
    /// The place behind the newest record, where the backend tells.
    pub end: Option<Position>,
}

impl GroupDescription {
    /// A group of which nothing is known but its name.
    pub fn new(name: GroupName) -> Self {
        Self { name, state: None, members: Vec::new(), lanes: Vec::new() }
    }

    /// The records that are not done, in all lanes.
    pub fn lag(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.lag).sum()
    }

    /// The records that were given out and are not done, in all lanes.
    pub fn pending(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.pending).sum()
    }
}

impl GroupMember {
    /// A member that holds nothing.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), node: None, host: None, pending: 0, lanes: Vec::new() }
    }
}

impl GroupLane {
    /// A group that has done everything up to `next`.
    pub fn new(lane: u32, next: Position) -> Self {
        Self { lane, next, pending: 0, lag: 0, end: None }
    }
}

/// Where a group is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// With the oldest record.
    Earliest,
    /// Behind the newest.
    Latest,
    /// With the first record that was appended at this time or later.
    Time(SystemTime),
    /// In this lane with the record at this place, or the first behind it; in the others where it stands.
    At {
        /// The lane.
        lane: u32,
        /// The place.
        position: Position,
    },
}

/// What a reset does, or would do, to one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneReset {
    /// The lane.
    pub lane: u32,
    /// Where the group stood.
    pub from: Position,
    /// Where it goes on.
    pub to: Position,
    /// How many records it will get that it would not have got, or, below zero, not get that it would have got, as the
    /// log stands now.
    pub records: i64,
}

fn no_settings(operation: &'static str, topic: &TopicName) -> Error {
    let instead = "use the backend's own tools, or make another log and publish there";
    Error::unsupported("its logs cannot be set up like this", instead)
        .operation(operation)
        .context("topic", topic)
}

/// What an operator may ask and do. Every call is about one cluster: the one that the transport was made for.
#[async_trait]
pub trait Admin: Send + Sync {
    /// The logs, by name.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, `Closed`.
    async fn topics(&self) -> Result<Vec<TopicName>>;

    /// Makes a log.
    ///
    /// # Errors
    /// `Conflict` where there is one of this name already; `Unsupported` for a setting that the backend has not;
    /// `Unreachable`, `Unauthorized`, `Closed`.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the log may have been made.
    async fn create_topic(&self, topic: &TopicSpec) -> Result<()>;

    /// Makes a log with the backend's own settings too, by their names there.
    ///
    /// # Errors
    /// As [`create_topic`](Admin::create_topic); `Config` for what the backend does not know or take. By default
    /// `Unsupported` where there are any.
    ///
    /// # Cancel safety
    /// As [`create_topic`](Admin::create_topic).
    async fn create_topic_with(&self, topic: &TopicSpec, own: &BTreeMap<String, String>) -> Result<()> {
        match own.keys().next() {
            None => self.create_topic(topic).await,
            Some(name) => Err(no_settings("create_topic", &topic.name).context("setting", name)),
        }
    }

    /// Changes the settings of a log that is there. Where several things are to change and one is refused, those before it
    /// may have changed.
    ///
    /// # Errors
    /// `Config` for fewer lanes than there are, or what the backend does not know or take; otherwise as
    /// [`describe_topic`](Admin::describe_topic). By default `Unsupported`.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the log may have been changed.
    async fn alter_topic(&self, topic: &TopicName, change: &TopicChange) -> Result<()> {
        let _ = change;
        Err(no_settings("alter_topic", topic))
    }

    /// The lanes of all logs that fewer servers have than should, or that nobody leads; `None`, the default, where the
    /// backend does not tell.
    ///
    /// # Errors
    /// As [`topics`](Admin::topics).
    async fn short_lanes(&self) -> Result<Option<Vec<(TopicName, u32, LaneServers)>>> {
        Ok(None)
    }

    /// One log, and what it holds.
    ///
    /// # Errors
    /// `NotFound` where there is none of this name; `Unreachable`, `Unauthorized`, `Closed`.
    async fn describe_topic(&self, topic: &TopicName) -> Result<TopicDescription>;

    /// Deletes a log with everything in it, its groups and its cursors.
    ///
    /// # Errors
    /// As [`describe_topic`](Admin::describe_topic).
    ///
    /// # Cancel safety
    /// Dropped before it returns, the log may have been deleted.
    async fn delete_topic(&self, topic: &TopicName) -> Result<()>;

    /// The groups of a log, by name.
    ///
    /// # Errors
    /// As [`describe_topic`](Admin::describe_topic).
    async fn groups(&self, topic: &TopicName) -> Result<Vec<GroupName>>;

    /// Makes a group before anybody joins it.
    ///
    /// # Errors
    /// `Conflict` where there is one of this name already; otherwise as [`describe_topic`](Admin::describe_topic).
    ///
    /// # Cancel safety
    /// Dropped before it returns, the group may have been made.
    async fn create_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()>;

    /// One group, and how it stands.
    ///
    /// # Errors
    /// `NotFound` where there is no such log or group; `Unreachable`, `Unauthorized`, `Closed`.
    async fn describe_group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupDescription>;

    /// Deletes a group that has no members.
    ///
    /// # Errors
    /// `Conflict` where it has members; otherwise as [`describe_group`](Admin::describe_group).
    ///
    /// # Cancel safety
    /// Dropped before it returns, the group may have been deleted.
    async fn delete_group(&self, topic: &TopicName, group: &GroupName) -> Result<()>;

    /// Lets a group that has no members go on elsewhere, and says what that changes in each lane that it is about. With
    /// `dry_run` nothing changes.
    ///
    /// # Errors
    /// `Config` for a lane that the log has not; `Conflict` where it has members, unless it is a dry run; otherwise as
    /// [`describe_group`](Admin::describe_group).
    ///
    /// # Cancel safety
    /// Dropped before it returns, the group may have been moved.
    async fn reset_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>>;
}
