//! A subscription is established when its sources have been heard, or have had the time.

use super::*;

#[test]
fn with_nobody_expected_it_waits_for_those_it_does_not_know_of() {
    let mut r = Fixture::new();
    r.subscribe(A, &[]);
    assert_eq!(r.out(), "hello");
    assert_eq!(r.wake(), ESTABLISH_SETTLE);
    assert_eq!(r.out(), "established a");
    assert_eq!(r.receiver.poll_timeout(), None, "nothing is left to do");
}

#[test]
fn not_before_the_membership_is_known() {
    let mut r = Fixture::new();
    let not_before = r.now + Duration::from_secs(3);
    r.receiver.subscribe(r.now, A, false, BTreeSet::new(), not_before);
    while !r.out().contains("established a") {
        r.wake();
    }
    assert_eq!(r.now, not_before);
}

#[test]
fn it_waits_for_every_source_it_expects() {
    let mut r = Fixture::new();
    r.subscribe(A, &[S, source(2, 1)]);
    r.head(1, &[]);
    r.pass(ESTABLISH_WAIT / 2);
    assert_eq!(r.out(), "hello appeared hello hello");
    r.receiver.handle_head(r.now, source(2, 1), 1, 1, false, &[]);
    r.pass(Duration::ZERO);
    assert_eq!(r.out(), "appeared established a");
}

#[test]
fn the_hello_is_repeated_with_the_same_nonce_and_the_wait_is_bounded() {
    let mut r = Fixture::new();
    r.subscribe(A, &[S]);
    assert_eq!(r.out(), "hello");
    let (began, first) = (r.now, r.nonce);
    let mut hellos = Vec::new();
    loop {
        r.wake();
        match r.out().as_str() {
            "hello" => hellos.push((r.now - began).as_millis()),
            "established a" => break,
            other => panic!("{other}"),
        }
        assert_eq!(r.nonce, first);
    }
    assert_eq!(hellos, [100, 300, 700]);
    assert_eq!(r.now - began, ESTABLISH_WAIT);
}

#[test]
fn what_was_formed_while_the_hello_was_lost_is_owed() {
    // S did not hear the hello in time. It forms 1 and 2, and only 2 arrives.
    let mut r = Fixture::new();
    r.subscribe(A, &[S]);
    r.pass(ESTABLISH_WAIT);
    r.out();
    r.frame(2);
    r.wake();
    assert_eq!(r.out(), "appeared ask [1..2]");
}

#[test]
fn a_source_that_joins_meanwhile_is_waited_for_too() {
    let mut r = Fixture::new();
    r.subscribe(A, &[]);
    r.receiver.expect(S);
    r.pass(ESTABLISH_SETTLE);
    assert_eq!(r.out(), "hello");
    r.head(5, &[]);
    r.pass(Duration::ZERO);
    assert_eq!(r.out(), "appeared established a");
}

#[test]
fn nobody_waits_for_the_dead() {
    let mut r = Fixture::new();
    r.subscribe(A, &[S]);
    r.pass(ESTABLISH_SETTLE);
    r.ended(Ended::Failed);
    r.pass(Duration::ZERO);
    assert_eq!(r.out(), "hello a:gap _.._ source_failed established a");
}

#[test]
fn established_while_a_source_is_suspended() {
    let mut r = Fixture::established();
    r.head(1, &[]);
    r.ended(Ended::Failed);
    r.out();
    r.subscribe(B, &[S]);
    r.pass(ESTABLISH_SETTLE);
    assert_eq!(r.out(), "hello b:gap _.._ source_failed established b", "it is told before it is owed");
}

#[test]
fn a_second_subscription_to_a_known_source_needs_no_answer() {
    let mut r = Fixture::established();
    r.frames([1, 2]);
    r.subscribe(B, &[S]);
    r.pass(ESTABLISH_SETTLE);
    r.frame(3);
    assert_eq!(
        r.out(),
        "appeared a:1 a:2 hello established b a:3 b:3".replace("appeared a:1", "a:1 appeared")
    );
}

#[test]
fn a_subscription_that_ends_is_not_established() {
    let mut r = Fixture::new();
    r.subscribe(A, &[S]);
    assert!(!r.receiver.unsubscribe(A), "none is left");
    assert_eq!(r.receiver.poll_timeout(), None);
    r.subscribe(A, &[]);
    r.subscribe(B, &[]);
    assert!(r.receiver.unsubscribe(A));
    r.pass(ESTABLISH_WAIT);
    assert_eq!(r.out(), "hello hello hello established b");
}

#[test]
fn an_interrupted_transport_asks_all_where_they_stand() {
    let mut r = Fixture::established();
    r.frame(1);
    r.out();
    r.receiver.handle_resubscribed();
    assert_eq!(r.out(), "hello");
    r.head(3, &[r.nonce]);
    r.wake();
    assert_eq!(r.out(), "ask [2..3]");
}
