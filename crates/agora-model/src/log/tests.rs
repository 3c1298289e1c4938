//! Bounds that take seconds; larger ones are behind a command.

use super::*;
use crate::check::check;

fn holds(name: &str, model: Log) {
    let report = check(name, model, None);
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

#[test]
fn a_source_that_fails_and_a_reader_that_is_restarted() {
    holds("log: a source that fails", Log::SMALL);
}

#[test]
fn retention() {
    holds("log: retention", Log { frames: [3, 0], trims: 2, ..Log::SMALL });
}

#[test]
fn failover() {
    holds("log: failover", Log { frames: [2, 1], cuts: 1, records: 4, ..Log::SMALL });
}

#[test]
fn interruptions() {
    holds("log: interruptions", Log { frames: [3, 0], interruptions: 2, ..Log::SMALL });
}
