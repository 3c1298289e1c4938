//! The world of the repair model: virtual time, messages on their way, and the judge.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Duration;

use agora_conformance::Ledger;
use agora_core::id::{Incarnation, NodeId, SourceId};
use agora_core::limits::{ASK_DEFERRALS, ASK_RETRY, ASK_SPREAD, ASK_TRIES, ESTABLISH_SETTLE};
use agora_core::live::{Action, Announcement, Handover, Reason, Receiver, Source, Span, SubId};
use bytes::Bytes;
use tokio::time::Instant;

use super::{Act, Fate, LATENCY, Repair};

/// How many receivers there are.
pub const RECEIVERS: usize = 2;
/// Events are numbered from 1; place 0 is not used.
const EVENTS_MAX: usize = 4;
/// So many that requests spread as far as they may.
const MEMBERS: usize = 1000;
/// With these the first receiver asks early, and the second late.
const SEEDS: [fn(u64) -> bool; RECEIVERS] = [|micros| micros < 10_000, |micros| micros > 90_000];
/// The longest that a first request waits: the spread and the least delay.
const DELAY_MAX: Duration = ASK_SPREAD.1.saturating_add(Duration::from_millis(1));
/// Heads come every 5 s at the longest, and each of the few holes ends in less than 2 s.
const HEALED_WITHIN: Duration = Duration::from_secs(15);
/// In that time there are far fewer steps than that; more mean that time stands still.
const STEPS_MAX: usize = 1000;
const SOURCE: SourceId = SourceId { node: NodeId(1), incarnation: Incarnation(1) };
const SUB: SubId = SubId(0);

/// A frame of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Piece(u64);

impl Span for Piece {
    fn seq(&self) -> u64 {
        self.0
    }
    fn end(&self) -> u64 {
        self.0 + 1
    }
    fn bytes(&self) -> usize {
        1
    }
}

/// What is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Message {
    Frame { seq: u64, floor: u64 },
    Head { next: u64, floor: u64 },
    Ask { from: usize, ranges: Vec<Range<u64>> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum To {
    Source,
    Receiver(usize),
}

/// Since when a receiver has waited to ask for the hole that begins here, having asked so often.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    hole: u64,
    tries: u8,
    since: Instant,
}

#[derive(Clone, Debug)]
struct Listener {
    receiver: Receiver<Piece>,
    waiting: Option<Waiting>,
    ledger: Ledger,
    /// How often each event was lost to it: the frame, an answer, or its own request.
    lost: [u8; EVENTS_MAX],
    /// The floors that the frames carry, by event.
    wrong: Option<String>,
    given_up: bool,
}

/// The world.
#[derive(Clone, Debug)]
pub struct State {
    now: Instant,
    source: Source,
    floors: [u64; EVENTS_MAX],
    listeners: Vec<Listener>,
    outbox: VecDeque<Message>,
    on_the_way: Vec<(Instant, To, Message)>,
    losses: u8,
    slow: u8,
    echoes: u8,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let until = |at: Instant| at.saturating_duration_since(self.now);
        self.source.hash_at(self.now, state);
        (self.floors, &self.outbox, self.losses, self.slow, self.echoes).hash(state);
        for listener in &self.listeners {
            listener.receiver.hash_at(self.now, state);
            let waiting = listener.waiting.map(|w| (w.hole, w.tries, self.now.duration_since(w.since)));
            (waiting, &listener.ledger, listener.lost, &listener.wrong, listener.given_up).hash(state);
        }
        for (at, to, message) in &self.on_the_way {
            (until(*at), to, message).hash(state);
        }
    }
}

/// Deadlines have no equality of their own: what hashes alike is alike.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let hash = |state: &Self| {
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            hasher.finish()
        };
        hash(self) == hash(other)
    }
}

