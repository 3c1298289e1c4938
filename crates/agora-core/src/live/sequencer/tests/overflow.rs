//! What this process dropped by itself.

use super::*;

#[test]
fn what_this_process_dropped_is_a_gap_at_once() {
    let mut q = Fixture::established();
    q.frame(1);
    q.0.dropped();
    q.frame(5);
    assert_eq!(q.out(), "a:1 a:gap 2..5 overflow a:5");
    q.frame(7);
    assert_eq!(q.out(), "", "only the first hole after it");
    assert_eq!(q.0.hole(S), Some(6..7));
}

#[test]
fn a_dropped_tail_is_a_gap_up_to_the_head() {
    let mut q = Fixture::established();
    q.frame(1);
    q.0.dropped();
    q.head(4);
    assert_eq!(q.out(), "a:1 a:gap 2..4 overflow");
}

#[test]
fn what_was_on_its_way_before_does_not_hide_the_loss() {
    // 2 was delayed. It arrives after the drop, which concerned 5 and 6.
    let mut q = Fixture::established();
    q.frames([1, 3, 4]);
    q.0.dropped();
    q.frame(2);
    q.head(4);
    q.frame(7);
    assert_eq!(q.out(), "a:1 a:2 a:3 a:4 a:gap 5..7 overflow a:7");
}

#[test]
fn nothing_missing_nothing_declared() {
    // What was dropped concerned other sources.
    let mut q = Fixture::established();
    q.frame(1);
    q.0.dropped();
    q.frames([2, 4]);
    assert_eq!(q.out(), "a:1 a:2");
    assert_eq!(q.0.hole(S), Some(3..4));
    q.0.dropped();
    q.head(5);
    q.frame(6);
    assert_eq!(q.out(), "", "a head at the end shows that nothing was dropped");
}
