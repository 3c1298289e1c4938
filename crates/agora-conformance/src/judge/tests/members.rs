//! Who is held dead, who is not, and when.

use super::story::{A, A2, B, C, Story, failed, member};
use super::{Case, ms, run};
use crate::history::{Change, What};
use crate::judge::members::check;
use crate::sim::{Fault, Profile};

/// B holds a life of node 0 dead that lives.
fn wrong_verdict(story: &mut Story) {
    story.add(20_500, member(B, Change::Suspected, A2));
    story.add(22_500, failed(B, A2, 5_000));
}

fn alone(by: crate::history::Life, change: Change) -> What {
    What::Member { by, change, of: None, silent: None }
}

#[test]
fn a_verdict_without_a_cause_is_found() {
    let cases: &[Case] = &[
        ("nothing is changed", |_| {}, None),
        (
            "a node that lives is held dead",
            wrong_verdict,
            Some("n1.1 holds n0.2 dead, which lives and had no trouble of its own"),
        ),
        (
            "the judge had the trouble, not the judged",
            |s| {
                s.add(16_000, What::Fault(Fault::SlowAnswer(B.node, 50)));
                wrong_verdict(s);
            },
            Some("n1.1 holds n0.2 dead, which lives and had no trouble of its own"),
        ),
        (
            "a verdict before its time",
            |s| s.replace("n1.1 sees Failed n0.1", failed(B, A, 4_900)),
            Some("n1.1 holds n0.1 dead, which it heard Some(4.9s) ago"),
        ),
        (
            "a verdict on one that was never heard",
            |s| {
                let what = What::Member { by: B, change: Change::Failed, of: Some(A), silent: None };
                s.replace("n1.1 sees Failed n0.1", what);
            },
            Some("n1.1 holds n0.1 dead, which it heard None ago"),
        ),
        (
            "a hint does not spare the time to prove that one lives",
            |s| {
                s.plan.hints = true;
                s.replace("n1.1 sees Failed n0.1", failed(B, A, 1_400));
            },
            Some("n1.1 holds n0.1 dead, which it heard Some(1.4s) ago"),
        ),
        (
            "a leave that did not happen",
            |s| s.add(15_000, member(B, Change::Left, A2)),
            Some("n1.1 sees n0.2 leave, which did not"),
        ),
        (
            "a crash is taken for a leave",
            |s| s.replace("n1.1 sees Failed n0.1", member(B, Change::Left, A)),
            Some("n1.1 sees n0.1 leave, which did not"),
        ),
        (
            "a conflict",
            |s| s.add(15_000, member(B, Change::Conflict, A2)),
            Some("n1.1 sees a conflict where there is none"),
        ),
        (
            "a verdict where nothing goes wrong",
            |s| s.plan.profile = Profile::Calm,
            Some("n1.1 sees Failed, and nothing went wrong"),
        ),
        (
            "isolation although the server would tell",
            |s| s.add(5_000, alone(B, Change::Isolated)),
            Some("n1.1 holds itself isolated, although its echo would tell"),
        ),
        (
            "isolation from those who can be heard",
            |s| {
                s.plan.server = false;
                s.add(5_000, alone(B, Change::Isolated));
            },
            Some("n1.1 holds itself isolated, and 2 of 2 reach it"),
        ),
    ];
    run(check, cases);
}

#[test]
fn a_verdict_with_a_cause_is_not_blamed() {
    let cases: &[Case] = &[
        (
            "who was cut off is held dead",
            |s| {
                s.add(17_300, What::Fault(Fault::Isolate(A2.node)));
                wrong_verdict(s);
                // The drain is no excuse for what it does not see in the end.
                s.replace("n1.1 holds alive", What::View(B, vec![A2]));
            },
            None,
        ),
        (
            "the transport of the judge dropped heartbeats",
            |s| {
                s.add(18_000, What::Overrun(B, None));
                wrong_verdict(s);
            },
            None,
        ),
        (
            "isolation of one that hears nobody",
            |s| {
                s.plan.server = false;
                s.add(1_500, What::Fault(Fault::Isolate(B.node)));
                s.add(4_900, alone(B, Change::Isolated));
                s.add(5_000, What::Fault(Fault::Rejoin(B.node)));
                s.add(5_100, alone(B, Change::Reunited));
            },
            None,
        ),
    ];
    run(check, cases);
}