impl State {
    /// Both receivers have an established subscription, and the source begins.
    pub(super) fn new() -> Self {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let began = *BEGAN.get_or_init(Instant::now);
        let now = began + ESTABLISH_SETTLE;
        let listeners = (0..RECEIVERS).map(|_| Listener::new(began, now)).collect();
        let source = Source::new(now, Duration::from_secs(30));
        Self {
            now,
            source,
            floors: [0; EVENTS_MAX],
            listeners,
            outbox: VecDeque::new(),
            on_the_way: Vec::new(),
            losses: 0,
            slow: 0,
            echoes: 0,
        }
    }

    pub(super) fn acts(&self, model: &Repair, out: &mut Vec<Act>) {
        if let Some(message) = self.outbox.front() {
            let fates = [Fate::Fast, Fate::Lost, Fate::Slow];
            for first in fates {
                // A request has one destination.
                let asks = matches!(message, Message::Ask { .. });
                for second in fates.into_iter().take(if asks { 1 } else { fates.len() }) {
                    let count = |fate| u8::from(first == fate) + u8::from(second == fate);
                    if self.losses + count(Fate::Lost) <= model.losses
                        && self.slow + count(Fate::Slow) <= model.slow
                    {
                        out.push(Act::Send([first, second]));
                    }
                }
            }
            return;
        }
        out.push(Act::Tick);
        if self.source.next() <= model.events {
            out.push(Act::Publish);
        }
        if self.echoes < model.echoes {
            let armed = (0..RECEIVERS).filter(|receiver| self.echo(*receiver).is_some());
            out.extend(armed.map(|receiver| Act::Echo { receiver }));
        }
    }

    pub(super) fn apply(&mut self, act: Act) {
        match act {
            Act::Publish => {
                let (seq, floor) = (self.source.next(), self.source.floor());
                self.floors[seq as usize] = floor;
                self.source.formed(self.now, Bytes::copy_from_slice(&[seq as u8]), 1, usize::MAX);
                self.outbox.push_back(Message::Frame { seq, floor });
            }
            Act::Send(fates) => self.send(fates),
            Act::Tick => self.tick(),
            Act::Echo { receiver } => {
                if let Some((at, piece)) = self.echo(receiver) {
                    self.now = at;
                    self.echoes += 1;
                    self.arrive(To::Receiver(receiver), Message::Frame { seq: piece.0, floor: 1 });
                }
            }
        }
        self.collect();
    }

    /// What went wrong.
    pub(super) fn violation(&self) -> Option<String> {
        self.listeners.iter().enumerate().find_map(|(n, listener)| {
            let violation = listener.ledger.violation().map(|violation| violation.to_string());
            let wrong = violation.or_else(|| listener.wrong.clone())?;
            Some(format!("receiver {n}: {wrong}"))
        })
    }

    /// Each receiver's hole, and how often it was asked for.
    pub(super) fn holes(&self) -> String {
        let hole = |listener: &Listener| match listener.receiver.sequencer().hole(SOURCE) {
            Some(hole) => {
                let (tries, deferrals) = listener.receiver.repair().counts(SOURCE);
                let armed = if listener.receiver.repair().is_armed(SOURCE) { "" } else { " and never again" };
                format!("misses {hole:?}, asked {tries} times, deferred {deferrals} times{armed}")
            }
            None => format!("has all below {}", listener.ledger.next()),
        };
        let all = self.listeners.iter().enumerate().map(|(n, l)| format!("receiver {n} {}", hole(l)));
        all.collect::<Vec<_>>().join("; ")
    }

    pub(super) fn is_every_hole_timed(&self) -> bool {
        self.listeners.iter().all(|listener| {
            let hole = listener.receiver.sequencer().hole(SOURCE);
            hole.is_some() == listener.receiver.repair().is_armed(SOURCE)
        })
    }

    /// Other answers may defer a request, but only so often.
    pub(super) fn is_every_request_in_time(&self) -> bool {
        self.listeners.iter().all(|listener| {
            let (Some(waiting), Some(due)) = (listener.waiting, listener.receiver.repair().poll_timeout())
            else {
                return true;
            };
            let first = if waiting.tries == 0 { DELAY_MAX } else { ASK_RETRY };
            due <= waiting.since + first + DELAY_MAX * u32::from(ASK_DEFERRALS)
        })
    }

