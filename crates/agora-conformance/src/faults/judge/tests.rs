//! The judge finds each kind of breakage, and nothing where there is none.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::live::Reason;

use super::super::place::place;
use super::{Rules, judge};
use crate::history::{Entry, GroupWhat, History, How, Life, LogWhat, Pace, Sub, Topic, Value, What};

const A: Life = Life { node: 0, turn: 1 };
const B: Life = Life { node: 1, turn: 1 };
const T: Topic = Topic(0);
const S: Sub = Sub(1);

fn value(n: u64) -> Value {
    Value { life: A, topic: T, n }
}

fn publish(n: u64) -> [What; 2] {
    [What::Publish { value: value(n), waits: true }, What::Published(value(n), Ok(Some(n)))]
}

fn event(seq: u64, n: u64) -> What {
    What::Event { sub: S, of: Some(A), topic: T, seq, value: Some(value(n)) }
}

fn gap(from: u64, to: Option<u64>) -> What {
    What::Gap { sub: S, of: Some(A), topic: T, from: Some(from), to, reason: Reason::Lost }
}

/// B reads, A publishes 1 to 3, and then what is given happens.
fn story(then: impl IntoIterator<Item = What>) -> History {
    let subscribe = What::Subscribe { sub: S, life: B, topics: vec![T], own: false, pace: Pace::Prompt };
    let begin = [subscribe, What::Established(S, Ok(()))];
    let all = begin.into_iter().chain((1..=3).flat_map(publish)).chain(then);
    let entries = all.map(|what| Entry { at: Duration::ZERO, what });
    History { entries: entries.collect() }
}

fn found(history: &History, rules: Rules) -> String {
    let judge = judge(history, rules, false);
    let findings = judge.findings.iter().map(|finding| finding.text.clone());
    findings.chain(judge.owed()).collect::<Vec<_>>().join("; ")
}

#[test]
fn what_is_read_or_named_is_well() {
    let wells: [Vec<What>; 6] = [
        vec![event(1, 1), event(2, 2), event(3, 3)],
        vec![event(1, 1), gap(2, Some(4))],
        vec![gap(1, None), event(3, 3)].into_iter().take(1).collect(),
        vec![event(1, 1), What::Log(LogWhat::Missing(S, Reason::Retention)), event(3, 3)],
        vec![event(1, 1), event(2, 2), event(3, 3), What::Crash(A)],
        vec![event(1, 1), What::Unsubscribe(S)],
    ];
    for well in wells {
        assert_eq!(found(&story(well.clone()), Rules::default()), "", "{well:?}");
    }
}

#[test]
fn each_breakage_is_found() {
    let failed = What::Published(value(3), Err(ErrorKind::Timeout));
    let table: [(Vec<What>, &str); 11] = [
        (vec![event(1, 1), event(2, 2)], "owed"),
        (vec![], "owed"),
        (vec![event(2, 2), event(3, 3)], "lost silently: 1..2"),
        (vec![event(1, 1), event(3, 3)], "lost silently: 2..3"),
        (vec![event(1, 1), event(2, 2), event(2, 2), event(3, 3)], "event 2 came although"),
        (vec![event(1, 1), event(2, 1), event(3, 3)], "2 of n0.1 on t0 is n0.1/t0/1"),
        (vec![event(1, 1), event(2, 2), event(3, 9)], "nobody published that"),
        (vec![event(1, 1), event(2, 2), failed, event(3, 3)], "said to have failed for certain"),
        (vec![event(1, 1), gap(3, Some(4))], "a gap begins at 3"),
        (vec![event(1, 1), event(2, 2), event(3, 3), What::Ended(S, Some(ErrorKind::Backend))], "ended with"),
        (
            vec![event(1, 1), event(2, 2), event(3, 3), What::Publish { value: value(4), waits: true }],
            "has no outcome",
        ),
    ];
    for (then, expected) in table {
        let found = found(&story(then.clone()), Rules::default());
        assert!(found.contains(expected), "{then:?}: {found}");
    }
}

#[test]
fn a_log_may_not_lose_what_it_accepted_even_where_it_says_so() {
    let history = story([event(1, 1), gap(2, Some(4))]);
    let findings = |rules, is_log| judge(&history, rules, is_log).findings.len();
    assert_eq!(findings(Rules::default(), false), 0);
    assert_eq!(findings(Rules::default(), true), 1);
    assert_eq!(findings(Rules { loses: true, ..Rules::default() }, true), 0);
}

