//! The queue between a connection and the engine, for backends whose connection must not wait for a slow reader.
//!
//! What is not read from a connection waits elsewhere, out of sight: at a server, which cuts a slow client off, or in a
//! client's own thread. So everything is read at once, and what does not fit here is dropped here, where it can be counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Inbound, Raw};
use crate::error::{Error, Result};

/// What a waiting message takes besides its payload, roughly.
const OVERHEAD_BYTES: usize = 128;

/// Filled as messages arrive, and never waited for; emptied by one reader, an [`Inbox`](super::Inbox). What does not fit is
/// counted, and told as [`Inbound::Dropped`] at the place where it would have stood.
#[derive(Debug)]
pub struct InboxQueue {
    state: Mutex<State>,
    filled: Notify,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Inbound>,
    messages: usize,
    bytes: usize,
    ended: Option<Error>,
}

impl InboxQueue {
    /// An empty one, with room for so many messages and bytes. One message is always taken, whatever its size.
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), messages_max, bytes_max }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message, or counts it as dropped where there is no room.
    pub fn push(&self, message: Raw) {
        self.push_all(std::iter::once(message));
    }

    /// Takes messages, each as [`push`](Self::push) does, and wakes the reader once. Nobody can read while they are taken, so
    /// they should be few, and here already.
    pub fn push_all(&self, messages: impl Iterator<Item = Raw>) {
        let mut state = self.state();
        for message in messages {
            if state.ended.is_some() {
                return;
            }
            let size = size_of(&message);
            let fits = state.messages == 0
                || state.messages < self.messages_max && state.bytes + size <= self.bytes_max;
            if fits {
                state.messages += 1;
                state.bytes += size;
                state.waiting.push_back(Inbound::Message(message));
            } else if let Some(Inbound::Dropped(Some(count))) = state.waiting.back_mut() {
                // There is at most one such mark between two messages, so the marks are bounded by the messages.
                *count += 1;
            } else {
                state.waiting.push_back(Inbound::Dropped(Some(1)));
            }
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Tells the reader that messages may have been missed. Marks that follow each other are one.
    pub fn resubscribed(&self) {
        let mut state = self.state();
        if state.ended.is_some() || matches!(state.waiting.back(), Some(Inbound::Resubscribed)) {
            return;
        }
        // Behind `Dropped` comes at most one mark, and a flapping link cannot add more than one for each message.
        state.waiting.push_back(Inbound::Resubscribed);
        drop(state);
        self.filled.notify_one();
    }

    /// Takes nothing more. What waits can still be read; then reading fails with this.
    pub fn end(&self, why: Error) {
        self.state().ended.get_or_insert(why);
        self.filled.notify_one();
    }

    /// Waits for something, and moves at most `messages_max` to `into`.
    ///
    /// # Errors
    /// What it was [ended](Self::end) with, when all that waited was read.
    ///
    /// # Cancel safety
    /// Nothing is lost: between the wait and the return nothing is awaited.
    pub async fn recv(&self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        loop {
            {
                let mut state = self.state();
                let count = state.waiting.len().min(messages_max.max(1));
                if count > 0 {
                    let taken: Vec<Inbound> = state.waiting.drain(..count).collect();
                    for message in &taken {
                        if let Inbound::Message(raw) = message {
                            state.messages -= 1;
                            state.bytes -= size_of(raw);
                        }
                    }
                    into.extend(taken);
                    return Ok(());
                }
                if let Some(why) = &state.ended {
                    return Err(why.clone().operation("recv"));
                }
            }
            // A notification that came between the look and the wait is kept by `Notify`.
            self.filled.notified().await;
        }
    }
}

fn size_of(message: &Raw) -> usize {
    let headers = message.headers.iter().map(|(name, value)| name.len() + value.len() + OVERHEAD_BYTES);
    message.payload.len()
        + message.key.as_ref().map_or(0, |key| key.len())
        + headers.sum::<usize>()
        + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::ErrorKind;

    fn closed() -> Error {
        Error::new(ErrorKind::Closed, "the transport was closed")
    }

    fn message(byte: u8, len: usize) -> Raw {
        Raw { payload: Bytes::from(vec![byte; len]), lane: 0, key: None, headers: Vec::new(), time: None }
    }

    /// What arrived, as text: `1 2 d3 r`.
    async fn read(queue: &InboxQueue, max: usize) -> String {
        let mut into = Vec::new();
        queue.recv(max, &mut into).await.unwrap();
        let words = into.iter().map(|inbound| match inbound {
            Inbound::Message(raw) => raw.payload[0].to_string(),
            Inbound::Dropped(Some(count)) => format!("d{count}"),
            Inbound::Dropped(None) => "d?".into(),
            Inbound::Resubscribed => "r".into(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_where_it_would_have_stood() {
        let queue = InboxQueue::new(2, 1 << 20);
        for byte in 1..=5 {
            queue.push(message(byte, 1));
        }
        assert_eq!(read(&queue, 1).await, "1");
        queue.push(message(6, 1));
        queue.push(message(7, 1));
        assert_eq!(read(&queue, 100).await, "2 d3 6 d1");
        queue.push(message(8, 1));
        assert_eq!(read(&queue, 100).await, "8");
    }

    #[tokio::test]
    async fn bytes_are_bounded_too_but_one_message_always_fits() {
        let queue = InboxQueue::new(100, 1000);
        queue.push(message(1, 5000));
        queue.push(message(2, 1));
        assert_eq!(read(&queue, 100).await, "1 d1");
        queue.push(message(3, 500));
        queue.push(message(4, 500));
        queue.push(message(5, 100));
        assert_eq!(read(&queue, 100).await, "3 d1 5");
    }

    #[tokio::test]
    async fn interruptions_in_a_row_are_one() {
        let queue = InboxQueue::new(1, 1000);
        queue.resubscribed();
        queue.resubscribed();
        queue.push(message(1, 1));
        queue.push(message(2, 1));
        queue.resubscribed();
        queue.resubscribed();
        assert_eq!(read(&queue, 100).await, "r 1 d1 r");
    }

    #[tokio::test]
    async fn what_waits_is_read_before_the_end() {
        let queue = InboxQueue::new(10, 1000);
        queue.push(message(1, 1));
        queue.end(closed());
        queue.push(message(2, 1));
        assert_eq!(read(&queue, 100).await, "1");
        let error = queue.recv(1, &mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }

    #[tokio::test]
    async fn a_cancelled_read_loses_nothing() {
        let queue = InboxQueue::new(10, 1000);
        let mut into = Vec::new();
        {
            let mut reading = std::pin::pin!(queue.recv(10, &mut into));
            let waker = std::task::Waker::noop();
            assert!(reading.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
            queue.push(message(1, 1));
        }
        assert!(into.is_empty());
        assert_eq!(read(&queue, 100).await, "1");
    }
}
