//! Each event once and in order, or a gap.

use agora_core::ErrorKind;
use agora_core::live::Reason::{Lost, SourceFailed};

use super::story::{A, A2, B, T, data, event, gap, send, value};
use super::{Case, run};
use crate::history::{Sub, Topic, What};
use crate::judge::delivery::check;
use crate::sim::{Fault, Profile};

const GAP: &str = "s0 GAP n0.1 t0 4..5 lost";
const OPEN_GAP: &str = "s0 GAP n0.1 t0 7..? source_failed";

#[test]
fn what_is_missing_is_found() {
    let cases: &[Case] = &[
        ("nothing is changed", |_| {}, None),
        (
            "the first event",
            |s| s.remove("s0 gets n0.1 t0 1:"),
            Some("s0, n0.1 t0: lost silently: 1..2, before the first thing that was handed over"),
        ),
        (
            "an event between two",
            |s| s.remove("s0 gets n0.1 t0 2:"),
            Some("s0, n0.1 t0: lost silently: 2..3"),
        ),
        (
            "what was formed after it was established while its source ran",
            |s| s.remove("s1 gets n0.1 t0 4:"),
            Some("s1, n0.1 t0: lost silently: 4..5"),
        ),
        (
            "the last event",
            |s| s.remove("s0 gets n0.2 t0 2:"),
            Some("s0 is owed n0.2 t0 from 1 up to 3, and is at 2: neither event nor gap"),
        ),
        (
            "the probe",
            |s| s.remove("s0 gets n0.2 t0 2:"),
            Some("s0 does not hear n0.2 on t0 again, although everything has healed"),
        ),
        (
            "all of a source",
            |s| {
                s.remove("s0 gets n0.2 t0 1:");
                s.remove("s0 gets n0.2 t0 2:");
            },
            Some("s0 is owed n0.2 t0 from 1 up to 3, and is at 0: neither event nor gap"),
        ),
        ("a gap", |s| s.remove(GAP), Some("s0, n0.1 t0: lost silently: 4..5")),
        (
            "an open gap",
            |s| s.remove(OPEN_GAP),
            Some("s0 is owed n0.1 t0 from 1 up to 8, and is at 7: neither event nor gap"),
        ),
        (
            "the answer to a subscription",
            |s| s.remove("s0 is established"),
            Some("s0 was asked for at 100ms and never established"),
        ),
        (
            "a source that lives stays in an open gap",
            |s| s.add(22_000, gap(0, A2, Some(3), None, SourceFailed)),
            Some("s0 does not hear n0.2 on t0 again, although everything has healed"),
        ),
        (
            "promptness",
            |s| s.plan.profile = Profile::Calm,
            Some("s0 got n0.1 t0 2 only after 231ms, and nothing went wrong"),
        ),
    ];
    run(check, cases);
}

#[test]
fn what_comes_twice_or_out_of_order_is_found() {
    let cases: &[Case] = &[
        (
            "an event comes twice",
            |s| s.repeat("s0 gets n0.1 t0 2:"),
            Some("s0, n0.1 t0: event 2 came although all below 3 was handed over or declared missing"),
        ),
        (
            "an event comes again much later",
            |s| s.add(5_000, event(0, A, 1)),
            Some("s0, n0.1 t0: event 1 came although all below 7 was handed over or declared missing"),
        ),
        (
            "two events change places",
            |s| s.swap("s0 gets n0.1 t0 2:", "s0 gets n0.1 t0 3:"),
            Some("s0, n0.1 t0: lost silently: 2..3"),
        ),
        (
            "what a gap declared missing comes after all",
            |s| s.add(2_400, event(0, A, 4)),
            Some("s0, n0.1 t0: event 4 came although all below 5 was handed over or declared missing"),
        ),
        (
            "what lies in an open gap ends it",
            |s| {
                s.add(
                    11_600,
                    What::Event { sub: Sub(0), of: Some(A), topic: T, seq: 7, value: Some(value(A, 8)) },
                )
            },
            Some("s0, n0.1 t0: 7 ended an open gap, but lies in it: the source had come to 8 by then"),
        ),
    ];
    run(check, cases);
}

