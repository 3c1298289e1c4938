//! The queue against a naive model that looks at it every millisecond.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Send { delay: u64, length: usize, from: NodeIx },
    SendLocal { length: usize },
    Resubscribed,
    Pause,
    Resume,
    Lose { from: Option<NodeIx> },
    TakeAll,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop_oneof![Just(0), 0..6_u64], 0..5_usize, 1..3_usize)
            .prop_map(|(delay, length, from)| Step::Send { delay, length, from }),
        1 => (0..5_usize).prop_map(|length| Step::SendLocal { length }),
        1 => Just(Step::Resubscribed),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => prop::option::of(1..3_usize).prop_map(|from| Step::Lose { from }),
        2 => Just(Step::TakeAll),
        3 => (0..4_u64).prop_map(Step::Wait),
    ]
}

const MESSAGES_MAX: usize = 4;
const BYTES_MAX: usize = 8;

#[derive(Clone, Debug, PartialEq)]
enum Thing {
    Message { id: u8, length: usize, from: NodeIx },
    Dropped,
    Resubscribed,
}

/// Lists only: nothing is merged, counted or sorted ahead of time.
#[derive(Default)]
struct Model {
    now: u64,
    paused: bool,
    arrived: Vec<Thing>,
    /// In the order of sending, with the time at which each is due.
    on_its_way: Vec<(u64, Thing)>,
}

fn fits(there: &[Thing], length: usize) -> bool {
    let lengths: Vec<usize> = there
        .iter()
        .filter_map(|thing| match thing {
            Thing::Message { length, .. } => Some(*length),
            _ => None,
        })
        .collect();
    lengths.is_empty()
        || (lengths.len() < MESSAGES_MAX && lengths.iter().sum::<usize>() + length <= BYTES_MAX)
}

impl Model {
    fn arrive(&mut self, thing: Thing) {
        let fits = match &thing {
            Thing::Message { length, .. } => fits(&self.arrived, *length),
            _ => true,
        };
        self.arrived.push(if fits { thing } else { Thing::Dropped });
    }

    fn send(&mut self, delay: u64, thing: Thing) {
        if delay == 0 && !self.paused {
            return self.arrive(thing);
        }
        let Thing::Message { length, .. } = thing else { panic!("only messages are sent") };
        let there: Vec<Thing> = self.on_its_way.iter().map(|(_, thing)| thing.clone()).collect();
        if fits(&there, length) {
            self.on_its_way.push((self.now + delay, thing));
        } else {
            self.mark(delay, Thing::Dropped);
        }
    }

    /// A marker comes after everything else, unless nothing lies between it and one of its kind.
    fn mark(&mut self, delay: u64, marker: Thing) {
        let mut in_order = self.on_its_way.clone();
        in_order.sort_by_key(|(due, _)| *due);
        let tail = in_order.iter().rev().take_while(|(_, thing)| !matches!(thing, Thing::Message { .. }));
        let twin = tail.clone().find(|(_, thing)| *thing == marker).map(|(due, _)| *due);
        let last = in_order.last().map_or(0, |(due, _)| *due);
        match twin {
            // Only its time counts; a second one with it is the sum.
            Some(due) => self.on_its_way.push((due, marker)),
            None => self.on_its_way.push((last.max(self.now + delay), marker)),
        }
    }

    fn tick(&mut self) {
        while !self.paused
            && let Some(ix) = self.next()
            && self.on_its_way[ix].0 <= self.now
        {
            let (_, thing) = self.on_its_way.remove(ix);
            self.arrive(thing);
        }
    }

    /// The first of those that are due first.
    fn next(&self) -> Option<usize> {
        let due = self.on_its_way.iter().map(|(due, _)| *due).min()?;
        self.on_its_way.iter().position(|(at, _)| *at == due)
    }
}

/// Messages by their number, and between them how many were dropped and whether there was an interruption.
#[derive(Debug, Default, PartialEq)]
struct Told {
    messages: Vec<u8>,
    between: Vec<(u64, bool)>,
}

impl Told {
    fn new() -> Self {
        Self { messages: Vec::new(), between: vec![(0, false)] }
    }

    fn message(&mut self, id: u8) {
        self.messages.push(id);
        self.between.push((0, false));
    }
}

