//! The judge finds what is wrong in a history, and nothing in one that is right.
//!
//! A small history is told by hand, so that none of it depends on the engine; each case spoils one thing in it, and
//! names the checker that must notice and what it must say.

mod asks;
mod delivery;
mod gaps;
mod groups;
mod logs;
mod members;
mod protocol;
mod publish;
mod simulated;
mod story;

use super::{Facts, Finding, Findings, judge, ms};
use crate::history::History;
use story::Story;

type Check = fn(&Facts<'_>, &History, &mut Findings);

/// What is done to the right history, and a part of what must be found then. `None`: it stays right.
type Case = (&'static str, fn(&mut Story), Option<&'static str>);

/// What one checker says.
fn said(check: Check, story: &Story) -> Vec<String> {
    let mut findings = Findings::default();
    check(&Facts::of(&story.plan, &story.history), &story.history, &mut findings);
    findings.0.into_iter().map(|finding| finding.text).collect()
}

/// Runs the cases of one checker, all of them, and fails with all that is not as it should be.
fn run(check: Check, cases: &[Case]) {
    run_on(Story::right, check, cases);
}

/// The same with another right history.
fn run_on(right: fn() -> Story, check: Check, cases: &[Case]) {
    let mut wrong = Vec::new();
    for (name, spoil, expected) in cases {
        let mut story = right();
        spoil(&mut story);
        let said = said(check, &story);
        let as_expected = match expected {
            Some(part) => said.iter().any(|text| text.contains(part)),
            None => said.is_empty(),
        };
        if !as_expected {
            wrong.push(format!("{name}: expected {expected:?}, the checker says {said:#?}"));
        }
        // Whoever asks the judge as a whole must hear of it too.
        let whole = judge(&story.plan, &story.history);
        if let Some(part) = expected.filter(|part| !whole.iter().any(|found| found.text.contains(part))) {
            wrong.push(format!("{name}: the judge as a whole does not say {part:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_right_history_is_clean() {
    let story = Story::right();
    assert_eq!(judge(&story.plan, &story.history), []);
}

#[test]
fn findings_stand_in_the_order_of_their_times() {
    let mut story = Story::right();
    // The checkers of both run the other way round.
    story.remove("n1.1 sends #1:");
    story.remove("published n0.2/t0/1 as 1");
    let found: Vec<(u128, String)> = judge(&story.plan, &story.history)
        .into_iter()
        .map(|Finding { at, text }| (at.as_millis(), text))
        .collect();
    let expected = [
        (200, "s0 is established on t0 without a hello".to_owned()),
        (18_100, "the publish of n0.2/t0/1 has no outcome".to_owned()),
    ];
    assert_eq!(found, expected);
}
