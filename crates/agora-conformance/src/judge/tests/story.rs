//! A history told by hand, in which everything is as it should be, and the means to spoil it.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::live::Reason;

use super::ms;
use crate::history::{Change, Entry, History, Life, Pace, Sub, Topic, Value, What, Wire};
use crate::sim::{Fault, Line, Plan, Profile};

/// Publishes, and crashes.
pub(super) const A: Life = Life { node: 0, turn: 1 };
/// Its next life.
pub(super) const A2: Life = Life { node: 0, turn: 2 };
/// Reads, from the beginning to the end.
pub(super) const B: Life = Life { node: 1, turn: 1 };
/// Reads, and leaves.
pub(super) const C: Life = Life { node: 2, turn: 1 };
/// The topic of all of them.
pub(super) const T: Topic = Topic(0);

/// A history, and the plan that is said to have led to it.
pub(super) struct Story {
    pub(super) plan: Plan,
    pub(super) history: History,
}

pub(super) fn value(life: Life, n: u64) -> Value {
    Value { life, topic: T, n }
}

/// A frame of one event, of a source that still holds everything.
pub(super) fn data(of: Life, seq: u64) -> Wire {
    data_from(of, seq, 1)
}

pub(super) fn data_from(of: Life, seq: u64, floor: u64) -> Wire {
    let crc = 0x1000 * u32::from(of.turn) + u32::try_from(seq).unwrap();
    Wire::Data { of, topic: T, seq, end: seq + 1, floor, crc }
}

pub(super) fn head(of: Life, next: u64, floor: u64, nonces: &[u64]) -> Wire {
    Wire::Head { of, topic: T, next, floor, fin: false, nonces: nonces.to_vec() }
}

pub(super) fn hello(by: Life, nonce: u64) -> Wire {
    Wire::Hello { by, topic: T, nonce }
}

pub(super) fn ask(by: Life, of: Life, seq: u64) -> Wire {
    Wire::Ask { by, of, topic: T, ranges: vec![(seq, seq + 1)] }
}

pub(super) fn send(by: Life, call: u64, wires: &[Wire], formed: &[(u64, Option<Value>)]) -> What {
    What::Send { by, call, wires: wires.to_vec(), formed: formed.to_vec() }
}

pub(super) fn sent(by: Life, call: u64, failed: Option<ErrorKind>) -> What {
    What::Sent { by, call, accepted: usize::from(failed.is_none()), failed }
}

/// The publisher numbers what it forms as the engine does, where nothing was refused.
pub(super) fn event(sub: u32, of: Life, seq: u64) -> What {
    What::Event { sub: Sub(sub), of: Some(of), topic: T, seq, value: Some(value(of, seq)) }
}

pub(super) fn gap(sub: u32, of: Life, from: Option<u64>, to: Option<u64>, reason: Reason) -> What {
    What::Gap { sub: Sub(sub), of: Some(of), topic: T, from, to, reason }
}

pub(super) fn member(by: Life, change: Change, of: Life) -> What {
    What::Member { by, change, of: Some(of), silent: Some(ms(100)) }
}

pub(super) fn failed(by: Life, of: Life, silent: u64) -> What {
    What::Member { by, change: Change::Failed, of: Some(of), silent: Some(ms(silent)) }
}

impl Story {
    /// A source loses a frame, then a frame and every request for it, has trouble sending, crashes with a frame under
    /// way, and comes back. Another node leaves.
    pub(super) fn right() -> Self {
        let plan = Plan {
            seed: 0,
            profile: Profile::Lossy,
            nodes: 3,
            topics: 1,
            logs: 0,
            group: None,
            server: true,
            hints: false,
            memory_bytes: 64 << 20,
            inbox_messages_max: 65_536,
            publish_timeout: ms(5_000),
            acts: Vec::new(),
            heal_at: ms(20_000),
            probe_at: ms(21_000),
            end_at: ms(23_000),
        };
        let mut story = Self { plan, history: History::default() };
        story.beginning();
        story.what_is_lost_is_asked_for();
        story.what_stays_lost_is_a_gap();
        story.trouble_with_sending();
        story.ends();
        story.return_of_a();
        story
    }

    fn beginning(&mut self) {
        let lossy = Line { loss: 20, ..Line::default() };
        self.tell(0, [What::Fault(Fault::Everywhere(lossy)), What::Start(A), What::Start(B), What::Start(C)]);
        for (by, of) in [(A, B), (A, C), (B, A), (B, C), (C, A), (C, B)] {
            self.tell(10, [member(by, Change::Joined, of)]);
        }
        self.subscribe(100, 0, B);
        self.call(100, B, 1, hello(B, 1));
        self.tell(200, [What::Established(Sub(0), Ok(()))]);
    }

