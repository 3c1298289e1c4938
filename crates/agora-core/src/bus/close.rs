//! The orderly end of a bus.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::control::ControlCommand;
use super::group::Hub;
use super::queue::{closed, lock};
use super::sender::SenderCommand;
use super::{Bus, SenderHandle};
use crate::codec::FinalHead;
use crate::error::{Error, ErrorKind, Result};
use crate::id::StreamId;

/// How long a leaving node still answers repair requests.
const CLOSE_LINGER: Duration = Duration::from_millis(200);

impl Bus {
    /// Leaves the cluster in an orderly way: takes nothing new, sends what is queued, tells the others that nothing
    /// more comes, and ends every subscription. Takes at most `within`; the groups have half of that, so that what they
    /// wait for cannot keep the rest from an orderly end.
    ///
    /// # Errors
    /// `Timeout` when not everything that was queued could be sent; the bus is closed all the same.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the bus is half closed; drop it.
    pub async fn close(&self, within: Duration) -> Result<()> {
        let by = Instant::now() + within;
        // Of several who close at once one says goodbye, and the others wait for it. The senders tell their last heads
        // once: a second goodbye would say that nothing was ever published, and what is on its way would be lost unseen.
        let Ok(mut has_begun) = tokio::time::timeout_at(by, self.0.closing.lock()).await else {
            return Err(Error::new(ErrorKind::Timeout, "another call is still closing the bus")
                .operation("close")
                .context("waited", format!("{within:?}")));
        };
        if std::mem::replace(&mut *has_begun, true) {
            return self.shut_down(by).await;
        }
        // First the groups: what they settle may still publish dead letters.
        self.leave_groups(Instant::now() + within / 2).await;
        let senders: Vec<SenderHandle> = {
            let mut state = lock(&self.0.state);
            state.closing = true;
            state.senders.values().cloned().collect()
        };
        let drained = tokio::time::timeout_at(by, finish_all(&senders)).await;
        if let Ok(heads) = drained {
            self.leave(&senders, heads, by).await;
            self.shut_down(by).await
        } else {
            let unsent: u64 = senders.iter().map(|sender| sender.queue.unsettled()).sum();
            let error = Error::new(ErrorKind::Timeout, "closed before everything was sent")
                .operation("close")
                .context("events not settled", unsent)
                .context("waited", format!("{within:?}"));
            for sender in &senders {
                let failed = sender.queue.fail(&error);
                self.shared().counters.failed(failed, error.kind());
                sender.queue.meter.failed(failed, error.kind());
            }
            self.shut_down(by).await.and(Err(error))
        }
    }

    /// Leaves all groups. What is not settled by `by` is given out again when its lease has ended.
    async fn leave_groups(&self, by: Instant) {
        let groups: Vec<Arc<Hub>> =
            lock(&self.0.state).groups.drain(..).filter_map(|group| group.upgrade()).collect();
        groups.iter().for_each(|group| group.leave());
        for group in groups {
            let _ = tokio::time::timeout_at(by, group.wait_ended()).await;
        }
    }

    async fn leave(&self, senders: &[SenderHandle], heads: Vec<(u64, u64)>, by: Instant) {
        // Readers of a log need no word of its end.
        let live = senders.iter().zip(heads).filter(|(sender, _)| sender.settings.is_repaired());
        let heads: Vec<(StreamId, u64, u64)> =
            live.map(|(sender, (next, floor))| (sender.stream, next, floor)).collect();
        let published = heads.iter().any(|(_, next, _)| *next > 1);
        let heard = self.shared().members.borrow().iter().any(|member| member.state.is_live());
        if published && heard {
            // Whoever misses something can ask for it once more; nothing tells when nobody will.
            tokio::time::sleep_until(by.min(Instant::now() + CLOSE_LINGER)).await;
        }
        let finals = heads.into_iter();
        let finals =
            finals.map(|(stream, next, floor)| FinalHead { stream: stream.0, next, floor }).collect();
        let (done, left) = oneshot::channel();
        if self.shared().control.send(ControlCommand::Leave { finals, done }).await.is_ok() {
            let _ = tokio::time::timeout_at(by, left).await;
        }
    }

    async fn shut_down(&self, by: Instant) -> Result<()> {
        // A little time beyond the deadline, so that a transport without time can still say goodbye.
        let closed = self.shared().transport.close(by.max(Instant::now() + Duration::from_millis(100))).await;
        // Ended from outside, every task settles what it owes: batches their outcomes, topics their subscriptions.
        let tasks = std::mem::take(&mut lock(&self.0.state).tasks);
        lock(&self.shared().registry).topics.clear();
        // Whoever waits for this node to join waits in vain.
        self.shared().joined.close();
        drop(tasks);
        closed.map_err(|error| error.operation("close"))
    }
}

async fn finish_all(senders: &[SenderHandle]) -> Vec<(u64, u64)> {
    let mut heads = Vec::new();
    let mut waiting = Vec::new();
    for sender in senders {
        sender.queue.close(closed());
        let (done, finished) = oneshot::channel();
        // A sender that ended has nothing to send.
        let _ = sender.commands.send(SenderCommand::Finish(done)).await;
        waiting.push(finished);
    }
    for finished in waiting {
        heads.push(finished.await.unwrap_or((1, 1)));
    }
    heads
}
