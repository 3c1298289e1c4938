//! What a member of a group says to its coordinator, and what it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::assign::Assignor;
use super::protocol::{self, KIND};
use super::words::{Joined, Leads, Seat, Trouble};
use crate::brokers::{Brokers, Kind, Line, Target};
use crate::error::Refusal;
use crate::wire::Api;

/// How much longer than others may take to join, the coordinator may take to say so.
const MARGIN: Duration = Duration::from_secs(5);

/// Which group of the brokers, which topic of it, and the ways there.
pub(super) struct Place {
    pub(super) brokers: Arc<Brokers>,
    /// The group and the topic, by their names on the brokers.
    pub(super) group: String,
    pub(super) topic: String,
    /// What its operator calls this member, where it keeps its place.
    pub(super) instance: Option<String>,
    /// For what is answered at once.
    pub(super) beats: Line,
    /// For what may take long there: to join, and to commit. A member that joins has nothing to commit.
    pub(super) rounds: Line,
}

impl Place {
    pub(super) fn new(
        brokers: &Arc<Brokers>,
        group: String,
        topic: String,
        instance: Option<String>,
    ) -> Self {
        let (beats, rounds) = (brokers.line("heartbeats of a group"), brokers.line("rounds of a group"));
        Self { brokers: Arc::clone(brokers), group, topic, instance, beats, rounds }
    }

    pub(super) fn coordinator(&self) -> Target<'_> {
        Target::Coordinator(Kind::Group, &self.group)
    }

    pub(super) fn group_id(&self) -> GroupId {
        GroupId(StrBytes::from_string(self.group.clone()))
    }

    pub(super) fn instance_id(&self) -> Option<StrBytes> {
        self.instance.clone().map(StrBytes::from_string)
    }

    /// The error as the application sees it.
    pub(super) fn told(&self, error: Error) -> Error {
        error.context("topic", &self.topic).context("group", &self.group)
    }

    async fn call<R: Api>(&self, line: &Line, request: &R, by: Instant) -> Result<R::Response, Trouble> {
        line.call(self.coordinator(), request, by).await.map_err(|error| self.trouble(error))
    }

    /// What a failure of a call is to a member.
    pub(super) fn trouble(&self, error: Error) -> Trouble {
        tracing::debug!(group = %self.group, %error, "the coordinator of a group did not answer");
        match error.kind() {
            ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::OutcomeUnknown => Trouble::Silence,
            _ => Trouble::Final(self.told(error)),
        }
    }

    /// What the coordinator has refused.
    ///
    /// # Errors
    /// That it has.
    pub(super) fn check(&self, code: i16) -> Result<(), Trouble> {
        Refusal::check(code).map_err(|refusal| {
            tracing::debug!(group = %self.group, %refusal, "the coordinator of a group refused");
            self.brokers.cure(self.coordinator(), &refusal);
            Trouble::Refused(refusal, None)
        })
    }

    /// Joins, and waits until all others have.
    pub(super) async fn join(
        &self,
        member: &str,
        session: Duration,
        rebalance: Duration,
    ) -> Result<Joined, Trouble> {
        let said = protocol::subscription(&self.topic).map_err(Trouble::Final)?;
        let offer = |assignor: Assignor| {
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(assignor.name()))
                .with_metadata(said.clone())
        };
        let request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(millis(session))
            .with_rebalance_timeout_ms(millis(rebalance))
            .with_member_id(StrBytes::from_string(member.to_owned()))
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(StrBytes::from_static_str(KIND))
            .with_protocols(Assignor::ALL.map(offer).into())
            .with_reason(None);
        let answer = self.call(&self.rounds, &request, Instant::now() + rebalance + MARGIN).await?;
        match self.check(answer.error_code) {
            Ok(()) => Ok(joined(answer)),
            Err(Trouble::Refused(refusal, _)) => {
                Err(Trouble::Refused(refusal, Some(answer.member_id.as_str().to_owned())))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Waits for what one gets, and says before what everybody gets, where one leads.
    pub(super) async fn sync(
        &self,
        joined: &Joined,
        assignments: BTreeMap<String, Bytes>,
        within: Duration,
    ) -> Result<Bytes, Trouble> {
        let one = |(member, assignment): (String, Bytes)| {
            let member = StrBytes::from_string(member);
            SyncGroupRequestAssignment::default().with_member_id(member).with_assignment(assignment)
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(joined.seat.generation)
            .with_member_id(StrBytes::from_string(joined.seat.member.clone()))
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(Some(StrBytes::from_static_str(KIND)))
            .with_protocol_name(Some(StrBytes::from_string(joined.protocol.clone())))
            .with_assignments(assignments.into_iter().map(one).collect());
        let answer = self.call(&self.rounds, &request, Instant::now() + within + MARGIN).await?;
        self.check(answer.error_code)?;
        Ok(answer.assignment)
    }

    /// Says that one is there.
    pub(super) async fn beat(&self, seat: &Seat, by: Instant) -> Result<(), Trouble> {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(seat.generation)
            .with_member_id(StrBytes::from_string(seat.member.clone()))
            .with_group_instance_id(self.instance_id());
        let answer = self.call(&self.beats, &request, by).await?;
        self.check(answer.error_code)
    }

    /// Says that one goes. Whether it is heard changes nothing for the member.
    ///
    /// # Errors
    /// It was not heard, or not believed.
    pub(super) async fn leave(&self, member: &str, by: Instant) -> Result<()> {
        let member = StrBytes::from_string(member.to_owned());
        let identity = MemberIdentity::default()
            .with_member_id(member.clone())
            .with_group_instance_id(None)
            .with_reason(None);
        let mut request = LeaveGroupRequest::default().with_group_id(self.group_id());
        // Since version 3 several may be named; every broker from Kafka 2.4 on knows it.
        request.members = vec![identity];
        let answer = self.beats.call(self.coordinator(), &request, by).await?;
        let of_member = answer.members.first().map_or(0, |member| member.error_code);
        Refusal::check(answer.error_code).and_then(|()| Refusal::check(of_member))?;
        Ok(())
    }
}

fn joined(answer: JoinGroupResponse) -> Joined {
    let leads = answer.leader == answer.member_id;
    let seat = Seat { member: answer.member_id.as_str().to_owned(), generation: answer.generation_id };
    let protocol = answer.protocol_name.map(|name| name.as_str().to_owned()).unwrap_or_default();
    let leads = leads.then(|| Leads {
        is_settled: answer.skip_assignment,
        members: answer
            .members
            .into_iter()
            .map(|member| {
                let instance = member.group_instance_id.map(|id| id.as_str().to_owned());
                (member.member_id.as_str().to_owned(), instance, member.metadata)
            })
            .collect(),
    });
    Joined { seat, protocol, leads }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
