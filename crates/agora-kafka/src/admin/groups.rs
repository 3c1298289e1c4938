//! Groups, as their coordinators have them: which there are, who is in them, what they have committed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use futures_util::future::join_all;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep};

use crate::brokers::{Kind, Line, TRY_WAIT, Target};
use crate::committed::{self, Committed, EACH};
use crate::error::{Refusal, error, odd, of_repeatable};
use crate::group::{KIND, assigned, subscribed};

/// The pause before all brokers are asked again for their groups.
const PAUSE: Duration = Duration::from_millis(200);
/// The kinds of groups that share partitions out: members of the protocol, or nobody that ever was one.
const KINDS: [&str; 2] = [KIND, ""];
/// What a group that is not there is called.
const DEAD: &str = "Dead";

/// A group and its members.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// The brokers' word for how it is.
    pub(super) state: String,
    pub(super) members: Vec<Member>,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) host: String,
    pub(super) instance: Option<String>,
    /// Does it read the topic?
    pub(super) reads: bool,
    /// What it has of the topic.
    pub(super) partitions: BTreeSet<i32>,
}

/// One group of the brokers.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) line: &'a Line,
    pub(super) group: &'a str,
}

/// The groups of all brokers that share partitions out, with the brokers' words for how they are.
///
/// # Errors
/// `Unreachable`: a broker has not told until `by`, and what it has may be missing.
pub(super) async fn list(line: &Line, by: Instant) -> Result<BTreeMap<String, String>> {
    loop {
        // Each broker tells of those that it coordinates: one that is missing takes its groups along to another.
        line.brokers().doubt(Target::Controller);
        let _ = line.brokers().controller(by.min(Instant::now() + TRY_WAIT)).await;
        let view = line.brokers().view();
        let request = ListGroupsRequest::default();
        let asked = view.brokers.keys().map(|node| {
            let request = &request;
            async move {
                let by = by.min(Instant::now() + TRY_WAIT);
                let answer = Box::pin(line.call(Target::Node(*node), request, by)).await?;
                Refusal::check(answer.error_code)?;
                Ok::<_, Error>(answer.groups)
            }
        });
        let answers: Result<Vec<_>> = join_all(asked).await.into_iter().collect();
        let why = match answers {
            Ok(answers) if !answers.is_empty() => {
                let groups = answers.into_iter().flatten();
                let shares = groups.filter(|group| KINDS.contains(&group.protocol_type.as_str()));
                let named = |text: &StrBytes| text.as_str().to_owned();
                return Ok(shares
                    .map(|group| (named(&group.group_id.0), named(&group.group_state)))
                    .collect());
            }
            Ok(_) => error(ErrorKind::Unreachable, "no broker is known now"),
            Err(error) => match error.kind() {
                ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::OutcomeUnknown => {
                    of_repeatable(error)
                }
                _ => return Err(error),
            },
        };
        if Instant::now() + PAUSE >= by {
            return Err(why);
        }
        sleep(PAUSE).await;
    }
}

