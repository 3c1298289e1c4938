//! The task for everything that is not data: heartbeats, the failure detector, and the way of hellos, asks and
//! verdicts to those whom they concern.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::shared::Shared;
use super::stats::add;
use super::topic::{TopicCommand, sleep_until};
use crate::codec::{
    self, Ask, Control, FinalHead, Frame, FrameType, Heartbeat, Hello, Leave, Observer, Parsed,
};
use crate::error::{ErrorKind, Result};
use crate::id::{Incarnation, NodeId, NodeName, SourceId, StreamId, TopicName};
use crate::live::Ended;
use crate::membership::{Detector, HeartbeatSchedule, MemberInfo, MemberState, Output, TopicState, Verdict};
use crate::transport::{Address, Hint, Inbound, Inbox, Link, OutFrame, TopicSpec};

/// At most so many control messages are taken from the transport at once.
const RECEIVE_MESSAGES_MAX: usize = 256;
/// At most so many control frames go to the transport in one call.
const CALL_FRAMES_MAX: usize = 64;
/// How long the transport is given to take control frames. What it does not take by then is repeated anyway.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause before the control topic is opened again.
const OPEN_PAUSE: Duration = Duration::from_millis(200);
/// How often a leave is sent: where it is lost, the others wait for the failure detector instead.
const LEAVES: u32 = 3;
/// The pause between them.
const LEAVE_PAUSE: Duration = Duration::from_millis(15);

/// What other tasks ask of the control task.
#[derive(Debug)]
pub(crate) enum ControlCommand {
    /// A source was heard on the topic of this stream, for the first time or after it was held dead.
    Seen { source: SourceId, stream: StreamId },
    /// This node publishes on another topic.
    TopicsChanged,
    /// There is a task for the topic of this stream: it is to hear of the verdicts that stand, and only then of its
    /// first subscription.
    TopicOpened { stream: StreamId, subscribe: TopicCommand },
    /// Say goodbye, with the final head of every stream.
    Leave { finals: Vec<FinalHead>, done: oneshot::Sender<()> },
}

/// Sends what the other tasks have for the control topic.
pub(crate) async fn send_outbox(shared: Arc<Shared>, mut outgoing: mpsc::Receiver<Bytes>) {
    let address = Address { topic: TopicName::control(), lane: 0 };
    let mut frames = Vec::new();
    while outgoing.recv_many(&mut frames, CALL_FRAMES_MAX).await > 0 {
        let batch = frames.drain(..).map(OutFrame::new).collect();
        if let Err(failed) = shared.transport.publish(&address, batch, Instant::now() + SEND_TIMEOUT).await {
            tracing::debug!(error = %failed.error, "control frames were not sent");
        }
    }
}

/// Tells the other tasks whether the link is usable. One task watches it for all of them, so that they learn of a
/// change in an order that repeats.
pub(crate) async fn follow_link(shared: Arc<Shared>, mut link: watch::Receiver<Link>) {
    loop {
        shared.link.set(link.borrow_and_update().is_usable());
        if link.changed().await.is_err() {
            return shared.link.close();
        }
    }
}

pub(crate) struct ControlTask {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<ControlCommand>,
    detector: Detector,
    schedule: HeartbeatSchedule,
    /// The version of the link's state that the detector knows.
    link: u64,
    left: bool,
    /// The clock of a member was seen to be elsewhere: the snapshot is to say so.
    clocks_moved: bool,
}

