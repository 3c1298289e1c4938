//! Sources that were held dead are greeted when they show a sign of life, and remembered while they may.

use super::*;

/// With a source that has failed after its event 1.
fn suspended() -> Fixture {
    let mut r = Fixture::established();
    r.frame(1);
    r.ended(Ended::Failed);
    assert_eq!(r.out(), "a:1 appeared a:gap 2.._ source_failed");
    r
}

#[test]
fn a_sign_of_life_is_greeted_and_the_answer_resumes() {
    let mut r = suspended();
    assert_eq!(r.frame(2), Seen::Suspended);
    assert_eq!(r.out(), "hello");
    r.head(3, &[r.nonce]);
    r.frame(3);
    assert_eq!(r.out(), "resumed a:3");
}

#[test]
fn a_sign_of_life_elsewhere_is_greeted_too() {
    let mut r = suspended();
    r.receiver.handle_returned(r.now, S);
    assert_eq!(r.out(), "hello");
    r.receiver.handle_returned(r.now, source(9, 9));
    assert_eq!(r.out(), "", "a source that is not suspended needs no greeting");
}

#[test]
fn greetings_are_few_and_carry_the_same_nonce_until_one_is_answered() {
    let mut r = suspended();
    r.frame(2);
    assert_eq!(r.out(), "hello");
    let nonce = r.nonce;
    for seq in 3..100 {
        r.frame(seq);
        r.head(seq + 1, &[]);
    }
    assert_eq!(r.out(), "");
    r.pass(HELLO_INTERVAL);
    r.frame(100);
    assert_eq!((r.out().as_str(), r.nonce), ("hello", nonce));
}

#[test]
fn an_old_head_does_not_end_a_later_gap() {
    let mut r = suspended();
    r.frame(2);
    r.out();
    let old = r.nonce;
    r.subscribe(B, &[]);
    r.pass(ESTABLISH_SETTLE);
    r.head(2, &[old]);
    r.frame(2);
    assert_eq!(r.out(), "hello b:gap _.._ source_failed established b");
    r.pass(HELLO_INTERVAL);
    r.frame(3);
    assert_eq!(r.out(), "hello");
    r.head(4, &[r.nonce]);
    r.frame(4);
    assert_eq!(r.out(), "resumed a:4 b:4");
}

#[test]
fn a_source_that_fails_again_is_greeted_again() {
    let mut r = suspended();
    r.frame(2);
    r.out();
    r.head(3, &[r.nonce]);
    r.ended(Ended::Failed);
    r.head(3, &[r.nonce]);
    assert_eq!(r.out(), "resumed a:gap 3.._ source_failed hello", "not by the old answer");
}

#[test]
fn a_closed_stream_is_remembered() {
    let mut r = Fixture::established();
    r.frame(1);
    r.receiver.handle_head(r.now, S, 2, 1, true, &[]);
    r.pass(TOMBSTONE_AGE - Duration::from_millis(1));
    assert_eq!(r.frame(1), Seen::Ignored);
    assert_eq!(r.out(), "a:1 appeared");
    r.pass(Duration::from_millis(1));
    assert!(!r.receiver.sequencer().knows(S), "and forgotten, or memory would grow");
    assert_eq!(r.receiver.poll_timeout(), None);
}

#[test]
fn a_suspended_source_is_remembered_as_long_as_it_is_heard() {
    // Its hellos are lost, its frames are not. Forgotten, the next frame would be a first sight: 2, which lies in the
    // open gap, would be repaired and delivered inside it.
    let mut r = suspended();
    for _ in 0..4 {
        r.pass(TOMBSTONE_AGE / 2);
        assert_eq!(r.frame(3), Seen::Suspended);
    }
    r.pass(TOMBSTONE_AGE);
    assert!(!r.receiver.sequencer().knows(S), "silent for that long, nothing of it can arrive any more");
}

#[test]
fn a_resumed_source_is_not_forgotten() {
    let mut r = suspended();
    r.frame(2);
    r.out();
    r.head(3, &[r.nonce]);
    r.pass(TOMBSTONE_AGE * 2);
    assert!(r.receiver.sequencer().knows(S));
    r.frame(3);
    assert_eq!(r.out(), "resumed a:3");
}

#[test]
fn one_that_answers_with_its_final_head_is_forgotten_in_time() {
    let mut r = suspended();
    r.frame(2);
    r.out();
    r.pass(TOMBSTONE_AGE / 2);
    r.receiver.handle_head(r.now, S, 3, 1, true, &[r.nonce]);
    assert!(r.receiver.sequencer().is_over(S));
    assert_eq!(r.wake(), TOMBSTONE_AGE, "counted from the end of the stream");
    assert!(!r.receiver.sequencer().knows(S));
}

#[test]
fn that_sources_were_refused_is_forgotten_in_time() {
    // The table was full for a moment. Ten minutes after the last refusal nobody who was refused can be heard any more.
    let mut q = Fixture::established();
    for node in 0..crate::limits::SOURCES_MAX as u64 {
        q.receiver.handle_head(q.now, source(1000 + node, 1), 1, 1, false, &[]);
    }
    assert_eq!(q.frame(1), Seen::Refused);
    q.out();
    q.receiver.handle_ended(q.now, source(1000, 1), Ended::Left, false);
    q.pass(TOMBSTONE_AGE);
    q.out();
    q.receiver.handle_frame(q.now, source(1, 7), 1, Piece::one(1));
    assert!(q.out().contains("a:1"), "a newcomer is heard at once");
}
