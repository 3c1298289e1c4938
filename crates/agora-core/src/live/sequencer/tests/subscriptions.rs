//! Several subscriptions, each with its own start.

use super::*;

#[test]
fn a_later_subscription_starts_at_what_was_heard_so_far() {
    let mut q = Fixture::established();
    q.frames([1, 4]);
    q.0.subscribe(B, false);
    q.frames([2, 5]);
    q.0.establish(B);
    q.frames([3, 6]);
    assert_eq!(q.out(), "a:1 a:2 a:3 a:4 a:5 b:5 a:6 b:6");
}

#[test]
fn a_gap_is_told_from_where_each_subscription_starts() {
    let mut q = Fixture::established();
    q.frames([1, 3]);
    q.0.subscribe(B, false);
    q.head(6);
    q.lost();
    q.lost();
    assert_eq!(q.out(), "a:1 a:gap 2..3 lost a:3 a:gap 4..6 lost b:gap 4..6 lost");
}

#[test]
fn a_gap_across_a_start_is_cut_there() {
    let mut q = Fixture::established();
    q.frame(1);
    q.head(4);
    q.0.subscribe(B, false);
    q.head(6);
    q.lost();
    assert_eq!(q.out(), "a:1 a:gap 2..6 lost b:gap 4..6 lost");
}

#[test]
fn a_frame_across_a_start_is_handed_over_from_there() {
    let mut q = Fixture::established();
    q.head(3);
    q.0.subscribe(B, false);
    q.range(1, 5);
    assert_eq!(q.out(), "a:1-4 b:3-4");
}

#[test]
fn established_while_a_source_is_suspended() {
    // The source is wrongly held dead; its next events lie in a gap of which b would never hear.
    let mut q = Fixture::established();
    q.frame(1);
    q.failed();
    q.0.subscribe(B, false);
    q.out();
    q.0.establish(B);
    assert_eq!(q.out(), "b:gap _.._ source_failed");
}

#[test]
fn own_events_are_for_those_who_ask_for_them() {
    let mut q = Fixture::established();
    let mine = |seq| Piece::one(seq);
    assert_eq!(q.0.frame(ME, 1, mine(1)), Seen::Ignored);
    assert_eq!(q.0.head(ME, 2, 1, false, &[]).0, Seen::Ignored);
    q.0.ended(ME, Ended::Failed, true);
    assert!(!q.0.knows(ME));
    q.0.subscribe(B, true);
    q.0.frame(ME, 1, mine(2));
    q.0.frame(ME, 1, mine(4));
    q.0.give_up(ME, u64::MAX, Reason::Lost);
    assert_eq!(q.out(), "b:2 b:gap 3..4 lost b:4");
    q.0.ended(ME, Ended::Failed, true);
    q.0.establish(B);
    assert_eq!(q.out(), "b:gap 5.._ source_failed b:gap _.._ source_failed");
}

#[test]
fn what_nobody_wants_is_ignored() {
    let mut q = Fixture::new();
    assert_eq!(q.frame(1), Seen::Ignored);
    assert_eq!(q.head(1), Seen::Ignored);
    assert!(!q.0.knows(S) && !q.0.has_subscriptions());
}

#[test]
fn a_verdict_that_came_before_the_subscription_stands() {
    // S is held dead, wrongly. a begins; S publishes 1 and crashes. Nothing of it ever arrives: 1 would be silent.
    let mut q = Fixture::new();
    q.failed();
    q.0.subscribe(A, false);
    q.0.establish(A);
    assert_eq!(q.out(), "a:gap _.._ source_failed");
}

#[test]
fn what_was_formed_while_nobody_listened_is_no_hole() {
    // a ends; 3 to 8 are formed; b begins and hears 9: it is owed nothing before that.
    let mut q = Fixture::established();
    q.frames([1, 3]);
    q.0.unsubscribe(A);
    assert!(!q.0.has_subscriptions());
    assert_eq!((q.0.held_bytes(), q.0.hole(S)), (0, None));
    q.0.subscribe(B, false);
    q.frame(9);
    q.0.establish(B);
    assert_eq!(q.out(), "a:1 b:9");
    assert_eq!(q.0.hole(S), None);
}

#[test]
fn own_events_are_followed_as_long_as_someone_wants_them() {
    let mut q = Fixture::established();
    q.0.subscribe(B, true);
    q.0.frame(ME, 1, Piece::one(1));
    q.frame(1);
    q.0.unsubscribe(B);
    assert!(!q.0.knows(ME) && q.0.knows(S), "a wants the others");
    assert_eq!(q.out(), "b:1 a:1 b:1");
}

#[test]
fn what_is_over_is_remembered_even_when_nobody_listens() {
    let mut q = Fixture::established();
    q.frame(1);
    q.failed();
    q.0.unsubscribe(A);
    q.0.subscribe(B, false);
    assert_eq!(q.frame(1), Seen::Suspended);
    q.0.establish(B);
    assert_eq!(q.out(), "a:1 a:gap 2.._ source_failed b:gap _.._ source_failed");
}

#[test]
fn a_subscription_that_ended_leaves_the_others_alone() {
    let mut q = Fixture::established();
    q.head(3);
    q.0.subscribe(B, false);
    q.0.unsubscribe(B);
    q.frames([1, 2, 3]);
    assert_eq!(q.out(), "a:1 a:2 a:3");
}
