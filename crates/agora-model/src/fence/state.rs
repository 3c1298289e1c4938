//! The world of the fence model, and its judge.

use std::collections::BTreeSet;

use agora_core::ErrorKind;
use agora_core::memory::KeptCursor;
use agora_core::transport::Fence;

use super::reading::{Reading, Told, next_of};
use super::{Act, Fencing};

/// A save on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Save {
    reader: usize,
    number: u64,
    fence: Fence,
    cursor: Vec<u8>,
}

/// The world.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct State {
    store: KeptCursor,
    readers: [Option<Reading>; 2],
    flight: Vec<Save>,
    /// How many saves were sent.
    sent: u64,
    /// Who has the right to save.
    latest: Fence,
    /// Whose save was kept last.
    kept_of: Fence,
    /// What was taken by anybody, and so counts as dealt with.
    taken: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    repeated: bool,
    refused_late: bool,
    unheard: u8,
    crashes: u8,
    given_up: u8,
    wrong: Option<String>,
    wrongly_answered: Option<String>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            store: KeptCursor::default(),
            readers: [None, None],
            flight: Vec::new(),
            sent: 0,
            latest: Fence(0),
            kept_of: Fence(0),
            taken: BTreeSet::new(),
            delivered: BTreeSet::new(),
            repeated: false,
            refused_late: false,
            unheard: 0,
            crashes: 0,
            given_up: 0,
            wrong: None,
            wrongly_answered: None,
        }
    }

    pub(super) fn wrong(&self) -> Option<String> {
        self.wrong.clone()
    }

    pub(super) fn wrongly_answered(&self) -> Option<String> {
        self.wrongly_answered.clone()
    }

    pub(super) fn has_refused_late(&self) -> bool {
        self.refused_late
    }

    pub(super) fn has_repeated(&self) -> bool {
        self.repeated
    }

    pub(super) fn actions(&self, model: &Fencing, actions: &mut Vec<Act>) {
        let may_take = self.latest.0 < model.takes;
        for (r, reader) in self.readers.iter().enumerate() {
            let Some(reader) = reader else {
                if may_take {
                    actions.push(Act::Take(r));
                }
                continue;
            };
            if reader.has_more(model.frames) {
                actions.push(Act::Next(r));
            }
            if reader.moved && reader.waits.is_none() {
                actions.push(Act::Save(r));
            }
            if reader.waits.is_some() && self.given_up < model.given_up {
                actions.push(Act::GiveUp(r));
            }
            if self.crashes < model.crashes {
                actions.push(Act::Crash(r));
            }
        }
        if may_take && self.unheard < model.unheard {
            actions.push(Act::TakeUnheard);
        }
        actions.extend((0..self.flight.len()).map(Act::Arrive));
    }

    pub(super) fn apply(&mut self, model: &Fencing, act: Act) {
        match act {
            Act::Take(r) => {
                let (fence, saved) = self.store.take();
                self.latest = fence;
                match Reading::begin(fence, saved.as_deref()) {
                    Ok(reading) => self.readers[r] = Some(reading),
                    Err(error) => self.blame(Some(format!("what was saved is no cursor: {error}"))),
                }
            }
            Act::TakeUnheard => {
                self.unheard += 1;
                self.latest = self.store.take().0;
            }
            Act::Next(r) => self.next(model, r),
            Act::Save(r) => self.save(r),
            Act::Arrive(at) => self.arrive(model, at),
            Act::GiveUp(r) => {
                self.given_up += 1;
                if let Some(reader) = &mut self.readers[r] {
                    (reader.waits, reader.moved) = (None, true);
                }
            }
            Act::Crash(r) => {
                self.crashes += 1;
                self.readers[r] = None;
            }
        }
    }

    fn next(&mut self, model: &Fencing, r: usize) {
        let Some(reader) = &mut self.readers[r] else { return };
        let due = reader.due;
        let (taken, told) = reader.next(model.frames);
        self.taken.extend(taken);
        let wrong = match told {
            None => None,
            Some(Told::Event(seq)) => {
                reader.due = seq + 1;
                self.repeated |= !self.delivered.insert(seq);
                (seq != due).then(|| format!("{seq} is delivered where {due} was due"))
            }
            Some(Told::Other(what)) => Some(format!("{what} for no reason")),
        };
        self.blame(wrong);
    }

    fn save(&mut self, r: usize) {
        let Some(reader) = &mut self.readers[r] else { return };
        match reader.to_bytes() {
            Ok(cursor) => {
                self.sent += 1;
                (reader.waits, reader.moved) = (Some(self.sent), false);
                let (number, fence) = (self.sent, reader.fence);
                self.flight.push(Save { reader: r, number, fence, cursor });
            }
            Err(error) => self.blame(Some(format!("its place cannot be saved: {error}"))),
        }
    }

    /// A save reaches the store.
    fn arrive(&mut self, model: &Fencing, at: usize) {
        let Save { reader: r, number, fence, cursor } = self.flight.remove(at);
        let before = self.saved_next();
        let answer = self.store.save(if model.any_fence { self.latest } else { fence }, &cursor);
        let is_void = fence != self.latest;
        match &answer {
            Ok(()) if is_void => self.answered_wrongly("who has lost the name could save"),
            Err(_) if !is_void => self.answered_wrongly("who has the name could not save"),
            Err(error) if error.kind() != ErrorKind::Conflict => self.answered_wrongly("it is no conflict"),
            _ => {}
        }
        let next = self.saved_next();
        let undone = fence != self.kept_of && next < before;
        self.blame(undone.then(|| format!("{next} is saved after {before} of another holder")));
        let skipped = (1..next).find(|seq| !self.taken.contains(seq));
        self.blame(skipped.map(|seq| format!("{seq} lies behind what is saved, and nobody has taken it")));
        if answer.is_ok() {
            self.kept_of = fence;
        }
        let waits = self.readers[r].as_mut().filter(|reader| reader.waits == Some(number));
        self.refused_late |= answer.is_err() && waits.is_none();
        if let Some(reader) = waits {
            reader.waits = None;
            if answer.is_err() {
                self.readers[r] = None;
            }
        }
    }

    /// What comes next after what is saved.
    fn saved_next(&mut self) -> u64 {
        let saved = self.store.clone().take().1;
        next_of(saved.as_deref()).unwrap_or_else(|error| {
            self.blame(Some(format!("what was saved is no cursor: {error}")));
            0
        })
    }

    fn blame(&mut self, wrong: Option<String>) {
        self.wrong = self.wrong.take().or(wrong);
    }

    fn answered_wrongly(&mut self, what: &str) {
        self.wrongly_answered.get_or_insert_with(|| what.to_owned());
    }

    /// Everything goes well from here on. What is never taken, or never saved, or who never hears that it has lost?
    ///
    /// Saves that nobody waits for arrive first, or last.
    pub(super) fn missing_in_the_end(&self, model: &Fencing) -> Option<String> {
        [true, false].into_iter().find_map(|late_first| self.missing_after(model, late_first))
    }

    fn missing_after(&self, model: &Fencing, late_first: bool) -> Option<String> {
        let mut state = self.clone();
        let calm = Fencing { takes: u64::MAX, unheard: 0, crashes: 0, given_up: 0, ..*model };
        let mut steps = 0;
        loop {
            let mut actions = Vec::new();
            state.actions(&calm, &mut actions);
            let holds = state.readers.iter().flatten().any(|reader| reader.fence == state.latest);
            let act = actions.into_iter().find(|act| match act {
                Act::Take(_) => !holds,
                Act::Arrive(at) => late_first || state.is_waited_for(*at),
                _ => true,
            });
            // Without a free reader nobody takes over: those that lost the name hear of it, or have nothing to save.
            let Some(act) = act else { break };
            state.apply(model, act);
            steps += 1;
            if steps > 100 {
                return Some("it never comes to rest".into());
            }
        }
        let end = 1 + model.frames.iter().sum::<u64>();
        let (saved, can_be_set_back) = (state.saved_next(), model.given_up > 0);
        if saved != end && !can_be_set_back {
            return Some(format!("{saved} is saved in the end, not {end}"));
        }
        while !state.flight.is_empty() {
            state.apply(model, Act::Arrive(0));
        }
        if state.wrong.is_some() || state.wrongly_answered.is_some() {
            return state.wrong.or(state.wrongly_answered);
        }
        let deaf = state.readers.iter().flatten().find(|reader| reader.moved || reader.waits.is_some());
        if deaf.is_some() {
            return Some("a reader has something to save for ever".into());
        }
        let lost = (1..end).find(|seq| !state.taken.contains(seq));
        lost.map(|seq| format!("{seq} is never taken"))
    }

    fn is_waited_for(&self, at: usize) -> bool {
        let save = &self.flight[at];
        self.readers[save.reader].as_ref().is_some_and(|reader| reader.waits == Some(save.number))
    }
}
