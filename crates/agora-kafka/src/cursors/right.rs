//! The right to a cursor: the epoch of a transactional producer.
//!
//! `InitProducerId` raises the epoch of a transactional id, and ends what the former holder had begun. From then on every
//! request with the former epoch is refused, by the coordinator of the transaction and by that of the group. What is
//! committed within a transaction counts when the coordinator has written that it is committed, for all partitions or none.

use std::time::Duration;

use agora_core::transport::Fence;
use agora_core::{ErrorKind, Result};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, EndTxnRequest, EndTxnResponse, GroupId,
    InitProducerIdRequest, InitProducerIdResponse, ProducerId, TopicName, TransactionalId,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::Place;
use crate::brokers::{Kind, Line, Target};
use crate::error::{Refusal, error};

/// For how long a transaction stays open whose holder does not end it. The coordinator would end it then and raise the
/// epoch, which is the loss of the right: so it is long, the longest that a broker allows where nobody changed it
/// (`transaction.max.timeout.ms`). Whoever takes the right does not wait for it.
const TRANSACTION_WAIT: Duration = Duration::from_secs(15 * 60);
/// What every broker allows that anybody would set up.
const TRANSACTION_WAIT_LEAST: Duration = Duration::from_secs(60);
/// How long one answer may take.
const EACH: Duration = Duration::from_secs(5);
/// How long giving a transaction up may take.
const ABORT_WAIT: Duration = Duration::from_secs(2);
/// After what time a broker is asked anew that could not say whether a transaction has ended.
const END_PAUSE: Duration = Duration::from_millis(50);
/// How many bits of a fence are the epoch.
const EPOCH_BITS: u32 = 15;

/// Who may commit under a transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Right {
    producer: i64,
    epoch: i16,
}

/// What is committed for one partition.
pub(super) struct Commit {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) text: String,
}

impl Right {
    /// Takes the right. Whoever had it has lost it when this returns, and what he had saved is saved.
    pub(super) async fn take(line: &Line, place: &Place, by: Instant) -> Result<Self> {
        match Self::init(line, place, TRANSACTION_WAIT, by).await {
            // It is longer than these brokers allow.
            Err(refused) if refused.kind() == ErrorKind::Config => {
                Self::init(line, place, TRANSACTION_WAIT_LEAST, by).await
            }
            answer => answer,
        }
    }