    /// When the adversary rests, does everything come or become a gap, in time and by right?
    pub(super) fn heals(&self) -> bool {
        let mut after = self.clone();
        let until = self.now + HEALED_WITHIN;
        for _ in 0..STEPS_MAX {
            if after.now > until {
                break;
            }
            if !after.outbox.is_empty() {
                after.apply(Act::Send([Fate::Fast; RECEIVERS]));
            } else if after.is_settled() {
                return after.violation().is_none();
            } else {
                after.apply(Act::Tick);
            }
        }
        false
    }

    /// All events came to all, and of each of the first two everything that could be lost once was.
    pub(super) fn is_all_heard(&self, model: &Repair) -> bool {
        let mut listeners = self.listeners.iter();
        listeners.all(|l| !l.given_up && l.ledger.covers(model.events + 1) && l.lost[1] > 0 && l.lost[2] > 0)
    }

    pub(super) fn has_given_up(&self) -> bool {
        self.listeners.iter().any(|listener| listener.given_up)
    }

    fn is_settled(&self) -> bool {
        let next = self.source.next();
        self.listeners.iter().all(|listener| listener.ledger.is_settled(next))
    }

    fn send(&mut self, fates: [Fate; RECEIVERS]) {
        let Some(message) = self.outbox.pop_front() else { return };
        let destinations = match message {
            Message::Ask { .. } => vec![To::Source],
            _ => (0..RECEIVERS).map(To::Receiver).collect(),
        };
        for (to, fate) in destinations.into_iter().zip(fates) {
            match fate {
                Fate::Lost => {
                    self.losses += 1;
                    self.lose(&to, &message);
                }
                Fate::Fast => self.on_the_way.push((self.now + LATENCY.0, to, message.clone())),
                Fate::Slow => {
                    self.slow += 1;
                    self.on_the_way.push((self.now + LATENCY.1, to, message.clone()));
                }
            }
        }
        self.on_the_way.sort_by_key(|(at, ..)| *at);
    }

    fn lose(&mut self, to: &To, message: &Message) {
        match (to, message) {
            (To::Receiver(receiver), Message::Frame { seq, .. }) => {
                self.listeners[*receiver].lost[*seq as usize] += 1;
            }
            (_, Message::Ask { from, ranges }) => {
                for seq in ranges.iter().cloned().flatten() {
                    self.listeners[*from].lost[seq as usize] += 1;
                }
            }
            _ => {}
        }
    }

    /// What arrives comes before what is due.
    fn tick(&mut self) {
        let arrival = self.on_the_way.first().map(|(at, ..)| *at);
        let due = self.due();
        if let Some(at) = arrival.filter(|at| *at <= due) {
            self.now = self.now.max(at);
            let (_, to, message) = self.on_the_way.remove(0);
            self.arrive(to, message);
            return;
        }
        self.now = self.now.max(due);
        for (n, listener) in self.listeners.iter_mut().enumerate() {
            listener.receiver.reseed(seed(n));
            listener.receiver.handle_timeout(self.now);
        }
        self.source.handle_timeout(self.now);
    }

    /// When the next deadline is.
    fn due(&self) -> Instant {
        let receivers = self.listeners.iter().filter_map(|listener| listener.receiver.poll_timeout());
        receivers.fold(self.source.poll_timeout(), Instant::min)
    }

    fn arrive(&mut self, to: To, message: Message) {
        let now = self.now;
        match (to, message) {
            (To::Source, Message::Ask { ranges, .. }) => self.source.handle_ask(now, &ranges),
            (To::Receiver(n), message) => {
                let receiver = &mut self.listeners[n].receiver;
                receiver.reseed(seed(n));
                match message {
                    Message::Frame { seq, floor } => {
                        let _ = receiver.handle_frame(now, SOURCE, floor, Piece(seq));
                    }
                    Message::Head { next, floor } => {
                        receiver.handle_head(now, SOURCE, next, floor, false, &[]);
                    }
                    Message::Ask { .. } => {}
                }
            }
            _ => {}
        }
    }

