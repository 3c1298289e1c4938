//! One member of a group.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{BoxFuture, FromGroup, GroupInbox, GroupSpec, Position, Settle, Token};
use agora_core::{ErrorKind, Result};
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::consumer::Info;
use async_nats::{Message, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, interval};

use super::presence;
use crate::error::{closed, error, lost};
use crate::headers;
use crate::held::{Held, Passed};
use crate::names;
use crate::pull::{Meta, Pull, Pulled};
use crate::session::Session;
use crate::shared::Shared;
use crate::subscribe::Task;

const ACK: &[u8] = b"+ACK";
const RELEASE: &[u8] = b"-NAK";
const PROGRESS: &[u8] = b"+WPI";
/// The most that is asked for at once; more comes with the next request.
const ASK_MAX: usize = 4096;
/// The most by which a lease ends here before it ends on the server. It is a tenth of it, and this at most.
const MARGIN_MAX: Duration = Duration::from_secs(1);
/// How many releases of a member that leaves are under way at once.
const RELEASES_AT_ONCE: usize = 64;

/// A member, from joining until it leaves or the connection is over.
pub(super) struct Member {
    shared: Arc<Shared>,
    pull: Pull,
    held: Arc<Mutex<Held>>,
    passed: Passed,
    terms: Terms,
    /// Nothing was there at this time: what is there now has come since.
    seen_empty: Instant,
    is_over: bool,
    _tasks: [Task; 2],
}

/// For how long a record is a member's.
#[derive(Clone, Copy)]
struct Terms {
    /// As the server counts, and a little less: it began before the record was here.
    lease: Duration,
    /// As the member was promised.
    promise: Duration,
    /// That is longer than the server's.
    is_longer: bool,
}

