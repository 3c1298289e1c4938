//! One life of a node: its bus, and the tasks that use it and write down what they see.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use agora_core::Result;
use agora_core::bus::{Bus, BusConfig, MemberChange, Members, Publisher, Start};
use agora_core::id::TopicName;
use agora_core::membership::MemberEvent;
use agora_core::transport::Transport;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::draw::LEAVE_WITHIN;
use super::member::Member;
use super::note::Note;
use super::reader::Reader;
use super::recorder::Recorder;
use super::tap::{SUB, Tap};
use crate::history::{Change, Durable, From, GroupWhat, Life, LogWhat, Pace, Sub, Topic, Value, What};

/// How long a flush may take.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// A node that runs.
pub(super) struct Node {
    pub(super) life: Life,
    bus: Bus,
    recorder: Recorder,
    names: Arc<Vec<TopicName>>,
    publishers: BTreeMap<Topic, (Publisher, u64)>,
    /// One for each publish without an outcome.
    pending: Vec<Weak<()>>,
    tasks: JoinSet<()>,
    /// Slow readers are slow no more.
    hurry: Arc<AtomicBool>,
    subscriptions: VecDeque<(Sub, AbortHandle)>,
    /// Tells its place in a group to leave.
    quit: Option<oneshot::Sender<()>>,
}

