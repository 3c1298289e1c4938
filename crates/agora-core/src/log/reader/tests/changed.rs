//! Logs that change behind the back of their reader.

use super::*;
use crate::transport::Position;

#[test]
fn an_interruption_alone_changes_nothing() {
    let mut q = Fixture::new(&[rec(1, 1), rec(2, 1)]);
    assert_eq!(q.read_all(), "1 2");
    q.interrupt();
    q.append(rec(3, 1));
    assert_eq!(q.read_all(), "3");
    // Before anything was read it begins where it was asked to.
    let mut q = Fixture::new(&[rec(1, 1)]);
    q.interrupt();
    assert_eq!(q.read_all(), "1");
}

#[test]
fn fingerprint_of_what_stands_there() {
    // Caught up: nothing stands at the cursor. A failover loses 1, and 2 is appended at its place: 2 would be silent.
    for restart in [false, true] {
        let mut q = Fixture::new(&[rec(1, 1)]);
        assert_eq!(q.read_all(), "1");
        q.log = vec![(0, rec(2, 1))];
        if restart {
            q.restart();
        } else {
            q.interrupt();
        }
        assert_eq!(q.read_all(), "!rewritten 2");
    }
}

#[test]
fn what_went_before_anything_was_read() {
    // It stood at the beginning of an empty log, and had no mark there: 1 was appended and trimmed away meanwhile.
    for (start, restart) in [(LogStart::Last, false), (LogStart::Last, true), (LogStart::Earliest, true)] {
        let mut q = Fixture::from(start, &[]);
        q.cursor = LaneCursor::default();
        assert_eq!(q.read_all(), "");
        q.log = vec![(1, rec(2, 2))];
        if restart {
            q.restart();
        } else {
            q.interrupt();
        }
        assert_eq!(q.read_all(), "!retention 2");
    }
    // The same where a log was made anew, and its reader was told.
    let mut q = Fixture::new(&[rec(1, 1)]);
    assert_eq!(q.read_all(), "1");
    q.log.clear();
    q.interrupt();
    assert_eq!(q.read_all(), "!rewritten");
    q.log = vec![(1, rec(3, 3))];
    q.restart();
    assert_eq!(q.read_all(), "!retention gap 2..3 given_up 3");
    // A log that says that it is told from its very first record lets nothing be missed.
    let mut q = Fixture::from(LogStart::Last, &[]);
    assert_eq!(q.read_all(), "");
    q.log = vec![(0, rec(1, 1))];
    q.interrupt();
    assert_eq!(q.read_all(), "1");
}

#[test]
fn a_log_that_lost_its_end() {
    let mut q = Fixture::new(&[rec(1, 1), rec(2, 1), rec(3, 1)]);
    assert_eq!(q.read_all(), "1 2 3");
    q.log.truncate(1);
    q.interrupt();
    assert_eq!(q.read_all(), "!rewritten");
    // What its source sends again was delivered; what it never got an answer for comes.
    q.log.extend([(1, rec(3, 1)), (2, rec(4, 1))]);
    assert_eq!(q.read_all(), "4");
}

#[test]
fn print_of_source_and_sequence() {
    // The log lost all; it was appended again in another order. The last record looks as it did: without the backend's
    // stamp the rest would be skipped.
    let mut q = Fixture::new(&[rec(2, 1), rec(1, 1)]);
    q.read_all();
    let again = |seq| Rec { stamp: 1, ..rec(seq, 1) };
    q.log = vec![(0, again(3)), (1, again(1))];
    q.interrupt();
    assert_eq!(q.read_all(), "!rewritten 3");
}

#[test]
fn retention_that_passed_the_reader() {
    for restart in [false, true] {
        let mut q = Fixture::new(&[rec(1, 1), rec(2, 1)]);
        assert_eq!(q.read_all(), "1 2");
        q.log = vec![(5, rec(6, 6)), (6, rec(7, 6))];
        if restart {
            q.restart();
        } else {
            q.interrupt();
        }
        // Where the source stood is kept, so the gap that is known is named; and nothing comes twice.
        assert_eq!(q.read_all(), "!retention gap 3..6 given_up 6 7");
    }
    let mut q = Fixture::new(&[rec(1, 1)]);
    q.read_all();
    q.reader.handle_trimmed();
    q.log = vec![(5, rec(1, 1)), (6, rec(2, 1))];
    assert_eq!(q.read_all(), "!retention 2");
}

