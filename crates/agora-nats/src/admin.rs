//! What an operator may ask and do.

use std::sync::Arc;

use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{
    Admin, GroupDescription, GroupLane, GroupStart, LaneDescription, LaneReset, Position, ResetTo,
    TopicDescription, TopicKind, TopicSpec, check_only_lane,
};
use agora_core::{Error, ErrorKind, Result};
use async_nats::jetstream::consumer::{DeliverPolicy, Info};
use async_nats::jetstream::stream::State;
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::error::{BACKEND, error};
use crate::session::Session;
use crate::shared::Shared;
use crate::{api, consumers, cursors, group, names, streams};

/// How often a group that was deleted to be moved is made anew.
const CREATE_TRIES: usize = 3;

/// The transport, as operators see it.
pub(crate) struct Operator(pub(crate) Arc<Shared>);

/// A group, and where it is.
struct Found {
    session: Arc<Session>,
    stream: String,
    consumer: String,
    info: Info,
}

impl Operator {
    async fn found(&self, topic: &TopicName, group: &GroupName) -> Result<Found> {
        let session = self.0.session()?;
        let (stream, consumer) = (self.0.stream_of(topic)?, names::consumer_name(group));
        let info = consumers::info(&session, &stream, &consumer).await;
        let info = info.map_err(|cause| group::not_found(topic, group, cause))?;
        Ok(Found { session, stream, consumer, info })
    }

    async fn check_unused(&self, topic: &TopicName, group: &GroupName, session: &Session) -> Result<()> {
        let members = group::members(&self.0, session, topic, group).await?;
        if members.is_empty() {
            return Ok(());
        }
        Err(error(ErrorKind::Conflict, "the group has members")
            .context("topic", topic)
            .context("group", group)
            .context("members", members.len())
            .help("stop its members first"))
    }

    async fn reset(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<LaneReset> {
        let found = self.found(topic, group).await?;
        let Found { session, stream, consumer, info } = &found;
        if !dry_run {
            self.check_unused(topic, group, session).await?;
        }
        let state = streams::info(session, stream).await?.state;
        let policy = policy(to, &state)?;
        let (before, from) = (to_do(info), next(info));
        let made = if dry_run {
            // What the server would do, it says of a consumer that nobody reads.
            let name = session.client.new_inbox().replace(['.', '_'], "");
            let made = consumers::create(session, stream, &name, consumers::of_reader(policy)).await?;
            consumers::delete(session, stream, &name).await?;
            made
        } else {
            let config = consumers::of_group(consumer, policy, info.config.ack_wait);
            consumers::delete(session, stream, consumer).await?;
            let mut made = consumers::create(session, stream, consumer, config.clone()).await;
            for _ in 1..CREATE_TRIES {
                if made.as_ref().err().is_some_and(Error::is_retryable) {
                    made = consumers::create(session, stream, consumer, config.clone()).await;
                }
            }
            made.map_err(|cause| {
                cause.help("the group was deleted and could not be made anew: make it before a member does")
            })?
        };
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let records = signed(made.num_pending) - signed(before);
        Ok(LaneReset { lane: 0, from, to: next(&made), records })
    }
}

/// The record that is given out next for the first time.
fn next(info: &Info) -> Position {
    Position(u128::from(info.delivered.stream_sequence) + 1)
}

/// Records that wait, and those that are given out.
fn to_do(info: &Info) -> u64 {
    info.num_pending + info.num_ack_pending as u64
}

fn policy(to: ResetTo, state: &State) -> Result<DeliverPolicy> {
    Ok(match to {
        ResetTo::Earliest => DeliverPolicy::All,
        ResetTo::Latest => DeliverPolicy::New,
        ResetTo::Time(time) => DeliverPolicy::ByStartTime { start_time: consumers::date(time)? },
        ResetTo::At { lane, position } => {
            check_only_lane(lane).map_err(|error| error.backend(BACKEND))?;
            let sequence = u64::try_from(position.0).unwrap_or(u64::MAX);
            let end = state.last_sequence + 1;
            DeliverPolicy::ByStartSequence { start_sequence: sequence.clamp(1, end) }
        }
    })
}

fn describe(state: &State) -> LaneDescription {
    let mut lane = LaneDescription::new(0);
    lane.records = state.messages;
    lane.bytes = Some(state.bytes);
    if state.messages > 0 {
        let place = |at: u64, time| (Position(at.into()), Some(consumers::time(time)));
        lane.first = Some(place(state.first_sequence, state.first_timestamp));
        lane.last = Some(place(state.last_sequence, state.last_timestamp));
    }
    lane
}

fn of_topic(topic: &TopicName, cause: Error) -> Error {
    match cause.kind() {
        ErrorKind::NotFound => streams::missing(topic, cause),
        _ => cause.context("topic", topic),
    }
}

#[async_trait]
impl Admin for Operator {
    async fn topics(&self) -> Result<Vec<TopicName>> {
        #[derive(Deserialize)]
        struct Page {
            total: usize,
            #[serde(default)]
            streams: Option<Vec<String>>,
        }
        let listing = async {
            let session = self.0.session()?;
            let (mut topics, mut offset) = (Vec::new(), 0);
            loop {
                let request = json!({ "offset": offset });
                let page: Page =
                    api::ask(&session, "STREAM.NAMES", Some(&request)).await.map_err(api::of_a_read)?;
                let found = page.streams.unwrap_or_default();
                offset += found.len();
                let is_last = found.is_empty() || offset >= page.total;
                let prefix = &self.0.plan.stream_prefix;
                topics.extend(found.iter().filter_map(|name| names::topic_of(prefix, &self.0.cluster, name)));
                if is_last {
                    topics.sort();
                    return Ok(topics);
                }
            }
        };
        let listed: Result<_> = listing.await;
        listed.map_err(|error| error.operation("list topics"))
    }

