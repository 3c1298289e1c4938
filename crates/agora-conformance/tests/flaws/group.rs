//! A member of a group, flawed.

use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use agora_core::transport::{BoxFuture, FromGroup, GroupInbox, Position, Raw, Settle, Token};
use agora_core::{Error, ErrorKind, Result};
use async_trait::async_trait;

use super::flaw::Flaw;
use super::subject::{World, lock};

pub(crate) struct FlawedGroup {
    /// `None` once it has gone.
    inner: Option<Box<dyn GroupInbox>>,
    flaw: Flaw,
    world: Arc<World>,
    last: Option<(Raw, Position, Token)>,
}

fn gone() -> Error {
    Error::new(ErrorKind::Closed, "the member has gone")
}

impl FlawedGroup {
    pub(crate) fn new(inner: Box<dyn GroupInbox>, flaw: Flaw, world: Arc<World>) -> Self {
        Self { inner: Some(inner), flaw, world, last: None }
    }

    fn change(&mut self, got: &mut Vec<FromGroup>) {
        match self.flaw {
            Flaw::AlwaysFirstAttempt => got.iter_mut().for_each(|one| {
                if let FromGroup::Message { attempt, .. } = one {
                    *attempt = 1;
                }
            }),
            Flaw::SharesTheFirstLane => {
                got.retain(|one| !matches!(one, FromGroup::Message { raw, .. } if raw.lane > 0));
            }
            Flaw::TrimsSilently => got.retain(|one| !matches!(one, FromGroup::Trimmed { .. })),
            Flaw::TakesLanesAway => {
                for one in std::mem::take(got) {
                    match one {
                        FromGroup::Revoking { done, lanes } => {
                            let _ = done.send(());
                            got.push(FromGroup::Lost { lanes });
                        }
                        one => got.push(one),
                    }
                }
            }
            _ => {}
        }
        if let Some(FromGroup::Message { raw, at, token, .. }) = got.last() {
            self.last = Some((raw.clone(), *at, *token));
        }
    }
}

#[async_trait]
impl GroupInbox for FlawedGroup {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()> {
        if self.flaw == Flaw::RepeatsAcknowledged
            && let Some((raw, at, token)) = self.last.take()
        {
            into.push(FromGroup::Message { raw, at, token, attempt: 2 });
            return Ok(());
        }
        loop {
            let mut got = Vec::new();
            let inner = self.inner.as_mut().ok_or_else(gone)?;
            if self.flaw == Flaw::NeverWakes {
                match tokio::time::timeout(Duration::ZERO, inner.recv(records_max, &mut got)).await {
                    Ok(received) => received?,
                    Err(_) => pending().await,
                }
            } else {
                match inner.recv(records_max, &mut got).await {
                    Err(error)
                        if error.kind() == ErrorKind::Closed && self.flaw == Flaw::CloseLeavesReaders =>
                    {
                        pending::<()>().await;
                    }
                    received => received?,
                }
            }
            if self.flaw == Flaw::LosesOnCancel {
                tokio::task::yield_now().await;
            }
            self.change(&mut got);
            if !got.is_empty() {
                into.extend(got);
                return Ok(());
            }
        }
    }

    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        let Some(inner) = &self.inner else { return Box::pin(ready(Err(gone()))) };
        let how = match (self.flaw, how) {
            (Flaw::AckOnlyExtends, Settle::Ack) => Settle::Extend,
            (Flaw::ReleaseIsAck, Settle::Release) => Settle::Ack,
            (Flaw::ReleaseWaits, Settle::Release) | (Flaw::ForgetsExtensions, Settle::Extend) => {
                return Box::pin(ready(Ok(())));
            }
            (_, how) => how,
        };
        let settling = inner.settle(token, how);
        let accepts = self.flaw == Flaw::AcceptsVoidTokens;
        Box::pin(async move {
            match settling.await {
                Err(error) if accepts && error.kind() == ErrorKind::Conflict => Ok(()),
                settled => settled,
            }
        })
    }

    async fn leave(mut self: Box<Self>) -> Result<()> {
        let inner = self.inner.take().ok_or_else(gone)?;
        if self.flaw == Flaw::LeasesForever {
            lock(&self.world.undead).push(inner);
            return Ok(());
        }
        inner.leave().await
    }
}

impl Drop for FlawedGroup {
    fn drop(&mut self) {
        if self.flaw == Flaw::LeasesForever {
            lock(&self.world.undead).extend(self.inner.take());
        }
    }
}
