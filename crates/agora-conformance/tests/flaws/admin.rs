//! Administration, flawed.

use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{
    Admin, GroupDescription, GroupStart, LaneReset, ResetTo, TopicDescription, TopicSettings, TopicSpec,
    Transport,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;

use super::flaw::Flaw;
use super::transport::Flawed;

impl Flawed {
    fn operator(&self) -> Result<&dyn Admin> {
        self.inner.admin().ok_or_else(|| Error::new(ErrorKind::Closed, "no administration"))
    }

    /// `instead` where it was refused for this reason and the flaw is one that does not mind.
    fn unless<T>(&self, flaw: Flaw, kind: ErrorKind, answer: Result<T>, instead: T) -> Result<T> {
        match answer {
            Err(error) if error.kind() == kind && self.flaw == flaw => Ok(instead),
            answer => answer,
        }
    }
}

#[async_trait]
impl Admin for Flawed {
    async fn topics(&self) -> Result<Vec<TopicName>> {
        if self.flaw == Flaw::ListsNothing {
            return Ok(Vec::new());
        }
        self.operator()?.topics().await
    }

    async fn create_topic(&self, topic: &TopicSpec) -> Result<()> {
        let mut spec = topic.clone();
        if self.flaw == Flaw::ForgetsSettings {
            spec.settings = TopicSettings::LOG;
        }
        let made = self.operator()?.create_topic(&spec).await;
        self.unless(Flaw::MakesTwice, ErrorKind::Conflict, made, ())
    }

    async fn describe_topic(&self, topic: &TopicName) -> Result<TopicDescription> {
        let empty = TopicDescription::new(topic.clone(), TopicSettings::LOG);
        let found = self.operator()?.describe_topic(topic).await;
        let mut found = self.unless(Flaw::InventsWhatIsNotThere, ErrorKind::NotFound, found, empty)?;
        if self.flaw == Flaw::Miscounts {
            found.lanes.iter_mut().for_each(|lane| lane.records += 1);
        }
        Ok(found)
    }

    async fn delete_topic(&self, topic: &TopicName) -> Result<()> {
        if self.flaw == Flaw::DeletesNothing {
            return Ok(());
        }
        self.operator()?.delete_topic(topic).await
    }

    async fn groups(&self, topic: &TopicName) -> Result<Vec<GroupName>> {
        self.operator()?.groups(topic).await
    }

    async fn create_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()> {
        let start = if self.flaw == Flaw::GroupsBeginEarly { GroupStart::Earliest } else { start };
        let made = self.operator()?.create_group(topic, group, start).await;
        self.unless(Flaw::MakesTwice, ErrorKind::Conflict, made, ())
    }

    async fn describe_group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupDescription> {
        let mut found = self.operator()?.describe_group(topic, group).await?;
        if self.flaw == Flaw::Miscounts {
            found.lanes.iter_mut().for_each(|lane| lane.lag = 0);
        }
        Ok(found)
    }

    async fn delete_group(&self, topic: &TopicName, group: &GroupName) -> Result<()> {
        let deleted = self.operator()?.delete_group(topic, group).await;
        self.unless(Flaw::MovesBusyGroups, ErrorKind::Conflict, deleted, ())
    }

    async fn reset_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        let (to, dry_run) = match self.flaw {
            Flaw::DryRunIsWet => (to, false),
            Flaw::ResetsNothing => (to, true),
            Flaw::ResetsEveryLane if matches!(to, ResetTo::At { .. }) => (ResetTo::Earliest, dry_run),
            Flaw::ResetsToEarliest => (ResetTo::Earliest, dry_run),
            _ => (to, dry_run),
        };
        self.operator()?.reset_group(topic, group, to, dry_run).await
    }
}
