//! What may begin, and when.

use super::*;

#[test]
fn events_of_one_key_begin_one_after_the_other() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[Some(7), Some(7), Some(8), None]);
    let begun = member.begin_all();
    let which: Vec<_> = begun.iter().map(|(_, which)| *which).collect();
    assert_eq!(which, [(1, 0, 1), (1, 2, 1), (1, 3, 1)]);
    assert!(member.verdict(&begun[0].0, Verdict::Done));
    assert_eq!(member.begin().index, 1);
}

#[test]
fn a_key_is_held_across_frames_while_its_event_waits_for_another_try() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[Some(7)]);
    member.give(2, 1, 2, 1, &[Some(7)]);
    let first = member.begin();
    member.verdict(&first, Verdict::Retry("busy".into()));
    assert_eq!(member.begin_all(), []);
    member.pass(Duration::from_secs(1));
    let again = member.begin();
    assert_eq!((again.item, again.attempt), (1, 2));
    assert_eq!(member.begin_all(), []);
    member.verdict(&again, Verdict::Done);
    assert_eq!(member.begin().item, 2);
}

#[test]
fn a_key_is_held_while_its_event_goes_to_the_dead_letters() {
    let mut member = Member::new(1);
    member.give(1, 0, 1, 1, &[Some(7), Some(7)]);
    let first = member.begin();
    member.verdict(&first, Verdict::Retry("poison".into()));
    let burial = member.burial();
    assert_eq!(member.begin_all(), []);
    member.tracker.handle_buried(member.now, burial.job, true);
    assert_eq!(member.begin().index, 1);
}

#[test]
fn the_pause_before_another_try_doubles() {
    let mut member = Member::new(9);
    member.give(1, 0, 1, 1, &[None]);
    for pause in [1, 2, 4, 4] {
        let begin = member.begin();
        member.verdict(&begin, Verdict::Retry("no".into()));
        member.pass(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(member.begin_all(), []);
        member.pass(Duration::from_millis(1));
        member.actions();
    }
    assert_eq!(member.begin().attempt, 5);
}

#[test]
fn a_frame_is_settled_only_when_all_its_events_are() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None, None]);
    let (a, b) = (member.begin(), member.begin());
    member.verdict(&b, Verdict::Done);
    assert_eq!(member.actions(), []);
    member.verdict(&a, Verdict::Done);
    assert_eq!(member.actions(), [ack(1)]);
}

#[test]
fn a_try_that_takes_too_long_has_failed_and_its_late_word_counts_for_nothing() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    let slow = member.begin();
    member.pass(TIMEOUT);
    assert!(!member.verdict(&slow, Verdict::Done));
    member.pass(Duration::from_secs(1));
    assert_eq!(member.begin().attempt, 2);
    assert!(!member.verdict(&slow, Verdict::Done));
}

#[test]
fn what_is_not_decided_goes_back_with_the_rest_of_its_frame() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None, None, Some(7), Some(7)]);
    let (a, b) = (member.begin(), member.begin());
    member.verdict(&a, Verdict::Release);
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![]));
    member.verdict(&b, Verdict::Done);
    assert_eq!(member.actions(), [release(1)]);
    assert_eq!((member.tracker.records(), member.tracker.bytes()), (0, 0));
    // Given out anew, what was settled is not handled again.
    member.give(1, 0, 2, 1, &[None, None, Some(7), Some(7)]);
    let which: Vec<_> = member.begin_all().iter().map(|(begin, _)| begin.index).collect();
    assert_eq!(which, [0, 2]);
}

#[test]
fn a_member_that_leaves_begins_nothing_and_gives_back_what_it_has_not_begun() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[None]);
    member.give(2, 1, 2, 1, &[None]);
    let busy = member.begin();
    member.tracker.handle_leaving();
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![release(2)]));
    member.give(3, 2, 3, 1, &[None]);
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![release(3)]));
    member.verdict(&busy, Verdict::Done);
    assert_eq!(member.actions(), [ack(1)]);
}

#[test]
fn what_is_released_takes_what_is_behind_it_along() {
    let mut member = Member::new(5);
    member.give(1, 0, 1, 1, &[Some(7)]);
    member.give(2, 1, 2, 1, &[Some(7), Some(8)]);
    member.give(3, 2, 3, 1, &[Some(8), Some(9)]);
    member.give(4, 3, 4, 1, &[Some(6)]);
    let begun = member.begin_all();
    let which: Vec<_> = begun.iter().map(|(_, which)| *which).collect();
    assert_eq!(which, [(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 0, 1)]);
    member.verdict(&begun[0].0, Verdict::Release);
    assert_eq!(member.actions(), [release(1)]);
    // The others go back when what runs of them has ended; nothing more of them is begun.
    member.verdict(&begun[1].0, Verdict::Retry("no".into()));
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![release(2)]));
    member.verdict(&begun[2].0, Verdict::Done);
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![release(3)]));
    member.verdict(&begun[3].0, Verdict::Done);
    assert_eq!(member.actions(), [ack(4)]);
}
