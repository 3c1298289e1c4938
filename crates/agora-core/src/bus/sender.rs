//! The task behind the publishers of one topic: opens it, lets each lane have its sender, and adopts lanes that come later.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::COMMANDS_MAX;
use super::lane_sender::LaneSender;
use super::queue::{Queue, closed};
use super::shared::Shared;
use super::topic::sleep_until;
use crate::error::{Error, ErrorKind, Result};
use crate::id::TopicName;
use crate::transport::{Address, TopicInfo, TopicKind};

/// The first and the last pause after a failure.
pub(super) const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How often it is looked, while the number of lanes changes, for what has waited too long.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Where a sender stands that has formed nothing: next and floor.
const NOTHING_SENT: (u64, u64) = (1, 1);

/// What other tasks ask of a sender. A full queue drops hellos and asks: they are repeated.
#[derive(Debug)]
pub(crate) enum SenderCommand {
    Hello(u64),
    Ask(Vec<Range<u64>>),
    /// Send what is queued, announce the end, and answer with the final head: next and floor.
    Finish(oneshot::Sender<(u64, u64)>),
}

pub(crate) struct SenderTask {
    shared: Arc<Shared>,
    topic: TopicName,
    queue: Arc<Queue>,
    commands: mpsc::Receiver<SenderCommand>,
    /// What was asked before the topic was open.
    early: Vec<SenderCommand>,
    finishing: Option<oneshot::Sender<(u64, u64)>>,
}

impl SenderTask {
    pub(crate) fn new(
        shared: Arc<Shared>,
        topic: TopicName,
        queue: Arc<Queue>,
        commands: mpsc::Receiver<SenderCommand>,
    ) -> Self {
        Self { shared, topic, queue, commands, early: Vec::new(), finishing: None }
    }

    pub(crate) async fn run(mut self) {
        match self.open().await {
            Ok(Some(info)) => {
                let is_live = self.shared.config.kind_of(&self.topic) == TopicKind::Live;
                if is_live || info.lanes() <= 1 && !info.may_grow() {
                    self.run_one_lane().await;
                } else {
                    self.run_lanes(info).await;
                }
            }
            Ok(None) => {}
            Err(error) => {
                // Whoever asks for a publisher from here on gets another sender.
                self.commands.close();
                self.shared.refused_topic(&self.topic);
                self.fail_queued(&error);
            }
        }
    }

    /// Opens the topic, as long as it takes and a retry can help. `None`: the bus is gone.
    async fn open(&mut self) -> Result<Option<TopicInfo>> {
        let spec = self.shared.config.spec_of(&self.topic);
        let mut pause = BACKOFF.0;
        loop {
            match self.shared.transport.open(&spec).await {
                Ok(info) => return Ok(Some(info)),
                Err(error) if error.is_retryable() => {
                    tracing::debug!(topic = %spec.name, %error, "cannot open yet")
                }
                Err(error) => return Err(error),
            }
            let until = Instant::now() + pause;
            pause = (pause * 2).min(BACKOFF.1);
            loop {
                self.count_expired();
                // Nothing was ever sent: with nothing queued there is nothing to wait for.
                if self.queue.is_empty()
                    && let Some(done) = self.finishing.take()
                {
                    let _ = done.send(NOTHING_SENT);
                }
                tokio::select! {
                    biased;
                    command = self.commands.recv() => match command {
                        Some(SenderCommand::Finish(done)) => self.finishing = Some(done),
                        Some(command) if self.early.len() < COMMANDS_MAX => self.early.push(command),
                        Some(_) => {}
                        None => return Ok(None),
                    },
                    () = tokio::time::sleep_until(until) => break,
                }
            }
        }
    }

    /// A topic of one lane for ever: its sender is this task.
    async fn run_one_lane(&mut self) {
        self.queue.deal(1);
        let mut lane = self.lane(0);
        self.early.drain(..).for_each(|command| lane.handle(command));
        if let Some(done) = self.finishing.take() {
            lane.handle(SenderCommand::Finish(done));
        }
        // A closed one in its place: nobody asks this task any more.
        let commands = std::mem::replace(&mut self.commands, mpsc::channel(1).1);
        lane.run(commands).await;
    }

    /// A log that has several lanes, or may have: a task each, so that one that is stuck holds no other one up.
    async fn run_lanes(&mut self, mut info: TopicInfo) {
        let (mut senders, mut tasks) = (Vec::new(), JoinSet::new());
        let (mut lanes, mut grown) = (0, Some(info.lanes().max(1)));
        loop {
            if let Some(now) = grown
                && self.queue.are_lanes_settled()
            {
                self.queue.deal(now);
                for lane in lanes..now {
                    let (sender, commands) = mpsc::channel(1);
                    tasks.spawn(self.lane(lane).run(commands));
                    senders.push(sender);
                }
                (lanes, grown) = (now, None);
            }
            if grown.is_none()
                && self.finishing.is_some()
                && self.queue.are_lanes_settled()
                && let Some(done) = self.finishing.take()
            {
                // Readers of a log need no word of its end. Whoever closes the bus may have run out of time and be gone.
                let _ = done.send(NOTHING_SENT);
            }
            let queue = self.queue.clone();
            let look = grown.map(|_| Instant::now() + LOOK_INTERVAL);
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(SenderCommand::Finish(done)) => self.finishing = Some(done),
                    // On a log nothing is repaired.
                    Some(_) => {}
                    None => return,
                },
                // None ends by itself, unless it is broken.
                Some(_) = tasks.join_next() => return,
                () = queue.lanes_settled(), if grown.is_some() || self.finishing.is_some() => {}
                now = info.more_than(lanes), if grown.is_none() => {
                    tracing::info!(topic = %self.topic, lanes, now, "the topic has more lanes");
                    // What comes now goes by the new number, and what came before is settled first: equal keys keep
                    // their order.
                    self.queue.hold();
                    grown = Some(now);
                }
                () = sleep_until(look) => self.count_expired(),
            }
        }
    }

    fn lane(&self, lane: u32) -> LaneSender {
        let address = Address { topic: self.topic.clone(), lane };
        LaneSender::new(self.shared.clone(), address, self.queue.outlet(lane))
    }

    fn count_expired(&self) {
        let now = Instant::now();
        // Of a topic that is known to have one lane nothing waits to be dealt out: it waits in the lane.
        let expired = self.queue.expire_undealt(now) + self.queue.outlet(0).expire(now);
        if expired > 0 {
            self.count_failed(expired, ErrorKind::Timeout);
        }
    }

    /// Takes nothing more, and fails what is queued.
    fn fail_queued(&self, error: &Error) {
        self.count_failed(self.queue.fail(error), error.kind());
    }

    fn count_failed(&self, events: u64, kind: ErrorKind) {
        self.shared.counters.failed(events, kind);
        self.queue.meter.failed(events, kind);
    }
}

/// However the task ends, nobody is left waiting, and nothing more is queued that nobody would take.
impl Drop for SenderTask {
    fn drop(&mut self) {
        self.fail_queued(&closed());
        self.queue.end();
    }
}
