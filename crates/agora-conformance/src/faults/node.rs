//! A node that publishes and reads, and writes down what happens to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agora_core::bus::{
    Bus, BusConfig, Delivery, MemberChange, Missing, Receipt, Received, Start, Subscription,
};
use agora_core::codec::RecordParts;
use agora_core::id::{ClusterName, StreamId, TopicName};
use agora_core::live::Reason;
use agora_core::log::Cursor;
use agora_core::membership::{MemberEvent, MemberInfo};
use agora_core::transport::Transport;
use agora_core::{Error, ErrorKind};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::member::{LEASE, LONG_LEASE, Member};
use super::place::place;
use super::recorder::Recorder;
use super::run::Run;
use crate::history::{Change, Durable, From, Life, LogWhat, Pace, Place, Sub, Topic, Value, What};
use crate::sim::note::Note;
use crate::suite::{Fault, Verdict};

/// The bytes of an event, where a case does not say.
const PADDING: usize = 20;
/// More lanes than a topic has in any case.
const LANES_MAX: u32 = 64;
/// A wait that is not given up while a case lasts.
const PATIENT: Duration = Duration::from_secs(3600);

/// A node of a run. Clones are the same one.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    run: Run,
    number: u8,
    life: Life,
    /// `None` once it has crashed or left.
    bus: Mutex<Option<Bus>>,
    /// Held for the lifetime of a node, for cases that ask about it afterwards.
    lives: AtomicBool,
    numbers: Mutex<BTreeMap<Topic, u64>>,
    tasks: Mutex<JoinSet<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    pub(super) fn open(
        run: Run,
        number: u8,
        transport: Box<dyn Transport>,
        config: BusConfig,
    ) -> Result<Self, Fault> {
        let recorder = run.recorder().clone();
        let naming = recorder.naming();
        let bus = Bus::open(Arc::<dyn Transport>::from(transport), config)?;
        let life = recorder.life(number);
        recorder.name(bus.me(), life);
        recorder.record(What::Start(life));
        drop(naming);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow_members(bus.members(), recorder.clone(), life));
        tasks.spawn(follow_link(bus.link(), recorder, life));
        let (bus, tasks) = (Mutex::new(Some(bus)), Mutex::new(tasks));
        let (lives, numbers) = (AtomicBool::new(true), Mutex::default());
        Ok(Self(Arc::new(Inner { run, number, life, bus, lives, numbers, tasks })))
    }

    /// Which life of which node it is.
    pub fn life(&self) -> Life {
        self.0.life
    }

    /// Its number.
    pub fn number(&self) -> u8 {
        self.0.number
    }

    /// Has it neither crashed nor left?
    pub fn lives(&self) -> bool {
        self.0.lives.load(Relaxed)
    }

    /// Its bus.
    ///
    /// # Panics
    /// Where it has crashed or left: the case is wrong.
    pub fn bus(&self) -> Bus {
        lock(&self.0.bus).clone().unwrap_or_else(|| panic!("{} lives no more", self.0.life))
    }

    fn recorder(&self) -> Recorder {
        self.0.run.recorder().clone()
    }

    pub(super) fn run(&self) -> &Run {
        &self.0.run
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.0.tasks).spawn(task);
    }

    /// Hands events to the publisher, one after the other. Their outcomes are written down when they come.
    ///
    /// # Errors
    /// Where there is no publisher.
    pub fn publish(&self, events: u64) -> Verdict {
        self.publish_large(events, PADDING)
    }

    /// The same with events of about so many bytes.
    ///
    /// # Errors
    /// As [`publish`](Node::publish).
    pub fn publish_large(&self, events: u64, bytes: usize) -> Verdict {
        let publisher = self.bus().publisher(self.0.run.topic().as_str())?;
        for _ in 0..events {
            let value = self.next_value();
            let recorder = self.recorder();
            recorder.record(What::Publish { value, waits: true });
            let publishing = publisher.publish(&Note::new(value, bytes));
            self.spawn(async move {
                let outcome = publishing.await;
                if let Err(error) = &outcome {
                    recorder.remark(format!("{value}: {error:#}"));
                }
                let outcome = outcome.map(|receipt| Some(place_of(&receipt))).map_err(|error| error.kind());
                recorder.record(What::Published(value, outcome));
            });
        }
        Ok(())
    }

    /// Publishes an event and forgets about it at once.
    ///
    /// # Errors
    /// As [`publish`](Node::publish).
    pub fn publish_cancelled(&self) -> Verdict {
        let publisher = self.bus().publisher(self.0.run.topic().as_str())?;
        let value = self.next_value();
        self.recorder().record(What::Publish { value, waits: true });
        drop(publisher.publish(&Note::new(value, PADDING)));
        self.recorder().record(What::Published(value, Err(ErrorKind::OutcomeUnknown)));
        Ok(())
    }

    /// Publishes an event of another kind, or of the usual kind with a body that is not one, and that a reader must not
    /// skip.
    ///
    /// # Errors
    /// Where it is not accepted.
    pub async fn publish_odd(&self, kind: &str, body: &[u8]) -> Verdict {
        let publisher = self.bus().publisher(self.0.run.topic().as_str())?;
        let value = self.next_value();
        self.recorder().record(What::Publish { value, waits: true });
        let (key, id, correlation) = (None, None, None);
        let record = RecordParts { kind, version: 1, resync: true, key, body, id, correlation };
        let outcome = self.0.run.soon("a publish", publisher.publish_record(&record)).await?;
        let known = outcome.as_ref().map(|receipt| Some(place_of(receipt))).map_err(Error::kind);
        self.recorder().record(What::Published(value, known));
        Ok(outcome.map(drop)?)
    }

    /// Publishes without waiting for room.
    ///
    /// # Errors
    /// What the publisher says: nothing was queued then.
    pub fn try_publish(&self, bytes: usize) -> Result<(), Error> {
        let publisher = self.bus().publisher(self.0.run.topic().as_str())?;
        let value = self.next_value();
        self.recorder().record(What::Publish { value, waits: false });
        let outcome = publisher.try_publish(&Note::new(value, bytes));
        let known = outcome.as_ref().map(|()| None).map_err(Error::kind);
        self.recorder().record(What::Published(value, known));
        outcome
    }

    /// Publishes events one after the other, and waits until each is accepted; one that is not is followed by another.
    ///
    /// # Errors
    /// Where so many are not accepted in time.
    pub async fn publish_all(&self, events: u64) -> Verdict {
        let publisher = self.bus().publisher(self.0.run.topic().as_str())?;
        let mut accepted = 0;
        let all = async {
            while accepted < events {
                let value = self.next_value();
                self.recorder().record(What::Publish { value, waits: true });
                let outcome = publisher.publish(&Note::new(value, PADDING)).await;
                if let Err(error) = &outcome {
                    self.recorder().remark(format!("{value}: {error:#}"));
                    // A refusal comes at once: another try at once would tell no more.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                accepted += u64::from(outcome.is_ok());
                let outcome = outcome.map(|receipt| Some(place_of(&receipt))).map_err(|error| error.kind());
                self.recorder().record(What::Published(value, outcome));
            }
        };
        self.0.run.soon("publishes are accepted", all).await
    }

    /// Publishes an event every so often until it is told to stop, or the node is gone.
    ///
    /// # Errors
    /// As [`publish`](Node::publish).
    pub fn publish_on(&self, every: Duration) -> Result<Publishing, Fault> {
        self.bus().publisher(self.0.run.topic().as_str())?;
        let (stop, mut stopped) = oneshot::channel::<()>();
        let node = self.clone();
        self.spawn(async move {
            let mut ticks = tokio::time::interval(every);
            while node.lives() {
                tokio::select! {
                    biased;
                    _ = &mut stopped => return,
                    _ = ticks.tick() => {}
                }
                if node.publish(1).is_err() {
                    return;
                }
            }
        });
        Ok(Publishing(stop))
    }

    fn next_value(&self) -> Value {
        let topic = Topic(0);
        let mut numbers = lock(&self.0.numbers);
        let n = numbers.entry(topic).or_insert(0);
        *n += 1;
        Value { life: self.0.life, topic, n: *n }
    }

    /// Reads from now on.
    ///
    /// # Errors
    /// Where that is not possible in time.
    pub async fn read(&self) -> Result<Reading, Fault> {
        self.begin(Start::Live, None, PATIENT).await
    }

    /// The same, and gives up each wait for the next event after a moment, to wait anew.
    ///
    /// # Errors
    /// As [`read`](Node::read).
    pub async fn read_impatiently(&self) -> Result<Reading, Fault> {
        self.begin(Start::Live, None, Duration::from_micros(50)).await
    }

    /// Reads a log from where another reader stood.
    ///
    /// # Errors
    /// As [`read`](Node::read).
    pub async fn go_on(&self, cursor: Cursor) -> Result<Reading, Fault> {
        self.begin(Start::Cursor(cursor), None, PATIENT).await
    }

    /// Reads a log from its beginning.
    ///
    /// # Errors
    /// As [`read`](Node::read).
    pub async fn replay(&self) -> Result<Reading, Fault> {
        self.begin(Start::Earliest, None, PATIENT).await
    }

    /// Reads a log from its beginning, or from where the last reader of this name stood.
    ///
    /// # Errors
    /// As [`read`](Node::read).
    pub async fn resume(&self, name: Durable) -> Result<Reading, Fault> {
        self.begin(Start::Earliest, Some(name), PATIENT).await
    }

    async fn begin(
        &self,
        start: Start,
        durable: Option<Durable>,
        patience: Duration,
    ) -> Result<Reading, Fault> {
        let (recorder, life) = (self.recorder(), self.0.life);
        let (sub, topic, pace) = (recorder.sub(), Topic(0), Pace::Prompt);
        recorder.record(match start {
            Start::Earliest | Start::Cursor(_) => {
                What::Log(LogWhat::Read { sub, life, topic, from: From::Earliest, durable, pace })
            }
            _ => What::Subscribe { sub, life, topics: vec![topic], own: false, pace },
        });
        let bus = self.bus();
        let mut subscribe = bus.subscribe(self.0.run.topic()).typed::<Note>();
        if let Some(name) = durable {
            subscribe = subscribe.durable(&name.to_string());
        }
        drop(bus);
        let started = self.0.run.soon("a subscription is established", subscribe.start(start)).await?;
        recorder.record(What::Established(sub, started.as_ref().map(drop).map_err(Error::kind)));
        let subscription = started?;
        let (gate, open) = watch::channel(true);
        let (stop, stopped) = oneshot::channel();
        let names = self.0.run.topics().to_vec();
        let cluster = self.0.run.cluster().clone();
        let reader = Reader { sub, recorder: recorder.clone(), names, cluster, patience };
        let (give_back, given_back) = oneshot::channel();
        self.spawn(async move {
            // Nobody waits for it where the node is gone.
            let _ = give_back.send(reader.read(subscription, open, stopped).await);
        });
        Ok(Reading { sub, recorder, gate, stop: Some(stop), given_back, durable })
    }

    /// Joins the group of this run.
    ///
    /// # Errors
    /// Where that is not possible in time.
    pub async fn join(&self, script: super::member::Script) -> Result<Member, Fault> {
        Member::join(self, LEASE, script).await
    }

    /// The same, and the work of a member that is gone lies for longer than any case takes: nothing is handled twice because a
    /// machine was busy.
    ///
    /// # Errors
    /// As [`join`](Node::join).
    pub async fn join_for_long(&self, script: super::member::Script) -> Result<Member, Fault> {
        Member::join(self, LONG_LEASE, script).await
    }

    /// Ends it without a word, as a crash would.
    pub async fn crash(&self) {
        self.recorder().record(What::Crash(self.0.life));
        self.0.lives.store(false, Relaxed);
        let bus = lock(&self.0.bus).take();
        let mut tasks = std::mem::take(&mut *lock(&self.0.tasks));
        tasks.shutdown().await;
        drop(bus);
    }

    /// Ends it in an orderly way.
    ///
    /// # Errors
    /// What the bus says.
    pub async fn close(&self, within: Duration) -> Verdict {
        self.recorder().record(What::Leaving(self.0.life));
        let bus = lock(&self.0.bus).take();
        let Some(bus) = bus else { return Ok(()) };
        let closed = bus.close(within).await;
        self.0.lives.store(false, Relaxed);
        self.recorder().record(What::Gone(self.0.life, closed.as_ref().map(drop).map_err(Error::kind)));
        Ok(closed?)
    }
}

