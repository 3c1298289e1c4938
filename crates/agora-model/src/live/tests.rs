//! Bounds that take seconds; larger ones are behind a command.

use super::*;
use crate::check::check;

const ONE_LIFE: Live = Live { lives: 1, events: 2, ..Live::SMALL };

fn holds(name: &str, model: Live) {
    let report = check(name, model, None);
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

#[test]
fn one_life() {
    holds("live: one life", Live { events: 4, kept: 2, hellos: 2, verdicts: 2, ..ONE_LIFE });
}

#[test]
fn two_lives() {
    holds("live: two lives", Live::SMALL);
}

#[test]
fn two_subscriptions() {
    holds("live: two subscriptions", Live { subs: 2, hellos: 2, verdicts: 2, ..ONE_LIFE });
}

#[test]
fn subscriptions_that_end() {
    holds("live: subscriptions that end", Live { subs: 2, ends: true, ..ONE_LIFE });
}

#[test]
fn frames_of_several_events() {
    holds("live: frames of several events", Live { events: 4, frame_events: 2, ..ONE_LIFE });
}

#[test]
fn a_transport_that_drops() {
    holds("live: a transport that drops", Live { events: 3, drops: 1, ..ONE_LIFE });
}

#[test]
fn little_memory() {
    holds("live: little memory", Live { events: 4, held_max: 1, ..ONE_LIFE });
}