impl ControlTask {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Receiver<ControlCommand>) -> Self {
        let (now, membership) = (Instant::now(), &shared.config.membership);
        let echo = shared.transport.capabilities().echo_via_server;
        let detector = Detector::new(membership.clone(), shared.me, echo, now);
        let schedule = HeartbeatSchedule::new(membership.heartbeat_interval, now, shared.fork_rng());
        Self { detector, schedule, link: 0, shared, commands, left: false, clocks_moved: false }
    }

    pub(crate) async fn run(mut self) {
        let (mut inbox, mut hints) = self.open().await;
        let mut inbound = Vec::with_capacity(RECEIVE_MESSAGES_MAX);
        self.link_changed();
        loop {
            let timer = [self.detector.poll_timeout(), self.schedule.poll_timeout()];
            let timer = timer.into_iter().flatten().min();
            // The inbox stands before the timers: what has arrived counts before anybody is judged by its absence.
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => self.handle(command).await,
                    None => return,
                },
                received = inbox.recv(RECEIVE_MESSAGES_MAX, &mut inbound) => {
                    match received {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::Closed => return,
                        Err(error) => {
                            tracing::warn!(%error, "the control topic ended, and is opened anew");
                            (inbox, hints) = self.open().await;
                            self.detector.handle_missed(Instant::now());
                        }
                    }
                    for message in inbound.drain(..) {
                        self.receive(message).await;
                    }
                    tokio::task::coop::consume_budget().await;
                }
                hint = next_hint(&mut hints) => match hint {
                    Some(hint) => self.detector.handle_hint(Instant::now(), hint),
                    None => hints = None,
                },
                changed = self.shared.link.changed(self.link) => match changed {
                    true => self.link_changed(),
                    false => return,
                },
                () = sleep_until(timer) => {
                    let now = Instant::now();
                    self.detector.handle_timeout(now);
                    if let Some(beat) = self.schedule.poll_heartbeat(now) {
                        self.send_heartbeat(beat.greet);
                    }
                }
            }
            self.act().await;
        }
    }

    /// Opens the control topic, as long as it takes.
    async fn open(&mut self) -> (Box<dyn Inbox>, Option<mpsc::Receiver<Hint>>) {
        loop {
            match self.try_open().await {
                Ok(opened) => return opened,
                Err(error) => tracing::warn!(%error, "the control topic cannot be opened yet"),
            }
            let until = Instant::now() + OPEN_PAUSE;
            while let Ok(command) = tokio::time::timeout_at(until, self.commands.recv()).await {
                match command {
                    // Without a control topic there is nobody who could be told.
                    Some(ControlCommand::Leave { done, .. }) => drop(done.send(())),
                    Some(command) => self.handle(command).await,
                    None => std::future::pending().await,
                }
            }
        }
    }

    async fn try_open(&self) -> Result<(Box<dyn Inbox>, Option<mpsc::Receiver<Hint>>)> {
        let (name, transport) = (TopicName::control(), &self.shared.transport);
        transport.open(&TopicSpec::live(name.clone())).await?;
        let inbox = transport.subscribe(&name).await?;
        Ok((inbox, transport.announce(self.shared.me).await?))
    }

    async fn handle(&mut self, command: ControlCommand) {
        let now = Instant::now();
        match command {
            ControlCommand::Seen { source, stream } => self.seen(now, source, stream).await,
            ControlCommand::TopicsChanged => self.schedule.handle_change(now),
            ControlCommand::TopicOpened { stream, subscribe } => self.inform(stream, subscribe).await,
            ControlCommand::Leave { finals, done } => {
                self.leave(finals).await;
                // Whoever closes the bus may have run out of time and be gone.
                let _ = done.send(());
            }
        }
    }

    /// Tells the task of a new topic who was held dead before there was the task: of those, the next events would be
    /// missing without a word. Then it gets its first subscription, and hears whom to wait for.
    async fn inform(&self, stream: StreamId, subscribe: TopicCommand) {
        let Some(topic) = self.shared.topic(stream) else { return };
        let members = self.detector.members();
        let dead = members.iter().filter(|member| member.state == MemberState::Failed);
        let dead = dead.map(|member| member.info.source).map(|source| {
            let publishes_here = self.names_topic(source, stream);
            TopicCommand::Ended { source, how: Ended::Failed, publishes_here, last: None }
        });
        let live = members.iter().filter(|member| member.state.is_live());
        let live = live.map(|member| member.info.source).filter(|source| self.names_topic(*source, stream));
        let then = [subscribe].into_iter().chain(live.map(TopicCommand::Expect));
        for command in dead.chain(then).chain([TopicCommand::Informed]) {
            let _ = topic.send(command).await;
        }
    }

    /// A source is heard on a topic. Whoever was held dead has a deadline again; whoever has left will get no further
    /// verdict, so the topic is told of the end once more.
    async fn seen(&mut self, now: Instant, source: SourceId, stream: StreamId) {
        let state = self.detector.member(source).map(|member| member.state);
        if state == Some(MemberState::Left) {
            if let Some(topic) = self.shared.topic(stream) {
                let how = Ended::Left;
                let _ =
                    topic.send(TopicCommand::Ended { source, how, publishes_here: true, last: None }).await;
            }
            return;
        }
        self.detector.observe(now, source);
        self.detector.observe_resumed(now, source);
    }

    async fn leave(&mut self, finals: Vec<FinalHead>) {
        self.left = true;
        let leave = Control::Leave(Leave { streams: finals });
        for turn in 0..LEAVES {
            if turn > 0 {
                tokio::time::sleep(LEAVE_PAUSE).await;
            }
            self.shared.send_control(&leave);
        }
        // The outbox is empty when all of its room is there again.
        let room = self.shared.outbox.max_capacity();
        let _ = tokio::time::timeout(SEND_TIMEOUT, self.shared.outbox.reserve_many(room)).await;
    }

    async fn receive(&mut self, inbound: Inbound) {
        let (counters, rejected) = (&self.shared.counters, &self.shared.meter.rejected);
        let raw = match inbound {
            Inbound::Message(raw) => raw,
            // What others sent may have been among it: that they were silent is not known.
            Inbound::Dropped(_) | Inbound::Resubscribed => {
                return self.detector.handle_missed(Instant::now());
            }
        };
        match codec::parse(raw.payload) {
            Parsed::Frame(frame) if frame.frame_type() == FrameType::Control => {
                if frame.header().stream == self.shared.control_stream() {
                    self.receive_frame(&Arc::new(frame)).await;
                } else {
                    add(&counters.rejected_stream, 1);
                    rejected.stream.add(1);
                }
            }
            Parsed::Unreadable { .. } => {
                add(&counters.rejected_unreadable, 1);
                rejected.unreadable.add(1);
            }
            _ => self.count_corrupt(),
        }
    }

    fn count_corrupt(&self) {
        add(&self.shared.counters.rejected_corrupt, 1);
        self.shared.meter.rejected.corrupt.add(1);
    }

    async fn receive_frame(&mut self, frame: &Arc<Frame>) {
        let source = frame.header().source;
        let mut cursor = frame.cursor();
        while let Some(record) = cursor.next(frame) {
            match Control::from_record(record.as_ref()) {
                Ok(Some(control)) => {
                    let is_heartbeat = matches!(control, Control::Heartbeat(_));
                    self.receive_control(source, control).await;
                    if is_heartbeat && source != self.shared.me {
                        self.compare_clocks(frame);
                    }
                }
                // A newer node may say more than this one knows.
                Ok(None) => {}
                Err(error) => {
                    self.count_corrupt();
                    tracing::debug!(%source, %error, "a control record was dropped");
                }
            }
        }
    }

    fn compare_clocks(&mut self, frame: &Frame) {
        let (now, sent) = (self.shared.config.clock.now_us(), frame.header().sent_us);
        let difference = i128::from(now) - i128::from(sent);
        // What does not fit is absurd in any case.
        let bounded = i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX });
        self.clocks_moved |= self.detector.handle_clock(frame.header().source, bounded);
    }

    async fn receive_control(&mut self, source: SourceId, control: Control) {
        let now = Instant::now();
        match control {
            Control::Heartbeat(heartbeat) => self.hear(now, source, heartbeat).await,
            Control::Observer(Observer { greet }) => self.hear_observer(now, source, greet),
            Control::Leave(Leave { streams }) => {
                if source != self.shared.me {
                    self.detector.handle_leave(now, source);
                    self.tell_left(source, &streams).await;
                }
            }
            Control::Hello(Hello { stream, nonce }) => self.shared.hello(StreamId(stream), nonce),
            Control::Ask(Ask { stream, node, incarnation, ranges }) => {
                let asked = SourceId { node: NodeId(node), incarnation: Incarnation(incarnation) };
                if asked == self.shared.me {
                    let ranges = ranges.into_iter().map(|(from, to)| from..to).collect();
                    self.shared.ask(StreamId(stream), ranges);
                }
            }
        }
    }

    async fn hear(&mut self, now: Instant, source: SourceId, heartbeat: Heartbeat) {
        let Ok(name) = NodeName::new(&heartbeat.name) else {
            self.count_corrupt();
            return;
        };
        if heartbeat.greet && source != self.shared.me {
            self.schedule.handle_greeting(now, self.detector.alive_count());
        }
        let topic = |t: &codec::TopicState| TopicState {
            stream: StreamId(t.stream),
            settings: t.settings,
            publishes: t.publishes,
        };
        let topics: Vec<TopicState> = heartbeat.topics.iter().map(topic).collect();
        for topic in topics.iter().filter(|topic| topic.publishes && source != self.shared.me) {
            if let Some(task) = self.shared.topic(topic.stream) {
                let _ = task.send(TopicCommand::Expect(source)).await;
            }
        }
        let (software, tags) = (heartbeat.software, heartbeat.tags);
        let info = MemberInfo { source, name, software, tags, topics };
        if source != self.shared.me {
            self.shared.compare_topics(&info);
        }
        self.detector.handle_heartbeat(now, info);
        if source == self.shared.me {
            self.set_joined(now);
        } else {
            self.set_others_heard();
        }
    }

    /// An observer lives. It is watched without a name, so that what it publishes has an end.
    fn hear_observer(&mut self, now: Instant, source: SourceId, greet: bool) {
        if source == self.shared.me {
            self.detector.handle_echo(now);
            self.set_joined(now);
            return;
        }
        self.set_others_heard();
        self.detector.observe(now, source);
        if greet {
            self.schedule.handle_greeting(now, self.detector.alive_count());
        }
    }

    fn set_others_heard(&self) {
        self.shared.others_heard.send_if_modified(|heard| !std::mem::replace(heard, true));
    }

    fn set_joined(&self, now: Instant) {
        if self.shared.joined.read().0.is_none() {
            self.shared.joined.set(Some(now));
        }
    }

    fn link_changed(&mut self) {
        let (up, version) = self.shared.link.read();
        self.link = version;
        let now = Instant::now();
        self.shared.meter.link(up);
        self.detector.handle_link(now, up);
        self.schedule.handle_link(now, up, self.detector.alive_count());
    }

    fn send_heartbeat(&mut self, greet: bool) {
        if self.left {
            return;
        }
        let control = if self.shared.config.observer {
            Control::Observer(Observer { greet })
        } else {
            Control::Heartbeat(self.heartbeat(greet))
        };
        if self.shared.send_control(&control) {
            add(&self.shared.counters.heartbeats_sent, 1);
        }
        if !self.shared.transport.capabilities().echo_via_server {
            self.set_joined(Instant::now());
        }
    }

    fn heartbeat(&self, greet: bool) -> Heartbeat {
        let config = &self.shared.config;
        Heartbeat {
            name: config.node.as_str().to_owned(),
            software: concat!("agora ", env!("CARGO_PKG_VERSION")).to_owned(),
            tags: config.tags.clone(),
            greet,
            topics: self.shared.topic_states(),
        }
    }

    /// Does what the failure detector decided, and tells whoever wants to know.
    async fn act(&mut self) {
        self.shared.measure();
        let refused = self.detector.rejected();
        let before = self.shared.counters.members_refused.swap(refused, Relaxed);
        self.shared.meter.rejected.too_many_sources.add(refused.saturating_sub(before));
        let mut events = Vec::new();
        let mut changed = false;
        while let Some(output) = self.detector.poll_event() {
            changed = true;
            match output {
                Output::Verdict(Verdict::Failed(source)) => self.tell_failed(source).await,
                Output::Verdict(Verdict::Returned(source)) => {
                    for (_, topic) in self.shared.topics() {
                        let _ = topic.send(TopicCommand::Returned(source)).await;
                    }
                }
                // The leave itself, with its final heads, was passed on when it came.
                Output::Verdict(Verdict::Left(_)) => {}
                Output::Event(event) => events.push(event),
            }
        }
        if !changed {
            if std::mem::take(&mut self.clocks_moved) {
                self.shared.members.send_replace(Arc::new(self.detector.members()));
            }
            return;
        }
        self.clocks_moved = false;
        // The snapshot first: who looks in between then sees a change twice, and never not at all.
        let members = self.detector.members();
        self.shared.meter.members(&members);
        self.shared.members.send_replace(Arc::new(members));
        for event in events {
            // Nobody may be listening.
            let _ = self.shared.member_events.send(event);
        }
        let members = self.detector.alive_count();
        for (_, topic) in self.shared.topics() {
            let _ = topic.send(TopicCommand::Members(members)).await;
        }
    }

    async fn tell_failed(&self, source: SourceId) {
        for (stream, topic) in self.shared.topics() {
            let publishes_here = self.names_topic(source, stream);
            let how = Ended::Failed;
            let _ = topic.send(TopicCommand::Ended { source, how, publishes_here, last: None }).await;
        }
    }

    async fn tell_left(&self, source: SourceId, finals: &[FinalHead]) {
        for (stream, topic) in self.shared.topics() {
            let last = finals.iter().find(|head| head.stream == stream.0).map(|head| (head.next, head.floor));
            let publishes_here = last.is_none() && self.names_topic(source, stream);
            let how = Ended::Left;
            let _ = topic.send(TopicCommand::Ended { source, how, publishes_here, last }).await;
        }
    }

    fn names_topic(&self, source: SourceId, stream: StreamId) -> bool {
        self.detector
            .member(source)
            .is_some_and(|m| m.info.topics.iter().any(|t| t.publishes && t.stream == stream))
    }
}

async fn next_hint(hints: &mut Option<mpsc::Receiver<Hint>>) -> Option<Hint> {
    match hints {
        Some(hints) => hints.recv().await,
        None => std::future::pending().await,
    }
}
