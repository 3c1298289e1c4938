//! The world of the live model: what the node truly did, what the receiving process made of it, and the judge.

use agora_conformance::{Ledger, Violation};
use agora_core::id::{Incarnation, NodeId, SourceId};
use agora_core::live::{Ended, Handover, Reason, Seen, Sequencer, Span, SubId};

use super::{Act, Live, Verdict};

/// How many lives the node has.
pub const LIVES: usize = 2;
/// The most frames of one life.
const FRAMES_MAX: usize = 6;
/// The nonce of the hello with which everything heals.
const HEALING: u64 = u64::MAX;

const ME: SourceId = source(usize::MAX);

/// A later life has the smaller number, as after a clock that was set back: nothing must depend on their order.
const fn source(life: usize) -> SourceId {
    SourceId { node: NodeId(life as u64 / LIVES as u64), incarnation: Incarnation(u64::MAX - life as u64) }
}

fn life(source: SourceId) -> usize {
    (u64::MAX - source.incarnation.0) as usize
}

/// A frame: it covers `seq..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    seq: u64,
    end: u64,
}

impl Span for Piece {
    fn seq(&self) -> u64 {
        self.seq
    }
    fn end(&self) -> u64 {
        self.end
    }
    fn bytes(&self) -> usize {
        1
    }
}

/// One life of the node, as it truly went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Life {
    up: bool,
    left: bool,
    /// The events of each frame that was formed, in order.
    frames: [u8; FRAMES_MAX],
    /// The frame that was given up, counted from 1.
    given_up: u8,
}

impl Life {
    fn formed(&self) -> usize {
        self.frames.iter().take_while(|events| **events > 0).count()
    }

    /// Where the source stood after so many frames.
    fn stood(&self, frames: usize) -> u64 {
        1 + self.frames.iter().take(frames).map(|events| u64::from(*events)).sum::<u64>()
    }

    fn next(&self) -> u64 {
        self.stood(FRAMES_MAX)
    }

    /// What the source held for repair after so many frames.
    fn floor(&self, model: &Live, frames: usize) -> u64 {
        self.stood(frames.saturating_sub(model.kept))
    }

    /// The frames that were sent, with the count of those formed before.
    fn sent(&self) -> impl Iterator<Item = (usize, Piece)> + '_ {
        let frame = |n: usize| (n, Piece { seq: self.stood(n), end: self.stood(n + 1) });
        (0..self.formed()).filter(|n| n + 1 != usize::from(self.given_up)).map(frame)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subscription {
    asked: bool,
    established: bool,
    ended: bool,
    ledgers: [Ledger; LIVES],
}

/// A hello that reached a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Hello {
    life: usize,
    nonce: u64,
    /// Where the source stood then; no answer is older.
    stood: u64,
}

/// The world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    lives: [Life; LIVES],
    current: usize,
    /// The failure detector expects heartbeats of it.
    watched: [bool; LIVES],
    sequencer: Sequencer<Piece>,
    subs: Vec<Subscription>,
    hellos: Vec<Hello>,
    verdicts: u8,
    drops: u8,
}

impl State {
    pub(super) fn new(model: &Live) -> Self {
        let mut lives: [Life; LIVES] = Default::default();
        lives[0].up = true;
        Self {
            lives,
            current: 0,
            watched: [false; LIVES],
            sequencer: Sequencer::new(ME, model.held_max),
            subs: vec![Subscription::new(); model.subs],
            hellos: Vec::new(),
            verdicts: 0,
            drops: 0,
        }
    }

    pub(super) fn current(&self) -> usize {
        self.current
    }

    pub(super) fn is_listening(&self) -> bool {
        self.sequencer.has_subscriptions()
    }

    /// What the node may do next.
    pub(super) fn node_acts(&self, model: &Live, out: &mut Vec<Act>) {
        let life = &self.lives[self.current];
        if life.up {
            let left = model.events.saturating_sub(life.next() - 1);
            for events in (1..=model.frame_events).filter(|events| u64::from(*events) <= left) {
                out.push(Act::Form { events });
            }
            if left > 0 && life.given_up == 0 {
                out.push(Act::FormAndGiveUp);
            }
            out.extend([Act::Leave, Act::Crash]);
        } else if self.current + 1 < model.lives {
            out.push(Act::Restart);
        }
    }

