//! The sequencer against a model so plain that it can be read at a glance: event by event, everything searched anew
//! each time. Whatever the inputs and their order, both hand over the same.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

const HELD_BYTES_MAX: usize = 40;
const SUBS: u64 = 3;
const SOURCES: [SourceId; 3] = [S, source(2, 1), ME];
/// Wants this node's own events too.
const OWN: SubId = SubId(2);

/// What one subscription is told of one source, a token an event.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Event(u64),
    Missing(u64, Reason),
    MissingBelow(u64, Reason),
    MissingFrom(Option<u64>, Reason),
}

type History = Vec<(SubId, SourceId, Told)>;

#[derive(Clone, Debug)]
enum Naive {
    Open { next: u64, hi: u64, fin: bool, dropped: bool, held: Vec<Piece>, starts: BTreeMap<SubId, u64> },
    Suspended(Option<u64>),
    Closed,
}

#[derive(Default)]
struct Model {
    streams: BTreeMap<SourceId, Naive>,
    /// Is it established?
    subs: BTreeMap<SubId, bool>,
    history: History,
}

#[derive(Clone, Debug)]
enum Op {
    Subscribe(u64),
    Establish(u64),
    Unsubscribe(u64),
    Frame { source: usize, seq: u64, len: u64, floor: u64 },
    Head { source: usize, next: u64, floor: u64, fin: bool, fresh: bool },
    GiveUp { source: usize, below: u64 },
    Failed { source: usize, publishes: bool },
    Left { source: usize, publishes: bool },
    Dropped,
    Hello { source: usize },
    Forget { source: usize },
}

impl Model {
    fn wants(sub: SubId, source: SourceId) -> bool {
        source != ME || sub == OWN
    }

    fn owed(&self, source: SourceId) -> Vec<SubId> {
        let owed = self.subs.iter().filter(|(sub, established)| **established && Self::wants(**sub, source));
        owed.map(|(sub, _)| *sub).collect()
    }

    fn is_wanted(&self, source: SourceId) -> bool {
        self.subs.keys().any(|sub| Self::wants(*sub, source))
    }

    fn held_bytes(&self) -> usize {
        let held = |stream: &Naive| if let Naive::Open { held, .. } = stream { held.len() * 10 } else { 0 };
        self.streams.values().map(held).sum()
    }

    /// All sequences that are missing, one by one.
    fn missing(&self, source: SourceId) -> BTreeSet<u64> {
        let Some(Naive::Open { next, hi, held, .. }) = self.streams.get(&source) else {
            return BTreeSet::new();
        };
        (*next..*hi).filter(|n| !held.iter().any(|piece| (piece.seq..piece.end).contains(n))).collect()
    }

    /// Tells `what` of event `n` to everyone who began below it.
    fn tell(&mut self, source: SourceId, n: u64, what: Told) {
        let Some(Naive::Open { starts, .. }) = self.streams.get(&source) else { unreachable!() };
        for sub in self.subs.keys().filter(|sub| Self::wants(**sub, source)) {
            if starts.get(sub).is_none_or(|start| *start <= n) {
                self.history.push((*sub, source, what.clone()));
            }
        }
    }

    /// Goes on event by event: over what is held, and below `below` over what is missing too.
    fn advance(&mut self, source: SourceId, below: u64, reason: Reason) {
        loop {
            let missing = self.missing(source);
            let Some(Naive::Open { next, hi, fin, held, .. }) = self.streams.get_mut(&source) else { return };
            held.retain(|piece| piece.end > *next);
            if *next == *hi {
                if *fin {
                    self.streams.insert(source, Naive::Closed);
                }
                return;
            }
            let n = *next;
            if missing.contains(&n) {
                if n >= below {
                    return;
                }
                self.tell(source, n, Told::Missing(n, reason));
            } else {
                self.tell(source, n, Told::Event(n));
            }
            let Some(Naive::Open { next, .. }) = self.streams.get_mut(&source) else { unreachable!() };
            *next += 1;
        }
    }

