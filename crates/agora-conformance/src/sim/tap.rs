//! A transport between a node and the network of a run: writes down what passes, refuses and damages on demand.

use std::sync::{Arc, Mutex, PoisonError};

use agora_core::id::{SourceId, TopicName};
use agora_core::transport::{
    Address, BoxFuture, Capabilities, CursorStore, Fence, FromGroup, GroupInbox, GroupSpec, Hint, Inbound,
    Inbox, Link, LogInbox, LogStart, OutFrame, Outcome, Position, PublishFailed, Settle, Token, TopicInfo,
    TopicSpec, Transport,
};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::fault::{Damage, Refusal};
use super::recorder::Recorder;
use crate::history::{GroupWhat, Life, Sub, What};

tokio::task_local! {
    /// The subscription that a task begins, so that the taking of a name can be told from that by another.
    pub(super) static SUB: Sub;
}

type Rng = Arc<Mutex<fastrand::Rng>>;

/// See above.
pub(super) struct Tap<T> {
    inner: T,
    life: Life,
    recorder: Recorder,
    rng: Rng,
}

impl<T: Transport> Tap<T> {
    pub(super) fn new(inner: T, life: Life, recorder: Recorder, rng: fastrand::Rng) -> Self {
        Self { inner, life, recorder, rng: Arc::new(Mutex::new(rng)) }
    }

    /// How many of `frames` are accepted, how many are sent, and how the call fails, if it is to fail.
    fn draw_refusal(&self, frames: usize) -> Option<(usize, usize, Refusal)> {
        let (permille, how) = self.recorder.refusal(self.life.node)?;
        let mut rng = lock(&self.rng);
        if rng.u16(..1000) >= permille {
            return None;
        }
        let accepted = rng.usize(..frames.max(1));
        let sent = if how == Refusal::Unknown && rng.bool() { frames } else { accepted };
        Some((accepted, sent, how))
    }
}

#[async_trait]
impl<T: Transport> Transport for Tap<T> {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.inner.link()
    }

    async fn open(&self, topic: &TopicSpec) -> Result<TopicInfo> {
        self.inner.open(topic).await
    }

    fn publish(
        &self,
        to: &Address,
        mut frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        let (life, recorder, count) = (self.life, self.recorder.clone(), frames.len());
        let call = recorder.send(life, &frames);
        let letters = recorder.letters(&to.topic, &frames);
        let refusal = self.draw_refusal(count);
        if let Some((_, sent, _)) = refusal {
            frames.truncate(sent);
        }
        let sending = (!frames.is_empty()).then(|| self.inner.publish(to, frames, by));
        Box::pin(async move {
            let result = match sending {
                Some(sending) => sending.await,
                None => Ok(()),
            };
            let result = match (refusal, result) {
                (Some((accepted, _, how)), Ok(())) => Err(refused(accepted, how)),
                (_, result) => result,
            };
            recorder.sent(life, call, count, &result);
            recorder.buried(life, letters, &result);
            result
        })
    }

    async fn subscribe(&self, topic: &TopicName) -> Result<Box<dyn Inbox>> {
        let inner = self.inner.subscribe(topic).await?;
        let (life, recorder, rng) = (self.life, self.recorder.clone(), self.rng.clone());
        Ok(Box::new(TapInbox { inner, topic: topic.clone(), life, recorder, rng }))
    }

    async fn open_log(&self, topic: &TopicName, lane: u32, from: LogStart) -> Result<Box<dyn LogInbox>> {
        self.inner.open_log(topic, lane, from).await
    }

    async fn join_group(&self, topic: &TopicName, group: &GroupSpec) -> Result<Box<dyn GroupInbox>> {
        let inner = self.inner.join_group(topic, group).await?;
        Ok(Box::new(TapGroup {
            inner,
            topic: topic.clone(),
            life: self.life,
            recorder: self.recorder.clone(),
        }))
    }

    fn cursors(&self) -> Option<&dyn CursorStore> {
        self.inner.cursors().is_some().then_some(self)
    }

    async fn announce(&self, me: SourceId) -> Result<Option<mpsc::Receiver<Hint>>> {
        self.inner.announce(me).await
    }

    async fn close(&self, by: Instant) -> Result<()> {
        self.inner.close(by).await
    }
}

#[async_trait]
impl<T: Transport> CursorStore for Tap<T> {
    async fn take(&self, topic: &TopicName, name: &str) -> Result<(Fence, Option<Vec<u8>>)> {
        let taken = self.store()?.take(topic, name).await?;
        if let Ok(sub) = SUB.try_with(|sub| *sub) {
            self.recorder.taken(sub, topic, name, taken.0, taken.1.as_deref());
        }
        Ok(taken)
    }

