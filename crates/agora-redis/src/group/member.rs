//! One member's place in a group.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{BoxFuture, FromGroup, GroupInbox, GroupSpec, Raw, Settle, Token};
use agora_core::{ErrorKind, Result};
use async_trait::async_trait;
use redis::{Pipeline, Value, cmd};
use tokio::time::{Instant, sleep_until};

use super::leave::{leave, leave_later};
use super::scripts;
use super::settle::Settling;
use super::{ABSENT_AFTER, member_name, millis};
use crate::call::{Connection, ask, bytes, checked, list, number, text};
use crate::error::{Failure, closed, odd};
use crate::log::{Entry, read_of_stream};
use crate::place::Id;
use crate::record;
use crate::shared::{Shared, lock};

/// The least and the most that are taken at once: 4 MiB of what came last. The least are 68 MiB where all of them are the
/// largest frames; the most are 272 MiB where such come behind very small ones, once.
const TAKE: (usize, usize) = (64, 256);
const TAKE_BYTES: usize = 4 << 20;
/// How often a member looks for what was given back or whose lease has ended. So long a released record may lie.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

pub(super) struct Member {
    shared: Arc<Shared>,
    topic: TopicName,
    stream: String,
    group: String,
    me: String,
    lease: Duration,
    /// Only waits: whoever waits on a connection keeps everything else on it waiting.
    bell: Connection,
    /// The open wait for something new.
    wait: Option<BoxFuture<Result<(), Failure>>>,
    /// The open question for records. Kept here, so that nothing is lost where `recv` is dropped.
    taking: Option<BoxFuture<Result<Taken, Failure>>>,
    settling: Settling,
    waiting: VecDeque<FromGroup>,
    /// The place that was given out last in this group.
    last: String,
    /// From where on pending entries are looked at.
    from: String,
    /// The most records that are taken at once.
    take_max: usize,
    /// How many missing records were told that the server has written down: below zero, an unknown number.
    told: i64,
    /// There may be something to take.
    look: bool,
    look_at: Instant,
    interrupted: bool,
    has_left: bool,
}

struct Taken {
    missing: Option<i64>,
    last: String,
    from: String,
    records: Vec<(Id, Raw, u32)>,
}

impl Member {
    pub(super) fn new(shared: &Arc<Shared>, topic: &TopicName, group: &GroupSpec, bell: Connection) -> Self {
        let (name, me) = (group.name.as_str().to_owned(), member_name(group.lease));
        Self {
            shared: Arc::clone(shared),
            topic: topic.clone(),
            stream: shared.names.stream(topic),
            settling: Settling::start(shared, topic, &name, &me),
            group: name,
            me,
            lease: group.lease,
            bell,
            wait: None,
            taking: None,
            waiting: VecDeque::new(),
            last: "0-0".into(),
            from: "-".into(),
            take_max: TAKE.0,
            told: 0,
            look: true,
            look_at: Instant::now(),
            interrupted: false,
            has_left: false,
        }
    }

    fn take(&self, room: usize) -> BoxFuture<Result<Taken, Failure>> {
        let (shared, topic) = (Arc::clone(&self.shared), self.topic.clone());
        let mut commands = Pipeline::new();
        commands.cmd("MULTI");
        let command = commands.cmd("EVAL");
        command.arg(scripts::TAKE).arg(2).arg(&self.stream).arg(self.shared.names.settings(&self.topic));
        command.arg(&self.group).arg(&self.me).arg(room).arg(millis(self.lease)).arg(&self.from);
        command.arg(millis(ABSENT_AFTER)).arg(self.told);
        if room > 0 {
            let command = commands.cmd("XREADGROUP").arg("GROUP").arg(&self.group).arg(&self.me);
            command.arg("COUNT").arg(room).arg("STREAMS").arg(&self.stream).arg(">");
        }
        commands.cmd("EXEC");
        Box::pin(async move {
            let mut answers = shared.call_all(Some(&topic), &commands).await?.into_iter();
            let mut answer = || answers.next().map(checked).unwrap_or(Ok(Value::Nil));
            read(answer()?, answer()?)
        })
    }

