//! One subscription of one node.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::space::Shared;
use super::state::{InboxId, closed};
use crate::error::Result;
use crate::transport::{Inbound, Inbox};

/// The reader's end of a subscription.
pub(super) struct MemoryInbox {
    shared: Arc<Shared>,
    id: InboxId,
    wake: Arc<Notify>,
}

impl MemoryInbox {
    pub(super) fn new(shared: Arc<Shared>, id: InboxId, wake: Arc<Notify>) -> Self {
        Self { shared, id, wake }
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        // A reader that always finds something must let the other tasks of its thread run now and then.
        tokio::task::consume_budget().await;
        loop {
            let next_due = {
                let now = Instant::now();
                let mut state = self.shared.lock();
                let state = &mut *state;
                let Some(inbox) = state.inboxes.get_mut(&self.id) else {
                    return Err(closed().operation("recv"));
                };
                if inbox.queue.take(now, messages_max, into) {
                    return Ok(());
                }
                if !state.endpoints.contains_key(&inbox.endpoint) {
                    return Err(closed().operation("recv"));
                }
                inbox.queue.next_due()
            };
            // Whoever changes the queue between the look above and this wait leaves a permit, so that the wait ends
            // at once.
            let woken = self.wake.notified();
            match next_due {
                None => woken.await,
                Some(due) => {
                    let _ = timeout_at(due, woken).await;
                }
            }
        }
    }
}

impl Drop for MemoryInbox {
    fn drop(&mut self) {
        self.shared.lock().unsubscribe(self.id);
    }
}
