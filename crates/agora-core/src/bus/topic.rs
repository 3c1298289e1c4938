//! The task behind the subscriptions of one live topic: reads frames, lets the receiver judge them, hands over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Shared;
use super::backlog::{Backlog, Item};
use super::delivery::{Foreign, Gap, Missing};
use super::meter::Receiving;
use super::stats::add;
use crate::codec::{self, Ask, Control, Frame, FrameType, Hello, Parsed};
use crate::error::{Error, ErrorKind};
use crate::id::{SourceId, StreamId, TopicName};
use crate::limits::FRAME_OVERHEAD_BYTES;
use crate::live::{Action, Ended, Handover, Reason, Receiver, Seen, Span, SubId};
use crate::transport::{Inbound, Inbox, Raw};

/// At most so many messages are taken from the transport at once.
const RECEIVE_MESSAGES_MAX: usize = 256;

/// So often at most are they taken before a verdict: more than any inbox holds.
const DRAINS_MAX: usize = 256;

/// What other tasks tell the task of a topic.
#[derive(Debug)]
pub(crate) enum TopicCommand {
    Subscribe {
        backlog: Arc<Backlog>,
        own: bool,
        expected: BTreeSet<SourceId>,
        not_before: Instant,
        established: oneshot::Sender<()>,
    },
    /// The task now knows of every verdict that stands.
    Informed,
    /// There are more topics now, and each may hold less.
    HeldShare(usize),
    /// Some subscription was dropped: a call to look which.
    Detached,
    /// A verdict. `last`: the final head, next and floor, that the source's leave carried.
    Ended {
        source: SourceId,
        how: Ended,
        publishes_here: bool,
        last: Option<(u64, u64)>,
    },
    Returned(SourceId),
    /// A member that publishes here was heard of.
    Expect(SourceId),
    Members(usize),
}

/// A frame as the sequencer sees it. `frame` is `None` where its range is known and its content cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) frame: Option<Arc<Frame>>,
    pub(crate) seq: u64,
    pub(crate) end: u64,
    pub(crate) bytes: usize,
}

impl Span for Piece {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn end(&self) -> u64 {
        self.end
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

struct Sub {
    backlog: Arc<Backlog>,
    established: Option<oneshot::Sender<()>>,
}

pub(crate) struct TopicTask {
    shared: Arc<Shared>,
    topic: TopicName,
    stream: StreamId,
    lane: u32,
    inbox: Box<dyn Inbox>,
    commands: mpsc::Receiver<TopicCommand>,
    receiver: Receiver<Piece>,
    meter: Receiving,
    /// What the receiver held when that was last looked at.
    held: usize,
    subs: BTreeMap<SubId, Sub>,
    next_sub: u64,
    /// The verdicts that stand have come: the first subscription can, and only without any does the task end.
    informed: bool,
    /// Sources that the failure detector has yet to be told of: its queue was full.
    untold: BTreeSet<SourceId>,
}

impl TopicTask {
    pub(crate) fn new(
        shared: Arc<Shared>,
        topic: TopicName,
        inbox: Box<dyn Inbox>,
        commands: mpsc::Receiver<TopicCommand>,
    ) -> Self {
        let lane = 0;
        Self {
            stream: StreamId::of(&shared.config.cluster, &topic, lane),
            receiver: Receiver::new(shared.me, shared.held_share(), shared.fork_rng()),
            meter: shared.meter.receiving(&topic),
            held: 0,
            shared,
            topic,
            lane,
            inbox,
            commands,
            subs: BTreeMap::new(),
            next_sub: 0,
            informed: false,
            untold: BTreeSet::new(),
        }
    }

    /// Runs until the last subscription is gone or the bus ends.
    pub(crate) async fn run(mut self) {
        let mut inbound = Vec::with_capacity(RECEIVE_MESSAGES_MAX);
        loop {
            let timer = self.receiver.poll_timeout();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => {
                        // What arrived before the verdict counts before it.
                        let ended = matches!(command, TopicCommand::Ended { .. });
                        if ended && let Err(error) = self.drain(&mut inbound).await {
                            return self.end_for(error);
                        }
                        self.handle(command);
                    }
                    None => return,
                },
                received = self.inbox.recv(RECEIVE_MESSAGES_MAX, &mut inbound) => {
                    if let Err(error) = received {
                        return self.end_for(error);
                    }
                    self.receive_all(&mut inbound);
                    tokio::task::coop::consume_budget().await;
                }
                () = sleep_until(timer) => {}
            }
            self.receiver.handle_timeout(Instant::now());
            self.act();
            self.measure();
            self.drop_abandoned();
            if self.informed && self.subs.is_empty() && self.shared.retire_topic(self.stream, &self.commands)
            {
                return;
            }
        }
    }