    async fn create_topic(&self, topic: &TopicSpec) -> Result<()> {
        let creating = async {
            if topic.kind() != TopicKind::Log {
                let instead = "publish to it: nothing is kept of it";
                return Err(Error::unsupported("a live topic is not made", instead).backend(BACKEND));
            }
            let session = self.0.session()?;
            // To make what is there in the same way once more is no error to the server.
            match streams::info(&session, &self.0.stream_of(&topic.name)?).await {
                Ok(_) => Err(error(ErrorKind::Conflict, "there is a log of this name already")),
                Err(missing) if missing.kind() == ErrorKind::NotFound => {
                    streams::create(&self.0, &session, topic).await
                }
                Err(other) => Err(other),
            }
        };
        creating.await.map_err(|error| error.operation("create topic").context("topic", &topic.name))
    }

    async fn describe_topic(&self, topic: &TopicName) -> Result<TopicDescription> {
        let describing = async {
            let session = self.0.session()?;
            let info = streams::info(&session, &self.0.stream_of(topic)?).await;
            let info = info.map_err(|cause| of_topic(topic, cause))?;
            let mut description = TopicDescription::new(topic.clone(), streams::settings(&info.config));
            description.lanes.push(describe(&info.state));
            Ok(description)
        };
        let described: Result<_> = describing.await;
        described.map_err(|error| error.operation("describe topic"))
    }

    async fn delete_topic(&self, topic: &TopicName) -> Result<()> {
        let deleting = async {
            let session = self.0.session()?;
            let deleted = streams::delete(&session, &self.0.stream_of(topic)?).await;
            deleted.map_err(|cause| of_topic(topic, cause))?;
            cursors::forget(&self.0, &session, topic).await
        };
        let deleted: Result<_> = deleting.await;
        deleted.map_err(|error| error.operation("delete topic"))
    }

    async fn groups(&self, topic: &TopicName) -> Result<Vec<GroupName>> {
        let listing = async {
            let session = self.0.session()?;
            let found = consumers::durables(&session, &self.0.stream_of(topic)?).await;
            let found = found.map_err(|cause| of_topic(topic, cause))?;
            let mut groups: Vec<_> = found.iter().filter_map(|name| names::group_of(name)).collect();
            groups.sort();
            Ok(groups)
        };
        let listed: Result<_> = listing.await;
        listed.map_err(|error| error.operation("list groups"))
    }

    async fn create_group(&self, topic: &TopicName, group: &GroupName, start: GroupStart) -> Result<()> {
        let creating = async {
            match self.found(topic, group).await {
                Ok(_) => {
                    return Err(error(ErrorKind::Conflict, "there is a group of this name already")
                        .context("topic", topic)
                        .context("group", group));
                }
                Err(missing) if missing.kind() == ErrorKind::NotFound => {}
                Err(other) => return Err(other),
            }
            let session = self.0.session()?;
            let name = names::consumer_name(group);
            let config = consumers::of_group(&name, group::policy(start), group::LEASE);
            let made = consumers::create(&session, &self.0.stream_of(topic)?, &name, config).await;
            made.map(drop).map_err(|cause| group::not_found(topic, group, cause))
        };
        let created: Result<()> = creating.await;
        created.map_err(|error| error.operation("create group"))
    }

    async fn describe_group(&self, topic: &TopicName, group: &GroupName) -> Result<GroupDescription> {
        let describing = async {
            let found = self.found(topic, group).await?;
            let mut description = GroupDescription::new(group.clone());
            description.members = group::members(&self.0, &found.session, topic, group).await?;
            let mut lane = GroupLane::new(0, next(&found.info));
            lane.pending = found.info.num_ack_pending as u64;
            lane.lag = to_do(&found.info);
            description.lanes.push(lane);
            Ok(description)
        };
        let described: Result<_> = describing.await;
        described.map_err(|error| error.operation("describe group"))
    }

    async fn delete_group(&self, topic: &TopicName, group: &GroupName) -> Result<()> {
        let deleting = async {
            let found = self.found(topic, group).await?;
            self.check_unused(topic, group, &found.session).await?;
            let deleted = consumers::delete(&found.session, &found.stream, &found.consumer).await;
            deleted.map_err(|cause| group::not_found(topic, group, cause))
        };
        let deleted: Result<()> = deleting.await;
        deleted.map_err(|error| error.operation("delete group"))
    }

    async fn reset_group(
        &self,
        topic: &TopicName,
        group: &GroupName,
        to: ResetTo,
        dry_run: bool,
    ) -> Result<Vec<LaneReset>> {
        let reset = self.reset(topic, group, to, dry_run).await;
        reset.map(|lane| vec![lane]).map_err(|error| error.operation("reset group"))
    }
}