    async fn save(
        &self,
        topic: &TopicName,
        name: &str,
        fence: Fence,
        cursor: &[u8],
        places: &[(u32, Position)],
    ) -> Result<()> {
        let saved = self.store()?.save(topic, name, fence, cursor, places).await;
        self.recorder.saved(topic, name, fence, cursor, &saved);
        saved
    }
}

impl<T: Transport> Tap<T> {
    fn store(&self) -> Result<&dyn CursorStore> {
        let store = self.inner.cursors();
        store.ok_or_else(|| Error::unsupported("cursors", "take a space with a server"))
    }
}

struct TapGroup {
    inner: Box<dyn GroupInbox>,
    topic: TopicName,
    life: Life,
    recorder: Recorder,
}

#[async_trait]
impl GroupInbox for TapGroup {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()> {
        let before = into.len();
        self.inner.recv(records_max, into).await?;
        for one in into.iter().skip(before) {
            if let FromGroup::Message { raw, token, attempt, .. } = one {
                self.recorder.given(self.life, &self.topic, *token, *attempt, &raw.payload);
            }
        }
        Ok(())
    }

    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        let (life, recorder) = (self.life, self.recorder.clone());
        recorder.record(What::Group(GroupWhat::Settle(life, token.0, how)));
        let settling = self.inner.settle(token, how);
        Box::pin(async move {
            let settled = settling.await;
            let result = settled.as_ref().copied().map_err(Error::kind);
            recorder.record(What::Group(GroupWhat::Settled(life, token.0, how, result)));
            settled
        })
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.inner.leave().await
    }
}

struct TapInbox {
    inner: Box<dyn Inbox>,
    topic: TopicName,
    life: Life,
    recorder: Recorder,
    rng: Rng,
}

impl TapInbox {
    fn pass(&self, message: &mut Inbound) {
        let raw = match message {
            Inbound::Message(raw) => raw,
            Inbound::Dropped(_) => return self.recorder.overrun(self.life, &self.topic),
            Inbound::Resubscribed => return self.recorder.record(What::Interrupted(self.life)),
        };
        let damaged = self.draw_damage(&raw.payload);
        let how = damaged.as_ref().map(|(how, _)| *how);
        self.recorder.receive(self.life, &self.topic, &raw.payload, how);
        if let Some((_, payload)) = damaged {
            raw.payload = payload;
        }
    }

    fn draw_damage(&self, payload: &Bytes) -> Option<(Damage, Bytes)> {
        let (permille, how) = self.recorder.damage(self.life.node)?;
        let mut rng = lock(&self.rng);
        if rng.u16(..1000) >= permille {
            return None;
        }
        let mut bytes = payload.to_vec();
        match how {
            Damage::Flip => {
                let at = rng.usize(..bytes.len().max(1));
                *bytes.get_mut(at)? ^= 1 << rng.u8(..8);
            }
            Damage::Newer => make_newer(&mut bytes)?,
        }
        Some((how, bytes.into()))
    }
}

#[async_trait]
impl Inbox for TapInbox {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        let before = into.len();
        self.inner.recv(messages_max, into).await?;
        for message in into.iter_mut().skip(before) {
            self.pass(message);
        }
        Ok(())
    }
}

/// Lets a data frame say that it is of the next version, with a checksum that is right. `None` for what is none.
fn make_newer(frame: &mut [u8]) -> Option<()> {
    const VERSION_AT: usize = 4;
    const TYPE_AT: usize = 5;
    if *frame.get(TYPE_AT)? != agora_core::codec::FrameType::Data as u8 {
        return None;
    }
    *frame.get_mut(VERSION_AT)? += 1;
    let crc = crc32c::crc32c_append(crc32c::crc32c(frame.get(..16)?), frame.get(20..)?);
    frame.get_mut(16..20)?.copy_from_slice(&crc.to_le_bytes());
    Some(())
}

fn refused(accepted: usize, how: Refusal) -> PublishFailed {
    let (outcome, kind) = match how {
        Refusal::NotStored => (Outcome::NotStored, ErrorKind::Unreachable),
        Refusal::Unknown => (Outcome::Unknown, ErrorKind::OutcomeUnknown),
        Refusal::Forbidden => (Outcome::NotStored, ErrorKind::Unauthorized),
    };
    PublishFailed { accepted, outcome, error: Error::new(kind, "refused by the plan of this run") }
}

fn lock(rng: &Mutex<fastrand::Rng>) -> std::sync::MutexGuard<'_, fastrand::Rng> {
    rng.lock().unwrap_or_else(PoisonError::into_inner)
}
