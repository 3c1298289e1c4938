use std::collections::BTreeMap;

use agora_core::transport::{FromGroup, Raw, Token};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn record(at: u64) -> Found {
    let raw = Raw { payload: Bytes::new(), lane: 7, key: None, headers: Vec::new(), time: None };
    Found::Record { at, raw }
}

/// A lane whose group stands there, with these records read.
fn lane(committed: u64, noted: &str, read: impl IntoIterator<Item = u64>) -> Lane {
    let mut lane = Lane::new(7, 1, committed, notes::read(committed, noted), false);
    read.into_iter().for_each(|at| lane.find(record(at)));
    lane
}

/// The places and attempts of what is given out, and how many were trimmed.
fn give(lane: &mut Lane, records_max: usize) -> (Vec<(u64, u32)>, Vec<Option<u64>>) {
    let mut into = Vec::new();
    lane.give(records_max, Token, &mut into);
    let (mut records, mut trimmed) = (Vec::new(), Vec::new());
    for one in into {
        match one {
            FromGroup::Message { token, attempt, at, .. } => {
                assert_eq!(at.0, u128::from(token.0));
                records.push((token.0, attempt));
            }
            FromGroup::Trimmed { lane: 7, records } => trimmed.push(records),
            other => panic!("{other:?}"),
        }
    }
    (records, trimmed)
}

/// What is committed now, and that it is.
fn commit(lane: &mut Lane) -> (u64, String) {
    let standing = lane.standing();
    lane.saved(standing.version);
    (standing.offset, standing.notes)
}

#[test]
fn the_first_records_are_given_out_when_that_is_committed_and_later_ones_at_once() {
    let mut lane = lane(5, "", 5..9);
    assert_eq!(give(&mut lane, 2).0, []);
    assert!(lane.is_wanted());
    assert_eq!(commit(&mut lane), (5, "agora1 2A".into()));
    assert_eq!(give(&mut lane, 1).0, [(5, 1)]);
    assert_eq!(give(&mut lane, 3).0, [(6, 1), (7, 1), (8, 1)]);
    assert!(!lane.is_wanted() && lane.is_unsaved(), "it is noted with the next commit");
    assert_eq!(commit(&mut lane), (5, "agora1 4A".into()));
}

#[test]
fn what_those_before_have_done_is_not_given_out_and_what_they_tried_counts() {
    let mut lane = lane(5, "agora1 Bd_C2d", 5..12);
    give(&mut lane, 2);
    // What was not read again yet stays noted.
    assert_eq!(commit(&mut lane), (5, "agora1 CdAC2d".into()));
    assert_eq!(give(&mut lane, 9).0, [(5, 3), (7, 1), (8, 4), (11, 1)]);
    let done = lane.ack(5);
    assert_eq!(commit(&mut lane), (7, "agora1 AD2dA".into()));
    assert!(done <= lane.saved);
    lane.ack(7);
    lane.ack(8);
    assert_eq!(commit(&mut lane), (11, "agora1 A".into()));
}

#[test]
fn a_release_and_an_orderly_handover_count_for_nothing() {
    let mut lane = lane(0, "", 0..3);
    give(&mut lane, 2);
    commit(&mut lane);
    give(&mut lane, 3);
    lane.release(1);
    assert_eq!(commit(&mut lane), (0, "agora1 A_A".into()));
    assert_eq!(give(&mut lane, 1).0, [(1, 1)]);
    lane.ack(1);
    lane.give_back();
    assert_eq!(commit(&mut lane), (0, "agora1 _d".into()));
    assert_eq!(give(&mut lane, 1).0, []);
}

#[test]
fn what_retention_took_is_told_and_what_was_done_of_it_is_not_missing() {
    let mut lane = lane(5, "agora1 Ad", []);
    lane.find(Found::Trimmed { from: 5, to: 9 });
    lane.find(record(9));
    assert_eq!(give(&mut lane, 1), (vec![], vec![Some(3)]));
    assert_eq!(commit(&mut lane), (9, "agora1 A".into()));
    assert_eq!(give(&mut lane, 1).0, [(9, 1)]);
    lane.find(Found::Trimmed { from: 10, to: 20 });
    lane.find(record(20));
    assert_eq!(give(&mut lane, 1), (vec![(20, 1)], vec![Some(10)]));
    assert_eq!(commit(&mut lane), (9, "agora1 A10_A".into()), "9 is still worked on");
}

#[test]
fn a_log_that_ends_before_the_group_is_read_from_its_end() {
    let mut lane = lane(50, "agora1 Ad", []);
    lane.find(Found::Rewound { to: 30 });
    lane.find(record(30));
    assert_eq!(give(&mut lane, 1), (vec![], vec![None]));
    assert_eq!(commit(&mut lane), (30, "agora1 A".into()));
}

