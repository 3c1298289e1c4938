//! What is missing is declared, as early as it is certain and with bounded memory.

use super::*;

#[test]
fn a_hole_that_is_given_up_is_a_gap_up_to_what_is_held() {
    let mut q = Fixture::established();
    q.frames([1, 4, 7]);
    q.lost();
    assert_eq!(q.out(), "a:1 a:gap 2..4 lost a:4");
    q.lost();
    assert_eq!(q.out(), "a:gap 5..7 lost a:7");
    q.lost();
    assert_eq!(q.out(), "", "there is no hole any more");
}

#[test]
fn a_hole_is_given_up_as_far_as_it_was_asked_for() {
    let mut q = Fixture::established();
    q.frames([1, 6]);
    q.0.give_up(S, 2, Reason::Lost);
    assert_eq!(q.out(), "a:1");
    q.0.give_up(S, 4, Reason::Lost);
    assert_eq!(q.out(), "a:gap 2..4 lost");
    assert_eq!(q.0.hole(S), Some(4..6));
}

#[test]
fn a_lost_tail_is_a_hole_up_to_the_head() {
    let mut q = Fixture::established();
    q.frame(1);
    assert_eq!(q.head(4), Seen::New { late: false });
    assert_eq!(q.head(3), Seen::Duplicate);
    q.lost();
    assert_eq!(q.out(), "a:1 a:gap 2..4 lost");
}

#[test]
fn what_arrives_after_its_gap_is_dropped() {
    let mut q = Fixture::established();
    q.frames([1, 4]);
    q.lost();
    assert_eq!(q.frame(2), Seen::Duplicate);
    assert_eq!(q.range(3, 6), Seen::New { late: false });
    assert_eq!(q.out(), "a:1 a:gap 2..4 lost a:4 a:5", "of a frame across the gap, what comes after");
}

#[test]
fn a_hole_below_the_floor_is_given_up_at_once() {
    let mut q = Fixture::established();
    q.frame(1);
    q.0.frame(S, 4, Piece::one(6));
    assert_eq!(q.out(), "a:1 a:gap 2..4 not_held");
    assert_eq!(q.0.hole(S), Some(4..6), "what the source still holds can be asked for");
    q.0.head(S, 7, 6, false, &[]);
    assert_eq!(q.out(), "a:gap 4..6 not_held a:6");
}

#[test]
fn what_is_held_between_holes_below_the_floor_is_handed_over() {
    let mut q = Fixture::established();
    q.frames([1, 3, 5]);
    q.0.head(S, 9, 8, false, &[]);
    assert_eq!(q.out(), "a:1 a:gap 2..3 not_held a:3 a:gap 4..5 not_held a:5 a:gap 6..8 not_held");
}

#[test]
fn too_far_ahead_is_a_gap_and_memory_is_bounded() {
    let mut q = Fixture(Sequencer::new(ME, 30));
    q.0.subscribe(A, false);
    q.frame(1);
    q.frames([3, 5, 6]);
    assert_eq!((q.0.held_bytes(), q.out().as_str()), (30, "a:1"));
    q.frame(8);
    assert_eq!(q.out(), "a:gap 2..3 too_far_ahead a:3");
    assert_eq!(q.0.held_bytes(), 30);
    q.frame(4);
    assert_eq!((q.0.held_bytes(), q.out().as_str()), (10, "a:4 a:5 a:6"));
}

#[test]
fn one_source_out_of_order_costs_the_others_nothing() {
    let mut q = Fixture(Sequencer::new(ME, 20));
    q.0.subscribe(A, false);
    let other = source(2, 1);
    for seq in [1, 3] {
        q.0.frame(other, 1, Piece::one(seq));
    }
    q.frames([1, 3, 5]);
    assert_eq!(q.out(), "a:1 a:1 a:gap 2..3 too_far_ahead a:3");
    assert_eq!(q.0.hole(other), Some(2..3));
}