impl Terms {
    fn new(lease: Duration, promise: Duration) -> Self {
        let (margin, is_longer) = ((lease / 10).min(MARGIN_MAX), promise > lease);
        Self { lease: lease - margin, promise: promise.saturating_sub(margin), is_longer }
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Member {
    pub(super) async fn join(
        shared: &Arc<Shared>,
        session: Arc<Session>,
        topic: &TopicName,
        group: &GroupSpec,
        stream: &str,
        info: Info,
    ) -> Result<Self> {
        let terms = Terms::new(info.config.ack_wait, group.lease);
        let held = Arc::new(Mutex::new(Held::default()));
        let pull = Pull::new(Arc::clone(&session), stream, &info.name).await?;
        let subject = names::members_subject(&shared.cluster, topic, &group.name);
        // The round trip also says that the inbox of this member is known.
        let asked = session.subscribe(&subject, &shared.probe).await?;
        let answering = answer(&session, asked, &held);
        let keeping = tokio::spawn(keep(session, Arc::clone(&held), terms));
        Ok(Self {
            shared: Arc::clone(shared),
            pull,
            held,
            passed: Passed::new(info.delivered.stream_sequence, info.delivered.consumer_sequence),
            terms,
            seen_empty: Instant::now(),
            is_over: false,
            _tasks: [answering, Task::new(keeping)],
        })
    }

    fn give(&mut self, message: Message, meta: Meta, arrived: Instant, into: &mut Vec<FromGroup>) {
        let passed = self.passed.delivered(meta.at, meta.delivery, meta.delivered);
        if passed > 0 {
            into.push(FromGroup::Trimmed { lane: 0, records: Some(passed) });
        }
        let reply = message.reply.map(|reply| reply.to_string()).unwrap_or_default();
        let token = lock(&self.held).give(meta.at, reply, arrived, self.terms.lease, self.terms.promise);
        into.push(FromGroup::Message {
            raw: headers::raw(message.payload, message.headers.as_ref(), Some(meta.time())),
            at: Position(meta.at.into()),
            token,
            attempt: u32::try_from(meta.delivered).unwrap_or(u32::MAX),
        });
    }

    /// Takes what has come already.
    fn take_waiting(&mut self, records_max: usize, into: &mut Vec<FromGroup>) {
        let mut records = 0;
        let arrived = self.seen_empty;
        while records < records_max && !self.is_over {
            match self.pull.try_next() {
                Some(Pulled::Message(message, meta)) => {
                    records += 1;
                    self.give(message, meta, arrived, into);
                }
                Some(Pulled::Quiet | Pulled::Ended) => {}
                Some(Pulled::Gone(why)) => self.gone(&why),
                None => {
                    self.seen_empty = Instant::now();
                    return;
                }
            }
        }
    }

    fn gone(&mut self, why: &str) {
        tracing::debug!(why, "a member is interrupted");
        self.is_over = true;
    }

    /// Every token is void.
    fn interrupted(&mut self, into: &mut Vec<FromGroup>) {
        self.is_over = true;
        lock(&self.held).clear();
        into.push(FromGroup::Interrupted);
    }

    /// Gives back what was given out and what is on its way.
    fn release(&mut self) -> Vec<String> {
        let mut replies = lock(&self.held).clear();
        while let Some(pulled) = self.pull.try_next() {
            match pulled {
                Pulled::Message(message, _) => replies.extend(message.reply.map(|reply| reply.to_string())),
                Pulled::Quiet | Pulled::Ended => {}
                Pulled::Gone(_) => break,
            }
        }
        replies
    }
}

fn answer(session: &Arc<Session>, asked: Subscriber, held: &Arc<Mutex<Held>>) -> Task {
    let id = session.client.new_inbox().replace("_INBOX.", "");
    Task::new(tokio::spawn(presence::answer(Arc::clone(session), asked, id, Arc::clone(held))))
}

/// Extends the leases of records that the member was promised for longer than the group's lease is: the first member of a
/// group decides for the server.
async fn keep(session: Arc<Session>, held: Arc<Mutex<Held>>, terms: Terms) {
    if !terms.is_longer {
        return;
    }
    let mut ticks = interval((terms.lease / 3).max(Duration::from_millis(10)));
    loop {
        ticks.tick().await;
        let to_keep = lock(&held).short_lived(Instant::now());
        for (token, reply) in to_keep {
            let now = Instant::now();
            if session.client.publish(reply, Bytes::from_static(PROGRESS)).await.is_err() {
                return;
            }
            lock(&held).kept(token, now, terms.lease);
        }
    }
}

/// Says something of a record, and waits until the server has heard it.
async fn say(session: &Session, reply: String, word: &'static [u8]) -> Result<()> {
    match session.client.request(reply, Bytes::from_static(word)).await {
        Ok(_) => Ok(()),
        Err(cause) => Err(match cause.kind() {
            RequestErrorKind::NoResponders => error(ErrorKind::Conflict, "the group is gone"),
            _ => lost(),
        }),
    }
}

fn void() -> agora_core::Error {
    error(ErrorKind::Conflict, "the token is void: the record may be another's work by now")
}

#[async_trait]
impl GroupInbox for Member {
    async fn recv(&mut self, records_max: usize, into: &mut Vec<FromGroup>) -> Result<()> {
        let before = into.len();
        loop {
            if self.shared.is_closed() {
                return Err(closed().operation("recv"));
            }
            if !self.pull.session.is_over() {
                self.take_waiting(records_max, into);
            }
            if into.len() > before {
                return Ok(());
            }
            if self.is_over || self.pull.session.is_over() {
                self.interrupted(into);
                return Ok(());
            }
            let wanted = records_max.min(ASK_MAX);
            if wanted == 0 {
                let session = Arc::clone(&self.pull.session);
                tokio::select! {
                    () = session.over() => {}
                    () = self.shared.closed() => {}
                }
                continue;
            }
            if self.pull.asked() < wanted && self.pull.ask(wanted - self.pull.asked(), None).await.is_err() {
                self.is_over = true;
                continue;
            }
            let pulled = tokio::select! {
                biased;
                pulled = self.pull.next() => pulled,
                () = self.shared.closed() => continue,
            };
            match pulled {
                Pulled::Message(message, meta) => {
                    self.give(message, meta, Instant::now(), into);
                    self.seen_empty = Instant::now();
                    self.take_waiting(records_max - 1, into);
                    return Ok(());
                }
                Pulled::Quiet | Pulled::Ended => self.seen_empty = Instant::now(),
                Pulled::Gone(why) => self.gone(&why),
            }
        }
    }

    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        let (shared, session, held) =
            (Arc::clone(&self.shared), Arc::clone(&self.pull.session), Arc::clone(&self.held));
        let terms = self.terms;
        Box::pin(async move {
            let settled = async {
                if shared.is_closed() {
                    return Err(closed());
                }
                if session.is_over() {
                    return Err(void());
                }
                let begun = Instant::now();
                let reply = lock(&held).reply(token, begun).ok_or_else(void)?;
                let word = match how {
                    Settle::Ack => ACK,
                    Settle::Extend => PROGRESS,
                    Settle::Release => RELEASE,
                };
                say(&session, reply, word).await?;
                match how {
                    Settle::Extend => lock(&held).extend(token, begun, terms.lease, terms.promise),
                    Settle::Ack | Settle::Release => lock(&held).remove(token),
                }
                Ok(())
            };
            settled.await.map_err(|error| error.operation("settle"))
        })
    }

    async fn leave(mut self: Box<Self>) -> Result<()> {
        if self.shared.is_closed() {
            return Err(closed().operation("leave"));
        }
        let replies = self.release();
        let session = Arc::clone(&self.pull.session);
        // The inbox goes first: what was asked for is then given to others.
        drop(self);
        let mut result = Ok(());
        for some in replies.chunks(RELEASES_AT_ONCE) {
            let all = join_all(some.iter().map(|reply| say(&session, reply.clone(), RELEASE))).await;
            result = all.into_iter().fold(result, Result::and);
        }
        result.map_err(|error| error.operation("leave"))
    }
}

impl Drop for Member {
    /// Nobody waits for the releases to be heard; what is not heard comes again when its lease has ended.
    fn drop(&mut self) {
        for reply in self.release() {
            let _ = self.pull.session.client.publish(reply, Bytes::from_static(RELEASE)).now_or_never();
        }
    }
}