#[test]
fn marks_behind_the_last_record_are_passed_by_when_everything_is_done() {
    let mut lane = lane(5, "", [5]);
    lane.pass(7);
    give(&mut lane, 1);
    commit(&mut lane);
    give(&mut lane, 1);
    lane.pass(7);
    assert_eq!(commit(&mut lane).0, 5, "it is worked on");
    lane.ack(5);
    lane.pass(7);
    assert_eq!(commit(&mut lane), (7, String::new()));
}

#[test]
fn no_more_is_given_out_than_can_be_noted() {
    let mut lane = lane(0, "", (0..3000).map(|at| at * 2));
    give(&mut lane, 1);
    commit(&mut lane);
    let mut held = 0;
    loop {
        let given = give(&mut lane, 100).0;
        held += given.len();
        if given.is_empty() {
            break;
        }
        given.iter().skip(1).step_by(2).for_each(|(at, _)| _ = lane.ack(*at));
    }
    let (offset, notes) = commit(&mut lane);
    assert_eq!(offset, 0);
    assert!((900..3000).contains(&held) && notes.len() <= 4096, "{held} records, {} signs", notes.len());
    lane.ack(0);
    assert!(!give(&mut lane, 9).0.is_empty(), "there is room again");
}

#[derive(Clone, Debug)]
enum Step {
    Read(u64),
    Give(usize),
    Ack(usize),
    Release(usize),
    Commit,
    Crash,
    Hand,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u64).prop_map(Step::Read),
        4 => (0..4_usize).prop_map(Step::Give),
        4 => (0..4_usize).prop_map(Step::Ack),
        1 => (0..4_usize).prop_map(Step::Release),
        4 => Just(Step::Commit),
        1 => Just(Step::Crash),
        1 => Just(Step::Hand),
    ]
}

proptest! {
    /// Owners come and go, by crash and in good order. What was acknowledged and committed is never given out again, nothing
    /// is passed over, and no attempt that was committed is forgotten.
    #[test]
    fn owners_come_and_go_and_nothing_is_lost_or_done_again(steps in proptest::collection::vec(step(), 0..80)) {
        let mut log: Vec<u64> = Vec::new();
        let (mut lane, mut read) = (lane(0, "", []), 0);
        let (mut saved, mut held, mut acked, mut done) = ((0, String::new()), Vec::new(), Vec::new(), BTreeSet::new());
        let mut tries: BTreeMap<u64, u32> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Read(gap) => {
                    if read == log.len() {
                        log.push(log.last().map_or(0, |last| last + 1) + gap);
                    }
                    lane.find(record(log[read]));
                    read += 1;
                }
                Step::Give(max) => {
                    for (at, attempt) in give(&mut lane, max).0 {
                        prop_assert!(!done.contains(&at), "{at} is done for ever");
                        prop_assert!(attempt > tries.get(&at).copied().unwrap_or(0));
                        held.push(at);
                    }
                }
                Step::Ack(ix) if ix < held.len() => {
                    let at = held.swap_remove(ix);
                    acked.push((at, lane.ack(at)));
                }
                Step::Release(ix) if ix < held.len() => lane.release(held.swap_remove(ix)),
                Step::Ack(_) | Step::Release(_) => {}
                Step::Commit | Step::Hand => {
                    if matches!(step, Step::Hand) {
                        lane.give_back();
                    }
                    let standing = lane.standing();
                    lane.saved(standing.version);
                    prop_assert!(acked.iter().all(|(_, version)| *version <= standing.version));
                    done.extend(acked.drain(..).map(|(at, _)| at));
                    saved = (standing.offset, standing.notes);
                }
                Step::Crash => {}
            }
            if matches!(step, Step::Crash | Step::Hand) {
                tries = notes::read(saved.0, &saved.1).attempts;
                lane = self::lane(saved.0, &saved.1, []);
                (held, acked) = (Vec::new(), Vec::new());
                read = log.partition_point(|at| *at < saved.0);
            }
        }
        // The last owner finishes.
        lane = self::lane(saved.0, &saved.1, log.iter().copied().filter(|at| *at >= saved.0));
        give(&mut lane, 1000);
        commit(&mut lane);
        let rest: BTreeSet<u64> = give(&mut lane, 1000).0.into_iter().map(|(at, _)| at).collect();
        prop_assert!(rest.is_disjoint(&done));
        prop_assert!(log.iter().all(|at| done.contains(at) || rest.contains(at)));
    }
}