    /// Tells what is held of frames that came early.
    fn measure(&mut self) {
        let (before, now) = (self.held, self.receiver.held_bytes());
        if before != now {
            self.shared.holds(before, now);
            self.held = now;
        }
    }

    fn handle(&mut self, command: TopicCommand) {
        let now = Instant::now();
        match command {
            TopicCommand::Informed => self.informed = true,
            TopicCommand::HeldShare(bytes) => self.receiver.set_held_bytes_max(bytes),
            TopicCommand::Subscribe { backlog, own, expected, not_before, established } => {
                let sub = SubId(self.next_sub);
                self.next_sub += 1;
                self.subs.insert(sub, Sub { backlog, established: Some(established) });
                self.receiver.subscribe(now, sub, own, expected, not_before);
            }
            TopicCommand::Detached => {}
            TopicCommand::Ended { source, how, publishes_here, last } => {
                if let Some((next, floor)) = last {
                    self.receiver.handle_head(now, source, next, floor, true, &[]);
                }
                self.receiver.handle_ended(now, source, how, publishes_here);
            }
            TopicCommand::Returned(source) => self.receiver.handle_returned(now, source),
            TopicCommand::Expect(source) => self.receiver.expect(source),
            TopicCommand::Members(members) => self.receiver.set_members(members),
        }
    }

    /// Takes what the inbox holds now, and does not wait for more.
    async fn drain(&mut self, inbound: &mut Vec<Inbound>) -> Result<(), Error> {
        for _ in 0..DRAINS_MAX {
            let received = tokio::select! {
                biased;
                received = self.inbox.recv(RECEIVE_MESSAGES_MAX, inbound) => received,
                () = std::future::ready(()) => return Ok(()),
            };
            received?;
            self.receive_all(inbound);
        }
        Ok(())
    }

    fn receive_all(&mut self, inbound: &mut Vec<Inbound>) {
        let now = Instant::now();
        for message in inbound.drain(..) {
            self.receive(now, message);
        }
    }

    fn drop_abandoned(&mut self) {
        if !self.subs.values().any(|sub| sub.backlog.is_abandoned()) {
            return;
        }
        let gone: Vec<SubId> =
            self.subs.iter().filter(|(_, sub)| sub.backlog.is_abandoned()).map(|(id, _)| *id).collect();
        for sub in gone {
            self.subs.remove(&sub);
            self.receiver.unsubscribe(sub);
        }
    }

    fn receive(&mut self, now: Instant, inbound: Inbound) {
        match inbound {
            Inbound::Message(raw) => self.receive_message(now, raw),
            Inbound::Dropped(_) => self.receiver.handle_dropped(),
            Inbound::Resubscribed => self.receiver.handle_resubscribed(),
        }
    }

    fn receive_message(&mut self, now: Instant, raw: Raw) {
        let counters = &self.shared.counters;
        match codec::parse(raw.payload.clone()) {
            Parsed::Frame(frame) => self.receive_frame(now, frame),
            Parsed::Unreadable { header, why } => {
                add(&counters.rejected_unreadable, 1);
                self.meter.rejected.unreadable.add(1);
                let range = header.range();
                if header.stream != self.stream || range.is_empty() {
                    return;
                }
                tracing::warn!(topic = %self.topic, source = %header.source, ?why, "a frame needs a newer version");
                let (seq, end, bytes) = (range.start, range.end, FRAME_OVERHEAD_BYTES);
                let piece = Piece { frame: None, seq, end, bytes };
                self.receive_piece(now, header.source, header.floor, piece);
            }
            Parsed::Corrupt(why) => {
                add(&counters.rejected_corrupt, 1);
                self.meter.rejected.corrupt.add(1);
                tracing::debug!(topic = %self.topic, ?why, "a damaged frame was dropped");
            }
            Parsed::Foreign(_) => {
                let arrived = self.shared.config.clock.now();
                for sub in self.subs.values() {
                    let (topic, raw) = (self.topic.clone(), raw.clone());
                    sub.backlog.push(Item::Foreign(Foreign { topic, raw, arrived }));
                }
            }
        }
    }

