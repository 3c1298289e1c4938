//! Bounds that take seconds; larger ones are behind a command.

use super::*;
use crate::check::check;

fn holds(name: &str, model: Group) {
    let report = check(name, model, None);
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

#[test]
fn leases_that_end_and_answers_that_are_lost() {
    holds("group: leases", Group { failures: 0, ..Group::LEASES });
}

#[test]
fn a_member_that_crashes() {
    holds("group: a crash", Group { crashes: 1, moves: 1, failures: 0, lost_answers: 0, ..Group::LEASES });
}

#[test]
fn dead_letters_that_are_not_stored() {
    let model = Group { losses: 1, failures: 2, lost_answers: 0, moves: 0, ..Group::LEASES };
    holds("group: dead letters", model);
}

#[test]
fn lanes_that_move() {
    holds("group: lanes", Group { failures: 0, ..Group::LANES });
}