#[test]
fn what_a_backend_knows_of_a_place_is_believed() {
    // Emptied by retention: the backend says so, and it is not taken for another log.
    let mut q = Fixture::new(&[rec(1, 1)]);
    assert_eq!(q.read_all(), "1");
    q.log.clear();
    q.interrupt();
    q.reader.handle_trimmed();
    assert_eq!(q.read_all(), "!retention");
    // Made anew at later places: without a word it would look like retention.
    let mut q = Fixture::new(&[rec(1, 1)]);
    assert_eq!(q.read_all(), "1");
    q.log = vec![(7, rec(2, 2))];
    q.interrupt();
    assert_eq!(q.reader.handle_rewritten(), Then::Reopen);
    assert_eq!(q.read_all(), "!rewritten 2");
    // Who has no mark has nothing to compare.
    assert_eq!(q.reader.handle_rewritten(), Then::Read);
}

#[test]
fn one_that_began_at_a_time_goes_on_there_before_anything_was_handed_over() {
    let start = LogStart::Time(std::time::SystemTime::UNIX_EPOCH);
    let mut q = Fixture::from(start, &[rec(1, 1), rec(2, 1), rec(4, 2)]);
    // The time lies behind the first two records; what is read first is held, because its source may still send 2 or 3.
    q.open(&LogStart::At(Position(2)));
    assert_eq!(q.read_all(), "");
    q.interrupt();
    q.append(rec(2, 2));
    q.append(rec(3, 2));
    assert_eq!(q.read_all(), "2 3 4");
}

#[test]
fn a_reader_that_is_gone_goes_on_at_what_it_had_not_handed_over() {
    // 3 is held, behind the hole 2, when the reader ends.
    let mut q = Fixture::new(&[rec(1, 1), rec(3, 1)]);
    assert_eq!(q.read_all(), "1");
    q.append(rec(2, 1));
    q.restart();
    assert_eq!(q.read_all(), "2 3");
    q.restart();
    assert_eq!(q.read_all(), "");
}

#[test]
fn a_frame_that_was_taken_in_part_goes_on_in_its_middle() {
    let frame = Rec { end: 9, ..rec(1, 1) };
    let mut q = Fixture::new(&[frame, rec(9, 9)]);
    while q.read() {}
    let Some(Out::Item { progress, .. }) = q.reader.poll() else { panic!("no frame") };
    q.cursor.advance(&progress, Some(5));
    q.restart();
    assert_eq!(q.read_all(), "5..9 9");
}

#[test]
fn what_was_held_is_read_again_after_an_interruption() {
    let mut q = Fixture::new(&[rec(1, 1), rec(3, 1)]);
    assert_eq!(q.read_all(), "1");
    q.interrupt();
    q.append(rec(2, 1));
    assert_eq!(q.read_all(), "2 3");
}

#[test]
fn foreign_records_are_marks_too() {
    let mut q = Fixture::new(&[]);
    let mark = |at| Mark { at, print: Print { node: 0, incarnation: 0, seq: 0, crc: 7, stamp: 0 } };
    let (progress, then) = q.reader.handle_foreign(mark(3));
    assert_eq!(then, Then::Read);
    q.cursor.advance(&progress.unwrap(), None);
    assert_eq!(q.cursor.low, Low { before: Some(mark(3)), at: None });
    let mut again: Reader<Piece> = Reader::resume(&q.cursor, 1000);
    assert_eq!(again.reopen(), LogStart::At(mark(3).position()));
    assert_eq!(again.handle_foreign(mark(3)), (None, Then::Read), "only a mark");
    assert!(again.handle_foreign(mark(4)).0.is_some());
}