    /// The end of the lowest run of missing events.
    fn hole_end(&self, source: SourceId) -> Option<u64> {
        let missing = self.missing(source);
        let first = *missing.first()?;
        (first..).find(|n| !missing.contains(n))
    }

    fn first_sight(&mut self, source: SourceId, at: u64, floor: u64) {
        let owed = self.owed(source);
        let start = if owed.is_empty() { at } else { floor.clamp(1, at) };
        for sub in owed.iter().filter(|_| start > 1) {
            self.history.push((*sub, source, Told::MissingBelow(start, Reason::Unseen)));
        }
        let waiting = self.subs.iter().filter(|(_, established)| !**established);
        let starts = waiting.map(|(sub, _)| (*sub, at)).collect();
        let (held, fin, dropped) = (Vec::new(), false, false);
        self.streams.insert(source, Naive::Open { next: start, hi: at, fin, dropped, held, starts });
    }

    /// The source was heard at `at`, and everything below `end` was formed.
    fn heard(&mut self, source: SourceId, at: u64, end: u64, floor: u64) {
        let Some(Naive::Open { hi, dropped, .. }) = self.streams.get_mut(&source) else { return };
        let (overflow, known) = (*dropped && at > *hi, *hi);
        *dropped &= at < known;
        *hi = (*hi).max(end);
        if overflow {
            self.advance(source, at, Reason::Overflow);
        }
        self.advance(source, floor, Reason::NotHeld);
    }

    fn frame(&mut self, source: SourceId, piece: Piece, floor: u64) {
        if !self.is_wanted(source) {
            return;
        }
        if !self.streams.contains_key(&source) {
            self.first_sight(source, piece.seq, floor);
        }
        let Some(Naive::Open { next, held, .. }) = self.streams.get_mut(&source) else { return };
        if piece.end <= *next || held.iter().any(|other| other.seq == piece.seq && other.end >= piece.end) {
            return;
        }
        held.retain(|other| other.seq != piece.seq);
        held.push(piece);
        self.heard(source, piece.seq, piece.end, floor);
        while self.held_bytes() > HELD_BYTES_MAX {
            let below = self.hole_end(source).unwrap();
            self.advance(source, below, Reason::TooFarAhead);
        }
    }

    fn head(&mut self, source: SourceId, next: u64, floor: u64, fin: bool, nonce: u64) {
        if !self.is_wanted(source) {
            return;
        }
        if !self.streams.contains_key(&source) {
            self.first_sight(source, next, floor);
        }
        match self.streams.get_mut(&source) {
            Some(Naive::Open { fin: is_final, .. }) => {
                *is_final |= fin;
                self.heard(source, next, next, floor);
            }
            Some(stream @ Naive::Suspended(_)) => {
                if matches!(stream, Naive::Suspended(Some(wanted)) if *wanted == nonce) {
                    let (held, starts, dropped) = (Vec::new(), BTreeMap::new(), false);
                    *stream = Naive::Open { next, hi: next, fin, dropped, held, starts };
                    self.advance(source, 0, Reason::Lost);
                }
            }
            _ => {}
        }
    }

    fn ended(&mut self, source: SourceId, how: Ended, publishes: bool) {
        if source == ME && !self.is_wanted(source) {
            return;
        }
        let (reason, after) = match how {
            Ended::Failed => (Reason::SourceFailed, Naive::Suspended(None)),
            Ended::Left => (Reason::SourceLeft, Naive::Closed),
        };
        self.advance(source, u64::MAX, reason);
        match self.streams.get(&source) {
            Some(Naive::Open { next, starts, .. }) => {
                let (next, starts) = (*next, starts.clone());
                for sub in self.subs.keys().filter(|sub| Self::wants(**sub, source)) {
                    let from = starts.get(sub).map_or(next, |start| next.max(*start));
                    self.history.push((*sub, source, Told::MissingFrom(Some(from), reason)));
                }
            }
            Some(Naive::Suspended(_)) if how == Ended::Left => {}
            None if publishes => {
                for sub in self.owed(source) {
                    self.history.push((sub, source, Told::MissingFrom(None, reason)));
                }
            }
            _ => return,
        }
        self.streams.insert(source, after);
    }

