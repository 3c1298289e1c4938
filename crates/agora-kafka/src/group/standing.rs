//! Where a group stands in its topic: what it has committed, where it begins, and saying so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agora_core::transport::GroupStart;
use agora_core::{ErrorKind, Result};
use futures_util::future::join_all;
use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::calls::Place;
use super::lane::Standing;
use super::notes::{self, Notes};
use super::words::{Seat, Trouble};
use crate::committed::{self, EACH};
use crate::error::{Refusal, error};
use crate::read::offsets;

/// What a group has committed for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: u64,
    pub(super) notes: Notes,
}

impl Place {
    /// What the group has committed for these lanes; one that is missing, it has not.
    ///
    /// # Errors
    /// As [`Line::ask`](crate::brokers::Line::ask).
    pub(super) async fn committed(
        &self,
        lanes: &BTreeSet<i32>,
        by: Instant,
    ) -> Result<BTreeMap<i32, Committed>> {
        match self.try_committed(lanes, true, by).await {
            // Before Kafka 2.5, what a transaction has not committed yet could not be waited for.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.try_committed(lanes, false, by).await
            }
            answer => answer,
        }
    }

    async fn try_committed(
        &self,
        lanes: &BTreeSet<i32>,
        is_stable: bool,
        by: Instant,
    ) -> Result<BTreeMap<i32, Committed>> {
        let of = (self.topic.as_str(), lanes.iter().copied().collect());
        let told = committed::of_topic(&self.rounds, &self.group, of, is_stable, Refusal::check, by).await?;
        let known = told.into_iter().filter_map(|(lane, told)| {
            let offset = u64::try_from(told.offset).ok()?;
            Some((lane, Committed { offset, notes: notes::read(offset, &told.text) }))
        });
        Ok(known.filter(|(lane, _)| lanes.contains(lane)).collect())
    }

    /// Where lanes begin of which the group has committed nothing.
    ///
    /// # Errors
    /// As [`offsets::bounds`].
    pub(super) async fn starts(
        &self,
        lanes: &BTreeSet<i32>,
        start: GroupStart,
        by: Instant,
    ) -> Result<BTreeMap<i32, u64>> {
        let one = |lane: i32| async move {
            let bounds = offsets::bounds(&self.beats, &self.topic, lane, by).await?;
            let at = match start {
                GroupStart::Earliest => bounds.start,
                GroupStart::Latest => bounds.end,
            };
            Ok((lane, u64::try_from(at).unwrap_or(0)))
        };
        join_all(lanes.iter().copied().map(one)).await.into_iter().collect()
    }

    /// Commits. Answers what of it was not, and why.
    pub(super) async fn commit(
        &self,
        seat: &Seat,
        standings: &[Standing],
        by: Instant,
    ) -> Result<Vec<(u32, Refusal)>, Trouble> {
        let one = |standing: &Standing| {
            let notes = Some(standing.notes.clone()).filter(|notes| !notes.is_empty());
            OffsetCommitRequestPartition::default()
                .with_partition_index(i32::try_from(standing.lane).unwrap_or(i32::MAX))
                .with_committed_offset(i64::try_from(standing.offset).unwrap_or(i64::MAX))
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(notes.map(StrBytes::from_string))
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(self.topic.clone())))
            .with_partitions(standings.iter().map(one).collect());
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id_or_member_epoch(seat.generation)
            .with_member_id(StrBytes::from_string(seat.member.clone()))
            .with_group_instance_id(self.instance_id().filter(|_| !seat.member.is_empty()))
            .with_topics(vec![topic]);
        let answer = self.rounds.call(self.coordinator(), &request, by).await;
        let answer = answer.map_err(|error| self.trouble(error))?;
        let mut refused = Vec::new();
        let answered = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if answered.clone().count() < standings.len() {
            return Err(Trouble::Silence);
        }
        for partition in answered {
            let Err(refusal) = Refusal::check(partition.error_code) else { continue };
            match refusal.code {
                Code::OffsetMetadataTooLarge | Code::UnknownTopicOrPartition => {
                    refused.push((u32::try_from(partition.partition_index).unwrap_or(u32::MAX), refusal));
                }
                // All others are about the member, and the same for every lane.
                _ => self.check(partition.error_code)?,
            }
        }
        Ok(refused)
    }

    /// Commits where a group begins that has no members. In one that has some, those who have a lane say where it begins;
    /// whoever came first has said it before.
    ///
    /// # Errors
    /// As [`Line::ask`](crate::brokers::Line::ask).
    pub(super) async fn commit_starts(&self, starts: &BTreeMap<i32, u64>, by: Instant) -> Result<()> {
        let standings: Vec<Standing> = starts
            .iter()
            .filter_map(|(lane, offset)| {
                let (lane, notes) = (u32::try_from(*lane).ok()?, String::new());
                Some(Standing { lane, serial: 0, version: 0, offset: *offset, notes })
            })
            .collect();
        let nobody = Seat { member: String::new(), generation: -1 };
        let mut pause = Duration::from_millis(20);
        loop {
            let trouble = match self.commit(&nobody, &standings, by.min(Instant::now() + EACH)).await {
                Ok(_) => return Ok(()),
                Err(trouble) => trouble,
            };
            let error = match trouble {
                Trouble::Refused(refusal, _)
                    if matches!(
                        refusal.code,
                        Code::UnknownMemberId | Code::RebalanceInProgress | Code::IllegalGeneration
                    ) =>
                {
                    return Ok(());
                }
                Trouble::Refused(refusal, _) if !refusal.is_retryable() => return Err(refusal.into_error()),
                Trouble::Refused(refusal, _) => refusal.into_error(),
                Trouble::Silence => error(ErrorKind::Unreachable, "nobody coordinates the group now"),
                Trouble::Final(error) => return Err(error),
            };
            if Instant::now() + pause >= by {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}
