//! Bounds that take seconds; larger ones are behind a command.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries};

use super::*;
use crate::check::check;

fn holds(name: &str, model: Fencing) {
    let report = check(name, model, None);
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

#[test]
fn frames_of_several_events() {
    holds("fence: a frame of two", Fencing { crashes: 0, ..Fencing::SMALL });
}

#[test]
fn a_reader_that_crashes() {
    holds("fence: a crash", Fencing { unheard: 0, given_up: 0, ..Fencing::SMALL });
}

#[test]
fn three_records() {
    holds("fence: three records", Fencing { frames: &[1, 1, 1], unheard: 0, crashes: 0, ..Fencing::SMALL });
}

#[test]
fn without_the_fence_every_promise_is_broken() {
    let model = Fencing { takes: 2, unheard: 0, crashes: 0, given_up: 0, any_fence: true, ..Fencing::SMALL };
    let both = HasDiscoveries::AllOf(BTreeSet::from([SAFE, REFUSED]));
    let checker = model.checker().finish_when(both).spawn_bfs().join();
    let last = |promise| checker.discovery(promise).map(|path| path.last_state().clone());
    let undone = last(SAFE).and_then(|state| state.wrong());
    assert_eq!(undone.as_deref(), Some("2 is saved after 3 of another holder"));
    let kept = last(REFUSED).and_then(|state| state.wrongly_answered());
    assert_eq!(kept.as_deref(), Some("who has lost the name could save"));
}
