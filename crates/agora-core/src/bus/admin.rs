//! What an operator may ask and do.

use std::collections::BTreeMap;

use super::Bus;
use super::scan::{Peeked, Scan};
use crate::error::{Error, Result};
use crate::id::{GroupName, TopicName};
use crate::transport::{
    Admin, GroupDescription, GroupStart, LaneReset, LaneServers, LogStart, ResetTo, Support, TopicChange,
    TopicDescription, TopicSpec,
};

/// Topics and groups, for operators: see [`Bus::admin`]. Every call is about the cluster of the bus.
#[derive(Clone, Copy)]
pub struct Administration<'a> {
    bus: &'a Bus,
    admin: &'a dyn Admin,
}

impl Bus {
    /// Topics and groups, for operators.
    ///
    /// # Errors
    /// `Unsupported` where the backend keeps nothing that could be looked into.
    pub fn admin(&self) -> Result<Administration<'_>> {
        let capabilities = self.capabilities();
        let instead = match (capabilities.admin, self.shared().transport.admin()) {
            (Support::Yes, Some(admin)) => return Ok(Administration { bus: self, admin }),
            (Support::No { instead }, _) => instead,
            (Support::Yes, None) => "it says that it can, and does not: a fault of the backend",
        };
        Err(Error::unsupported("it has no topics and groups that could be looked into", instead)
            .operation("admin")
            .backend(capabilities.backend))
    }
}

impl Administration<'_> {
    /// As [`Admin::topics`].
    ///
    /// # Errors
    /// As there.
    pub async fn topics(&self) -> Result<Vec<TopicName>> {
        self.admin.topics().await.map_err(|error| error.operation("topics"))
    }

    /// As [`Admin::create_topic`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn create_topic(&self, topic: &TopicSpec) -> Result<()> {
        self.admin.create_topic(topic).await.map_err(|error| error.operation("create topic"))
    }

    /// As [`Admin::create_topic_with`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn create_topic_with(&self, topic: &TopicSpec, own: &BTreeMap<String, String>) -> Result<()> {
        self.admin.create_topic_with(topic, own).await.map_err(|error| error.operation("create topic"))
    }

    /// As [`Admin::alter_topic`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn alter_topic(&self, topic: &TopicName, change: &TopicChange) -> Result<()> {
        self.admin.alter_topic(topic, change).await.map_err(|error| error.operation("alter topic"))
    }

    /// As [`Admin::short_lanes`].
    ///
    /// # Errors
    /// As there.
    pub async fn short_lanes(&self) -> Result<Option<Vec<(TopicName, u32, LaneServers)>>> {
        self.admin.short_lanes().await.map_err(|error| error.operation("short lanes"))
    }

    /// As [`Admin::describe_topic`].
    ///
    /// # Errors
    /// As there.
    pub async fn describe_topic(&self, topic: &TopicName) -> Result<TopicDescription> {
        self.admin.describe_topic(topic).await.map_err(|error| error.operation("describe topic"))
    }

    /// As [`Admin::delete_topic`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn delete_topic(&self, topic: &TopicName) -> Result<()> {
        self.admin.delete_topic(topic).await.map_err(|error| error.operation("delete topic"))
    }

    /// As [`Admin::groups`].
    ///
    /// # Errors
    /// As there.
    pub async fn groups(&self, topic: &TopicName) -> Result<Vec<GroupName>> {
        self.admin.groups(topic).await.map_err(|error| error.operation("groups"))
    }

    /// As [`Admin::create_group`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn create_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()> {
        let created = self.admin.create_group(topic, group, start).await;
        created.map_err(|error| error.operation("create group"))
    }

    /// As [`Admin::describe_group`].
    ///
    /// # Errors
    /// As there.
    pub async fn describe_group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupDescription> {
        let described = self.admin.describe_group(topic, group).await;
        described.map_err(|error| error.operation("describe group"))
    }

    /// As [`Admin::delete_group`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn delete_group(&self, topic: &TopicName, group: &GroupName) -> Result<()> {
        self.admin.delete_group(topic, group).await.map_err(|error| error.operation("delete group"))
    }

    /// As [`Admin::reset_group`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn reset_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        let reset = self.admin.reset_group(topic, group, to, dry_run).await;
        reset.map_err(|error| error.operation("reset group"))
    }

    /// What stands in one lane of a log: at most `records_max` records from a place on, up to the end that it has now. No group and
    /// no cursor moves.
    ///
    /// # Errors
    /// `NotFound` where there is no such log; `Config` for a lane that it has not; `Unreachable`, also when the backend falls silent; `Closed`.
    ///
    /// # Cancel safety
    /// Nothing happens when the future is dropped.
    pub async fn peek(
        &self,
        topic: &TopicName,
        lane: u32,
        from: LogStart,
        records_max: usize,
    ) -> Result<Vec<Peeked>> {
        let peek = async {
            // Looking must not make a log.
            self.admin.describe_topic(topic).await?;
            let mut scan = Scan::begin(self.bus, topic, lane, from).await?;
            let mut peeked = Vec::new();
            while peeked.len() < records_max
                && let Some(one) = scan.next().await?
            {
                peeked.push(one);
            }
            Ok(peeked)
        };
        peek.await.map_err(|error: Error| error.operation("peek"))
    }
}

impl std::fmt::Debug for Administration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Administration").field("bus", self.bus).finish_non_exhaustive()
    }
}