/// Publishes until it is dropped.
#[must_use = "it publishes as long as this lives"]
#[derive(Debug)]
pub struct Publishing(#[expect(dead_code, reason = "its end is the signal")] oneshot::Sender<()>);

/// A subscription that is read.
#[must_use = "dropped, it goes on"]
pub struct Reading {
    sub: Sub,
    recorder: Recorder,
    gate: watch::Sender<bool>,
    stop: Option<oneshot::Sender<()>>,
    given_back: oneshot::Receiver<Option<Subscription<Note>>>,
    durable: Option<Durable>,
}

impl Reading {
    /// Its number in the history.
    pub fn sub(&self) -> Sub {
        self.sub
    }

    /// Reads nothing more, or goes on.
    pub fn hold(&self, hold: bool) {
        self.gate.send_replace(!hold);
    }

    /// How many events it was handed.
    pub fn events(&self) -> usize {
        self.recorder.look(|history| events_of(history, self.sub))
    }

    /// How many gaps it was handed.
    pub fn gaps(&self) -> usize {
        self.recorder.look(|history| {
            let gap = |what: &What| match what {
                What::Gap { sub, .. } | What::Log(LogWhat::Missing(sub, _)) => *sub == self.sub,
                _ => false,
            };
            history.entries.iter().filter(|entry| gap(&entry.what)).count()
        })
    }

    /// Waits until it was told of something missing for this reason, or of anything where that is `None`.
    ///
    /// # Errors
    /// Where that does not come in time.
    pub async fn misses(&self, run: &Run, why: Option<Reason>) -> Verdict {
        run.until("a gap is told", |history| {
            let told = |what: &What| match what {
                What::Gap { sub, reason, .. } | What::Log(LogWhat::Missing(sub, reason)) => {
                    *sub == self.sub && why.is_none_or(|why| why == *reason)
                }
                _ => false,
            };
            history.entries.iter().any(|entry| told(&entry.what))
        })
        .await
    }

    /// Waits until it was handed so many events.
    ///
    /// # Errors
    /// Where they do not come in time.
    pub async fn has(&self, run: &Run, events: usize) -> Verdict {
        run.until("events are read", |history| events_of(history, self.sub) >= events).await
    }

    /// Ends it, and saves its place where it has a name.
    ///
    /// # Errors
    /// Where the place cannot be saved.
    pub async fn close(self, run: &Run) -> Verdict {
        self.close_at(run).await.map(drop)
    }

    /// The same, and tells where it stood.
    ///
    /// # Errors
    /// As [`close`](Reading::close).
    pub async fn close_at(mut self, run: &Run) -> Result<Cursor, Fault> {
        drop(self.stop.take());
        let subscription = run.soon("a reader stops", self.given_back).await;
        let subscription = subscription?.ok().flatten();
        let ended = || Fault::broken("the subscription had ended before it was closed");
        let subscription = subscription.ok_or_else(ended)?;
        self.recorder.record(What::Unsubscribe(self.sub));
        let cursor = subscription.cursor();
        if let Some(durable) = self.durable {
            let saved = run.soon("a place is saved", subscription.close()).await?;
            let (fence, place) = (u64::from(self.sub.0), Place::default());
            let result = saved.as_ref().map(drop).map_err(Error::kind);
            self.recorder.record(What::Log(LogWhat::Saved { durable, fence, place, result }));
            saved?;
        }
        Ok(cursor)
    }
}

fn events_of(history: &crate::history::History, of: Sub) -> usize {
    let is_one = |what: &What| matches!(what, What::Event { sub, .. } if *sub == of);
    history.entries.iter().filter(|entry| is_one(&entry.what)).count()
}

struct Reader {
    sub: Sub,
    recorder: Recorder,
    names: Vec<TopicName>,
    cluster: ClusterName,
    /// How long to wait for the next delivery before the wait is given up and begun anew.
    patience: Duration,
}

impl Reader {
    /// Until it is told to stop, and gives the subscription back; or until that ends.
    async fn read(
        self,
        mut subscription: Subscription<Note>,
        mut open: watch::Receiver<bool>,
        mut stopped: oneshot::Receiver<()>,
    ) -> Option<Subscription<Note>> {
        loop {
            let next = async {
                // Whoever holds the gate may be gone: then it stays as it is.
                let _ = open.wait_for(|open| *open).await;
                loop {
                    if let Ok(delivery) = tokio::time::timeout(self.patience, subscription.try_next()).await {
                        return delivery;
                    }
                }
            };
            let delivery = tokio::select! {
                biased;
                _ = &mut stopped => return Some(subscription),
                delivery = next => delivery,
            };
            match delivery {
                Ok(Some(delivery)) => self.note(delivery),
                Ok(None) => {
                    self.recorder.record(What::Ended(self.sub, None));
                    return None;
                }
                Err(error) => {
                    self.recorder.remark(format!("{}: {error:#}", self.sub));
                    self.recorder.record(What::Ended(self.sub, Some(error.kind())));
                    return None;
                }
            }
        }
    }

    /// The lane that its frame was formed for.
    fn lane_of(&self, event: &Received<Note>) -> u32 {
        let stream = event.record().frame().header().stream;
        let is_it = |lane: &u32| StreamId::of(&self.cluster, event.topic(), *lane) == stream;
        (0..LANES_MAX).find(is_it).unwrap_or(LANES_MAX)
    }

    fn note(&self, delivery: Delivery<Note>) {
        let sub = self.sub;
        let topic = |name: &TopicName| {
            (0..).zip(&self.names).find(|(_, n)| *n == name).map_or(Topic(u8::MAX), |(n, _)| Topic(n))
        };
        self.recorder.record(match delivery {
            Delivery::Event(event) => What::Event {
                sub,
                of: self.recorder.life_of(event.source()),
                topic: topic(event.topic()),
                seq: place(self.lane_of(&event), event.seq()),
                value: event.value(),
            },
            Delivery::Gap(gap) => match gap.missing {
                Missing::Source { source, lane, from, to } => {
                    let (from, to) = (from.map(|seq| place(lane, seq)), to.map(|seq| place(lane, seq)));
                    let (of, topic) = (self.recorder.life_of(source), topic(&gap.topic));
                    What::Gap { sub, of, topic, from, to, reason: gap.reason }
                }
                _ => What::Log(LogWhat::Missing(sub, gap.reason)),
            },
            Delivery::Foreign(_) => What::Foreign(sub),
        });
    }
}

fn place_of(receipt: &Receipt) -> u64 {
    place(receipt.lane, receipt.seq)
}

async fn follow_members(mut members: agora_core::bus::Members, recorder: Recorder, by: Life) {
    while let Some(change) = members.next().await {
        let tell = |change: Change, info: Option<&MemberInfo>| {
            let of = info.and_then(|info| recorder.life_of(info.source));
            recorder.record(What::Member { by, change, of, silent: None });
        };
        match change {
            MemberChange::Event(event) => match event {
                MemberEvent::Joined(info) => tell(Change::Joined, Some(&info)),
                MemberEvent::Suspected(info) => tell(Change::Suspected, Some(&info)),
                MemberEvent::Recovered(info) => tell(Change::Recovered, Some(&info)),
                MemberEvent::Failed(info) => tell(Change::Failed, Some(&info)),
                MemberEvent::Left(info) => tell(Change::Left, Some(&info)),
                MemberEvent::Returned(info) => tell(Change::Returned, Some(&info)),
                MemberEvent::Conflict { .. } => tell(Change::Conflict, None),
                MemberEvent::Isolated { .. } => tell(Change::Isolated, None),
                MemberEvent::Reunited => tell(Change::Reunited, None),
                _ => {}
            },
            _ => tell(Change::Missed, None),
        }
    }
}

async fn follow_link(mut link: watch::Receiver<agora_core::transport::Link>, recorder: Recorder, by: Life) {
    loop {
        let now = format!("{:?}", *link.borrow_and_update());
        recorder.remark(format!("{by} link: {now}"));
        if link.changed().await.is_err() {
            return;
        }
    }
}
