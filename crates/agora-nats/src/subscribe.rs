//! Live subscriptions: one task each, which empties the connection and never waits for the reader.

use std::sync::Arc;
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{Inbound, Inbox, InboxQueue};
use agora_core::{Error, ErrorKind, Result};
use async_nats::{Message, Subscriber};
use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, coop};
use tokio::time::sleep;

use crate::error::{closed, error};
use crate::headers;
use crate::inbox::INBOX_BYTES_MAX;
use crate::names;
use crate::session::{Doing, Session};
use crate::shared::Shared;

/// The pause before a subscription is tried again on a connection that did not take it.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How many messages are taken before the reader may look.
const TAKE_MAX: usize = 64;

/// Subscribes, and waits until the server knows of it.
pub(crate) async fn subscribe(shared: &Arc<Shared>, topic: &TopicName) -> Result<Box<dyn Inbox>> {
    let session = shared.session()?;
    let queue = Arc::new(InboxQueue::new(shared.plan.inbox_messages_max, INBOX_BYTES_MAX));
    let (done, ready) = oneshot::channel();
    let pump = Pump {
        shared: Arc::clone(shared),
        queue: Arc::clone(&queue),
        subject: names::live_subject(&shared.cluster, topic),
    };
    // The task never waits for anything but the connection: the budget of the runtime, which makes others yield now
    // and then, would let the client run ahead of it until messages are lost between the two.
    let task = Task(tokio::spawn(coop::unconstrained(pump.run(session, done))));
    match ready.await {
        Ok(done) => done?,
        Err(_) => return Err(closed()),
    }
    Ok(Box::new(NatsInbox { queue, _task: task }))
}

/// A task that ends with whoever holds this.
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn new(handle: JoinHandle<()>) -> Self {
        Self(handle)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct NatsInbox {
    queue: Arc<InboxQueue>,
    _task: Task,
}

#[async_trait]
impl Inbox for NatsInbox {
    async fn recv(&mut self, messages_max: usize, into: &mut Vec<Inbound>) -> Result<()> {
        self.queue.recv(messages_max, into).await
    }
}

struct Pump {
    shared: Arc<Shared>,
    queue: Arc<InboxQueue>,
    subject: String,
}

impl Pump {
    async fn run(self, session: Arc<Session>, done: oneshot::Sender<Result<()>>) {
        let first = self.shared.unless_closed(session.subscribe(&self.subject, &self.shared.probe)).await;
        let subscriber = match first {
            None => return,
            Some(Ok(subscriber)) => subscriber,
            Some(Err(why)) => {
                let why = match why.kind() {
                    ErrorKind::OutcomeUnknown => error(ErrorKind::Unreachable, "the connection was lost"),
                    _ => why,
                };
                return drop(done.send(Err(why)));
            }
        };
        // Whoever asked may have gone.
        if done.send(Ok(())).is_ok() {
            let end = self.follow(session, subscriber).await;
            self.queue.end(end);
        }
    }

    /// Hands messages over, from one connection after the other. Why it ends.
    async fn follow(&self, mut session: Arc<Session>, mut subscriber: Subscriber) -> Error {
        loop {
            if let Err(denial) = self.forward(&session, subscriber).await {
                return denial;
            }
            drop(session);
            (session, subscriber) = match self.again().await {
                Ok(next) => next,
                Err(end) => return end,
            };
            self.queue.resubscribed();
        }
    }

    /// Subscribes on the next connection that takes it.
    async fn again(&self) -> Result<(Arc<Session>, Subscriber)> {
        while let Some(session) = self.shared.next_session().await {
            match session.subscribe(&self.subject, &self.shared.probe).await {
                Ok(subscriber) => return Ok((session, subscriber)),
                Err(why) if why.kind() == ErrorKind::Unauthorized => return Err(why),
                Err(_) => {
                    if self.shared.unless_closed(sleep(RETRY_PAUSE)).await.is_none() {
                        break;
                    }
                }
            }
        }
        Err(closed())
    }

    /// Hands messages over until the connection is over, and everything that had arrived by then too.
    ///
    /// # Errors
    /// `Unauthorized` where the server denies the subscription after all.
    async fn forward(&self, session: &Session, mut subscriber: Subscriber) -> Result<()> {
        let mut denied = session.denied();
        // It may have been said before this task began to listen.
        denied.mark_changed();
        loop {
            let message = tokio::select! {
                biased;
                message = subscriber.next() => message,
                () = session.over() => break,
                () = self.shared.closed() => break,
                Ok(()) = denied.changed() => {
                    if let Some(why) = session.denial_of(Doing::Subscribe, &self.subject) {
                        return Err(why);
                    }
                    continue;
                }
            };
            // The client has ended.
            let Some(message) = message else { return Ok(()) };
            self.take(message, &mut subscriber);
        }
        while let Some(Some(message)) = subscriber.next().now_or_never() {
            self.take(message, &mut subscriber);
        }
        Ok(())
    }

    /// Takes a message, and those that have come by now: together they cost the reader one wake-up.
    fn take(&self, first: Message, subscriber: &mut Subscriber) {
        let more = std::iter::from_fn(|| subscriber.next().now_or_never().flatten());
        let messages = std::iter::once(first).chain(more.take(TAKE_MAX));
        self.queue
            .push_all(messages.map(|message| headers::raw(message.payload, message.headers.as_ref(), None)));
    }
}