#[test]
fn what_comes_after_the_healing_must_be_read_even_after_a_gap() {
    let healed = [event(1, 1), gap(2, None), What::Probing].into_iter().chain(publish(4));
    assert!(found(&story(healed.clone()), Rules::default()).contains("when all was well"));
    assert_eq!(found(&story(healed.chain([event(4, 4)])), Rules::default()), "");
}

#[test]
fn an_open_gap_takes_what_was_accepted_when_it_was_decided_and_no_more() {
    // One thing after the other: the fourth is accepted while the reader is about to write the gap down.
    let told = |last| {
        let then = [event(1, 1), event(2, 2)].into_iter().chain(publish(4)).chain([gap(3, None), last]);
        let mut history = story(then);
        for (entry, at) in history.entries.iter_mut().zip(0..) {
            entry.at = Duration::from_millis(at);
        }
        found(&history, Rules::default())
    };
    assert_eq!(told(event(4, 4)), "");
    assert!(told(event(3, 3)).contains("3 ended an open gap, but lies in it"), "{}", told(event(3, 3)));
}

#[test]
fn each_breakage_in_a_group_is_found() {
    let m = |n: u32| Sub(10 + n);
    let begin = |member, n: u64| {
        let (of, value) = (Some(A), Some(value(n)));
        What::Group(GroupWhat::Begin { member, of, seq: n, value, attempt: 1 })
    };
    let end =
        |member, n: u64, how| What::Group(GroupWhat::End { member, of: Some(A), seq: n, attempt: 1, how });
    let done = |member, n: u64| [begin(member, n), end(member, n, How::Done)];
    let read = [event(1, 1), event(2, 2), event(3, 3)];
    let joined = [What::Group(GroupWhat::Join(m(1), B, T)), What::Group(GroupWhat::Join(m(2), B, T))];
    let base = || read.clone().into_iter().chain(joined.clone());
    let all = || base().chain([1, 2, 3].into_iter().flat_map(|n| done(m(1), n)));
    let buried = |n| What::Group(GroupWhat::Buried(B, Some(A), n, true));
    let found =
        |then: Vec<What>, again| found(&story(then), Rules { handled_again: again, ..Rules::default() });

    assert_eq!(found(all().collect(), false), "");
    let two = || base().chain([1, 2].into_iter().flat_map(|n| done(m(1), n)));
    assert!(found(two().collect(), true).contains("n0.1/t0/3 was neither handled nor buried"));
    assert_eq!(found(two().chain([buried(3)]).collect(), false), "");
    let rejected = two().chain([begin(m(1), 3), end(m(1), 3, How::Rejected)]);
    assert!(found(rejected.collect(), true).contains("rejected and not buried"));
    let twice = || all().chain(done(m(2), 2));
    assert!(found(twice().collect(), false).contains("2 of n0.1 was handled by s11, s12"));
    assert_eq!(found(twice().collect(), true), "");
    let again = all().chain(done(m(1), 2));
    assert!(found(again.collect(), true).contains("which it has settled"));
    // 1 and 6 share a key.
    let same_key = publish(4).into_iter().chain(publish(5)).chain(publish(6));
    let same_key = same_key.chain([begin(m(1), 1), begin(m(1), 6)]);
    assert!(found(base().chain(same_key).collect(), true).contains("of the same key"));
}

#[test]
fn each_lane_has_an_order_of_its_own() {
    let on = |lane, seq, n| {
        let at = place(lane, seq);
        [What::Publish { value: value(n), waits: true }, What::Published(value(n), Ok(Some(at)))]
    };
    let read = |lane, seq, n| event(place(lane, seq), n);
    let published: Vec<_> = [on(1, 1, 4), on(1, 2, 5), on(2, 1, 6)].concat();
    let with = |then: Vec<What>| {
        let first = [event(1, 1), event(2, 2), event(3, 3)];
        found(&story(published.iter().cloned().chain(first).chain(then)), Rules::default())
    };
    assert_eq!(with(vec![read(2, 1, 6), read(1, 1, 4), read(1, 2, 5)]), "");
    let lost = with(vec![read(1, 2, 5), read(2, 1, 6)]);
    assert!(lost.contains("lane 1: lost silently"), "{lost}");
    let owed = with(vec![read(1, 1, 4), read(1, 2, 5)]);
    assert!(owed.contains("owed n0.1 t0 lane 2 up to 2"), "{owed}");
}