    /// What the receiving process may do next.
    pub(super) fn receiver_acts(&self, model: &Live, out: &mut Vec<Act>) {
        for (sub, state) in self.subs.iter().enumerate() {
            if !state.asked {
                out.push(Act::Subscribe { sub });
            } else if !state.established {
                out.push(Act::Establish { sub });
            } else if model.ends && !state.ended {
                out.push(Act::Unsubscribe { sub });
            }
        }
        if self.is_listening() && self.drops < model.drops {
            out.push(Act::Drop);
        }
        if self.hellos.len() < model.hellos {
            let suspended = (0..LIVES).filter(|life| self.sequencer.is_over(source(*life)));
            out.extend(suspended.map(|life| Act::Hello { life }));
        }
    }

    /// What may arrive of a life.
    pub(super) fn arrivals(&self, life: usize, out: &mut Vec<Act>) {
        let truth = &self.lives[life];
        out.extend(truth.sent().map(|(_, piece)| Act::Frame { life, seq: piece.seq }));
        // Which hello a head answers is of no interest to a stream that is open.
        let greeted = self.sequencer.is_over(source(life));
        for frames in 0..=truth.formed() {
            let next = truth.stood(frames);
            let answered =
                self.hellos.iter().filter(|hello| greeted && hello.life == life && hello.stood <= next);
            for nonce in std::iter::once(None).chain(answered.map(|hello| Some(hello.nonce))) {
                out.push(Act::Head { life, next, fin: false, nonce });
                if truth.left && frames == truth.formed() {
                    out.push(Act::Head { life, next, fin: true, nonce });
                }
            }
        }
        if !self.watched[life] {
            out.push(Act::Heartbeat { life });
        }
    }

    /// What the receiving process may conclude about a life, rightly or wrongly.
    pub(super) fn verdicts(&self, model: &Live, life: usize, out: &mut Vec<Act>) {
        if self.sequencer.hole(source(life)).is_some() {
            out.push(Act::GiveUp { life });
        }
        if self.watched[life] && self.verdicts < model.verdicts {
            out.push(Act::Verdict { life, how: Verdict::Failed });
        }
        if self.lives[life].left {
            out.push(Act::Verdict { life, how: Verdict::Left });
        }
    }

    pub(super) fn apply(&mut self, model: &Live, act: Act) {
        let now = &mut self.lives[self.current];
        let formed = now.formed();
        match act {
            Act::Form { events } => now.frames[formed] = events,
            Act::FormAndGiveUp => {
                now.frames[formed] = 1;
                now.given_up = formed as u8 + 1;
            }
            Act::Leave => (now.up, now.left) = (false, true),
            Act::Crash => now.up = false,
            Act::Restart => self.restart(),
            Act::Subscribe { sub } => {
                self.subs[sub].asked = true;
                self.sequencer.subscribe(self.id(sub), false);
            }
            Act::Establish { sub } => self.establish(sub),
            Act::Unsubscribe { sub } => {
                self.sequencer.unsubscribe(self.id(sub));
                self.subs[sub] = Subscription { ended: true, ..Subscription::new() };
            }
            Act::Heartbeat { life } => self.watched[life] = true,
            Act::Hello { life } => self.hello(life, self.hellos.len() as u64),
            Act::Frame { life, seq } => {
                let sent = self.lives[life].sent().find(|(_, piece)| piece.seq == seq);
                if let Some((before, piece)) = sent {
                    self.frame(model, life, before, piece);
                }
            }
            Act::Head { life, next, fin, nonce } => self.head(model, life, next, fin, nonce),
            Act::Verdict { life, how } => {
                self.verdicts += u8::from(how == Verdict::Failed);
                self.end(life, how.into());
            }
            Act::GiveUp { life } => self.sequencer.give_up(source(life), u64::MAX, Reason::Lost),
            Act::Drop => {
                self.drops += 1;
                self.sequencer.dropped();
            }
        }
        self.hand_over();
    }

    /// The first thing that a subscription should never have seen: subscription, life, what.
    pub(super) fn violation(&self) -> Option<(usize, usize, Violation)> {
        let all = self.subs.iter().enumerate().flat_map(|(sub, state)| {
            let lives = state.ledgers.iter().enumerate();
            lives.filter_map(move |(life, ledger)| Some((sub, life, ledger.violation()?)))
        });
        all.into_iter().next()
    }