#[test]
fn a_gap_that_does_not_fit_is_found() {
    let cases: &[Case] = &[
        (
            "it begins one later",
            |s| s.replace(GAP, gap(0, A, Some(5), Some(6), Lost)),
            Some("s0, n0.1 t0: a gap begins at 5, but what is known ends at 4"),
        ),
        (
            "it begins one earlier",
            |s| s.replace(GAP, gap(0, A, Some(3), Some(5), Lost)),
            Some("s0, n0.1 t0: a gap begins at 3, but what is known ends at 4"),
        ),
        (
            "it begins before everything",
            |s| s.replace(GAP, gap(0, A, None, Some(5), Lost)),
            Some("s0, n0.1 t0: a gap has no beginning, although all below 4 is known"),
        ),
        (
            "it is empty",
            |s| s.replace(GAP, gap(0, A, Some(4), Some(4), Lost)),
            Some("s0, n0.1 t0: a gap ends at 4, but all below 4 is known"),
        ),
        (
            "it ends behind what was formed",
            |s| s.replace(GAP, gap(0, A, Some(4), Some(9), Lost)),
            Some("s0, n0.1 t0: something reaches up to 9, but the source formed nothing from 5 on"),
        ),
        (
            "it is of nobody",
            |s| {
                let (sub, topic, reason) = (Sub(0), T, Lost);
                s.add(2_400, What::Gap { sub, of: None, topic, from: None, to: None, reason });
            },
            Some("s0 got a gap of nobody on t0"),
        ),
        (
            "it is of the reader's own node",
            |s| s.add(2_400, gap(0, B, None, None, SourceFailed)),
            Some("s0 got a gap that it did not ask for: n1.1 t0"),
        ),
    ];
    run(check, cases);
}

#[test]
fn what_was_not_published_there_is_found() {
    let cases: &[Case] = &[
        (
            "an event that was never formed",
            |s| s.add(22_000, event(0, A2, 3)),
            Some("s0, n0.2 t0: something reaches up to 4, but the source formed nothing from 3 on"),
        ),
        (
            "an event that was never published",
            |s| s.add(22_000, event(0, A2, 3)),
            Some("s0 got n0.2/t0/3 as n0.2 t0 3"),
        ),
        (
            "another event under this sequence",
            |s| {
                let (sub, of, topic) = (Sub(0), Some(A), T);
                let what = What::Event { sub, of, topic, seq: 5, value: Some(value(A, 6)) };
                s.replace("s0 gets n0.1 t0 5:", what);
            },
            Some("s0 got n0.1/t0/6 as n0.1 t0 5"),
        ),
        (
            "another content",
            |s| {
                let (sub, of, topic) = (Sub(0), Some(A), T);
                s.replace("s0 gets n0.1 t0 5:", What::Event { sub, of, topic, seq: 5, value: None });
            },
            Some("s0 got something else as n0.1 t0 5"),
        ),
        (
            "an event of nobody",
            |s| s.add(5_000, What::Event { sub: Sub(0), of: None, topic: T, seq: 1, value: None }),
            Some("s0 got an event of nobody: t0 1"),
        ),
        (
            "an event of another topic",
            |s| {
                let (sub, of, topic) = (Sub(0), Some(A), Topic(1));
                s.add(5_000, What::Event { sub, of, topic, seq: 1, value: Some(value(A, 1)) });
            },
            Some("s0 got what it did not ask for: n0.1 t1 1"),
        ),
        (
            "an event of the reader's own node",
            |s| {
                s.add(5_000, send(B, 90, &[data(B, 1)], &[(1, Some(value(B, 1)))]));
                s.add(5_001, event(0, B, 1));
            },
            Some("s0 got what it did not ask for: n1.1 t0 1"),
        ),
    ];
    run(check, cases);
}

#[test]
fn a_subscription_that_ends_by_itself_is_found() {
    let cases: &[Case] = &[
        (
            "it is refused",
            |s| s.replace("s0 is established", What::Established(Sub(0), Err(ErrorKind::Closed))),
            Some("s0 ended (closed), although its node goes on"),
        ),
        (
            "it is refused as if nobody could be reached",
            |s| s.replace("s0 is established", What::Established(Sub(0), Err(ErrorKind::Unreachable))),
            Some("s0 ended (unreachable), although its node goes on"),
        ),
        (
            "it ends",
            |s| s.add(22_000, What::Ended(Sub(0), None)),
            Some("s0 ended (without an error), although its node goes on"),
        ),
        (
            "it ends with its node",
            |s| {
                s.add(22_000, What::Crash(B));
                s.add(22_000, What::Ended(Sub(0), None));
            },
            None,
        ),
        (
            "it is refused where nobody can be reached",
            |s| {
                s.add(150, What::Fault(Fault::ServerDown));
                s.replace("s0 is established", What::Established(Sub(0), Err(ErrorKind::Unreachable)));
                // So it gets nothing, either.
                s.history.entries.retain(|entry| {
                    !matches!(&entry.what, What::Event { sub: Sub(0), .. } | What::Gap { sub: Sub(0), .. })
                });
            },
            None,
        ),
    ];
    run(check, cases);
}
