//! One log that nobody changes: order, once, or a gap.

use super::*;

/// Reads a log from its beginning to its end.
#[track_caller]
fn check(log: &[Rec], expected: &str) {
    assert_eq!(Fixture::new(log).read_all(), expected);
}

#[test]
fn in_order_and_once() {
    check(&[rec(1, 1), rec(2, 1), rec(3, 3)], "1 2 3");
    check(&[rec(1, 1), rec(2, 1), rec(1, 1), rec(2, 1), rec(3, 1)], "1 2 3");
}

#[test]
fn what_stands_behind_its_successor_is_put_before_it() {
    check(&[rec(1, 1), rec(3, 1), rec(4, 1), rec(2, 1)], "1 2 3 4");
}

#[test]
fn what_is_missing_below_a_floor_is_a_gap_at_once() {
    check(&[rec(1, 1), rec(4, 4)], "1 gap 2..4 given_up 4");
    check(&[rec(1, 1), rec(3, 1), rec(5, 4)], "1 gap 2..3 given_up 3");
    // From its beginning the log was whole: what the source gave up before its first record is told too.
    check(&[rec(5, 5)], "gap 1..5 given_up 5");
    // Where its beginning was trimmed away, nobody knows, and whoever begins there is not owed it.
    let mut q = Fixture::from(LogStart::Time(std::time::SystemTime::UNIX_EPOCH), &[rec(5, 5)]);
    q.reader.handle_beginning();
    assert_eq!(q.read_all(), "5");
}

#[test]
fn first_sight_at_seq() {
    // 3 stands before 1 and 2: a reader that began at 3 would drop both.
    check(&[rec(3, 1), rec(1, 1), rec(2, 1)], "1 2 3");
}

#[test]
fn given_up_with_outcome_unknown() {
    // 2 was given up, so 3 says that nothing below is under way; then the ghost of 2 is appended all the same.
    let start = LogStart::Time(std::time::SystemTime::UNIX_EPOCH);
    let mut q = Fixture::from(start, &[rec(3, 3), rec(2, 2), rec(4, 3)]);
    assert_eq!(q.read_all(), "3 gap 2..3 late 4");
    // Whoever has read from the beginning was told already.
    check(&[rec(1, 1), rec(3, 3), rec(2, 2), rec(4, 3)], "1 gap 2..3 given_up 3 4");
}

#[test]
fn a_hole_closes_by_the_time_in_the_log() {
    let other = |seconds| Rec { source: source(9, 1), seconds, ..rec(1 + seconds, 1) };
    let mut q = Fixture::new(&[rec(1, 1), rec(3, 1), other(0), other(1), other(2)]);
    q.append(Rec { seconds: 29, ..other(3) });
    q.append(Rec { seconds: 30, ..other(4) });
    for expected in ["1", "", "9:1", "9:2", "9:3", "9:4", "9:5 gap 2..3 lost 3"] {
        assert!(q.read());
        // However slow the reader is: its own clock says nothing of the log.
        q.pass(3600);
        assert_eq!(q.out(), expected);
    }
}

#[test]
fn at_the_end_a_hole_closes_by_the_clock() {
    let mut q = Fixture::new(&[rec(1, 1), rec(3, 1)]);
    assert_eq!(q.read_all(), "1");
    assert_eq!(q.reader.poll_timeout(), Some(q.now + LOG_HOLE_AGE));
    q.pass(29);
    assert_eq!(q.out(), "");
    q.pass(1);
    assert_eq!(q.out(), "gap 2..3 lost 3");
    assert_eq!(q.reader.poll_timeout(), None);
}

#[test]
fn what_is_held_is_bounded() {
    let log: Vec<Rec> = [rec(1, 1)].into_iter().chain((3..2000).map(|seq| rec(seq, 1))).collect();
    let said = Fixture::new(&log).read_all();
    assert!(said.starts_with("1 gap 2..3 too_far_ahead 3 4 "), "{said:.80}");
}

#[test]
fn sources_are_bounded() {
    let one = |node: u64, seq, floor| Rec { source: source(node, 1), ..rec(seq, floor) };
    let log: Vec<Rec> = (0..SOURCES_MAX as u64 + 10).map(|node| one(node, 1, 1)).collect();
    let mut q = Fixture::new(&log);
    q.read_all();
    assert_eq!(q.reader.streams.len(), SOURCES_MAX);
    // One that was forgotten is seen for the first time again, and nothing is said of what it had.
    q.append(one(0, 7, 7));
    assert_eq!(q.read_all(), "0:7");
}

#[test]
fn the_last_record_is_a_mark() {
    let mut q = Fixture::from(LogStart::Last, &[rec(1, 1), rec(2, 1)]);
    assert_eq!(q.read_all(), "");
    assert!(q.reader.is_caught_up());
    q.append(rec(3, 3));
    assert_eq!(q.read_all(), "3");
    let mut q = Fixture::from(LogStart::Last, &[]);
    assert!(!q.read());
    q.last = false;
    // Nothing stood there, so everything is owed, also after an interruption.
    q.append(rec(1, 1));
    q.interrupt();
    assert_eq!(q.read_all(), "1");
}
