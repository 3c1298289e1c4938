//! What a member of a group holds: what may begin, what has failed, and what is settled at the backend.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::frame::{Counts, Event, Frame, Origin, Slot, State};
use super::index::Index;
use super::lines::Lines;
use super::policy::Policy;
use super::rights::{Held, Place, Rights};
use super::settled::Settled;
use super::timers::{Timer, Timers};
use super::words::{Action, Answer, Begin, Burial, JobId, Record, Verdict};
use crate::limits::GROUP_SETTLED_MAX;
use crate::transport::{Settle, Token};

/// The least pause before something is said to the backend once more, whatever the policy says: a backend that refuses
/// at once is not asked in a circle.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// What one member holds and does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tracker<T> {
    policy: Policy,
    /// Boxed, for a tree moves what it holds.
    frames: BTreeMap<u64, Box<Frame<T>>>,
    by_origin: Index<Origin, u64>,
    tokens: Index<Token, (u64, Place)>,
    lines: Lines,
    settled: Settled,
    timers: Timers,
    actions: VecDeque<Action<T>>,
    revoking: BTreeSet<u32>,
    leaving: bool,
    bytes: usize,
    /// How many of the rights are being given up: the backend was told that the record is done, and has not answered.
    acking: usize,
    last_frame: u64,
    last_job: u64,
}