impl Node {
    pub(super) fn start(
        life: Life,
        transport: impl Transport,
        config: BusConfig,
        recorder: Recorder,
        names: Arc<Vec<TopicName>>,
        hurry: Arc<AtomicBool>,
        rng: fastrand::Rng,
    ) -> Result<Self> {
        recorder.record(What::Start(life));
        let bus = Bus::open(Tap::new(transport, life, recorder.clone(), rng), config)?;
        recorder.name(bus.me(), life);
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_members(life, bus.members(), recorder.clone()));
        Ok(Self {
            life,
            bus,
            recorder,
            names,
            publishers: BTreeMap::new(),
            pending: Vec::new(),
            tasks,
            hurry,
            subscriptions: VecDeque::new(),
            quit: None,
        })
    }

    /// Publishes `count` events without waiting for any; their outcomes are written down as they come.
    pub(super) fn publish(&mut self, topic: Topic, count: u16, bytes: u32, waits: bool) -> Result<()> {
        if !self.publishers.contains_key(&topic) {
            let publisher = self.bus.publisher(self.names[usize::from(topic.0)].as_str())?;
            self.publishers.insert(topic, (publisher, 0));
        }
        let Some((publisher, last)) = self.publishers.get_mut(&topic) else { return Ok(()) };
        for _ in 0..count {
            *last += 1;
            let value = Value { life: self.life, topic, n: *last };
            let note = Note::new(value, usize::try_from(bytes).unwrap_or(0));
            self.recorder.record(What::Publish { value, waits });
            if !waits {
                let queued = publisher.try_publish(&note).map(|()| None).map_err(|error| error.kind());
                self.recorder.record(What::Published(value, queued));
                continue;
            }
            let (publish, recorder, token) = (publisher.publish(&note), self.recorder.clone(), Arc::new(()));
            self.pending.retain(|token| token.strong_count() > 0);
            self.pending.push(Arc::downgrade(&token));
            self.tasks.spawn(async move {
                let outcome = publish.await.map(|receipt| Some(receipt.seq)).map_err(|error| error.kind());
                recorder.record(What::Published(value, outcome));
                drop(token);
            });
        }
        Ok(())
    }

    /// Waits until all that was published so far has an outcome, and counts what has none.
    pub(super) fn flush(&mut self) {
        let (bus, recorder, life) = (self.bus.clone(), self.recorder.clone(), self.life);
        let pending = self.pending.clone();
        self.tasks.spawn(async move {
            let result = bus.flush(FLUSH_WITHIN).await.map_err(|error| error.kind());
            // Whoever waits for an outcome was woken before, and runs before this goes on.
            tokio::task::yield_now().await;
            let left = pending.iter().filter(|token| token.strong_count() > 0).count();
            recorder.record(What::Flushed(life, result, left));
        });
    }

    pub(super) fn subscribe(&mut self, sub: Sub, topics: Vec<Topic>, own: bool, pace: Pace) {
        let (bus, names, life) = (self.bus.clone(), self.names.clone(), self.life);
        self.recorder.record(What::Subscribe { sub, life, topics: topics.clone(), own, pace });
        let (recorder, hurry) = (self.recorder.clone(), self.hurry.clone());
        let reader = Reader { sub, pace, hurry, recorder, names: names.clone(), log: None };
        let task = self.tasks.spawn(async move {
            let names: Vec<&str> = topics.iter().map(|topic| names[usize::from(topic.0)].as_str()).collect();
            let subscribe = bus.subscribe(names.as_slice()).typed::<Note>();
            let subscribe = if own { subscribe.include_own() } else { subscribe };
            let started = subscribe.start(Start::Live).await;
            drop(bus);
            let result = started.as_ref().map(|_| ()).map_err(agora_core::Error::kind);
            reader.recorder.record(What::Established(sub, result));
            if let Ok(subscription) = started {
                reader.read(subscription).await;
            }
        });
        self.subscriptions.push_back((sub, task));
    }

    /// Reads a log; a durable reader saves its place itself after every `saves` deliveries.
    pub(super) fn read(
        &mut self,
        sub: Sub,
        topic: Topic,
        from: From,
        durable: Option<Durable>,
        saves: u8,
        pace: Pace,
    ) {
        let (bus, names, life) = (self.bus.clone(), self.names.clone(), self.life);
        self.recorder.record(What::Log(LogWhat::Read { sub, life, topic, from, durable, pace }));
        let (recorder, hurry) = (self.recorder.clone(), self.hurry.clone());
        let log = Some((topic, durable.map_or(0, |_| saves)));
        let reader = Reader { sub, pace, hurry, recorder, names: names.clone(), log };
        let task = self.tasks.spawn(SUB.scope(sub, async move {
            let subscribe = bus.subscribe(names[usize::from(topic.0)].as_str()).typed::<Note>();
            let subscribe = match durable {
                Some(durable) => subscribe.durable(&durable.to_string()),
                None => subscribe,
            };
            let start = match from {
                From::Earliest => Start::Earliest,
                From::Live => Start::Live,
            };
            let started = subscribe.start(start).await;
            drop(bus);
            let result = started.as_ref().map(|_| ()).map_err(agora_core::Error::kind);
            reader.recorder.record(What::Established(sub, result));
            if let Ok(subscription) = started {
                reader.read(subscription).await;
            }
        }));
        self.subscriptions.push_back((sub, task));
    }

    /// Becomes a member of a group, unless it is one.
    pub(super) fn join(&mut self, member: Sub, topic: Topic, rng: fastrand::Rng) -> bool {
        if self.quit.as_ref().is_some_and(|quit| !quit.is_closed()) {
            return false;
        }
        self.recorder.record(What::Group(GroupWhat::Join(member, self.life, topic)));
        let (quit, told) = oneshot::channel();
        self.quit = Some(quit);
        let place = Member { member, recorder: self.recorder.clone(), rng };
        self.tasks.spawn(place.work(self.bus.clone(), self.names[usize::from(topic.0)].clone(), told));
        true
    }

    /// Leaves its group.
    pub(super) fn quit(&mut self) {
        if let Some(quit) = self.quit.take() {
            // It may have ended by itself.
            let _ = quit.send(());
        }
    }

    pub(super) fn unsubscribe(&mut self) {
        if let Some((sub, task)) = self.subscriptions.pop_front() {
            self.recorder.record(What::Unsubscribe(sub));
            task.abort();
        }
    }

    /// Leaves, and takes its tasks along.
    pub(super) async fn leave(mut self) {
        self.recorder.record(What::Leaving(self.life));
        let result = self.bus.close(LEAVE_WITHIN).await.map_err(|error| error.kind());
        self.recorder.record(What::Gone(self.life, result));
        self.publishers.clear();
        // What was delivered before the end can still be read, and outcomes be told.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.tasks.shutdown().await;
    }

    /// Everything ends at once and without a word.
    pub(super) async fn crash(mut self) {
        self.recorder.record(What::Crash(self.life));
        self.publishers.clear();
        self.tasks.shutdown().await;
    }

    /// Writes down whom it holds alive.
    pub(super) fn look(&self) {
        let members = self.bus.members().snapshot();
        let mut alive: Vec<Life> = members
            .iter()
            .filter(|member| member.state.is_live())
            .filter_map(|member| self.recorder.life_of(member.info.source))
            .filter(|life| *life != self.life)
            .collect();
        alive.sort();
        self.recorder.record(What::View(self.life, alive));
    }
}

async fn watch_members(by: Life, mut members: Members, recorder: Recorder) {
    while let Some(change) = members.next().await {
        let (change, about) = match change {
            MemberChange::Event(event) => match event {
                MemberEvent::Joined(info) => (Change::Joined, Some(info.source)),
                MemberEvent::Suspected(info) => (Change::Suspected, Some(info.source)),
                MemberEvent::Recovered(info) => (Change::Recovered, Some(info.source)),
                MemberEvent::Failed(info) => (Change::Failed, Some(info.source)),
                MemberEvent::Left(info) => (Change::Left, Some(info.source)),
                MemberEvent::Returned(info) => (Change::Returned, Some(info.source)),
                MemberEvent::Changed(info) => (Change::Changed, Some(info.source)),
                MemberEvent::Isolated { .. } => (Change::Isolated, None),
                MemberEvent::Reunited => (Change::Reunited, None),
                MemberEvent::Conflict { .. } => (Change::Conflict, None),
                _ => continue,
            },
            _ => (Change::Missed, None),
        };
        let of = about.and_then(|source| recorder.life_of(source));
        let silent = of.and_then(|of| recorder.silent(by, of));
        recorder.record(What::Member { by, change, of, silent });
    }
}