    /// A frame that a receiver which waits to ask has already, and the moment just before it asks, if nothing else
    /// comes before.
    fn echo(&self, receiver: usize) -> Option<(Instant, Piece)> {
        let listener = &self.listeners[receiver];
        let at = listener.receiver.repair().poll_timeout()? - Duration::from_micros(1);
        let first = self.on_the_way.first().map_or(self.due(), |(at, ..)| self.due().min(*at));
        let has = (1..listener.ledger.next()).next_back()?;
        (at > self.now && at < first).then_some((at, Piece(has)))
    }

    /// Takes what source and receivers want sent, and tells the judge what was handed over.
    fn collect(&mut self) {
        while let Some(announcement) = self.source.poll() {
            self.outbox.push_back(match announcement {
                Announcement::Repeat(frame) => {
                    let seq = frame.first().map_or(0, |seq| u64::from(*seq));
                    Message::Frame { seq, floor: self.floors[seq as usize] }
                }
                Announcement::Head { next, floor, .. } => Message::Head { next, floor },
            });
        }
        let (now, stood) = (self.now, self.source.next());
        for (from, listener) in self.listeners.iter_mut().enumerate() {
            while let Some(action) = listener.receiver.poll() {
                match action {
                    Action::Ask { ranges, .. } => self.outbox.push_back(Message::Ask { from, ranges }),
                    Action::Hand(handover) => listener.judge(handover, stood),
                    _ => {}
                }
            }
            listener.watch(now);
        }
    }
}

impl Listener {
    fn new(began: Instant, established: Instant) -> Self {
        let me = SourceId { node: NodeId(0), incarnation: Incarnation(0) };
        let mut receiver = Receiver::new(me, usize::MAX, fastrand::Rng::with_seed(0));
        receiver.set_members(MEMBERS);
        receiver.subscribe(began, SUB, false, BTreeSet::new(), began);
        receiver.handle_timeout(established);
        while receiver.poll().is_some() {}
        let mut ledger = Ledger::default();
        ledger.owe(1);
        Self { receiver, waiting: None, ledger, lost: [0; EVENTS_MAX], wrong: None, given_up: false }
    }

    fn judge(&mut self, handover: Handover<Piece>, stood: u64) {
        match handover {
            Handover::Item { item, from, .. } => self.ledger.events(from, item.end(), stood),
            Handover::Gap { from, to, reason, .. } => {
                self.ledger.gap(from, to, stood);
                self.given_up = true;
                let (from, to) = (from.unwrap_or(1), to.unwrap_or(stood));
                let lightly = (from..to).find(|seq| self.lost[*seq as usize] <= ASK_TRIES);
                if let Some(seq) = lightly {
                    let times = self.lost[seq as usize];
                    self.wrong.get_or_insert(format!("{seq} was given up, but lost only {times} times"));
                }
                if reason != Reason::Lost {
                    self.wrong.get_or_insert(format!("a gap because of {}", reason.as_str()));
                }
            }
        }
    }

    /// Notes since when the request that is now due next is waited for.
    fn watch(&mut self, now: Instant) {
        let (tries, _) = self.receiver.repair().counts(SOURCE);
        self.waiting = self.receiver.sequencer().hole(SOURCE).map(|hole| match self.waiting {
            Some(waiting) if (waiting.hole, waiting.tries) == (hole.start, tries) => waiting,
            _ => Waiting { hole: hole.start, tries, since: now },
        });
    }
}

/// A seed with which the first number drawn is early or late: the choice is the model's.
fn seed(receiver: usize) -> u64 {
    static FOUND: OnceLock<[u64; RECEIVERS]> = OnceLock::new();
    let micros = u64::try_from(ASK_SPREAD.1.as_micros()).unwrap_or(u64::MAX);
    let find = |wanted: fn(u64) -> bool| {
        (0..1000).find(|seed| wanted(fastrand::Rng::with_seed(*seed).u64(0..=micros))).unwrap_or(0)
    };
    FOUND.get_or_init(|| SEEDS.map(find))[receiver]
}
