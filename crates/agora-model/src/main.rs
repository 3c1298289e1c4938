//! `agora-model deep` explores larger bounds than the tests do, for minutes. Exit status 0 only if all hold.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to whoever started it")]

use std::process::ExitCode;

use agora_model::check::{Report, check};
use agora_model::fence::Fencing;
use agora_model::group::Group;
use agora_model::live::Live;
use agora_model::log::Log;
use agora_model::repair::Repair;

/// Enough for an hour, and what 16 GB hold.
const STATES_MAX: usize = 300_000_000;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("deep") {
        eprintln!("usage: agora-model deep [TEXT]   explore all bounds, or those whose name contains TEXT");
        return ExitCode::from(2);
    }
    let only = std::env::args().nth(2).unwrap_or_default();
    let mut good = true;
    let mut tell = |report: Report| {
        println!("{report}");
        good &= report.is_good_so_far();
    };
    for (name, model) in live().into_iter().filter(|(name, _)| name.contains(&only)) {
        tell(check(name, model, Some(STATES_MAX)));
    }
    for (name, model) in repair().into_iter().filter(|(name, _)| name.contains(&only)) {
        tell(check(name, model, Some(STATES_MAX)));
    }
    for (name, model) in log().into_iter().filter(|(name, _)| name.contains(&only)) {
        tell(check(name, model, Some(STATES_MAX)));
    }
    for (name, model) in group().into_iter().filter(|(name, _)| name.contains(&only)) {
        tell(check(name, model, Some(STATES_MAX)));
    }
    for (name, model) in fence().into_iter().filter(|(name, _)| name.contains(&only)) {
        tell(check(name, model, Some(STATES_MAX)));
    }
    ExitCode::from(u8::from(!good))
}

fn log() -> [(&'static str, Log); 4] {
    let one = Log { frames: [3, 0], ..Log::SMALL };
    [
        ("log: two failures, two saves", Log { failures: 2, saves: 2, ..Log::SMALL }),
        ("log: retention and failover", Log { trims: 1, cuts: 1, ..one }),
        ("log: a window of three", Log { window: 3, failures: 2, records: 6, ..one }),
        ("log: interruptions and retention", Log { trims: 2, interruptions: 2, saves: 2, ..one }),
    ]
}

fn group() -> [(&'static str, Group); 4] {
    let crash = Group { crashes: 1, failures: 0, lost_answers: 0, moves: 1, ..Group::LEASES };
    [
        ("group: leases and a failure", Group::LEASES),
        ("group: lanes and a failure", Group::LANES),
        ("group: a crash and a lost answer", Group { lost_answers: 1, ..crash }),
        ("group: lanes, two moves and a crash", Group { lanes: true, moves: 2, ..crash }),
    ]
}

fn fence() -> [(&'static str, Fencing); 3] {
    [
        ("fence: everything once", Fencing::SMALL),
        ("fence: four takes", Fencing { takes: 4, given_up: 0, ..Fencing::SMALL }),
        ("fence: four events", Fencing { frames: &[1, 2, 1], unheard: 0, ..Fencing::SMALL }),
    ]
}

fn live() -> [(&'static str, Live); 6] {
    let two = Live { events: 2, ..Live::SMALL };
    let one = Live { lives: 1, ..two };
    [
        ("live: two lives, two verdicts", Live { hellos: 2, verdicts: 2, ..Live::SMALL }),
        ("live: two lives of two events", two),
        ("live: two subscriptions, three events", Live { events: 3, subs: 2, hellos: 2, verdicts: 2, ..one }),
        ("live: one life, three verdicts", Live { events: 4, kept: 2, hellos: 3, verdicts: 3, ..one }),
        (
            "live: little memory, large frames",
            Live { events: 6, frame_events: 2, held_max: 1, drops: 1, ..one },
        ),
        ("live: subscriptions that end", Live { events: 3, subs: 2, ends: true, drops: 1, ..one }),
    ]
}

fn repair() -> [(&'static str, Repair); 3] {
    let base = Repair { events: 2, losses: 5, slow: 0, echoes: 0 };
    [
        ("repair: slow messages", Repair { slow: 2, ..base }),
        ("repair: answers to others", Repair { echoes: 4, ..base }),
        ("repair: three events", Repair { events: 3, losses: 4, ..base }),
    ]
}
