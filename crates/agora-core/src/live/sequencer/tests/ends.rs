//! Verdicts, open gaps and what ends them.

use super::*;

#[test]
fn a_dead_source_leaves_an_open_gap() {
    let mut q = Fixture::established();
    q.frames([1, 3]);
    q.head(6);
    q.failed();
    assert_eq!(q.out(), "a:1 a:gap 2..3 source_failed a:3 a:gap 4..6 source_failed a:gap 6.._ source_failed");
    assert!(q.0.is_over(S));
    q.failed();
    assert_eq!(q.out(), "", "once is enough");
}

#[test]
fn a_late_frame_is_not_delivered_inside_its_gap() {
    // 1 and 2 are formed, 1 arrives, the source is held dead, 2 arrives late.
    let mut q = Fixture::established();
    q.frame(1);
    q.failed();
    q.out();
    assert_eq!(q.frame(2), Seen::Suspended);
    assert_eq!(q.head(3), Seen::Suspended);
    assert_eq!(q.out(), "");
    assert!(q.0.is_over(S), "it does not look alive");
}

#[test]
fn only_the_head_that_was_asked_for_ends_an_open_gap() {
    let mut q = Fixture::established();
    q.frame(1);
    q.failed();
    assert_eq!(q.0.wanted_nonce(S, || NONCE), Some(NONCE));
    assert_eq!(q.0.wanted_nonce(S, || panic!("one is drawn already")), Some(NONCE));
    assert_eq!(q.0.head(S, 3, 1, false, &[NONCE + 1]), (Seen::Suspended, false));
    assert_eq!(q.0.head(S, 4, 1, false, &[5, NONCE]), (Seen::New { late: false }, true));
    q.frames([3, 4]);
    assert_eq!(q.out(), "a:1 a:gap 2.._ source_failed a:4");
    assert_eq!(q.0.wanted_nonce(S, || panic!("it is not suspended")), None);
}

#[test]
fn a_resumed_source_is_watched_again() {
    // Held dead, a head resumes, it forms 1, and crashes: without a second verdict 1 would be missing silently.
    let mut q = Fixture::established();
    q.head(1);
    q.failed();
    q.resume(1);
    q.failed();
    assert_eq!(q.out(), "a:gap 1.._ source_failed a:gap 1.._ source_failed");
}

#[test]
fn an_old_head_does_not_end_a_later_gap() {
    // Held dead; a hello; the source stands at 1 and answers; it forms 1; b is established, in the open gap;
    // the answer arrives, and then 1, which lies in b's gap.
    let mut q = Fixture::established();
    q.head(1);
    q.failed();
    assert_eq!(q.0.wanted_nonce(S, || NONCE), Some(NONCE));
    q.0.subscribe(B, false);
    q.0.establish(B);
    assert!(!q.0.head(S, 1, 1, false, &[NONCE]).1);
    q.frame(1);
    assert_eq!(q.out(), "a:gap 1.._ source_failed b:gap _.._ source_failed");
    assert_eq!(q.0.wanted_nonce(S, || NONCE + 1), Some(NONCE + 1), "it is asked again");
}

#[test]
fn every_verdict_asks_afresh() {
    let mut q = Fixture::established();
    q.head(1);
    q.failed();
    q.resume(1);
    q.failed();
    assert!(!q.0.head(S, 1, 1, false, &[NONCE]).1, "the old answer is older than this gap");
    assert_eq!(q.0.wanted_nonce(S, || NONCE + 1), Some(NONCE + 1));
}

#[test]
fn a_new_incarnation_closes_nothing() {
    let mut q = Fixture::established();
    q.frame(1);
    // Whichever came first: neither ends the other.
    q.0.frame(S2, 1, Piece::one(1));
    q.0.head(S2, 2, 1, true, &[]);
    q.frame(2);
    assert_eq!(q.out(), "a:1 a:1 a:2");
    assert!(!q.0.is_over(S) && q.0.is_over(S2));
}

#[test]
fn an_incarnation_that_ended_closes_nothing() {
    let mut q = Fixture::established();
    q.frame(1);
    q.0.ended(S2, Ended::Failed, true);
    q.0.ended(S2, Ended::Left, true);
    q.frame(2);
    assert_eq!(q.out(), "a:1 a:gap _.._ source_failed a:2");
}

