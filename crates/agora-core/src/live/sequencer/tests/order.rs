//! In order, and once.

use super::*;

#[test]
fn frames_come_in_order_whatever_order_they_arrive_in() {
    let mut q = Fixture::established();
    q.frames([1, 4, 2, 5, 3, 6]);
    assert_eq!(q.out(), "a:1 a:2 a:3 a:4 a:5 a:6");
    assert_eq!(q.0.held_bytes(), 0);
}

#[test]
fn a_frame_is_handed_over_once() {
    let mut q = Fixture::established();
    let seen = [1, 1, 3, 3, 2, 2, 3].map(|seq| q.frame(seq));
    assert_eq!(q.out(), "a:1 a:2 a:3");
    let (first, early, dup) = (Seen::First, Seen::New { late: false }, Seen::Duplicate);
    assert_eq!(seen, [first, dup, early, dup, Seen::New { late: true }, dup, dup]);
}

#[test]
fn a_frame_of_several_events_is_handed_over_from_where_it_is_due() {
    let mut q = Fixture::established();
    q.range(1, 4);
    q.range(6, 9);
    q.range(3, 7);
    assert_eq!(q.out(), "a:1-3 a:4-6 a:7-8");
    assert_eq!(q.0.held_bytes(), 0);
}

#[test]
fn of_two_frames_with_one_beginning_the_longer_stays() {
    let mut q = Fixture::established();
    q.head(1);
    assert_eq!(q.range(3, 5), Seen::New { late: false });
    assert_eq!(q.range(3, 4), Seen::Duplicate);
    assert_eq!(q.range(3, 6), Seen::New { late: false });
    assert_eq!(q.0.held_bytes(), 10, "the shorter one is not counted any more");
    q.range(1, 3);
    assert_eq!(q.out(), "a:1-2 a:3-5");
}

#[test]
fn sources_do_not_wait_for_each_other() {
    let mut q = Fixture::established();
    q.frames([1, 3]);
    for seq in 1..=3 {
        q.0.frame(source(2, 1), 1, Piece::one(seq));
    }
    assert_eq!(q.out(), "a:1 a:1 a:2 a:3");
}

#[test]
fn holes_are_told_lowest_first_and_not_more_than_asked_for() {
    let mut q = Fixture::established();
    q.head(1);
    q.range(3, 5);
    q.range(4, 6);
    q.frame(8);
    q.head(12);
    assert_eq!(q.0.hole(S), Some(1..3));
    assert_eq!(q.0.holes(S, 9), [1..3, 6..8, 9..12]);
    assert_eq!(q.0.holes(S, 2), [1..3, 6..8]);
    assert!(q.0.holes(source(9, 9), 9).is_empty());
}