    fn what_is_lost_is_asked_for(&mut self) {
        self.publish(300, A, 2, 1, 1);
        self.tell(305, [What::Got(B, data(A, 1)), event(0, A, 1)]);
        self.publish(310, A, 3, 2, 2);
        self.publish(320, A, 4, 3, 3);
        self.tell(325, [What::Got(B, data(A, 3))]);
        for by in [B, C] {
            self.tell(350, [What::Got(by, Wire::Heartbeat { of: A, topics: vec![T] })]);
        }
        self.call(420, A, 5, head(A, 4, 1, &[]));
        self.tell(425, [What::Got(B, head(A, 4, 1, &[]))]);
        // Later than a source is mute about a frame that it has just sent.
        self.call(530, B, 6, ask(B, A, 2));
        self.tell(535, [What::Got(A, ask(B, A, 2))]);
        self.call(536, A, 7, data(A, 2));
        self.tell(541, [What::Got(B, data(A, 2)), event(0, A, 2), event(0, A, 3)]);
    }

    fn what_stays_lost_is_a_gap(&mut self) {
        self.subscribe(550, 1, C);
        self.call(550, C, 8, hello(C, 2));
        self.tell(555, [What::Got(A, hello(C, 2))]);
        self.call(556, A, 9, head(A, 4, 1, &[2]));
        self.tell(561, [What::Got(C, head(A, 4, 1, &[2]))]);
        self.tell(620, [What::Established(Sub(1), Ok(()))]);
        self.publish(700, A, 10, 4, 4);
        self.tell(705, [What::Got(C, data(A, 4)), event(1, A, 4)]);
        self.call(800, A, 11, head(A, 5, 1, &[]));
        self.tell(805, [What::Got(B, head(A, 5, 1, &[]))]);
        for (at, call) in [(810, 12), (1_310, 13), (1_810, 14)] {
            self.call(at, B, call, ask(B, A, 4));
        }
        self.tell(2_310, [gap(0, A, Some(4), Some(5), Reason::Lost)]);
        self.tell(2_500, [What::Fault(Fault::Everywhere(Line::default()))]);
    }

    fn trouble_with_sending(&mut self) {
        let five = value(A, 5);
        let publish = What::Publish { value: five, waits: true };
        self.tell(2_600, [publish, send(A, 15, &[data(A, 5)], &[(5, Some(five))])]);
        self.tell(2_600, [sent(A, 15, Some(ErrorKind::Unreachable))]);
        self.call(2_700, A, 16, data(A, 5));
        self.tell(2_701, [What::Published(five, Ok(Some(5)))]);
        self.tell(2_705, [What::Got(B, data(A, 5)), event(0, A, 5)]);
        self.tell(2_705, [What::Got(C, data(A, 5)), event(1, A, 5)]);
        self.call(2_750, A, 17, head(A, 6, 1, &[]));
        let six = value(A, 6);
        self.tell(
            3_000,
            [
                What::Publish { value: six, waits: false },
                What::Published(six, Ok(None)),
                send(A, 18, &[data(A, 6)], &[(6, Some(six))]),
                sent(A, 18, None),
            ],
        );
        self.tell(3_005, [What::Got(B, data(A, 6)), event(0, A, 6)]);
        self.tell(3_005, [What::Got(C, data(A, 6)), event(1, A, 6)]);
        self.call(3_100, A, 19, head(A, 7, 1, &[]));
        self.tell(3_200, [What::Flushed(A, Ok(()), 0)]);
        let seven = value(A, 7);
        self.tell(3_300, [What::Publish { value: seven, waits: true }]);
        self.tell(3_300, [What::Published(seven, Err(ErrorKind::QueueFull))]);
    }

    fn ends(&mut self) {
        let eight = value(A, 8);
        self.tell(5_990, [What::Publish { value: eight, waits: true }]);
        self.tell(5_990, [send(A, 20, &[data(A, 7)], &[(7, Some(eight))]), sent(A, 20, None)]);
        self.tell(6_000, [What::Crash(A)]);
        let leave = Wire::Leave { of: C, ends: Vec::new() };
        self.tell(7_000, [What::Leaving(C)]);
        self.call(7_000, C, 21, leave.clone());
        self.tell(7_005, [What::Got(B, leave), member(B, Change::Left, C)]);
        self.tell(7_010, [What::Gone(C, Ok(())), What::Ended(Sub(1), None)]);
        self.tell(8_990, [member(B, Change::Suspected, A)]);
        self.tell(10_990, [failed(B, A, 5_000), gap(0, A, Some(7), None, Reason::SourceFailed)]);
        // What was under way comes too late, and makes the receiver ask whether its source lives.
        self.tell(11_500, [What::Got(B, data(A, 7))]);
        self.call(11_500, B, 22, hello(B, 3));
    }