    fn subscribe(&mut self, sub: SubId) {
        for stream in self.streams.values_mut() {
            if let Naive::Open { hi, starts, .. } = stream {
                starts.insert(sub, *hi);
            }
        }
        self.subs.insert(sub, false);
    }

    fn establish(&mut self, sub: SubId) {
        self.subs.insert(sub, true);
        for (source, stream) in &mut self.streams {
            if let (Naive::Suspended(nonce), true) = (stream, Self::wants(sub, *source)) {
                *nonce = None;
                let told = Told::MissingFrom(None, Reason::SourceFailed);
                self.history.push((sub, *source, told));
            }
        }
    }

    fn unsubscribe(&mut self, sub: SubId) {
        self.subs.remove(&sub);
        let unwanted: Vec<_> = self.streams.keys().filter(|s| !self.is_wanted(**s)).copied().collect();
        for source in unwanted {
            if matches!(self.streams.get(&source), Some(Naive::Open { .. })) {
                self.streams.remove(&source);
            }
        }
    }
}

/// Both, and the nonces that they draw.
struct Pair {
    real: Sequencer<Piece>,
    model: Model,
    real_history: History,
    nonce: u64,
}

impl Pair {
    fn apply(&mut self, op: &Op) {
        let (real, model) = (&mut self.real, &mut self.model);
        match *op {
            Op::Subscribe(sub) if !model.subs.contains_key(&SubId(sub)) => {
                real.subscribe(SubId(sub), SubId(sub) == OWN);
                model.subscribe(SubId(sub));
            }
            Op::Establish(sub) if model.subs.get(&SubId(sub)) == Some(&false) => {
                real.establish(SubId(sub));
                model.establish(SubId(sub));
            }
            Op::Unsubscribe(sub) => {
                real.unsubscribe(SubId(sub));
                model.unsubscribe(SubId(sub));
            }
            Op::Frame { source, seq, len, floor } => {
                let piece = Piece { seq, end: seq + len };
                let _ = real.frame(SOURCES[source], floor, piece);
                model.frame(SOURCES[source], piece, floor);
            }
            Op::Head { source, next, floor, fin, fresh } => {
                let nonce = if fresh { self.nonce } else { 0 };
                real.head(SOURCES[source], next, floor, fin, &[nonce]);
                model.head(SOURCES[source], next, floor, fin, nonce);
            }
            Op::GiveUp { source, below } => {
                real.give_up(SOURCES[source], below, Reason::Lost);
                let below = model.hole_end(SOURCES[source]).map_or(0, |end| end.min(below));
                model.advance(SOURCES[source], below, Reason::Lost);
            }
            Op::Failed { source, publishes } => {
                real.ended(SOURCES[source], Ended::Failed, publishes);
                model.ended(SOURCES[source], Ended::Failed, publishes);
            }
            Op::Left { source, publishes } => {
                real.ended(SOURCES[source], Ended::Left, publishes);
                model.ended(SOURCES[source], Ended::Left, publishes);
            }
            Op::Dropped => {
                real.dropped();
                for stream in model.streams.values_mut() {
                    if let Naive::Open { dropped, .. } = stream {
                        *dropped = true;
                    }
                }
            }
            Op::Hello { source } => {
                self.nonce += 1;
                let (drawn, draw) = (self.nonce, || self.nonce);
                let wanted = real.wanted_nonce(SOURCES[source], draw);
                if let Some(Naive::Suspended(nonce)) = model.streams.get_mut(&SOURCES[source]) {
                    assert_eq!(wanted, Some(*nonce.get_or_insert(drawn)));
                } else {
                    assert_eq!(wanted, None);
                }
            }
            Op::Forget { source } => {
                real.forget(SOURCES[source]);
                if !matches!(model.streams.get(&SOURCES[source]), Some(Naive::Open { .. })) {
                    model.streams.remove(&SOURCES[source]);
                }
            }
            Op::Subscribe(_) | Op::Establish(_) => {}
        }
    }