#[test]
fn a_verdict_that_is_missing_is_found() {
    let cases: &[Case] = &[
        (
            "a crash",
            |s| s.remove("n1.1 sees Failed n0.1"),
            Some("n1.1 did not notice in time that n0.1 had crashed"),
        ),
        (
            "a crash, with nothing at all about it",
            |s| {
                s.remove("n1.1 sees Suspected n0.1");
                s.remove("n1.1 sees Failed n0.1");
            },
            Some("n1.1 did not notice in time that n0.1 had crashed"),
        ),
        (
            "a crash, in time",
            |s| s.shift("n1.1 sees Failed n0.1", 11_600),
            Some("n1.1 did not notice in time that n0.1 had crashed"),
        ),
        (
            "a crash that one who could not hear was not bound to see",
            |s| {
                s.shift("n1.1 sees Failed n0.1", 11_600);
                s.add(7_500, What::Fault(Fault::Isolate(B.node)));
                s.add(8_000, What::Fault(Fault::Rejoin(B.node)));
            },
            None,
        ),
        (
            "a leave",
            |s| s.remove("n1.1 sees Left n2.1"),
            Some("n1.1 did not notice in time that n2.1 had left"),
        ),
        (
            "a goodbye that arrived",
            |s| s.shift("n1.1 sees Left n2.1", 7_100),
            Some("n1.1 got the goodbye of n2.1 and did not see it leave"),
        ),
        (
            "a node that lives, at the end",
            |s| s.replace("n1.1 holds alive", What::View(B, Vec::new())),
            Some("n1.1 does not see n0.2, which lives"),
        ),
        (
            "a crash, at the end",
            |s| s.replace("n1.1 holds alive", What::View(B, vec![A, A2])),
            Some("n1.1 still sees n0.1, which is gone"),
        ),
        (
            "a leave, at the end",
            |s| s.replace("n0.2 holds alive", What::View(A2, vec![B, C])),
            Some("n0.2 still sees n2.1, which is gone"),
        ),
        (
            "changes that the reader missed",
            |s| s.add(15_000, alone(B, Change::Missed)),
            Some("n1.1 missed changes among the members"),
        ),
    ];
    run(check, cases);
}

#[test]
fn changes_that_do_not_follow_from_each_other_are_found() {
    let cases: &[Case] = &[
        (
            "joined twice",
            |s| s.repeat("n1.1 sees Joined n0.1"),
            Some("n1.1 sees Joined of n0.1, which was Some(Alive) to it"),
        ),
        (
            "suspected before it joined",
            |s| s.remove("n1.1 sees Joined n0.1"),
            Some("n1.1 sees Suspected of n0.1, which was None to it"),
        ),
        (
            "failed without a suspicion",
            |s| s.remove("n1.1 sees Suspected n0.1"),
            Some("n1.1 sees Failed of n0.1, which was Some(Alive) to it"),
        ),
        (
            "recovered without a suspicion",
            |s| s.add(5_000, member(B, Change::Recovered, A)),
            Some("n1.1 sees Recovered of n0.1, which was Some(Alive) to it"),
        ),
        (
            "back from a leave",
            |s| s.add(8_000, member(B, Change::Returned, C)),
            Some("n1.1 sees Returned of n2.1, which was Some(Left) to it"),
        ),
        (
            "somebody who is not there",
            |s| s.add(5_000, alone(B, Change::Joined)),
            Some("n1.1 sees Joined of nobody in this run"),
        ),
        (
            "a suspicion that passes is as it should be",
            |s| {
                s.add(4_000, member(B, Change::Suspected, A));
                s.add(4_100, member(B, Change::Recovered, A));
                s.add(4_200, member(B, Change::Changed, A));
            },
            None,
        ),
    ];
    run(check, cases);
    assert_eq!(Story::right().time_of("n1.1 sees Failed n0.1"), ms(10_990), "half a second before it is due");
}
