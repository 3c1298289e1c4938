//! More sources than there is room for: nothing grows without a bound, and nothing is silent.

use super::*;

/// As [`Fixture::established`], with no room for another source.
fn full() -> Fixture {
    let mut q = Fixture::established();
    for node in 0..SOURCES_MAX as u64 {
        q.0.head(source(1000 + node, 1), 1, 1, true, &[]);
    }
    assert_eq!(q.out(), "");
    q
}

#[test]
fn a_source_too_many_lies_in_an_open_gap() {
    // Of 1 and 2 only 2 arrives, and later only a head: there is no room to know that 1 and 3 are missing.
    let mut q = full();
    assert_eq!(q.frame(2), Seen::Refused);
    assert_eq!(q.head(4), Seen::Refused);
    assert_eq!(q.out(), "a:gap _.._ too_many_sources a:gap _.._ too_many_sources");
    assert!(!q.0.knows(S));
}

#[test]
fn a_source_too_many_dies() {
    let mut q = full();
    q.failed();
    assert_eq!(q.out(), "a:gap _.._ source_failed");
    assert!(!q.0.knows(S));
}

#[test]
fn a_source_that_was_refused_is_heard_afresh_when_there_is_room() {
    // 1 was refused, so it lies in an open gap: arriving again, it is not delivered inside it.
    let mut q = full();
    q.frame(1);
    q.0.forget(source(1000, 1));
    assert_eq!(q.frame(1), Seen::Suspended);
    q.resume(2);
    q.frame(2);
    assert_eq!(q.out(), "a:gap _.._ too_many_sources a:gap _.._ too_many_sources a:2");
}
