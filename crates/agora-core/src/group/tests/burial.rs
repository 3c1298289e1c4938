//! The way to the dead letters.

use super::*;

#[test]
fn after_the_last_try_it_is_stored_before_it_is_acknowledged() {
    let mut member = Member::new(2);
    member.give(1, 0, 1, 1, &[None]);
    let first = member.begin();
    member.verdict(&first, Verdict::Retry("one".into()));
    member.pass(Duration::from_secs(1));
    let second = member.begin();
    member.verdict(&second, Verdict::Retry("two".into()));
    let burial = member.burial();
    assert_eq!((burial.item, burial.index, burial.attempts, burial.reason.as_str()), (1, 0, 2, "two"));
    member.tracker.handle_buried(member.now, burial.job, true);
    assert_eq!(member.actions(), [ack(1)]);
}

#[test]
fn a_burial_that_may_have_failed_is_tried_again_while_the_record_is_held() {
    let mut member = Member::new(1);
    member.give(1, 0, 1, 1, &[None]);
    let poison = member.begin();
    member.verdict(&poison, Verdict::Reject("never".into()));
    let mut extended = 0;
    for _ in 0..5 {
        let mut again = None;
        for action in member.actions() {
            match action {
                Action::Bury(burial) => again = Some(burial),
                Action::Settle(_, how) => {
                    assert_eq!(how, Settle::Extend);
                    extended += 1;
                }
            }
        }
        member.tracker.handle_buried(member.now, again.expect("it is said again").job, false);
        member.pass(Duration::from_secs(4));
    }
    assert_eq!(extended, 1, "in 20 seconds, with a lease of 30");
    let burial = member.actions().into_iter().find_map(|action| match action {
        Action::Bury(burial) => Some(burial),
        Action::Settle(..) => None,
    });
    member.tracker.handle_buried(member.now, burial.unwrap().job, true);
    assert_eq!(member.actions(), [ack(1)]);
}

#[test]
fn what_ends_every_member_that_begins_it_is_given_up_unbegun() {
    let mut member = Member::new(3);
    member.give(1, 0, 1, 3, &[None]);
    assert_eq!(member.begin().attempt, 3);
    let mut next = Member::new(3);
    next.give(1, 0, 1, 4, &[None]);
    assert_eq!(next.begin_all(), []);
    let burial = next.burial();
    assert_eq!(burial.attempts, 3);
    assert_eq!(burial.reason, "given out 3 times, and not settled by anyone");
}

#[test]
fn nothing_is_buried_that_is_another_members_by_now() {
    let mut member = Member::new(1);
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    member.tracker.handle_lost(&[0]);
    member.verdict(&begun, Verdict::Reject("never".into()));
    assert_eq!(member.actions(), []);
    assert_eq!(member.tracker.records(), 0);
}

#[test]
fn a_dead_letter_that_is_stored_after_the_right_is_gone_is_settled_all_the_same() {
    let mut member = Member::new(1);
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    member.verdict(&begun, Verdict::Reject("never".into()));
    let burial = member.burial();
    member.tracker.handle_interrupted();
    member.tracker.handle_buried(member.now, burial.job, true);
    assert_eq!(member.tracker.records(), 0);
    member.give(1, 0, 2, 2, &[None]);
    assert_eq!((member.begin_all(), member.actions()), (vec![], vec![ack(2)]));
}

#[test]
fn a_burial_that_is_refused_is_tried_again_after_pauses_that_grow() {
    let mut member = Member::new(1);
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    member.verdict(&begun, Verdict::Reject("never".into()));
    for pause in [1, 2, 4, 4].map(Duration::from_secs) {
        let burial = member.burial();
        member.tracker.handle_buried(member.now, burial.job, false);
        member.pass(pause - Duration::from_millis(1));
        assert!(!member.actions().iter().any(|action| matches!(action, Action::Bury(_))), "{pause:?}");
        member.pass(Duration::from_millis(1));
    }
    member.burial();
}

#[test]
fn without_a_pause_between_tries_a_refusal_is_not_answered_in_a_circle() {
    let policy = Policy { backoff: (Duration::ZERO, Duration::ZERO), ..Policy::default() };
    let mut member = Member { now: Instant::now(), tracker: Tracker::new(policy) };
    member.give(1, 0, 1, 1, &[None]);
    let begun = member.begin();
    member.verdict(&begun, Verdict::Reject("never".into()));
    let burial = member.burial();
    member.tracker.handle_buried(member.now, burial.job, false);
    member.tracker.handle_answer(member.now, Token(1), Settle::Extend, Answer::Failed);
    assert!(member.tracker.poll_timeout().is_some_and(|at| at > member.now));
}