    fn compare(&mut self) {
        while let Some(handover) = self.real.poll() {
            let (sub, source, told): (_, _, Vec<_>) = match handover {
                Handover::Item { sub, source, item, from } => {
                    assert!((item.seq..item.end).contains(&from));
                    (sub, source, (from..item.end).map(Told::Event).collect())
                }
                Handover::Gap { sub, source, from: Some(from), to: Some(to), reason } => {
                    assert!(from < to, "an empty gap");
                    (sub, source, (from..to).map(|n| Told::Missing(n, reason)).collect())
                }
                Handover::Gap { sub, source, from: None, to: Some(to), reason } => {
                    (sub, source, vec![Told::MissingBelow(to, reason)])
                }
                Handover::Gap { sub, source, from, to: None, reason } => {
                    (sub, source, vec![Told::MissingFrom(from, reason)])
                }
            };
            self.real_history.extend(told.into_iter().map(|told| (sub, source, told)));
        }
        for sub in (0..SUBS).map(SubId) {
            for source in SOURCES {
                let of = |history: &History| {
                    let mine = history.iter().filter(|(b, s, _)| (*b, *s) == (sub, source));
                    mine.map(|(_, _, told)| told.clone()).collect::<Vec<_>>()
                };
                assert_eq!(of(&self.real_history), of(&self.model.history), "{sub:?} {source:?}");
            }
        }
        self.real_history.clear();
        self.model.history.clear();
        for source in SOURCES {
            let holes: BTreeSet<u64> = self.real.holes(source, 99).into_iter().flatten().collect();
            assert_eq!(holes, self.model.missing(source));
            assert_eq!(self.real.hole(source).map(|hole| hole.end), self.model.hole_end(source));
            assert_eq!(self.real.knows(source), self.model.streams.contains_key(&source));
        }
        assert_eq!(self.real.held_bytes(), self.model.held_bytes());
        assert!(self.real.held_bytes() <= HELD_BYTES_MAX);
    }
}

fn op() -> impl Strategy<Value = Op> {
    let source = || 0..SOURCES.len();
    let frame = (source(), 1..14u64, 1..4u64, 0..16u64, any::<bool>());
    let head = (source(), 1..16u64, 0..16u64, prop::bool::weighted(0.1), any::<bool>());
    prop_oneof![
        2 => (0..SUBS).prop_map(Op::Subscribe),
        2 => (0..SUBS).prop_map(Op::Establish),
        1 => (0..SUBS).prop_map(Op::Unsubscribe),
        // As a rule the source still holds everything: floors would settle each hole before it can do any harm.
        30 => frame.prop_map(|(source, seq, len, floor, kept)| Op::Frame {
            source, seq, len, floor: if kept { 1 } else { floor },
        }),
        8 => head.prop_map(|(source, next, floor, fin, fresh)| Op::Head { source, next, floor: floor / 2, fin, fresh }),
        4 => (source(), 1..20u64).prop_map(|(source, below)| Op::GiveUp { source, below }),
        1 => (source(), any::<bool>()).prop_map(|(source, publishes)| Op::Failed { source, publishes }),
        1 => (source(), any::<bool>()).prop_map(|(source, publishes)| Op::Left { source, publishes }),
        2 => Just(Op::Dropped),
        3 => source().prop_map(|source| Op::Hello { source }),
        1 => source().prop_map(|source| Op::Forget { source }),
    ]
}

proptest! {
    // A failure prints the shortest list of operations that shows it; nothing is stored.
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_sequencer_does_what_the_naive_model_does(ops in prop::collection::vec(op(), 1..60)) {
        let real = Sequencer::new(ME, HELD_BYTES_MAX);
        let mut pair = Pair { real, model: Model::default(), real_history: Vec::new(), nonce: 0 };
        for op in &ops {
            pair.apply(op);
            pair.compare();
        }
    }
}
