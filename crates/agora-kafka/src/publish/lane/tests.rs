//! The lane against the plainest broker: a log, and for each producer what it stored last.

use proptest::prelude::*;

use super::*;
use crate::error::error;

/// A broker that does as `ProducerStateManager` of Kafka does, for one partition.
#[derive(Debug, Default)]
struct Broker {
    log: Vec<(u64, OutFrame)>,
    producers: BTreeMap<i64, (i16, VecDeque<(i32, i32)>)>,
}

#[derive(Debug, PartialEq)]
enum Said {
    Stored,
    OutOfOrder,
    Fenced,
}

impl Broker {
    fn store(&mut self, parcel: &Parcel) -> Said {
        let last = advance(parcel.sequence, parcel.frames.len() - 1);
        let known =
            self.producers.entry(parcel.identity.id).or_insert((parcel.identity.epoch, VecDeque::new()));
        if parcel.identity.epoch < known.0 {
            return Said::Fenced;
        }
        if parcel.identity.epoch > known.0 {
            if parcel.sequence != 0 {
                return Said::OutOfOrder;
            }
            *known = (parcel.identity.epoch, VecDeque::new());
        }
        if known.1.contains(&(parcel.sequence, last)) {
            return Said::Stored;
        }
        match known.1.back() {
            Some((_, before)) if advance(*before, 1) != parcel.sequence => return Said::OutOfOrder,
            _ => {}
        }
        known.1.push_back((parcel.sequence, last));
        if known.1.len() > BATCHES_MAX {
            known.1.pop_front();
        }
        self.log.extend(parcel.frames.iter().map(|frame| (parcel.number, frame.clone())));
        Said::Stored
    }

    fn numbers(&self) -> Vec<u64> {
        self.log.iter().map(|(_, frame)| number(frame)).collect()
    }
}

fn frame(number: u64) -> OutFrame {
    OutFrame::new(number.to_string())
}

fn number(frame: &OutFrame) -> u64 {
    std::str::from_utf8(&frame.payload).unwrap().parse().unwrap()
}

fn lost() -> Fate {
    again(Outcome::Unknown, "lost")
}

fn again(outcome: Outcome, why: &str) -> Fate {
    Fate::Again { outcome, error: error(ErrorKind::Unreachable, why), is_slow: false }
}

fn forgotten() -> Fate {
    Fate::Forgotten { is_taken: false, error: error(ErrorKind::Conflict, "out of order") }
}

fn fate(said: &Said) -> Fate {
    match said {
        Said::Stored => Fate::Stored,
        Said::OutOfOrder => forgotten(),
        Said::Fenced => Fate::Forgotten { is_taken: true, error: error(ErrorKind::Conflict, "fenced") },
    }
}

/// A lane whose producer is known to the broker.
fn lane() -> Lane {
    let mut lane = Lane::new();
    lane.begin(Identity { id: 7, epoch: 0 });
    lane.known = Some(Instant::now());
    lane
}

fn later(now: Instant) -> Instant {
    now + Duration::from_secs(1000)
}

/// The call, how many of its records were accepted, and why not all.
type Told = (u64, usize, Option<(Outcome, ErrorKind)>);

fn answers(lane: &mut Lane) -> Vec<Told> {
    let seen = |(call, outcome): Answer| match outcome {
        Ok(()) => (call, usize::MAX, None),
        Err(failed) => (call, failed.accepted, Some((failed.outcome, failed.error.kind()))),
    };
    lane.poll_answers().map(seen).collect()
}

#[test]
fn sequences_go_round() {
    assert_eq!(advance(0, 5), 5);
    assert_eq!(advance(i32::MAX, 1), 0);
    assert_eq!(advance(i32::MAX - 1, 5), 3);
}

#[test]
fn a_batch_of_unknown_fate_is_sent_again_as_it_was_and_what_never_left_may_change() {
    let (mut lane, now) = (lane(), Instant::now());
    lane.push(1, vec![frame(1), frame(2)], later(now), now);
    let first = lane.take(now, 0).unwrap();
    lane.push(2, vec![frame(3)], later(now), now);
    let second = lane.take(now, 0).unwrap();
    assert_eq!((first.sequence, second.sequence), (0, 2));
    lane.answered(first.number, lost(), now);
    assert!(lane.take(later(now), 0).is_none(), "an answer is still due");
    lane.push(3, vec![frame(4)], later(now), now);
    lane.answered(second.number, again(Outcome::NotStored, "not the leader"), now);
    assert!(lane.take(now, 0).is_none(), "after a pause");
    let now = now + PAUSE.0;
    let again = lane.take(now, 0).unwrap();
    assert_eq!((again.sequence, again.frames.len()), (0, 2));
    let joined = lane.take(now, 0).unwrap();
    let numbers: Vec<u64> = joined.frames.iter().map(number).collect();
    assert_eq!((joined.sequence, numbers), (2, vec![3, 4]));
}

