//! Where a source begins that is heard for the first time.

use super::*;

#[test]
fn first_frame_is_not_the_baseline() {
    // Established; the source forms 1 and 2; only 2 arrives.
    let mut q = Fixture::established();
    q.frame(2);
    assert_eq!(q.out(), "");
    assert_eq!(q.0.hole(S), Some(1..2), "1 is owed");
    q.frame(1);
    assert_eq!(q.out(), "a:1 a:2");
}

#[test]
fn first_head_is_not_the_baseline() {
    let mut q = Fixture::established();
    assert_eq!(q.head(3), Seen::First);
    assert_eq!(q.0.hole(S), Some(1..3));
}

#[test]
fn what_lies_below_the_floor_at_first_sight_is_declared() {
    let mut q = Fixture::established();
    q.0.frame(S, 4, Piece::one(6));
    assert_eq!(q.out(), "a:gap _..4 unseen");
    assert_eq!(q.0.hole(S), Some(4..6));
    let mut q = Fixture::established();
    q.0.head(S, 6, 6, false, &[]);
    assert_eq!(q.out(), "a:gap _..6 unseen");
}

#[test]
fn before_anything_is_owed_a_source_starts_where_it_is_seen() {
    let mut q = Fixture::new();
    q.0.subscribe(A, false);
    q.frames([5, 4, 6]);
    q.0.establish(A);
    q.frame(7);
    assert_eq!(q.out(), "a:5 a:6 a:7");
}

#[test]
fn the_others_start_at_what_was_seen() {
    // Only a is owed what lies between the floor and the frame.
    let mut q = Fixture::established();
    q.0.subscribe(B, false);
    q.0.frame(S, 3, Piece::one(5));
    q.frames([3, 4, 6]);
    assert_eq!(q.out(), "a:gap _..3 unseen a:3 a:4 a:5 b:5 a:6 b:6");
}

#[test]
fn a_floor_above_the_frame_skips_nothing() {
    let mut q = Fixture::established();
    q.0.frame(S, u64::MAX, Piece::one(2));
    assert_eq!(q.out(), "a:gap _..2 unseen a:2");
    q.0.head(S, 3, u64::MAX, false, &[]);
    q.frame(3);
    assert_eq!(q.out(), "a:3");
}