    /// Waits for something behind what was given out last. That it is there is all that matters here: who gets it is
    /// decided when it is taken.
    fn wait(&self) -> BoxFuture<Result<(), Failure>> {
        let mut bell = self.bell.clone();
        let mut command = cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(millis(LOOK_INTERVAL));
        command.arg("STREAMS").arg(&self.stream).arg(&self.last);
        let wait = LOOK_INTERVAL + self.shared.probe_wait();
        Box::pin(async move {
            match ask(&mut bell, &command, wait).await {
                // The slot is being moved, and the log is gone from here already: until all of it has moved, it is looked at
                // intervals.
                Err(Failure { ask: Some(_), .. }) => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    Ok(())
                }
                answer => answer.map(drop),
            }
        })
    }

    fn taken(&mut self, taken: Taken) {
        self.look = !taken.records.is_empty() || taken.from != "-";
        (self.last, self.from) = (taken.last, taken.from);
        // Said with the next question: from here on it cannot be lost any more.
        self.told = taken.missing.unwrap_or(-1);
        match taken.missing {
            Some(0) => {}
            missing => {
                let records = missing.and_then(|missing| u64::try_from(missing).ok());
                self.waiting.push_back(FromGroup::Trimmed { lane: 0, records });
            }
        }
        if !taken.records.is_empty() {
            let bytes: usize = taken.records.iter().map(|(_, raw, _)| raw.payload.len()).sum();
            self.take_max = (TAKE_BYTES / (bytes / taken.records.len()).max(1)).clamp(TAKE.0, TAKE.1);
        }
        let mut held = lock(&self.settling.held);
        for (id, raw, attempt) in taken.records {
            let token = held.give(id);
            self.waiting.push_back(FromGroup::Message { raw, at: id.into(), token, attempt });
        }
    }

    /// Extends what was given out to this member, and was not taken from it yet.
    fn keep_waiting(&self) {
        let waiting = self.waiting.iter().filter_map(|one| match one {
            FromGroup::Message { token, .. } => Some((*token, Settle::Extend)),
            _ => None,
        });
        // Said in the call already. Whether it was still this member's shows when it is settled.
        drop(self.settling.settle_all(waiting.collect()));
    }

    /// After a failure: nothing more can be known of what is held.
    fn failed(&mut self, failure: Failure) -> Result<()> {
        self.shared.suspect(&failure);
        let kind = failure.error.kind();
        if matches!(
            kind,
            ErrorKind::Unauthorized | ErrorKind::Config | ErrorKind::Unsupported | ErrorKind::Closed
        ) {
            return Err(failure.error.operation("recv"));
        }
        tracing::debug!(error = %failure.error, group = self.group, "a member was interrupted");
        self.interrupted = true;
        Ok(())
    }

    /// Hands over what is there. A record only where one was asked for.
    fn hand_over(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> bool {
        let before = into.len();
        let mut room = records_max;
        while let Some(next) = self.waiting.front() {
            if matches!(next, FromGroup::Message { .. }) {
                if room == 0 {
                    break;
                }
                room -= 1;
            }
            into.extend(self.waiting.pop_front());
        }
        into.len() > before
    }
}

/// What was taken over, and what was read for the first time.
fn read(answer: Value, new: Value) -> Result<Taken, Failure> {
    let mut parts = list(answer)?.into_iter();
    let mut part = || parts.next().unwrap_or_default();
    let missing = match part() {
        Value::Int(missing) => Some(missing).filter(|missing| *missing >= 0),
        _ => return Err(odd("no number of missing records")),
    };
    let (mut last, from, found) = (text(part())?, text(part())?, list(part())?);
    let new = read_of_stream(new)?;
    let mut records = Vec::with_capacity(found.len() + new.len());
    for one in found {
        let mut parts = list(one)?.into_iter();
        let mut part = || parts.next().unwrap_or_default();
        let id =
            bytes(part())?.as_deref().and_then(Id::parse).ok_or_else(|| odd("a record without a place"))?;
        let fields = record::fields(part())?;
        let attempt = number(part())?.unwrap_or(1);
        records.push((id, record::read(id, fields).0, u32::try_from(attempt).unwrap_or(u32::MAX).max(1)));
    }
    for Entry { id, raw, .. } in new {
        last = id.to_string();
        records.push((id, raw, 1));
    }
    Ok(Taken { missing, last, from, records })
}

#[async_trait]
impl GroupInbox for Member {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let released = Arc::clone(&self.settling.released);
        loop {
            if shared.is_closed() {
                return Err(closed().operation("recv"));
            }
            if self.hand_over(records_max, into) {
                return Ok(());
            }
            if self.interrupted {
                into.push(FromGroup::Interrupted);
                return Ok(());
            }
            let is_due = self.look && records_max > 0 || self.look_at <= Instant::now();
            if self.taking.is_none() && is_due {
                // Somebody has asked for what waits here, and has gone: it stays this member's until it is taken.
                self.keep_waiting();
                let room = if self.waiting.is_empty() { records_max.min(self.take_max) } else { 0 };
                self.taking = Some(self.take(room));
            }
            if let Some(taking) = &mut self.taking {
                let taken = tokio::select! {
                    biased;
                    () = shared.ended() => return Err(closed().operation("recv")),
                    taken = taking => taken,
                };
                self.taking = None;
                self.look_at = Instant::now() + LOOK_INTERVAL;
                match taken {
                    Ok(taken) => self.taken(taken),
                    Err(failure) => self.failed(failure)?,
                }
                continue;
            }
            if self.wait.is_none() && records_max > 0 {
                self.wait = Some(self.wait());
            }
            let wait = async {
                match &mut self.wait {
                    Some(wait) => wait.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shared.ended() => return Err(closed().operation("recv")),
                () = released.notified(), if records_max > 0 => self.look = true,
                () = sleep_until(self.look_at) => {}
                waited = wait => {
                    self.wait = None;
                    self.look = true;
                    if let Err(failure) = waited {
                        self.failed(failure)?;
                    }
                }
            }
        }
    }

    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        let settling = self.settling.settle_all(vec![(token, how)]);
        Box::pin(async move { settling.await.pop().unwrap_or_else(|| Err(closed())) })
    }

    fn settle_all(&self, words: Vec<(Token, Settle)>) -> BoxFuture<Vec<Result<()>>> {
        self.settling.settle_all(words)
    }

    async fn leave(mut self: Box<Self>) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let left = shared.unless_ended(leave(&shared, &self.topic, &self.group, &self.me)).await;
        self.has_left = left.is_ok();
        left.map_err(|failure| failure.of_idempotent().operation("leave"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.has_left || self.shared.is_closed() {
            return;
        }
        let (topic, group, me) = (self.topic.clone(), self.group.clone(), self.me.clone());
        leave_later(&self.shared, topic, group, me, self.lease);
    }
}