fn told_by_model(things: Vec<Thing>) -> Told {
    let mut told = Told::new();
    for thing in things {
        let last = told.between.len() - 1;
        match thing {
            Thing::Message { id, .. } => told.message(id),
            Thing::Dropped => told.between[last].0 += 1,
            Thing::Resubscribed => told.between[last].1 = true,
        }
    }
    told
}

fn told_by_queue(inbound: Vec<Inbound>) -> Told {
    let mut told = Told::new();
    for inbound in inbound {
        let last = told.between.len() - 1;
        match inbound {
            Inbound::Message(raw) => told.message(u8::try_from(raw.lane).unwrap()),
            Inbound::Dropped(count) => {
                assert_eq!(told.between[last].0, 0, "one marker of a kind between two messages");
                told.between[last].0 += count.unwrap();
            }
            Inbound::Resubscribed => {
                assert!(!told.between[last].1, "one marker of a kind between two messages");
                told.between[last].1 = true;
            }
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_that_is_looked_at_seldom_is_like_one_that_is_looked_at_always(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let start = Instant::now();
        let mut queue = Queue::new(Room::new(MESSAGES_MAX, BYTES_MAX), false);
        let mut model = Model::default();
        let mut next_id = 0_u8;
        let mut message = |length, from| {
            next_id += 1;
            let parcel = Parcel { frame: OutFrame::new(vec![0; length]), lane: u32::from(next_id), from };
            (parcel, Thing::Message { id: next_id, length, from })
        };
        for step in steps.into_iter().chain([Step::Resume, Step::Wait(100), Step::TakeAll]) {
            let now = start + Duration::from_millis(model.now);
            match step {
                Step::Send { delay, length, from } => {
                    let (parcel, thing) = message(length, from);
                    queue.send(now, Duration::from_millis(delay), parcel);
                    model.send(delay, thing);
                }
                Step::SendLocal { length } => {
                    let (parcel, thing) = message(length, 9);
                    queue.send_local(now, parcel);
                    model.arrive(thing);
                }
                Step::Resubscribed => {
                    queue.resubscribed(now);
                    if model.paused {
                        model.mark(0, Thing::Resubscribed);
                    } else {
                        model.arrive(Thing::Resubscribed);
                    }
                }
                Step::Pause => {
                    queue.pause(now);
                    model.paused = true;
                }
                Step::Resume => {
                    queue.resume(now);
                    model.paused = false;
                }
                Step::Lose { from: only } => {
                    let before = model.on_its_way.len();
                    model.on_its_way.retain(|(_, thing)| match thing {
                        Thing::Message { from, .. } => only.is_some_and(|only| only != *from),
                        _ => true,
                    });
                    prop_assert_eq!(queue.lose(now, only), (before - model.on_its_way.len()) as u64);
                }
                Step::TakeAll => {
                    let mut into = Vec::new();
                    let some = queue.take(now, usize::MAX, &mut into);
                    prop_assert_eq!(some, !into.is_empty());
                    prop_assert_eq!(told_by_queue(into), told_by_model(std::mem::take(&mut model.arrived)));
                    let due = model.next().filter(|_| !model.paused).map(|ix| model.on_its_way[ix].0);
                    let queue_due = queue.next_due().map(|due| (due - start).as_millis());
                    prop_assert_eq!(queue_due, due.map(u128::from));
                }
                Step::Wait(milliseconds) => {
                    for _ in 0..milliseconds {
                        model.now += 1;
                        model.tick();
                    }
                }
            }
            model.tick();
            prop_assert!(queue.arrived.len() <= 3 * MESSAGES_MAX + 2);
            prop_assert!(queue.on_its_way.len() <= 3 * MESSAGES_MAX + 2);
        }
        prop_assert_eq!(queue.arrived_room.messages + queue.on_its_way_room.messages, 0);
        prop_assert_eq!(queue.arrived_room.bytes + queue.on_its_way_room.bytes, 0);
    }
}

#[test]
fn a_queue_gives_no_more_than_was_asked_for_and_at_least_one() {
    let now = Instant::now();
    let mut queue = Queue::new(Room::new(10, 10), false);
    for lane in 0..5 {
        queue.send(now, Duration::ZERO, Parcel { frame: OutFrame::new(Bytes::new()), lane, from: 1 });
    }
    let mut into = Vec::new();
    for expected in [2, 3, 5] {
        assert!(queue.take(now, if expected == 3 { 0 } else { 2 }, &mut into));
        assert_eq!(into.len(), expected);
    }
    assert!(!queue.take(now, 2, &mut into));
}