impl<T: Clone> Tracker<T> {
    /// A member that holds nothing.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            frames: BTreeMap::new(),
            by_origin: Index::default(),
            tokens: Index::default(),
            lines: Lines::default(),
            settled: Settled::new(GROUP_SETTLED_MAX),
            timers: Timers::default(),
            actions: VecDeque::new(),
            revoking: BTreeSet::new(),
            leaving: false,
            bytes: 0,
            acking: 0,
            last_frame: 0,
            last_job: 0,
        }
    }

    /// What is to be done next; call until `None` after every other call.
    pub fn poll(&mut self) -> Option<Action<T>> {
        self.actions.pop_front()
    }

    /// Is there anything to be done?
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); ask again after every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// How many events may begin now.
    pub fn ready(&self) -> usize {
        self.lines.ready()
    }

    /// Are lanes to be given back?
    pub fn is_revoking(&self) -> bool {
        !self.revoking.is_empty()
    }

    /// How many records are held. One that stands in the log several times counts as often.
    pub fn records(&self) -> usize {
        self.frames.len().max(self.tokens.len())
    }

    /// How many of the records are done, and not yet so for the backend.
    pub fn acking(&self) -> usize {
        self.acking
    }

    /// Is this try still under way?
    pub fn is_running(&self, job: JobId) -> bool {
        matches!(self.state(job.slot), Some(State::Running { job: of, .. }) if *of == job.number)
    }

    /// What the records that are held weigh.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a record that the backend gave out. One that is held already is the same work under a further right.
    pub fn handle_record(&mut self, now: Instant, record: Record<T>) {
        let Record { origin, lane, at, token, attempt, keys, bytes, item } = record;
        if self.revoking.contains(&lane) {
            // It is about to be another's; nothing of it is begun.
            return;
        }
        let id = match self.by_origin.get(&origin) {
            Some(&id) => id,
            None => self.insert(origin, keys, bytes, item),
        };
        let Some(frame) = self.frames.get_mut(&id) else { return };
        frame.attempt = frame.attempt.max(attempt);
        let due = now + self.policy.extend_after();
        let replaced = frame.held.insert((lane, at), Held { token, due, acking: false });
        self.tokens.insert(token, (id, (lane, at)));
        self.timers.insert(due, Timer::Held(token));
        if let Some(old) = replaced {
            self.forget_right(&old);
        }
        self.unpark(id);
        if self.leaving {
            self.release(id);
        }
        self.check(id);
    }

    /// The next event that may begin: of each key one at a time, in the order in which they came.
    pub fn next_job(&mut self, now: Instant) -> Option<Begin<T>> {
        loop {
            let slot = self.lines.next()?;
            if self.state(slot) != Some(&State::Todo) {
                continue;
            }
            let job = self.job(slot);
            let until = now + self.policy.job_timeout;
            self.set(slot, State::Running { job: job.number, until });
            let frame = self.frames.get(&slot.frame)?;
            let attempt = frame.attempt_of(slot.index);
            return Some(Begin { job, item: frame.item.clone(), index: slot.index, attempt });
        }
    }

    /// Takes what came of a try. `false`: its time had run out, and it counts as failed already.
    pub fn handle_verdict(&mut self, now: Instant, job: JobId, verdict: Verdict) -> bool {
        if !self.is_running(job) {
            return false;
        }
        let slot = job.slot;
        match verdict {
            Verdict::Done => self.settle(slot),
            Verdict::Retry(reason) => self.fail(now, slot, reason),
            Verdict::Reject(reason) => {
                self.count(slot);
                self.give_up(slot, reason);
            }
            Verdict::Release => {
                self.set(slot, State::Parked);
                self.leave_line(slot);
                self.release(slot.frame);
            }
        }
        self.check(slot.frame);
        true
    }

    /// Takes what came of a burial: stored, or perhaps not; then it is tried again, as long as the record is held.
    pub fn handle_buried(&mut self, now: Instant, job: JobId, stored: bool) {
        let slot = job.slot;
        let Some(State::Dead { reason, storing, failures, .. }) = self.state(slot) else { return };
        if *storing != Some(job.number) {
            return;
        }
        if stored {
            self.settle(slot);
        } else {
            let failures = failures.saturating_add(1);
            let again = Some(now + self.policy.pause(failures).max(PAUSE_MIN));
            let reason = reason.clone();
            self.set(slot, State::Dead { reason, storing: None, again, failures });
            if self.frames.get(&slot.frame).is_some_and(|frame| frame.held.is_empty()) {
                self.park(slot);
            }
        }
        self.check(slot.frame);
    }

    /// Takes what the backend said to a [`Action::Settle`].
    pub fn handle_answer(&mut self, now: Instant, token: Token, how: Settle, answer: Answer) {
        let Some(&(id, place)) = self.tokens.get(&token) else { return };
        let Some(held) = self.frames.get_mut(&id).and_then(|frame| frame.held.get_mut(place)) else {
            return;
        };
        match (answer, how) {
            (Answer::Done, Settle::Ack) | (Answer::Void, _) => {
                self.let_go(id, place);
                if self.frames.get(&id).is_some_and(|frame| frame.held.is_empty()) {
                    self.lose(id);
                }
            }
            (Answer::Failed, Settle::Ack | Settle::Extend) => {
                if how == Settle::Ack {
                    self.acking -= usize::from(std::mem::take(&mut held.acking));
                }
                let pause = self.policy.backoff.0.min(self.policy.extend_after());
                let due = now + pause.max(PAUSE_MIN);
                let old = std::mem::replace(&mut held.due, due);
                self.timers.remove(old, Timer::Held(token));
                self.timers.insert(due, Timer::Held(token));
            }
            _ => {}
        }
    }

    /// These lanes are to be given back: nothing of them is begun any more.
    pub fn handle_revoking(&mut self, lanes: &[u32]) {
        self.revoking.extend(lanes);
        for id in self.on(lanes) {
            self.park_all(id);
        }
    }

    /// Is nothing of these lanes worked on any more, and everything settled that could be?
    pub fn is_free(&self, lanes: &[u32]) -> bool {
        !self.frames.values().any(|frame| frame.is_on(lanes) && (frame.is_busy() || frame.is_settled()))
    }

    /// These lanes are this member's.
    pub fn handle_assigned(&mut self, lanes: &[u32]) {
        self.revoking.retain(|lane| !lanes.contains(lane));
    }

    /// These lanes are gone: what is held of them is another's now.
    pub fn handle_lost(&mut self, lanes: &[u32]) {
        self.handle_assigned(lanes);
        self.lose_places(|lane| lanes.contains(&lane));
    }

    /// Every right to settle is void.
    pub fn handle_interrupted(&mut self) {
        self.revoking.clear();
        self.lose_places(|_| true);
    }

    /// This member leaves: nothing is begun any more, and what is not worked on goes back.
    pub fn handle_leaving(&mut self) {
        self.leaving = true;
        for id in self.frames.keys().copied().collect::<Vec<_>>() {
            self.release(id);
            self.check(id);
        }
    }

    /// Does what has become due. An early or repeated call does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Event(slot) => self.handle_event_due(now, slot),
                Timer::Held(token) => self.handle_held_due(now, token),
            }
        }
    }

    fn handle_event_due(&mut self, now: Instant, slot: Slot) {
        match self.state(slot).cloned() {
            Some(State::Running { job, .. }) => {
                let reason = format!("not settled within {:?}", self.policy.job_timeout);
                self.handle_verdict(now, JobId { slot, number: job }, Verdict::Retry(reason));
            }
            Some(State::Waiting { .. }) => {
                self.set(slot, State::Todo);
                self.lines.make_ready(slot);
            }
            Some(State::Dead { reason, storing: None, failures, .. }) => {
                self.set(slot, State::Dead { reason, storing: None, again: None, failures });
                self.check(slot.frame);
            }
            _ => {}
        }
    }

    fn handle_held_due(&mut self, now: Instant, token: Token) {
        let Some(&(id, place)) = self.tokens.get(&token) else { return };
        let Some(frame) = self.frames.get_mut(&id) else { return };
        let settled = frame.is_settled();
        let Some(held) = frame.held.get_mut(place) else { return };
        if held.acking {
            return;
        }
        held.acking = settled;
        self.acking += usize::from(settled);
        held.due = now + self.policy.extend_after();
        self.timers.insert(held.due, Timer::Held(token));
        self.actions.push_back(Action::Settle(token, if settled { Settle::Ack } else { Settle::Extend }));
    }

    fn insert(&mut self, origin: Origin, keys: Vec<Option<u64>>, bytes: usize, item: T) -> u64 {
        let known = &self.settled;
        let events = keys.into_iter().enumerate().map(|(index, key)| {
            let state = if known.has(&origin, index) { State::Settled } else { State::Parked };
            Event { key, state, failures: 0 }
        });
        let events: Vec<Event> = events.collect();
        let frame = Frame {
            origin,
            item,
            bytes,
            held: Rights::default(),
            attempt: 0,
            counts: Counts::of(&events),
            events,
            releasing: false,
        };
        self.last_frame += 1;
        self.bytes += bytes;
        self.by_origin.insert(origin, self.last_frame);
        self.frames.insert(self.last_frame, Box::new(frame));
        self.last_frame
    }

    /// What nobody worked on may begin, or has been tried too often by members that did not come back from it.
    fn unpark(&mut self, id: u64) {
        let Some(frame) = self.frames.get_mut(&id) else { return };
        frame.releasing = false;
        let attempt = frame.attempt;
        let parked: Vec<(usize, Option<u64>)> = frame
            .events
            .iter()
            .enumerate()
            .filter(|(_, event)| event.state == State::Parked)
            .map(|(index, event)| (index, event.key))
            .collect();
        for (index, key) in parked {
            let slot = Slot { frame: id, index };
            if attempt > self.policy.attempts_max {
                self.lines.join(slot, key, false);
                let reason = format!("given out {} times, and not settled by anyone", attempt - 1);
                self.give_up(slot, reason);
            } else {
                self.set(slot, State::Todo);
                self.lines.join(slot, key, true);
            }
        }
    }

    fn fail(&mut self, now: Instant, slot: Slot, reason: String) {
        let Some(frame) = self.frames.get(&slot.frame) else { return };
        let tries = frame.attempt_of(slot.index);
        let failures = self.count(slot);
        let Some(frame) = self.frames.get(&slot.frame) else { return };
        if tries >= self.policy.attempts_max {
            return self.give_up(slot, reason);
        }
        let stays = !frame.held.is_empty() && !frame.releasing;
        if stays && !frame.held.places().any(|(lane, _)| self.revoking.contains(&lane)) {
            self.set(slot, State::Waiting { until: now + self.policy.pause(failures) });
        } else {
            self.park(slot);
        }
    }

    /// Counts a failed try, and answers how many there were.
    fn count(&mut self, slot: Slot) -> u32 {
        let frame = self.frames.get_mut(&slot.frame);
        let Some(event) = frame.and_then(|frame| frame.events.get_mut(slot.index)) else { return 1 };
        event.failures = event.failures.saturating_add(1);
        event.failures
    }

    /// It is to be stored among the dead letters, unless it is another's by now.
    fn give_up(&mut self, slot: Slot, reason: String) {
        match self.frames.get(&slot.frame) {
            Some(frame) if !frame.held.is_empty() => {
                self.set(slot, State::Dead { reason, storing: None, again: None, failures: 0 });
                self.check(slot.frame);
            }
            _ => self.park(slot),
        }
    }

    fn settle(&mut self, slot: Slot) {
        self.set(slot, State::Settled);
        self.leave_line(slot);
    }

    fn park(&mut self, slot: Slot) {
        self.set(slot, State::Parked);
        self.leave_line(slot);
    }

    /// Parks whatever of a frame is not worked on.
    fn park_all(&mut self, id: u64) {
        let Some(frame) = self.frames.get(&id) else { return };
        let idle = |state: &State| {
            matches!(state, State::Todo | State::Waiting { .. } | State::Dead { storing: None, .. })
        };
        let slots: Vec<usize> =
            (0..frame.events.len()).filter(|&index| idle(&frame.events[index].state)).collect();
        slots.into_iter().for_each(|index| self.park(Slot { frame: id, index }));
    }

    /// A frame goes back as soon as nothing of it is worked on, and so does what stands behind it in the lines of its
    /// keys: begun here, it would overtake what comes back.
    fn release(&mut self, id: u64) {
        let mut going = VecDeque::from([id]);
        while let Some(id) = going.pop_front() {
            self.park_all(id);
            going.extend(self.behind(id));
            if let Some(frame) = self.frames.get_mut(&id) {
                frame.releasing = true;
            }
            self.check(id);
        }
    }

    /// The frames with events of the same keys as those of a frame that are parked, in their order.
    fn behind(&self, id: u64) -> Vec<u64> {
        let Some(frame) = self.frames.get(&id) else { return Vec::new() };
        let parked = frame.events.iter().filter(|event| event.state == State::Parked);
        let keys: BTreeSet<u64> = parked.filter_map(|event| event.key).collect();
        let mut behind: Vec<u64> = keys.iter().flat_map(|key| self.lines.frames(*key)).collect();
        behind.sort_unstable();
        behind.dedup();
        behind.retain(|id| self.frames.get(id).is_some_and(|frame| !frame.releasing));
        behind
    }

    /// Gives up the rights on the lanes that are gone, and the frames of which none is left.
    fn lose_places(&mut self, is_gone: impl Fn(u32) -> bool) {
        for id in self.frames.keys().copied().collect::<Vec<_>>() {
            let Some(frame) = self.frames.get(&id) else { continue };
            let gone: Vec<_> = frame.held.places().filter(|(lane, _)| is_gone(*lane)).collect();
            for place in gone {
                self.let_go(id, place);
            }
            if self.frames.get(&id).is_some_and(|frame| frame.held.is_empty()) {
                self.lose(id);
            }
        }
    }

    /// Nothing of a frame is held any more: it is done, or another's.
    fn lose(&mut self, id: u64) {
        self.park_all(id);
        let Some(frame) = self.frames.get(&id) else { return };
        if !frame.is_busy() {
            self.forget(id);
        }
    }

    /// Does what the state of a frame calls for.
    fn check(&mut self, id: u64) {
        let Some(frame) = self.frames.get(&id) else { return };
        if frame.held.is_empty() {
            return self.lose(id);
        }
        let dead = frame.to_bury();
        dead.into_iter().for_each(|index| self.bury(Slot { frame: id, index }));
        let Some(frame) = self.frames.get_mut(&id) else { return };
        if frame.is_settled() {
            for held in frame.held.iter_mut().filter(|held| !held.acking) {
                held.acking = true;
                self.acking += 1;
                self.actions.push_back(Action::Settle(held.token, Settle::Ack));
            }
        } else if frame.releasing && !frame.is_busy() {
            self.park_all(id);
            let behind = self.behind(id);
            let Some(frame) = self.frames.get(&id) else { return };
            for place in frame.held.places().collect::<Vec<_>>() {
                if let Some(token) = self.let_go(id, place) {
                    self.actions.push_back(Action::Settle(token, Settle::Release));
                }
            }
            self.forget(id);
            behind.into_iter().for_each(|id| self.release(id));
        }
    }

    fn bury(&mut self, slot: Slot) {
        let Some(State::Dead { reason, failures, .. }) = self.state(slot).cloned() else { return };
        let job = self.job(slot);
        let storing = Some(job.number);
        self.set(slot, State::Dead { reason: reason.clone(), storing, again: None, failures });
        let Some(frame) = self.frames.get(&slot.frame) else { return };
        let failures = frame.events.get(slot.index).map_or(0, |event| event.failures);
        let attempts = frame.attempt.saturating_sub(1).saturating_add(failures);
        let item = frame.item.clone();
        self.actions.push_back(Action::Bury(Burial { job, item, index: slot.index, attempts, reason }));
    }

    /// Gives up the right to settle one place of a frame.
    fn let_go(&mut self, id: u64, place: Place) -> Option<Token> {
        let held = self.frames.get_mut(&id)?.held.remove(place)?;
        self.forget_right(&held);
        Some(held.token)
    }

    fn forget_right(&mut self, held: &Held) {
        self.tokens.remove(&held.token);
        self.timers.remove(held.due, Timer::Held(held.token));
        self.acking -= usize::from(held.acking);
    }

    /// Forgets a frame but for what is settled of it.
    fn forget(&mut self, id: u64) {
        let Some(frame) = self.frames.remove(&id) else { return };
        self.bytes -= frame.bytes;
        self.by_origin.remove(&frame.origin);
        if let Some(known) = frame.known() {
            self.settled.remember(frame.origin, known);
        }
    }

    fn job(&mut self, slot: Slot) -> JobId {
        self.last_job += 1;
        JobId { slot, number: self.last_job }
    }

    fn state(&self, slot: Slot) -> Option<&State> {
        Some(&self.frames.get(&slot.frame)?.events.get(slot.index)?.state)
    }

    fn set(&mut self, slot: Slot, state: State) {
        let due = state.due();
        let was = self.frames.get_mut(&slot.frame).and_then(|frame| frame.set(slot.index, state));
        let Some(was) = was else { return };
        if let Some(due) = was.due() {
            self.timers.remove(due, Timer::Event(slot));
        }
        if let Some(due) = due {
            self.timers.insert(due, Timer::Event(slot));
        }
    }

    fn leave_line(&mut self, slot: Slot) {
        let Some(frame) = self.frames.get(&slot.frame) else { return };
        let Some(key) = frame.events.get(slot.index).map(|event| event.key) else { return };
        let frames = &self.frames;
        let is_idle = |next: Slot| {
            let event = frames.get(&next.frame).and_then(|frame| frame.events.get(next.index));
            event.is_some_and(|event| event.state == State::Todo)
        };
        self.lines.leave(slot, key, is_idle);
    }

    /// The frames that stand on one of these lanes.
    fn on(&self, lanes: &[u32]) -> Vec<u64> {
        self.frames.iter().filter(|(_, frame)| frame.is_on(lanes)).map(|(id, _)| *id).collect()
    }
}
