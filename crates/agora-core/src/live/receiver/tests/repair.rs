//! A hole is asked for, and ends.

use super::*;

/// With a hole at 2, whose request is due.
fn with_hole() -> Fixture {
    let mut r = Fixture::established();
    r.frames([1, 3]);
    assert_eq!(r.out(), "a:1 appeared");
    r
}

#[test]
fn a_hole_is_asked_for_three_times_and_is_then_a_gap() {
    let mut r = with_hole();
    let first = r.wake();
    assert!(first >= Duration::from_millis(1) && first <= ASK_SPREAD.0 + Duration::from_millis(1));
    for _ in 1..ASK_TRIES {
        assert_eq!(r.wake(), ASK_RETRY);
    }
    assert_eq!(r.out(), "ask [2..3] ask [2..3] ask [2..3]");
    r.wake();
    assert_eq!(r.out(), "a:gap 2..3 lost a:3");
    assert_eq!(r.receiver.poll_timeout(), None);
}

#[test]
fn what_was_lost_meanwhile_is_asked_for_as_often() {
    // 2 was asked for three times. Just before it is given up, a head tells of 3, which was lost too.
    let mut r = Fixture::established();
    r.frame(1);
    r.head(3, &[]);
    for _ in 0..ASK_TRIES {
        r.wake();
    }
    r.head(4, &[]);
    r.wake();
    r.wake();
    assert_eq!(r.out(), "a:1 appeared ask [2..3] ask [2..3] ask [2..3] a:gap 2..3 lost ask [3..4]");
}

#[test]
fn a_hole_that_grows_before_it_is_asked_for_is_one() {
    let mut r = Fixture::established();
    r.frame(1);
    r.head(3, &[]);
    r.head(4, &[]);
    for _ in 0..=ASK_TRIES {
        r.wake();
    }
    assert_eq!(r.out(), "a:1 appeared ask [2..4] ask [2..4] ask [2..4] a:gap 2..4 lost");
}

#[test]
fn an_answer_fills_the_hole_and_ends_the_asking() {
    let mut r = with_hole();
    r.wake();
    assert_eq!(r.frame(2), Seen::New { late: true });
    assert_eq!(r.out(), "ask [2..3] a:2 a:3");
    assert_eq!(r.receiver.poll_timeout(), None);
}

#[test]
fn all_holes_are_asked_for_together() {
    let mut r = with_hole();
    r.frames([5, 8]);
    r.head(12, &[]);
    r.wake();
    assert_eq!(r.out(), "ask [2..3, 4..5, 6..8, 9..12]");
    r.frames((10..=100).step_by(2));
    r.wake();
    let asked = r.out();
    assert_eq!(asked.matches("..").count(), ASK_RANGES_MAX, "{asked}");
}

#[test]
fn a_lost_tail_is_noticed_by_the_next_head() {
    let mut r = Fixture::established();
    r.frame(1);
    r.head(3, &[]);
    r.wake();
    assert_eq!(r.out(), "a:1 appeared ask [2..3]");
}

#[test]
fn every_hole_has_its_timer_and_nothing_else_has() {
    let mut r = with_hole();
    let armed = |r: &Fixture| (r.receiver.sequencer().hole(S).is_some(), r.receiver.repair().is_armed(S));
    assert_eq!(armed(&r), (true, true));
    r.frame(2);
    assert_eq!(armed(&r), (false, false));
    r.frame(6);
    assert_eq!(armed(&r), (true, true));
    r.ended(Ended::Failed);
    assert_eq!(armed(&r), (false, false));
}

#[test]
fn suppressed_by_an_answer_that_did_not_fill_my_hole() {
    // Another asked for 4. The answer defers the request for 2, it does not cancel it.
    let mut r = with_hole();
    r.frame(5);
    r.frame(4);
    assert_eq!(r.receiver.repair().counts(S), (0, 1));
    r.wake();
    assert_eq!(r.out(), "ask [2..3]");
}

#[test]
fn answers_to_others_do_not_defer_for_ever() {
    let mut r = with_hole();
    let mut slept = Duration::ZERO;
    for _ in 0..20 {
        // Just before the request is due, the answer to another's arrives once more.
        let due = r.receiver.poll_timeout().unwrap();
        let before = due - Duration::from_micros(1);
        slept += before.saturating_duration_since(r.now);
        r.now = r.now.max(before);
        assert_eq!(r.frame(3), Seen::Duplicate);
    }
    let most = (ASK_SPREAD.0 + Duration::from_millis(1)) * (u32::from(ASK_DEFERRALS) + 1);
    assert!(slept < most, "deferred for {slept:?}");
    r.wake();
    assert_eq!(r.out(), "ask [2..3]");
}

#[test]
fn a_head_is_nobodys_answer() {
    let mut r = with_hole();
    r.head(4, &[]);
    assert_eq!(r.receiver.repair().counts(S), (0, 0));
}

#[test]
fn retries_within_the_mute_would_burn_every_try() {
    // The source mutes a frame after it has answered: a try within that time cannot be answered.
    let mut r = with_hole();
    let mut asked = Vec::new();
    while !r.out().contains("gap") {
        r.wake();
        asked.push(r.now);
    }
    assert!(asked.windows(2).all(|at| at[1] - at[0] > ANSWER_MUTE), "{asked:?}");
}

#[test]
fn what_the_source_no_longer_holds_is_not_asked_for_again() {
    let mut r = with_hole();
    r.wake();
    r.receiver.handle_head(r.now, S, 4, 3, false, &[]);
    assert_eq!(r.out(), "ask [2..3] a:gap 2..3 not_held a:3");
    assert_eq!(r.receiver.poll_timeout(), None);
}

#[test]
fn what_this_process_dropped_is_not_asked_for() {
    let mut r = Fixture::established();
    r.frame(1);
    r.receiver.handle_dropped();
    r.frame(4);
    assert_eq!(r.out(), "a:1 appeared a:gap 2..4 overflow a:4");
    assert_eq!(r.receiver.poll_timeout(), None, "repair must not feed an overload");
}

#[test]
fn with_many_members_few_need_to_ask() {
    let latest = |members| {
        let delay = |seed| {
            let mut r = Fixture::established();
            r.receiver.rng.seed(seed);
            r.receiver.set_members(members);
            r.frames([1, 3]);
            r.wake()
        };
        (0..50).map(delay).max().unwrap()
    };
    let (few, many) = (latest(3), latest(1000));
    assert!(few < Duration::from_millis(7) && many > Duration::from_millis(80), "{few:?} {many:?}");
    assert!(many <= ASK_SPREAD.1 + Duration::from_millis(1), "{many:?}");
}

#[test]
fn nobody_asks_for_a_subscription_that_ended() {
    let mut r = with_hole();
    assert!(!r.receiver.unsubscribe(A));
    assert_eq!((r.receiver.poll_timeout(), r.receiver.held_bytes()), (None, 0));
}