#[test]
fn what_is_refused_fails_its_calls_alone() {
    let (mut lane, now) = (lane(), Instant::now());
    lane.push(1, vec![frame(1)], later(now), now);
    lane.push(2, vec![frame(2)], later(now), now);
    let batch = lane.take(now, 0).unwrap();
    lane.push(3, vec![frame(3)], later(now), now);
    let behind = lane.take(now, 0).unwrap();
    let error = error(ErrorKind::Config, "a record without a key");
    lane.answered(batch.number, Fate::Refused { outcome: Outcome::NotStored, error, records: vec![1] }, now);
    lane.answered(behind.number, forgotten(), now);
    assert_eq!(answers(&mut lane), [(2, 0, Some((Outcome::NotStored, ErrorKind::Config)))]);
    let next = lane.take(now, 0).unwrap();
    let numbers: Vec<u64> = next.frames.iter().map(number).collect();
    assert_eq!((next.identity.epoch, next.sequence, numbers), (1, 0, vec![1, 3]));
}

#[test]
fn what_is_too_large_as_a_whole_is_parted() {
    let (mut lane, now) = (lane(), Instant::now());
    lane.push(1, (1..=8).map(frame).collect(), later(now), now);
    let mut broker = Broker::default();
    while let Some(parcel) = lane.take(now, 0) {
        let is_too_large = parcel.frames.len() > 2;
        let too_many = || Fate::TooMany(error(ErrorKind::TooLarge, "too large"));
        let fate = if is_too_large { too_many() } else { fate(&broker.store(&parcel)) };
        lane.answered(parcel.number, fate, now);
    }
    assert_eq!(broker.numbers(), (1..=8).collect::<Vec<_>>());
    assert_eq!(answers(&mut lane), [(1, usize::MAX, None)]);
}

#[test]
fn one_record_that_is_too_large_is_refused_with_the_rest_of_its_call() {
    let (mut lane, now) = (lane(), Instant::now());
    lane.push(1, vec![frame(1)], later(now), now);
    lane.push(2, vec![frame(2)], later(now), now);
    let batch = lane.take(now, 0).unwrap();
    lane.answered(batch.number, Fate::TooMany(error(ErrorKind::TooLarge, "too large")), now);
    let batch = lane.take(now, 0).unwrap();
    assert_eq!(batch.frames.len(), 1);
    lane.answered(batch.number, Fate::TooMany(error(ErrorKind::TooLarge, "too large")), now);
    assert_eq!(answers(&mut lane), [(1, 0, Some((Outcome::NotStored, ErrorKind::TooLarge)))]);
}

#[test]
fn what_waits_past_its_deadline_is_never_sent() {
    let (mut lane, now) = (lane(), Instant::now());
    lane.push(1, vec![frame(1)], now + Duration::from_secs(1), now);
    lane.push(2, vec![frame(2)], later(now), now);
    let sent = lane.take(now + Duration::from_secs(1), 0).unwrap();
    assert_eq!(sent.frames.iter().map(number).collect::<Vec<_>>(), [2]);
    assert_eq!(answers(&mut lane), [(1, 0, Some((Outcome::NotStored, ErrorKind::Timeout)))]);
}

#[test]
fn what_was_given_up_as_unknown_and_is_brought_again_is_not_sent_anew() {
    let (mut lane, now) = (lane(), Instant::now());
    let frames: Vec<_> = (1..=3).map(frame).collect();
    lane.push(1, frames.clone(), now, now + Duration::from_secs(1));
    let mut broker = Broker::default();
    // Given up before it was sent: nothing is known of it.
    assert!(lane.take(now, 0).is_none());
    assert_eq!(answers(&mut lane), [(1, 0, Some((Outcome::NotStored, ErrorKind::Timeout)))]);
    lane.push(2, frames.clone(), later(now), now);
    let sent = lane.take(now, 0).unwrap();
    let failed = lane.overdue(2).unwrap();
    assert_eq!((failed.outcome, failed.error.kind()), (Outcome::Unknown, ErrorKind::OutcomeUnknown));
    // On its way: the call that brings it again takes its place.
    lane.push(3, frames[1..].to_vec(), later(now), now);
    assert!(lane.take(now, 0).is_none());
    assert_eq!(broker.store(&sent), Said::Stored);
    lane.answered(sent.number, Fate::Stored, now);
    assert_eq!(answers(&mut lane), [(3, usize::MAX, None)]);
    // Stored meanwhile: it is known again, once.
    lane.push(4, frames[..1].to_vec(), later(now), now);
    assert_eq!(answers(&mut lane), [(4, usize::MAX, None)]);
    lane.push(5, frames[..1].to_vec(), later(now), now);
    assert!(lane.take(now, 0).is_some(), "a second time it is meant");
}