    async fn init(line: &Line, place: &Place, open: Duration, by: Instant) -> Result<Self> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(place.transactional()))
            .with_transaction_timeout_ms(i32::try_from(open.as_millis()).unwrap_or(i32::MAX))
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let judge = |answer: &InitProducerIdResponse| Refusal::check(answer.error_code);
        let answer = line.ask(place.transaction(), &request, EACH, by, judge).await?;
        Ok(Self { producer: answer.producer_id.0, epoch: answer.producer_epoch })
    }

    /// Commits for the group of the place, all or nothing.
    ///
    /// # Errors
    /// `Conflict`: the right was lost, and nothing was committed.
    pub(super) async fn commit(
        self,
        line: &Line,
        place: &Place,
        commits: &[Commit],
        by: Instant,
    ) -> Result<()> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(place.transactional())
            .with_producer_id(ProducerId(self.producer))
            .with_producer_epoch(self.epoch)
            .with_group_id(place.group_id());
        let judge = |answer: &AddOffsetsToTxnResponse| Refusal::check(answer.error_code);
        line.ask(place.transaction(), &request, EACH, by, judge).await?;
        if !commits.is_empty()
            && let Err(error) = self.offsets(line, place, commits, by).await
        {
            // It would hold up whoever reads the offsets. Where it cannot be ended, the next commit goes on with it.
            let _ = self.end(line, place, false, Instant::now() + ABORT_WAIT).await;
            return Err(error);
        }
        self.end(line, place, true, by).await
    }

    async fn offsets(self, line: &Line, place: &Place, commits: &[Commit], by: Instant) -> Result<()> {
        let one = |commit: &Commit| {
            TxnOffsetCommitRequestPartition::default()
                .with_partition_index(commit.partition)
                .with_committed_offset(commit.offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::from_string(commit.text.clone())))
        };
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_string(place.topic.clone())))
            .with_partitions(commits.iter().map(one).collect());
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(place.transactional())
            .with_group_id(place.group_id())
            .with_producer_id(ProducerId(self.producer))
            .with_producer_epoch(self.epoch)
            // Nobody is a member of this group.
            .with_generation_id(-1)
            .with_group_instance_id(None)
            .with_topics(vec![topic]);
        let judge = |answer: &TxnOffsetCommitResponse| {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.map(|partition| partition.error_code).try_for_each(Refusal::check)
        };
        let target = Target::Coordinator(Kind::Group, &place.group);
        line.ask(target, &request, EACH, by, judge).await.map(drop)
    }

    /// Ends what was begun. A broker that is about to give the right to somebody else at this moment may answer that
    /// something went wrong within it: it is asked until it can say what came of it. To end what has ended in the same way
    /// is no error to it, and whoever has lost the right hears that.
    async fn end(self, line: &Line, place: &Place, committed: bool, by: Instant) -> Result<()> {
        loop {
            match self.try_end(line, place, committed, by).await {
                Err(error)
                    if error.kind() == ErrorKind::OutcomeUnknown && Instant::now() + END_PAUSE < by =>
                {
                    tokio::time::sleep(END_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn try_end(self, line: &Line, place: &Place, committed: bool, by: Instant) -> Result<()> {
        let request = EndTxnRequest::default()
            .with_transactional_id(place.transactional())
            .with_producer_id(ProducerId(self.producer))
            .with_producer_epoch(self.epoch)
            .with_committed(committed);
        let judge = |answer: &EndTxnResponse| Refusal::check(answer.error_code);
        line.ask(place.transaction(), &request, EACH, by, judge).await.map(drop)
    }

    /// As a number that the engine keeps.
    ///
    /// # Errors
    /// `Backend`: the ids of producers have grown beyond all measure.
    pub(super) fn to_fence(self) -> Result<Fence> {
        let producer = u64::try_from(self.producer).ok().filter(|id| id.leading_zeros() >= EPOCH_BITS);
        match (producer, u64::try_from(self.epoch)) {
            (Some(producer), Ok(epoch)) => Ok(Fence(producer << EPOCH_BITS | epoch)),
            _ => Err(error(ErrorKind::Backend, "the broker gave an id of a producer that is none")
                .context("producer id", self.producer)
                .context("epoch", self.epoch)),
        }
    }

    /// What [`Right::to_fence`] made.
    pub(super) fn of_fence(fence: Fence) -> Self {
        let producer = i64::try_from(fence.0 >> EPOCH_BITS).unwrap_or(i64::MAX);
        let epoch = i16::try_from(fence.0 & ((1 << EPOCH_BITS) - 1)).unwrap_or(i16::MAX);
        Self { producer, epoch }
    }
}

impl Place {
    fn transactional(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.right.clone()))
    }

    fn transaction(&self) -> Target<'_> {
        Target::Coordinator(Kind::Transaction, &self.right)
    }

    pub(super) fn group_id(&self) -> GroupId {
        GroupId(StrBytes::from_string(self.group.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_comes_back_from_its_fence_and_two_never_have_one() {
        let most = (1_i64 << (64 - EPOCH_BITS)) - 1;
        for producer in [0, 1, 4711, most] {
            for epoch in [0, 1, i16::MAX] {
                let right = Right { producer, epoch };
                assert_eq!(Right::of_fence(right.to_fence().unwrap()), right);
            }
        }
        for right in [Right { producer: most + 1, epoch: 0 }, Right { producer: 1, epoch: -1 }] {
            assert_eq!(right.to_fence().unwrap_err().kind(), ErrorKind::Backend);
        }
    }
}
