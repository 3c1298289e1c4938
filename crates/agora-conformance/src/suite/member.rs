//! One member of a group, with the calls that most cases make of it.

use std::time::Duration;

use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{FromGroup, GroupInbox, GroupSpec, GroupStart, Settle, Token, Transport};

use super::case::{Fault, Verdict};
use super::node::{Node, number_of};
use super::stage::Stage;

/// A lease that ends within a case.
pub(super) const SHORT: Duration = Duration::from_secs(2);
/// A lease that outlasts every case: what comes before its end was not given by its end.
pub(super) const LONG: Duration = Duration::from_secs(300);

/// A member of a group.
pub(super) struct Member {
    pub(super) inbox: Box<dyn GroupInbox>,
    stage: Stage,
    waiting: std::vec::IntoIter<FromGroup>,
}

/// A record that a member holds.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) token: Token,
    pub(super) attempt: u32,
}

impl Node {
    /// Joins a group from the earliest record.
    pub(super) async fn join(
        &self,
        stage: &Stage,
        topic: &TopicName,
        group: &GroupName,
        lease: Duration,
    ) -> Result<Member, Fault> {
        self.join_at(stage, topic, group, lease, GroupStart::Earliest).await
    }

    /// Joins a group.
    pub(super) async fn join_at(
        &self,
        stage: &Stage,
        topic: &TopicName,
        group: &GroupName,
        lease: Duration,
        start: GroupStart,
    ) -> Result<Member, Fault> {
        let spec = GroupSpec { name: group.clone(), start, lease };
        let node = self.share();
        let inbox = stage.soon("joining a group", node.join_group(topic, &spec)).await??;
        Ok(Member { inbox, stage: stage.clone(), waiting: Vec::new().into_iter() })
    }
}

impl Member {
    /// The next thing, one at a time: what is given out is leased. Without a bound in time.
    pub(super) async fn next(&mut self) -> Result<FromGroup, Fault> {
        loop {
            if let Some(next) = self.waiting.next() {
                return Ok(next);
            }
            let mut into = Vec::new();
            self.inbox.recv(1, &mut into).await?;
            self.waiting = into.into_iter();
        }
    }

    /// The next record, without a bound in time; lanes that come are passed over.
    pub(super) async fn next_job(&mut self) -> Result<Job, Fault> {
        loop {
            match self.next().await? {
                FromGroup::Message { raw, token, attempt, .. } => {
                    let number = number_of(&raw.payload)?;
                    return Ok(Job { number, token, attempt });
                }
                FromGroup::Assigned { .. } => {}
                // Between two calls of this, a case holds nothing that it still works on.
                FromGroup::Revoking { done, .. } => _ = done.send(()),
                other => return Err(Fault::broken(format!("a record was due, and this came: {other:?}"))),
            }
        }
    }

    /// The next record.
    pub(super) async fn job(&mut self) -> Result<Job, Fault> {
        let stage = self.stage.clone();
        stage.soon("a record for a member", self.next_job()).await?
    }

    /// The next records.
    pub(super) async fn jobs(&mut self, count: usize) -> Result<Vec<Job>, Fault> {
        let mut jobs = Vec::new();
        while jobs.len() < count {
            jobs.push(self.job().await?);
        }
        Ok(jobs)
    }

    /// No record comes for a while.
    pub(super) async fn nothing(&mut self, why: &str) -> Verdict {
        let stage = self.stage.clone();
        stage.never(why, self.next_job()).await
    }

    /// Settles a record.
    pub(super) fn settle(&self, job: &Job, how: Settle) -> impl Future<Output = Verdict> + Send + use<> {
        let (settling, stage) = (self.inbox.settle(job.token, how), self.stage.clone());
        async move { Ok(stage.soon("settling", settling).await??) }
    }

    /// It is done.
    pub(super) fn ack(&self, job: &Job) -> impl Future<Output = Verdict> + Send + use<> {
        self.settle(job, Settle::Ack)
    }
}