impl At<'_> {
    fn id(&self) -> GroupId {
        GroupId(StrBytes::from_string(self.group.to_owned()))
    }

    fn coordinator(&self) -> Target<'_> {
        Target::Coordinator(Kind::Group, self.group)
    }

    /// The group and its members; `None`: there is none, or one of a kind that is not described like this (KIP-848).
    ///
    /// # Errors
    /// As [`Line::ask`].
    pub(super) async fn describe(&self, topic: &str, by: Instant) -> Result<Option<Group>> {
        let request = DescribeGroupsRequest::default().with_groups(vec![self.id()]);
        let judge = |answer: &DescribeGroupsResponse| {
            answer.groups.iter().try_for_each(|group| Refusal::check(group.error_code))
        };
        let answer = match Box::pin(self.line.ask(self.coordinator(), &request, EACH, by, judge)).await {
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(None),
            answer => answer?,
        };
        let told = answer.groups.into_iter().next().ok_or_else(|| odd("it says nothing of the group"))?;
        if told.group_state.as_str() == DEAD {
            return Ok(None);
        }
        let member = |member: kafka_protocol::messages::describe_groups_response::DescribedGroupMember| {
            // What cannot be read says nothing.
            let partitions = assigned(&member.member_assignment, topic).unwrap_or_default();
            let wanted = subscribed(&member.member_metadata).unwrap_or_default();
            Member {
                id: member.member_id.as_str().to_owned(),
                client: member.client_id.as_str().to_owned(),
                host: member.client_host.trim_start_matches('/').to_owned(),
                instance: member.group_instance_id.map(|id| id.as_str().to_owned()),
                reads: !partitions.is_empty() || wanted.contains(topic),
                partitions,
            }
        };
        let members = told.members.into_iter().map(member).collect();
        Ok(Some(Group { state: told.group_state.as_str().to_owned(), members }))
    }

    /// What the group has committed for these partitions of a topic.
    ///
    /// # Errors
    /// As [`Line::ask`].
    pub(super) async fn committed(
        &self,
        topic: &str,
        partitions: impl Iterator<Item = i32>,
        by: Instant,
    ) -> Result<BTreeMap<i32, Committed>> {
        let of = (topic, partitions.collect());
        committed::of_topic(self.line, self.group, of, false, unless_deleted, by).await
    }

    /// The topics of which the group has committed something.
    async fn topics(&self, by: Instant) -> Result<BTreeSet<String>> {
        let topics = committed::fetch(self.line, self.group, None, false, unless_deleted, by).await?;
        Ok(topics
            .into_iter()
            .filter(|(_, committed)| !committed.is_empty())
            .map(|(topic, _)| topic)
            .collect())
    }

    /// Commits for a group that has no members.
    ///
    /// # Errors
    /// `Conflict`: it has some. As [`Line::ask`].
    pub(super) async fn commit(&self, topic: &str, offsets: &BTreeMap<i32, i64>, by: Instant) -> Result<()> {
        let one = |(partition, offset): (&i32, &i64)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::default()))
        };
        let of = OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions(offsets.iter().map(one).collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.id())
            // Nobody in particular: taken of a group without members alone.
            .with_generation_id_or_member_epoch(-1)
            .with_group_instance_id(None)
            .with_topics(vec![of]);
        let judge = |answer: &OffsetCommitResponse| {
            let mut told = answer.topics.iter().flat_map(|topic| &topic.partitions);
            told.try_for_each(|one| Refusal::check(one.error_code))
        };
        let committed = Box::pin(self.line.ask(self.coordinator(), &request, EACH, by, judge)).await;
        committed.map(drop).map_err(|error| match error.kind() {
            ErrorKind::Conflict => has_members().source(error),
            _ => error,
        })
    }

    /// Takes what the group has committed of a topic away, and the group with it where nothing else is in it.
    ///
    /// # Errors
    /// `Conflict`: it has members who read the topic. As [`Line::ask`].
    pub(super) async fn delete(
        &self,
        topic: &str,
        partitions: impl Iterator<Item = i32>,
        by: Instant,
    ) -> Result<()> {
        let others = self.topics(by).await?.into_iter().any(|found| found != topic);
        if !others {
            let request = DeleteGroupsRequest::default().with_groups_names(vec![self.id()]);
            let judge = |answer: &DeleteGroupsResponse| {
                answer.results.iter().try_for_each(|group| match Refusal::check(group.error_code) {
                    // It was deleted a moment ago, perhaps by this very request.
                    Err(refusal) if refusal.code == Code::GroupIdNotFound => Ok(()),
                    checked => checked,
                })
            };
            return Box::pin(self.line.ask(self.coordinator(), &request, EACH, by, judge)).await.map(drop);
        }
        let one = |index: i32| OffsetDeleteRequestPartition::default().with_partition_index(index);
        let of = OffsetDeleteRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partitions(partitions.map(one).collect());
        let request = OffsetDeleteRequest::default().with_group_id(self.id()).with_topics(vec![of]);
        let judge = |answer: &OffsetDeleteResponse| {
            Refusal::check(answer.error_code)?;
            let mut told = answer.topics.iter().flat_map(|topic| &topic.partitions);
            told.try_for_each(|one| Refusal::check(one.error_code))
        };
        Box::pin(self.line.ask(self.coordinator(), &request, EACH, by, judge)).await.map(drop)
    }
}

/// Of a topic that was deleted nothing is committed.
fn unless_deleted(code: i16) -> Result<(), Refusal> {
    match Refusal::check(code) {
        Err(refusal) if refusal.code == Code::UnknownTopicOrPartition => Ok(()),
        checked => checked,
    }
}

/// What would be done to a group needs it to have no members.
pub(super) fn has_members() -> Error {
    error(ErrorKind::Conflict, "the group has members")
        .help("stop its members first; one that crashed is forgotten after its session timeout")
}
