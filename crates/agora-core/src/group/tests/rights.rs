//! Tokens: extended, replaced, void, and given back.

use super::*;

#[test]
fn a_lease_is_extended_as_long_as_there_is_work() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    for _ in 0..3 {
        member.pass(LEASE / 3);
        assert_eq!(member.actions(), [extend(1)]);
        member.tracker.handle_answer(member.now, Token(1), Settle::Extend, Answer::Done);
    }
    member.verdict(&begun, Verdict::Done);
    assert_eq!(member.actions(), [ack(1)]);
    member.pass(LEASE);
    assert_eq!(member.actions(), []);
}

#[test]
fn a_redelivery_replaces_the_right_and_is_not_begun_twice() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    member.give(1, 0, 2, 2, &[None]);
    assert_eq!(member.begin_all(), []);
    // What is said of the old right means nothing any more.
    member.tracker.handle_answer(member.now, Token(1), Settle::Extend, Answer::Void);
    member.verdict(&begun, Verdict::Done);
    assert_eq!(member.actions(), [ack(2)]);
}

#[test]
fn a_frame_that_stands_twice_is_one_work_and_both_places_are_settled() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    member.give(1, 5, 2, 1, &[None]);
    let begun = member.begin();
    assert_eq!(member.begin_all(), []);
    member.verdict(&begun, Verdict::Done);
    assert_eq!(member.actions(), [ack(1), ack(2)]);
    // A third place that is read later is acknowledged unhandled.
    member.tracker.handle_answer(member.now, Token(1), Settle::Ack, Answer::Done);
    member.tracker.handle_answer(member.now, Token(2), Settle::Ack, Answer::Done);
    assert_eq!(member.tracker.records(), 0);
    member.give(1, 9, 3, 1, &[None]);
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![ack(3)]));
}

#[test]
fn what_is_settled_stays_so_when_the_acknowledgement_is_lost() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    member.verdict(&begun, Verdict::Done);
    assert_eq!(member.actions(), [ack(1)]);
    member.tracker.handle_answer(member.now, Token(1), Settle::Ack, Answer::Failed);
    member.pass(Duration::from_secs(1));
    assert_eq!(member.actions(), [ack(1)]);
    member.tracker.handle_interrupted();
    member.give(1, 0, 2, 2, &[None]);
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![ack(2)]));
}

#[test]
fn a_void_right_takes_the_work_away() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[Some(7), Some(7)]);
    let begun = member.begin();
    member.tracker.handle_answer(member.now, Token(1), Settle::Extend, Answer::Void);
    member.verdict(&begun, Verdict::Done);
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![]));
    assert_eq!(member.tracker.records(), 0);
    assert_eq!(member.tracker.poll_timeout(), None);
    // It comes back: the second event is still to be done, the first is not.
    member.give(1, 0, 2, 2, &[Some(7), Some(7)]);
    let which: Vec<_> = member.begin_all().iter().map(|(_, which)| *which).collect();
    assert_eq!(which, [(1, 1, 2)]);
}

#[test]
fn a_lane_is_free_when_what_runs_has_ended_and_is_acknowledged() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    member.give(2, 1, 2, 1, &[None, None]);
    let (a, b) = (member.begin(), member.begin());
    member.tracker.handle_revoking(&[0]);
    assert_eq!(member.begin_all(), []);
    // What comes of it now is not begun either.
    member.give(3, 2, 3, 1, &[None]);
    assert_eq!(member.begin_all(), []);
    member.verdict(&a, Verdict::Done);
    assert_eq!(member.actions(), [ack(1)]);
    assert!(!member.tracker.is_free(&[0]), "it is not acknowledged yet");
    member.tracker.handle_answer(member.now, Token(1), Settle::Ack, Answer::Done);
    assert!(!member.tracker.is_free(&[0]), "an event of it is worked on");
    member.verdict(&b, Verdict::Retry("no".into()));
    assert!(member.tracker.is_free(&[0]));
    assert!(member.tracker.is_free(&[1]));
    member.tracker.handle_lost(&[0]);
    assert_eq!((member.tracker.records(), member.actions()), (0, vec![]));
    member.tracker.handle_assigned(&[0]);
    member.give(2, 1, 4, 2, &[None, None]);
    assert_eq!(member.begin_all().len(), 2);
}

#[test]
fn every_place_of_a_frame_counts_as_a_record() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    for n in 1..100 {
        member.give(1, n, n as u64 + 1, 1, &[None]);
    }
    assert_eq!(member.tracker.records(), 100, "what is held must be seen, or it grows without end");
    member.tracker.handle_lost(&[0]);
    assert_eq!(member.tracker.records(), 1);
    member.verdict(&begun, Verdict::Done);
    assert_eq!(member.tracker.records(), 0);
}
