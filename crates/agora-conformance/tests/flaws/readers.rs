//! The readers of live topics and of logs, flawed.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agora_core::transport::{FromLog, Inbound, Inbox, LogInbox, Position, Raw};
use agora_core::{ErrorKind, Result};
use async_trait::async_trait;

use super::flaw::Flaw;

pub(crate) struct FlawedInbox {
    inner: Box<dyn Inbox>,
    flaw: Flaw,
    is_deaf: bool,
    old: Vec<Raw>,
    read: u64,
    one_has_ended: Arc<AtomicBool>,
}

impl FlawedInbox {
    pub(crate) fn new(
        inner: Box<dyn Inbox>,
        flaw: Flaw,
        is_deaf: bool,
        old: Vec<Raw>,
        one_has_ended: Arc<AtomicBool>,
    ) -> Self {
        Self { inner, flaw, is_deaf, old, read: 0, one_has_ended }
    }

    fn change(&mut self, got: &mut Vec<Inbound>) {
        match self.flaw {
            Flaw::LosesLiveMessages => got.retain(|_| {
                self.read += 1;
                !self.read.is_multiple_of(10)
            }),
            Flaw::HidesWhatItDropped => got.retain(|one| matches!(one, Inbound::Message(_))),
            Flaw::SmallOvertakesLarge => got.sort_by_key(|one| match one {
                Inbound::Message(raw) => raw.payload.len(),
                _ => 0,
            }),
            Flaw::RepeatsLiveMessages => {
                *got = got.iter().flat_map(|one| [one.clone(), one.clone()]).collect()
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Inbox for FlawedInbox {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        loop {
            if self.is_deaf || self.flaw == Flaw::OneEndEndsAll && self.one_has_ended.load(Ordering::Relaxed)
            {
                pending::<()>().await;
            }
            if self.flaw == Flaw::DeliversTheOld && !self.old.is_empty() {
                into.extend(self.old.drain(..).map(Inbound::Message));
                return Ok(());
            }
            let mut got = Vec::new();
            let asked = match self.flaw {
                Flaw::GivesMoreThanAsked => usize::MAX,
                Flaw::RepeatsLiveMessages => (messages_max / 2).max(1),
                _ => messages_max,
            };
            let received = self.inner.recv(asked, &mut got).await;
            match received {
                Err(error) if error.kind() == ErrorKind::Closed && self.flaw == Flaw::CloseLeavesReaders => {
                    pending::<()>().await;
                }
                received => received?,
            }
            if self.flaw == Flaw::LosesOnCancel {
                tokio::task::yield_now().await;
            }
            self.change(&mut got);
            if self.flaw == Flaw::ClearsWhatWasThere {
                into.clear();
            }
            if !got.is_empty() {
                into.extend(got);
                return Ok(());
            }
        }
    }
}

impl Drop for FlawedInbox {
    fn drop(&mut self) {
        self.one_has_ended.store(true, Ordering::Relaxed);
    }
}

pub(crate) struct FlawedLog {
    inner: Box<dyn LogInbox>,
    flaw: Flaw,
    read: u64,
}

impl FlawedLog {
    pub(crate) fn new(inner: Box<dyn LogInbox>, flaw: Flaw) -> Self {
        Self { inner, flaw, read: 0 }
    }

    fn change(&mut self, got: &mut Vec<FromLog>) {
        let is_record = |one: &FromLog| matches!(one, FromLog::Record { .. });
        match self.flaw {
            Flaw::LosesRecords => got.retain(|one| {
                self.read += u64::from(is_record(one));
                !is_record(one) || !self.read.is_multiple_of(10)
            }),
            Flaw::ReversesRecords => got.reverse(),
            Flaw::PlacesStandStill => got.iter_mut().for_each(|one| {
                if let FromLog::Record { at, .. } = one {
                    *at = Position(0);
                }
            }),
            Flaw::ForgetsTheLane => got.iter_mut().for_each(|one| {
                if let FromLog::Record { raw, .. } = one {
                    raw.lane = 0;
                }
            }),
            Flaw::NeverCaughtUp => got.retain(|one| !matches!(one, FromLog::CaughtUp)),
            Flaw::AlwaysCaughtUp if got.iter().any(is_record) => got.insert(0, FromLog::CaughtUp),
            Flaw::TrimsSilently => got.retain(|one| !matches!(one, FromLog::Trimmed)),
            Flaw::ClaimsTheBeginning if self.read == 0 && got.iter().any(is_record) => {
                self.read = 1;
                got.insert(0, FromLog::Beginning);
            }
            _ => {}
        }
    }
}

#[async_trait]
impl LogInbox for FlawedLog {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromLog>) -> Result<()> {
        loop {
            let mut got = Vec::new();
            let asked = if self.flaw == Flaw::GivesMoreThanAsked { usize::MAX } else { records_max };
            match self.inner.recv(asked, &mut got).await {
                Err(error) if error.kind() == ErrorKind::Closed && self.flaw == Flaw::CloseLeavesReaders => {
                    pending::<()>().await;
                }
                received => received?,
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
}
