//! Each violation is found, and what is right is not blamed.

use super::*;

enum Step {
    Owe(u64),
    /// Events from, to; how far the source stands.
    Events(u64, u64, u64),
    Gap(Option<u64>, Option<u64>, u64),
}
use Step::{Events, Gap, Owe};

fn judge(steps: &[Step]) -> Ledger {
    let mut ledger = Ledger::default();
    for step in steps {
        match *step {
            Owe(stood) => ledger.owe(stood),
            Events(from, to, stood) => ledger.events(from, to, stood),
            Gap(from, to, stood) => ledger.gap(from, to, stood),
        }
    }
    ledger
}

fn blamed(steps: &[Step]) -> Option<Violation> {
    judge(steps).violation()
}

#[test]
fn what_is_right_is_not_blamed() {
    let good: &[&[Step]] = &[
        &[Owe(1), Events(1, 2, 5), Events(2, 5, 5)],
        &[Events(3, 4, 9), Owe(6), Events(4, 7, 9), Gap(Some(7), Some(9), 9)],
        // First heard late: what lies below is declared.
        &[Owe(1), Gap(None, Some(4), 6), Events(4, 6, 6)],
        // Held dead, heard afresh, held dead again.
        &[Owe(1), Events(1, 3, 3), Gap(Some(3), None, 5), Events(5, 6, 7), Gap(Some(6), None, 9)],
        &[Owe(1), Gap(None, None, 5), Gap(None, None, 7), Gap(Some(7), Some(8), 9), Events(8, 9, 9)],
        &[Gap(None, None, 1), Gap(None, Some(4), 6), Events(4, 5, 6)],
    ];
    for (n, steps) in good.iter().enumerate() {
        assert_eq!(blamed(steps), None, "{n}");
    }
}

#[test]
fn every_violation_is_found() {
    let bad: &[(&[Step], Violation)] = &[
        (&[Owe(1), Events(2, 3, 3)], Violation::LostBeforeTheFirst { owed_from: 1, begun: 2 }),
        (&[Owe(1), Gap(Some(2), None, 3)], Violation::LostBeforeTheFirst { owed_from: 1, begun: 2 }),
        (&[Events(1, 2, 9), Events(4, 5, 9)], Violation::LostSilently { from: 2, to: 4 }),
        (&[Events(1, 2, 9), Events(1, 2, 9)], Violation::Again { seq: 1, next: 2 }),
        (&[Events(1, 4, 9), Events(2, 5, 9)], Violation::Again { seq: 2, next: 4 }),
        (&[Gap(Some(1), Some(4), 9), Events(3, 4, 9)], Violation::Again { seq: 3, next: 4 }),
        (&[Gap(Some(1), None, 4), Events(3, 4, 9)], Violation::InsideAnOpenGap { seq: 3, stood: 4 }),
        (&[Gap(None, None, 4), Gap(Some(3), Some(5), 9)], Violation::InsideAnOpenGap { seq: 3, stood: 4 }),
        (&[Events(1, 2, 9), Gap(Some(3), Some(4), 9)], Violation::GapDoesNotJoin { from: Some(3), next: 2 }),
        (&[Events(1, 3, 9), Gap(Some(1), None, 9)], Violation::GapDoesNotJoin { from: Some(1), next: 3 }),
        (&[Events(1, 2, 9), Gap(None, Some(4), 9)], Violation::GapDoesNotJoin { from: None, next: 2 }),
        (&[Events(1, 2, 9), Gap(Some(2), Some(2), 9)], Violation::GapGoesBack { to: 2, next: 2 }),
        (&[Events(1, 3, 2)], Violation::NeverFormed { to: 3, stood: 2 }),
        (&[Gap(Some(1), Some(4), 3)], Violation::NeverFormed { to: 4, stood: 3 }),
    ];
    for (n, (steps, violation)) in bad.iter().enumerate() {
        assert_eq!(blamed(steps), Some(*violation), "{n}");
        assert!(!violation.to_string().is_empty());
    }
}

#[test]
fn what_is_owed_and_not_handed_over_is_not_settled() {
    assert!(judge(&[]).is_settled(9), "nothing is owed");
    assert!(judge(&[Owe(9)]).is_settled(9), "nothing was formed since");
    assert!(!judge(&[Owe(1)]).is_settled(2));
    assert!(!judge(&[Owe(1), Events(1, 2, 3)]).is_settled(3));
    assert!(judge(&[Owe(1), Events(1, 2, 3), Gap(Some(2), Some(3), 3)]).is_settled(3));
    assert!(judge(&[Owe(1), Gap(None, None, 3)]).is_settled(9), "an open gap covers what is to come");
}