#[test]
fn a_lane_that_can_store_nothing_holds_its_records_until_somebody_gives_up() {
    let (mut lane, now) = (lane(), Instant::now());
    lane.push(1, vec![frame(1)], later(now), now);
    lane.failed(error(ErrorKind::Unreachable, "no leader"), now);
    assert!(lane.take(now, 0).is_none());
    assert!(lane.poll_timeout().is_some_and(|at| at > now));
    let failed = lane.overdue(1).unwrap();
    assert_eq!((failed.outcome, failed.error.kind()), (Outcome::NotStored, ErrorKind::Timeout));
    assert!(failed.error.to_string().contains("no leader"), "{}", failed.error);
    assert!(lane.is_idle());
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    Take,
    /// The oldest request reaches the broker, or does not; its answer reaches the lane, or does not.
    Answer {
        arrives: bool,
        is_heard: bool,
    },
    /// The leader says that it is none.
    Elsewhere,
    Overdue(u8),
    /// The broker forgets who wrote what.
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..6_u8).prop_map(Step::Push),
        6 => Just(Step::Take),
        6 => (any::<bool>(), any::<bool>())
            .prop_map(|(arrives, is_heard)| Step::Answer { arrives, is_heard }),
        2 => Just(Step::Elsewhere),
        1 => any::<u8>().prop_map(Step::Overdue),
        1 => Just(Step::Forget),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// Nothing acknowledged is lost, nothing is stored twice, and what is stored stands in order, whatever gets lost on
    /// the way; and once nothing gets lost any more, every call is answered.
    #[test]
    fn every_record_is_stored_once_and_in_order(steps in steps()) {
        let (mut lane, mut broker) = (lane(), Broker::default());
        lane.known = None;
        let mut now = Instant::now();
        let (mut calls, mut frames) = (BTreeMap::<u64, Vec<u64>>::new(), 0);
        let mut open = Vec::<Parcel>::new();
        let mut told = BTreeMap::new();
        let mut ids = 7;
        let answer = |lane: &mut Lane, broker: &mut Broker, parcel: Parcel, arrives: bool, is_heard: bool, now| {
            let said = arrives.then(|| broker.store(&parcel));
            match said {
                Some(said) if is_heard => lane.answered(parcel.number, fate(&said), now),
                Some(_) => lane.answered(parcel.number, lost(), now),
                None => lane.answered(parcel.number, lost(), now),
            }
        };
        for step in steps {
            now += Duration::from_secs(2);
            if lane.identity().is_none() {
                ids += 1;
                lane.begin(Identity { id: ids, epoch: 0 });
            }
            match step {
                Step::Push(count) => {
                    let call = calls.len() as u64;
                    let numbers: Vec<u64> = (0..u64::from(count)).map(|n| frames + n).collect();
                    frames += u64::from(count);
                    lane.push(call, numbers.iter().copied().map(frame).collect(), now + Duration::from_secs(100), now);
                    calls.insert(call, numbers);
                }
                Step::Take => open.extend(lane.take(now, 0)),
                Step::Answer { arrives, is_heard } if !open.is_empty() => {
                    let parcel = open.remove(0);
                    answer(&mut lane, &mut broker, parcel, arrives, is_heard, now);
                }
                Step::Elsewhere if !open.is_empty() => {
                    let parcel = open.remove(0);
                    lane.answered(parcel.number, again(Outcome::NotStored, "not the leader"), now);
                }
                Step::Overdue(call) => {
                    if let Some(failed) = lane.overdue(u64::from(call)) {
                        told.insert(u64::from(call), Err(failed));
                    }
                }
                // Only while nothing is open: else a broker may store twice what it has forgotten, and no producer helps.
                Step::Forget if open.is_empty() && lane.flight.is_empty() => {
                    broker.producers.clear();
                    now += KNOWN_AGE;
                }
                _ => {}
            }
            told.extend(lane.poll_answers());
        }
        // The network heals.
        for _ in 0..1000 {
            now += Duration::from_secs(2);
            if lane.identity().is_none() {
                ids += 1;
                lane.begin(Identity { id: ids, epoch: 0 });
            }
            open.extend(lane.take(now, 0));
            if open.is_empty() && lane.is_idle() {
                break;
            }
            if !open.is_empty() {
                let parcel = open.remove(0);
                answer(&mut lane, &mut broker, parcel, true, true, now);
            }
            told.extend(lane.poll_answers());
        }
        told.extend(lane.poll_answers());
        prop_assert!(lane.is_idle());
        let stored = broker.numbers();
        prop_assert!(stored.windows(2).all(|two| two[0] < two[1]), "{stored:?}");
        for (call, numbers) in calls {
            let accepted = match told.get(&call) {
                None => return Err(TestCaseError::fail(format!("call {call} was never answered"))),
                Some(Ok(())) => numbers.len(),
                Some(Err(failed)) => {
                    if failed.outcome == Outcome::NotStored {
                        let rest = &numbers[failed.accepted..];
                        prop_assert!(rest.iter().all(|number| !stored.contains(number)), "{call}");
                    }
                    failed.accepted
                }
            };
            prop_assert!(numbers[..accepted].iter().all(|number| stored.contains(number)), "{call}");
        }
    }
}
