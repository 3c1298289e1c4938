//! Bounds that take seconds; larger ones are behind a command.

use super::*;
use crate::check::check;

fn holds(name: &str, model: Repair) {
    let report = check(name, model, None);
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

#[test]
fn losses() {
    holds("repair: losses", Repair { events: 2, losses: 5, slow: 0, echoes: 0 });
}

#[test]
fn slow_messages() {
    holds("repair: slow messages", Repair { events: 2, losses: 4, slow: 1, echoes: 0 });
}

#[test]
fn answers_to_others() {
    holds("repair: answers to others", Repair { events: 2, losses: 4, slow: 0, echoes: 3 });
}