    /// Lets the adversary rest: the living are heard afresh, the dead get their verdict, holes are settled, and the
    /// living form one more event. What is still owed after that would be owed for ever.
    ///
    /// Only that of which there was ever a sign can be known: the others are excused.
    pub(super) fn unhealed(&self, model: &Live) -> Option<String> {
        let mut after = self.clone();
        for life in 0..=self.current {
            let truth = self.lives[life];
            if truth.up {
                after.watched[life] = true;
                let wanted = after.sequencer.wanted_nonce(source(life), || HEALING);
                after.head(model, life, truth.next(), false, wanted);
            } else if self.watched[life] {
                after.end(life, if truth.left { Ended::Left } else { Ended::Failed });
            }
            while after.sequencer.hole(source(life)).is_some() {
                after.sequencer.give_up(source(life), u64::MAX, Reason::Lost);
            }
        }
        after.hand_over();
        for (sub, state) in after.established() {
            for (life, ledger) in state.ledgers.iter().enumerate() {
                let known = after.watched[life] || after.sequencer.knows(source(life));
                if known && !ledger.is_settled(after.lives[life].next()) {
                    return Some(format!("subscription {sub}, life {life}: owed for ever: {ledger:?}"));
                }
            }
        }
        let (life, before) = (after.current, after.lives[after.current].formed());
        if !after.lives[life].up || before == FRAMES_MAX {
            return None;
        }
        after.lives[life].frames[before] = 1;
        let piece = Piece { seq: after.lives[life].stood(before), end: after.lives[life].next() };
        after.frame(model, life, before, piece);
        let heard = after.hand_over();
        for (sub, state) in after.established() {
            if !heard.contains(&(sub, piece)) || state.ledgers[life].violation().is_some() {
                return Some(format!(
                    "subscription {sub}, life {life}: {piece:?} of a living source is not heard"
                ));
            }
        }
        None
    }

    /// How many frames are held because they came early.
    pub(super) fn held(&self) -> usize {
        self.sequencer.held_bytes()
    }

    /// Has a source that was held dead answered a hello? Only such sources are greeted.
    pub(super) fn has_resumed(&self) -> bool {
        self.hellos.iter().any(|hello| !self.sequencer.is_over(source(hello.life)))
    }

    fn id(&self, sub: usize) -> SubId {
        SubId(sub as u64)
    }

    fn established(&self) -> impl Iterator<Item = (usize, &Subscription)> {
        self.subs.iter().enumerate().filter(|(_, state)| state.established)
    }

    fn restart(&mut self) {
        self.current += 1;
        self.lives[self.current].up = true;
        for state in self.subs.iter_mut().filter(|state| state.established) {
            state.ledgers[self.current].owe(1);
        }
    }

    fn establish(&mut self, sub: usize) {
        let life = self.current;
        self.subs[sub].established = true;
        if self.lives[life].up {
            self.subs[sub].ledgers[life].owe(self.lives[life].next());
        }
        self.sequencer.establish(self.id(sub));
    }

    fn hello(&mut self, life: usize, nonce: u64) {
        let mut drawn = false;
        let draw = || {
            drawn = true;
            nonce
        };
        let _ = self.sequencer.wanted_nonce(source(life), draw);
        if drawn {
            self.hellos.push(Hello { life, nonce, stood: self.lives[life].next() });
        }
    }

    fn frame(&mut self, model: &Live, life: usize, before: usize, piece: Piece) {
        let floor = self.lives[life].floor(model, before);
        let seen = self.sequencer.frame(source(life), floor, piece);
        self.watched[life] |= seen == Seen::First;
    }

    fn head(&mut self, model: &Live, life: usize, next: u64, fin: bool, nonce: Option<u64>) {
        let truth = &self.lives[life];
        let frames = (0..=truth.formed()).find(|frames| truth.stood(*frames) == next).unwrap_or(0);
        let floor = truth.floor(model, frames);
        let (seen, resumed) = self.sequencer.head(source(life), next, floor, fin, nonce.as_slice());
        self.watched[life] |= resumed || seen == Seen::First;
    }

    fn end(&mut self, life: usize, how: Ended) {
        self.watched[life] = false;
        self.sequencer.ended(source(life), how, true);
    }

    /// Tells the judge what was handed over, and answers which frames were.
    fn hand_over(&mut self) -> Vec<(usize, Piece)> {
        let mut items = Vec::new();
        while let Some(handover) = self.sequencer.poll() {
            match handover {
                Handover::Item { sub, source, item, from } => {
                    let (sub, life) = (sub.0 as usize, life(source));
                    self.subs[sub].ledgers[life].events(from, item.end, self.lives[life].next());
                    items.push((sub, item));
                }
                Handover::Gap { sub, source, from, to, .. } => {
                    let (sub, life) = (sub.0 as usize, life(source));
                    self.subs[sub].ledgers[life].gap(from, to, self.lives[life].next());
                }
            }
        }
        items
    }
}

impl Subscription {
    fn new() -> Self {
        Self { asked: false, established: false, ended: false, ledgers: Default::default() }
    }
}
