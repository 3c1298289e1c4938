//! One member of a group.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{BoxFuture, FromGroup, GroupInbox, GroupSpec, Position, Settle, Token};
use agora_core::{ErrorKind, Result};
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::consumer::Info;
use async_nats::{Message, Subject, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{Instant, interval, sleep};

use super::presence;
use super::retention::{self, Seen};
use crate::by_hand;
use crate::error::{closed, error, lost};
use crate::headers;
use crate::held::{Held, Passed};
use crate::names;
use crate::pull::{Meta, Pull, Pulled};
use crate::session::Session;
use crate::shared::Shared;
use crate::subscribe::Task;

const ACK: &[u8] = b"+ACK";
/// With a pause of 50 ms: given out again at once, a record would come back to the member that gives it up while it
/// leaves, and each way round counts as an attempt.
const RELEASE: &[u8] = br#"-NAK {"delay": 50000000}"#;
const PROGRESS: &[u8] = b"+WPI";
/// The most that is asked for at once; more comes with the next request.
const ASK_MAX: usize = 4096;
/// The most by which a lease ends here before it ends on the server. It is a tenth of it, and this at most.
const MARGIN_MAX: Duration = Duration::from_secs(1);
/// The shortest time after which a member looks whether something has come.
const TICK_MIN: Duration = Duration::from_millis(10);
/// The most places of a group that are looked at where a connection was lost.
const LOOKED_AT_MAX: u64 = 4096;
/// How many releases of a member that leaves are under way at once.
const RELEASES_AT_ONCE: usize = 64;

/// A member, from joining until it leaves or the connection is over.
pub(super) struct Member {
    shared: Arc<Shared>,
    pull: Pull,
    held: Arc<Mutex<Held>>,
    passed: Passed,
    terms: Terms,
    /// What has arrived and is not with the member, records with their tokens.
    waiting: VecDeque<(Option<Token>, FromGroup)>,
    /// Nothing was there at this time: what is there now has come since.
    seen_empty: Instant,
    is_over: bool,
    /// The stream and the consumer: what this node has doubts of.
    of_consumer: String,
    retention: Arc<Seen>,
    _tasks: [Task; 3],
}

/// For how long a record is a member's.
#[derive(Clone, Copy)]
struct Terms {
    /// As the server counts, and a little less: it began before the record was here.
    lease: Duration,
    /// As the member was promised.
    promise: Duration,
    /// By how much less.
    margin: Duration,
}

impl Terms {
    fn new(lease: Duration, promise: Duration) -> Self {
        let margin = (lease / 10).min(MARGIN_MAX);
        Self { lease: lease - margin, promise: promise.saturating_sub(margin), margin }
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
        let keeping = tokio::spawn(keep(Arc::clone(&session), Arc::clone(&held), terms));
        let retention = Arc::new(Seen::default());
        let passed = Passed::new(info.delivered.stream_sequence, info.delivered.consumer_sequence);
        let of_consumer = format!("{stream}.{}", info.name);
        let poisoned = poisoned(shared, &session, topic, stream, &of_consumer, &info).await?;
        let looking = tokio::spawn(retention::look(session, info, terms.lease, Arc::clone(&retention)));
        let mut member = Self {
            shared: Arc::clone(shared),
            pull,
            held,
            passed,
            retention,
            terms,
            waiting: VecDeque::new(),
            seen_empty: Instant::now(),
            is_over: false,
            of_consumer,
            _tasks: [answering, Task::new(keeping), Task::new(looking)],
        };
        for (message, meta) in poisoned {
            member.arrive(message, meta);
        }
        Ok(member)
    }

    /// Takes in what has arrived. It came at the earliest when nothing was there for the last time, and its lease began
    /// then: a process that was stopped in between must not hold it for good.
    fn arrive(&mut self, message: Message, meta: Meta) {
        let passed = self.passed.delivered(meta.at, meta.delivery, meta.delivered);
        if passed > 0 {
            self.retention.told.store(true, Ordering::Release);
            self.waiting.push_back((None, FromGroup::Trimmed { lane: 0, records: Some(passed) }));
        }
        let reply = message.reply.clone().unwrap_or_else(|| Subject::from_static(""));
        let Terms { lease, promise, .. } = self.terms;
        let token = lock(&self.held).arrive(meta.at, reply, self.seen_empty, lease, promise);
        let record = FromGroup::Message {
            raw: headers::raw(message.payload, message.headers.as_ref(), Some(meta.time())),
            at: Position(meta.at.into()),
            token,
            attempt: u32::try_from(meta.delivered).unwrap_or(u32::MAX),
        };
        self.waiting.push_back((Some(token), record));
    }

    /// Takes in all that has come, whatever is wanted of it: from here on its lease is kept.
    fn take_in(&mut self) {
        while !self.is_over {
            match self.pull.try_next() {
                Some(pulled) => self.take(pulled),
                None => {
                    self.seen_empty = Instant::now();
                    return;
                }
            }
        }
    }

    fn take(&mut self, pulled: Pulled) {
        match pulled {
            Pulled::Message(message, meta) => self.arrive(message, meta),
            Pulled::Quiet | Pulled::Ended => {}
            Pulled::Gone(why) => self.gone(&why),
        }
    }

    /// Hands over what waits, at most so many records.
    fn hand_over(&mut self, records_max: usize, into: &mut Vec<FromGroup>) {
        let mut records = 0;
        while let Some((token, _)) = self.waiting.front() {
            if token.is_some() && records == records_max {
                return;
            }
            let Some((token, one)) = self.waiting.pop_front() else { return };
            if let Some(token) = token {
                let Terms { lease, promise, .. } = self.terms;
                if !lock(&self.held).hand_over(token, Instant::now(), lease, promise) {
                    continue;
                }
                records += 1;
            }
            into.push(one);
        }
    }

    fn gone(&mut self, why: &str) {
        tracing::debug!(why, "a member is interrupted");
        self.is_over = true;
    }

    /// Every token is void.
    fn interrupted(&mut self, into: &mut Vec<FromGroup>) {
        self.is_over = true;
        self.waiting.clear();
        lock(&self.held).clear(Instant::now());
        into.push(FromGroup::Interrupted);
    }

    /// Gives back what was given out and what is on its way. Where to.
    fn release(&mut self) -> Vec<Subject> {
        if !self.pull.session.is_over() {
            self.take_in();
        }
        self.waiting.clear();
        lock(&self.held).clear(Instant::now())
    }
}

/// The records of a group that were given out, are not settled, and that the client cannot take: looked for where a
/// connection of this node was lost. They are this member's, and also another's that has lost its connection over them: both
/// settle them.
async fn poisoned(
    shared: &Shared,
    session: &Session,
    topic: &TopicName,
    stream: &str,
    of_consumer: &str,
    info: &Info,
) -> Result<Vec<(Message, Meta)>> {
    let mut found = Vec::new();
    if shared.doubts.from(of_consumer, 0).is_empty() {
        return Ok(found);
    }
    let subject = names::log_subject(&shared.cluster, topic);
    let (mut place, last) =
        (info.ack_floor.stream_sequence.saturating_add(1), info.delivered.stream_sequence);
    let most = place.saturating_add(LOOKED_AT_MAX);
    while place <= last.min(most)
        && let Some(fetched) = by_hand::fetch(session, stream, &subject, place).await?
        && fetched.at <= last
    {
        place = fetched.at.saturating_add(1);
        if fetched.is_poison {
            let meta = fetched.meta();
            let Meta { delivered, at, delivery, stored_ns, pending } = meta;
            // Where the server wants to hear of it: it goes by the place in the stream.
            let reply =
                format!("$JS.ACK.{stream}.{}.{delivered}.{at}.{delivery}.{stored_ns}.{pending}", info.name);
            tracing::warn!(stream, at, "a record has headers that are none: it is handed over without them");
            found.push((Message { reply: Some(reply.into()), ..fetched.message }, meta));
        }
    }
    if found.is_empty() {
        shared.doubts.remove(of_consumer, 0);
    }
    Ok(found)
}

fn answer(session: &Arc<Session>, asked: Subscriber, held: &Arc<Mutex<Held>>) -> Task {
    let id = session.client.new_inbox().replace("_INBOX.", "");
    Task::new(tokio::spawn(presence::answer(Arc::clone(session), asked, id, Arc::clone(held))))
}

/// Extends the leases of records that wait for the member, and of those that it was promised for longer than the group's
/// lease is: the first member of a group decides for the server.
async fn keep(session: Arc<Session>, held: Arc<Mutex<Held>>, terms: Terms) {
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
async fn say(session: &Session, reply: Subject, word: &'static [u8]) -> Result<()> {
    match session.client.request(reply, Bytes::from_static(word)).await {
        Ok(_) => Ok(()),
        Err(cause) => Err(match cause.kind() {
            // Nobody leads the consumer just now; or it is gone, and then the member hears of it.
            RequestErrorKind::NoResponders => error(ErrorKind::Unreachable, "the group does not answer"),
            _ => lost(),
        }),
    }
}

/// The way to settle what a member holds.
struct Settling {
    shared: Arc<Shared>,
    session: Arc<Session>,
    held: Arc<Mutex<Held>>,
    terms: Terms,
}

impl Settling {
    /// Says all of it, and waits for the answer to the last word: a consumer hears what comes over one connection in its
    /// order, so that this one answers for all.
    async fn run(&self, words: &[(Token, Settle)]) -> Vec<Result<()>> {
        let begun = Instant::now();
        let mut answers = Vec::with_capacity(words.len());
        {
            let mut held = lock(&self.held);
            for (token, _) in words {
                answers.push(match () {
                    () if self.shared.is_closed() => Err(closed()),
                    () if self.session.is_over() => Err(void()),
                    () => held.reply(*token, begun).ok_or_else(void),
                });
            }
        }
        let last = answers.iter().rposition(Result::is_ok);
        let mut heard = Ok(());
        for (at, (_, how)) in words.iter().enumerate() {
            let Some(Ok(reply)) = answers.get(at) else { continue };
            let (reply, word) = (reply.clone(), word(*how));
            heard = match last {
                Some(last) if last == at => say(&self.session, reply, word).await,
                _ => self.session.client.publish(reply, Bytes::from_static(word)).await.map_err(|_| lost()),
            };
            if heard.is_err() {
                break;
            }
        }
        let mut held = lock(&self.held);
        let answered = words.iter().zip(answers).map(|((token, how), reply)| {
            reply?;
            heard.clone()?;
            match how {
                Settle::Extend => held.extend(*token, begun, self.terms.lease, self.terms.promise),
                Settle::Ack | Settle::Release => held.remove(*token),
            }
            Ok(())
        });
        answered.collect()
    }
}

fn word(how: Settle) -> &'static [u8] {
    match how {
        Settle::Ack => ACK,
        Settle::Extend => PROGRESS,
        Settle::Release => RELEASE,
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
                self.take_in();
                if self.retention.gone.swap(false, Ordering::AcqRel) {
                    self.waiting.push_front((None, FromGroup::Trimmed { lane: 0, records: None }));
                }
                self.hand_over(records_max, into);
            }
            if into.len() > before {
                return Ok(());
            }
            if self.is_over || self.pull.session.is_over() {
                if self.pull.asked() > 0 && self.pull.session.is_over() {
                    self.shared.doubts.add(&self.of_consumer, 0);
                }
                self.interrupted(into);
                return Ok(());
            }
            // With enough to do, it takes in all the same what it has asked for before.
            // Half of it at least: a question for each record would cost as much as the record.
            let (wanted, asked) = (records_max.min(ASK_MAX), self.waiting.len() + self.pull.asked());
            if asked < wanted.div_ceil(2) && self.pull.ask(wanted - asked, None).await.is_err() {
                self.is_over = true;
                continue;
            }
            let pulled = tokio::select! {
                biased;
                () = self.shared.closed() => continue,
                pulled = self.pull.next() => pulled,
                // To see that nothing has come: what comes after it has come since.
                () = sleep(self.terms.margin.max(TICK_MIN)) => continue,
            };
            self.take(pulled);
        }
    }

    fn settle(&self, token: Token, how: Settle) -> BoxFuture<Result<()>> {
        let settling = self.settle_all(vec![(token, how)]);
        Box::pin(async move { settling.await.pop().unwrap_or_else(|| Err(lost())) })
    }

    fn settle_all(&self, words: Vec<(Token, Settle)>) -> BoxFuture<Vec<Result<()>>> {
        let settling = Settling {
            shared: Arc::clone(&self.shared),
            session: Arc::clone(&self.pull.session),
            held: Arc::clone(&self.held),
            terms: self.terms,
        };
        Box::pin(async move {
            let answers = settling.run(&words).await;
            answers.into_iter().map(|answer| answer.map_err(|error| error.operation("settle"))).collect()
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