#[test]
fn left_without_its_final_head_is_a_death() {
    let mut q = Fixture::established();
    q.frame(1);
    q.0.ended(S, Ended::Left, true);
    assert_eq!(q.out(), "a:1 a:gap 2.._ source_left");
    assert!(q.0.is_over(S));
    assert_eq!(q.0.wanted_nonce(S, || NONCE), None, "it never comes back");
}

#[test]
fn left_with_everything_heard_is_no_gap() {
    let mut q = Fixture::established();
    q.frames([1, 2]);
    q.final_head(3);
    q.0.ended(S, Ended::Left, true);
    assert_eq!(q.out(), "a:1 a:2");
    assert!(q.0.is_over(S));
}

#[test]
fn left_with_a_hole_names_the_hole() {
    let mut q = Fixture::established();
    q.frames([1, 3]);
    q.final_head(5);
    assert_eq!(q.out(), "a:1");
    q.0.ended(S, Ended::Left, true);
    assert_eq!(q.out(), "a:gap 2..3 source_left a:3 a:gap 4..5 source_left");
}

#[test]
fn a_final_head_closes_when_all_of_it_has_come() {
    let mut q = Fixture::established();
    q.frame(1);
    assert_eq!(q.final_head(4), Seen::New { late: false });
    q.frame(3);
    assert!(!q.0.is_over(S), "2 can still be asked for");
    q.frame(2);
    assert!(q.0.is_over(S));
    assert_eq!(q.out(), "a:1 a:2 a:3");
    q.failed();
    assert_eq!(q.out(), "");
}

#[test]
fn a_final_head_among_the_first_signs_closes_too() {
    let mut q = Fixture::established();
    assert_eq!(q.final_head(1), Seen::First);
    assert!(q.0.is_over(S));
    let mut q = Fixture::established();
    q.0.head(S, 4, 4, true, &[]);
    assert_eq!(q.out(), "a:gap _..4 unseen");
    assert!(q.0.is_over(S));
}

#[test]
fn a_source_that_answers_with_its_final_head_is_closed() {
    let mut q = Fixture::established();
    q.frame(1);
    q.failed();
    q.0.wanted_nonce(S, || NONCE);
    assert!(q.0.head(S, 4, 1, true, &[NONCE]).1);
    q.frames([3, 4]);
    assert_eq!(q.out(), "a:1 a:gap 2.._ source_failed");
    assert!(q.0.is_over(S));
}

#[test]
fn a_closed_stream_is_remembered() {
    let mut q = Fixture::established();
    q.frame(1);
    q.final_head(2);
    assert_eq!(q.frame(1), Seen::Ignored);
    assert_eq!(q.head(1), Seen::Ignored);
    assert_eq!(q.out(), "a:1");
    assert!(q.0.is_over(S));
}

#[test]
fn only_what_is_over_can_be_forgotten() {
    let mut q = Fixture::established();
    q.frames([1, 3]);
    q.0.forget(S);
    assert_eq!(q.0.hole(S), Some(2..3));
    q.failed();
    q.0.forget(S);
    assert!(!q.0.knows(S));
}

#[test]
fn a_member_never_heard_here_dies() {
    let mut q = Fixture::established();
    q.failed();
    assert_eq!(q.out(), "a:gap _.._ source_failed");
    assert_eq!(q.frame(1), Seen::Suspended, "what comes late lies in the gap");
    let mut q = Fixture::established();
    q.0.ended(S, Ended::Left, true);
    assert_eq!(q.out(), "a:gap _.._ source_left");
    assert!(q.0.is_over(S));
}

#[test]
fn a_member_that_does_not_publish_here_dies_unnoticed() {
    let mut q = Fixture::established();
    q.0.ended(S, Ended::Failed, false);
    assert_eq!(q.out(), "");
    assert!(!q.0.knows(S));
}

#[test]
fn what_is_held_is_handed_over_before_the_gap() {
    let mut q = Fixture::established();
    q.head(1);
    q.frames([2, 4]);
    q.0.ended(S, Ended::Left, true);
    assert_eq!(q.out(), "a:gap 1..2 source_left a:2 a:gap 3..4 source_left a:4 a:gap 5.._ source_left");
    assert_eq!(q.0.held_bytes(), 0);
}

#[test]
fn a_suspended_source_that_left_is_no_concern_of_later_subscriptions() {
    let mut q = Fixture::established();
    q.frame(1);
    q.failed();
    q.0.ended(S, Ended::Left, true);
    q.0.subscribe(B, false);
    q.0.establish(B);
    assert_eq!(q.frame(2), Seen::Ignored);
    assert_eq!(q.out(), "a:1 a:gap 2.._ source_failed");
}
