//! Who is there: a consumer knows its records, not its members. So each member answers on a subject of its group.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agora_core::Result;
use agora_core::id::{GroupName, TopicName};
use agora_core::transport::GroupMember;
use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::error::lost;
use crate::held::Held;
use crate::names;
use crate::session::Session;
use crate::shared::Shared;

/// How long the answers of members are waited for after the first one.
const ANSWERS_WAIT: Duration = Duration::from_millis(250);
/// The most answers that are taken.
const MEMBERS_MAX: usize = 4096;

/// Answers whoever asks, until the connection is over.
pub(super) async fn answer(session: Arc<Session>, mut asked: Subscriber, id: String, held: Arc<Mutex<Held>>) {
    while let Some(question) = asked.next().await {
        let Some(reply) = question.reply else { continue };
        let pending = held.lock().unwrap_or_else(PoisonError::into_inner).len();
        let answer = json!({ "id": id, "pending": pending }).to_string();
        if session.client.publish(reply, answer.into()).await.is_err() {
            return;
        }
    }
}

/// The members of a group that answer, in the order of their names.
pub(crate) async fn members(
    shared: &Shared,
    session: &Session,
    topic: &TopicName,
    group: &GroupName,
) -> Result<Vec<GroupMember>> {
    let inbox = session.client.new_inbox();
    let mut answers = session.client.subscribe(inbox.clone()).await.map_err(|_| lost())?;
    let subject = names::members_subject(&shared.cluster, topic, group);
    session.client.publish_with_reply(subject, inbox, Bytes::new()).await.map_err(|_| lost())?;
    let (mut found, mut by) = (Vec::new(), Instant::now() + shared.plan.request_timeout);
    while found.len() < MEMBERS_MAX
        && let Ok(Some(answer)) = timeout_at(by, answers.next()).await
        && answer.status != Some(StatusCode::NO_RESPONDERS)
    {
        by = by.min(Instant::now() + ANSWERS_WAIT);
        if let Some(member) = read(&answer.payload) {
            found.push(member);
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn read(payload: &[u8]) -> Option<GroupMember> {
    let answer: Value = serde_json::from_slice(payload).ok()?;
    let mut member = GroupMember::new(answer.get("id")?.as_str()?);
    member.pending = answer.get("pending")?.as_u64()?;
    Some(member)
}
