//! The idempotent producer: each record is stored once, in order, also where a try must be made again.
//!
//! It has one id for the transport, an epoch and sequences for each lane ([`super::lane`]), sorted into requests by the
//! brokers that lead them ([`super::ledger`], [`super::request`]). One task sends what there is and waits for the answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use agora_core::transport::{BoxFuture, OutFrame, PublishFailed};
use agora_core::{Error, Result};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::lane::Identity;
use super::ledger::{Leader, Ledger, Need, Outcome, Way};
use super::request::Told;
use super::{not_stored, request};
use crate::brokers::{Brokers, Line, TRY_WAIT, Target};
use crate::error::{Refusal, closed};
use crate::read::offsets::millis;

/// Where records wait, and from where they go.
pub(crate) struct Producer {
    ledger: Mutex<Ledger>,
    work: Notify,
    quiet: Notify,
}

/// Something that was waited for.
enum Done {
    Sent(i32, Way, Vec<Told>),
    Leader(usize, Option<Error>),
    Identity(Result<Identity>),
}

impl Producer {
    /// Begins, with a task that ends when the brokers do.
    pub(crate) fn start(brokers: &Arc<Brokers>) -> Arc<Self> {
        let producer = Arc::new(Self { ledger: Mutex::default(), work: Notify::new(), quiet: Notify::new() });
        let sender = Sender {
            producer: Arc::clone(&producer),
            data: brokers.line("records"),
            control: brokers.line("control"),
            slow: brokers.line("slow records"),
        };
        tokio::spawn(async move { sender.run().await });
        producer
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes records now, so that the order of the calls is the order in the lane.
    pub(super) fn publish(
        self: &Arc<Self>,
        (topic, partition): (&str, i32),
        is_control: bool,
        frames: Vec<OutFrame>,
        by: Instant,
    ) -> BoxFuture<Result<(), PublishFailed>> {
        let way = if is_control { Way::Control } else { Way::Data };
        let taken = self.ledger().push((topic, partition, way), frames, by, Instant::now());
        let (lane, call, answer) = match taken {
            Ok(taken) => taken,
            Err(error) => return Box::pin(async move { Err(not_stored(0, error)) }),
        };
        self.work.notify_one();
        let ticket = Ticket { producer: Arc::clone(self), lane, call, answer };
        Box::pin(ticket.wait(by))
    }

    /// Takes nothing more, and waits until what was taken is decided.
    pub(crate) async fn close(&self) {
        self.ledger().close();
        loop {
            let quiet = self.quiet.notified();
            if self.ledger().is_quiet() {
                return;
            }
            quiet.await;
        }
    }

    /// Takes nothing more, and answers every call.
    pub(crate) fn end(&self) {
        self.ledger().end();
        self.quiet.notify_waiters();
    }
}

/// A call that waits for its answer. Dropping it takes back what was not sent.
struct Ticket {
    producer: Arc<Producer>,
    lane: usize,
    call: u64,
    answer: oneshot::Receiver<Outcome>,
}

impl Ticket {
    async fn wait(mut self, by: Instant) -> Outcome {
        if let Ok(answered) = timeout_at(by, &mut self.answer).await {
            return answered.unwrap_or_else(|_| Err(not_stored(0, closed())));
        }
        match self.give_up() {
            Some(failed) => Err(failed),
            // It was answered in the last moment.
            None => self.answer.try_recv().unwrap_or_else(|_| Err(not_stored(0, closed()))),
        }
    }

    fn give_up(&self) -> Option<PublishFailed> {
        let mut ledger = self.producer.ledger();
        let failed = ledger.overdue(self.lane, self.call);
        if ledger.is_quiet() {
            self.producer.quiet.notify_waiters();
        }
        failed
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let _ = self.give_up();
    }
}

/// The task.
struct Sender {
    producer: Arc<Producer>,
    data: Line,
    control: Line,
    slow: Line,
}

impl Sender {
    async fn run(&self) {
        let brokers = Arc::clone(self.data.brokers());
        let mut waiting: FuturesUnordered<futures_util::future::BoxFuture<'_, Done>> =
            FuturesUnordered::new();
        loop {
            loop {
                let begun = self.begin();
                if begun.is_empty() {
                    break;
                }
                waiting.extend(begun);
            }
            let timer = self.producer.ledger().poll_timeout();
            tokio::select! {
                biased;
                () = brokers.closed() => break,
                Some(done) = waiting.next() => {
                    let mut next = Some(done);
                    while let Some(done) = next {
                        self.done(done);
                        next = waiting.next().now_or_never().flatten();
                    }
                }
                () = self.producer.work.notified() => {}
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {}
            }
        }
        self.producer.end();
    }

    /// What is to be waited for next.
    fn begin(&self) -> Vec<futures_util::future::BoxFuture<'_, Done>> {
        let brokers = self.data.brokers();
        let now = Instant::now();
        let leader = |topic: &str, partition: i32| {
            // What is known is known at once.
            match brokers.leader(topic, partition, now + TRY_WAIT).now_or_never() {
                Some(Ok((node, _))) => Leader::Node(node),
                Some(Err(error)) => Leader::Failed(error),
                None => Leader::Unknown,
            }
        };
        let (loads, needs) = self.producer.ledger().load(now, millis(SystemTime::now()), leader);
        let mut begun: Vec<futures_util::future::BoxFuture<'_, Done>> = Vec::new();
        for load in loads {
            let line = match load.way {
                Way::Data => &self.data,
                Way::Control => &self.control,
                Way::Slow => &self.slow,
            };
            begun.push(Box::pin(async move {
                Done::Sent(load.node, load.way, request::send(line, load.node, load.parts).await)
            }));
        }
        for need in needs {
            begun.push(match need {
                Need::Identity => Box::pin(async { Done::Identity(identity(&self.control).await) }),
                Need::Leader(lane, topic, partition) => Box::pin(self.seek(lane, topic, partition)),
            });
        }
        begun
    }

    async fn seek(&self, lane: usize, topic: StrBytes, partition: i32) -> Done {
        let by = Instant::now() + TRY_WAIT * 2;
        let found = self.data.brokers().leader(topic.as_str(), partition, by).await;
        Done::Leader(lane, found.err())
    }

    fn done(&self, done: Done) {
        let now = Instant::now();
        let mut ledger = self.producer.ledger();
        match done {
            Done::Sent(node, way, told) => ledger.told(node, way, told, now),
            Done::Leader(lane, error) => ledger.found(lane, error, now),
            Done::Identity(identity) => ledger.is_known_as(identity, now),
        }
        if ledger.is_quiet() {
            self.producer.quiet.notify_waiters();
        }
    }
}

/// Asks for an id that no other producer has.
async fn identity(line: &Line) -> Result<Identity> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let judge = |answer: &InitProducerIdResponse| Refusal::check(answer.error_code);
    let answer = line.ask(Target::Any, &request, TRY_WAIT, Instant::now() + TRY_WAIT * 2, judge).await?;
    Ok(Identity { id: answer.producer_id.0, epoch: answer.producer_epoch })
}