    fn receive_frame(&mut self, now: Instant, frame: Frame) {
        let header = frame.header().clone();
        let counters = &self.shared.counters;
        if header.stream != self.stream {
            add(&counters.rejected_stream, 1);
            self.meter.rejected.stream.add(1);
            return;
        }
        match frame.frame_type() {
            FrameType::Data => {
                add(&counters.frames_received, 1);
                let (seq, end) = (frame.seq(), frame.end());
                let bytes = frame.bytes().len() + FRAME_OVERHEAD_BYTES;
                let piece = Piece { frame: Some(Arc::new(frame)), seq, end, bytes };
                self.receive_piece(now, header.source, header.floor, piece);
            }
            FrameType::Head => {
                let Some(head) = frame.head() else { return };
                self.receiver.handle_head(
                    now,
                    header.source,
                    header.seq,
                    header.floor,
                    head.fin,
                    &head.nonces,
                );
            }
            FrameType::Control => {
                add(&counters.rejected_stream, 1);
                self.meter.rejected.stream.add(1);
            }
        }
    }

    fn receive_piece(&mut self, now: Instant, source: SourceId, floor: u64, piece: Piece) {
        let events = piece.end - piece.seq;
        let (counters, meter) = (&self.shared.counters, &self.meter);
        match self.receiver.handle_frame(now, source, floor, piece) {
            Seen::New { late: true } => {
                add(&counters.repaired, events);
                meter.repaired.add(events);
            }
            Seen::Duplicate => {
                add(&counters.duplicates, 1);
                meter.duplicates.add(1);
            }
            Seen::Refused => {
                add(&counters.sources_refused, 1);
                meter.rejected.too_many_sources.add(1);
            }
            _ => {}
        }
    }

    /// Does what the receiver decided.
    fn act(&mut self) {
        while let Some(action) = self.receiver.poll() {
            match action {
                Action::Hand(Handover::Item { sub, source, item, from }) => {
                    self.hand_over(sub, source, item, from);
                }
                Action::Hand(Handover::Gap { sub, source, from, to, reason }) => {
                    self.hand_gap(sub, source, from, to, reason);
                }
                Action::Ask { source, ranges } => {
                    let ranges = ranges.into_iter().map(|range| (range.start, range.end)).collect();
                    add(&self.shared.counters.asks_sent, 1);
                    self.meter.asks.add(1);
                    let (node, incarnation) = (source.node.0, source.incarnation.0);
                    let ask = Ask { stream: self.stream.0, node, incarnation, ranges };
                    self.shared.send_control(&Control::Ask(ask));
                }
                Action::Hello { nonce } => {
                    self.shared.send_control(&Control::Hello(Hello { stream: self.stream.0, nonce }));
                }
                Action::Established(sub) => {
                    if let Some(established) = self.subs.get_mut(&sub).and_then(|s| s.established.take()) {
                        // Whoever subscribes may have given up; its backlog says so.
                        let _ = established.send(());
                    }
                }
                Action::Appeared(source) | Action::Resumed(source) => {
                    self.untold.insert(source);
                }
            }
        }
        while let Some(source) = self.untold.pop_first() {
            if !self.shared.tell_seen(source, self.stream) {
                self.untold.insert(source);
                break;
            }
        }
    }

    fn hand_over(&mut self, sub: SubId, source: SourceId, piece: Piece, from: u64) {
        let Some(frame) = piece.frame else {
            return self.hand_gap(sub, source, Some(from), Some(piece.end), Reason::Unreadable);
        };
        let item = Item::Frame { topic: self.topic.clone(), lane: self.lane, frame, from };
        self.push(sub, item);
    }

    fn hand_gap(&mut self, sub: SubId, source: SourceId, from: Option<u64>, to: Option<u64>, reason: Reason) {
        let missing = Missing::Source { source, lane: self.lane, from, to };
        self.push(sub, Item::Gap(Gap { topic: self.topic.clone(), missing, reason }));
    }

    fn push(&mut self, sub: SubId, item: Item) {
        let Some(state) = self.subs.get(&sub) else { return };
        if !state.backlog.push(item) {
            add(&self.shared.counters.overflowed, 1);
            self.meter.overflowed.add(1);
        }
    }

    fn end_for(&self, error: Error) {
        // A bus that is closed ends its subscriptions in good order: see `Drop`.
        if error.kind() != ErrorKind::Closed {
            self.end(&Err(error));
        }
    }

    fn end(&self, how: &Result<(), Error>) {
        for sub in self.subs.values() {
            sub.backlog.end(how.clone());
        }
    }
}

/// However the task ends, nobody is left waiting.
impl Drop for TopicTask {
    fn drop(&mut self) {
        self.end(&Ok(()));
        self.shared.holds(self.held, 0);
    }
}

pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