    fn return_of_a(&mut self) {
        self.tell(12_000, [What::Start(A2)]);
        self.tell(12_010, [member(B, Change::Returned, A2), member(A2, Change::Joined, B)]);
        self.publish(12_100, A2, 23, 1, 1);
        self.tell(12_105, [What::Got(B, data(A2, 1)), event(0, A2, 1)]);
        self.call(12_200, A2, 24, head(A2, 2, 1, &[]));
        self.call(17_200, A2, 25, head(A2, 2, 1, &[]));
        self.tell(20_000, [What::Fault(Fault::HealAll), What::Healed]);
        self.tell(21_000, [What::Probing]);
        self.publish(21_000, A2, 26, 2, 2);
        self.tell(21_005, [What::Got(B, data(A2, 2)), event(0, A2, 2)]);
        self.call(21_100, A2, 27, head(A2, 3, 1, &[]));
        self.tell(23_000, [What::View(A2, vec![B]), What::View(B, vec![A2])]);
    }

    fn subscribe(&mut self, at: u64, sub: u32, life: Life) {
        let (sub, topics, own, pace) = (Sub(sub), vec![T], false, Pace::Prompt);
        self.tell(at, [What::Subscribe { sub, life, topics, own, pace }]);
    }

    /// One event is published, formed, and accepted by the transport.
    fn publish(&mut self, at: u64, by: Life, call: u64, seq: u64, n: u64) {
        let value = value(by, n);
        self.tell(
            at,
            [
                What::Publish { value, waits: true },
                send(by, call, &[data(by, seq)], &[(seq, Some(value))]),
                sent(by, call, None),
                What::Published(value, Ok(Some(seq))),
            ],
        );
    }

    /// One frame is sent that forms nothing.
    fn call(&mut self, at: u64, by: Life, call: u64, wire: Wire) {
        self.tell(at, [send(by, call, &[wire], &[]), sent(by, call, None)]);
    }

    fn tell<const N: usize>(&mut self, at: u64, whats: [What; N]) {
        self.history.entries.extend(whats.map(|what| Entry { at: ms(at), what }));
    }
}

/// What spoils a history. An entry is named by a part of its line, which no other has.
impl Story {
    fn find(&self, part: &str) -> usize {
        let entries = self.history.entries.iter().enumerate();
        let mut fitting = entries.filter(|(_, entry)| entry.to_string().contains(part));
        let (Some((index, _)), None) = (fitting.next(), fitting.next()) else {
            panic!("not exactly one line has {part:?}:\n{}", self.history.to_text());
        };
        index
    }

    /// Adds something behind all that happened until then.
    pub(super) fn add(&mut self, at: u64, what: What) {
        let index = self.history.entries.partition_point(|entry| entry.at <= ms(at));
        self.history.entries.insert(index, Entry { at: ms(at), what });
    }

    pub(super) fn remove(&mut self, part: &str) {
        let index = self.find(part);
        self.history.entries.remove(index);
    }

    pub(super) fn replace(&mut self, part: &str, what: What) {
        let index = self.find(part);
        self.history.entries[index].what = what;
    }

    /// It happens once more, at once.
    pub(super) fn repeat(&mut self, part: &str) {
        let index = self.find(part);
        self.history.entries.insert(index, self.history.entries[index].clone());
    }

    /// Each happens when the other did.
    pub(super) fn swap(&mut self, one: &str, other: &str) {
        let (one, other) = (self.find(one), self.find(other));
        let what = self.history.entries[one].what.clone();
        self.history.entries[one].what = std::mem::replace(&mut self.history.entries[other].what, what);
    }

    /// It happens at another time.
    pub(super) fn shift(&mut self, part: &str, at: u64) {
        let index = self.find(part);
        let Entry { what, .. } = self.history.entries.remove(index);
        self.add(at, what);
    }

    /// When it happened.
    pub(super) fn time_of(&self, part: &str) -> Duration {
        self.history.entries[self.find(part)].at
    }
}
