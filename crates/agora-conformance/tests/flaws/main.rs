//! Deliberately faulty transports: for each flaw the cases that must notice it, so that no case is one that cannot fail.
//! Time is paused, so that what hangs costs nothing.

mod admin;
mod flaw;
mod group;
mod readers;
mod stores;
mod subject;
mod table;
mod transport;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use agora_conformance::suite::{self, Outcome, Selection};
use flaw::Flaw;
use subject::FlawedSubject;
use table::TABLE;

/// Each case has a space of its own, as if it were the first.
async fn judge(flaw: Flaw, case: &str) -> Outcome {
    let selection = Selection::named(&[case]).unwrap_or_else(|error| panic!("{flaw:?}: {error}"));
    let mut report = suite::run(Arc::new(FlawedSubject::new(flaw)), &selection).await;
    report.entries.remove(0).outcome
}

#[tokio::test(start_paused = true)]
async fn every_flaw_is_noticed_by_the_cases_that_are_about_it() {
    let mut unnoticed = Vec::new();
    for (flaw, cases) in TABLE {
        for case in *cases {
            let outcome = judge(*flaw, case).await;
            // Shown with `-- --nocapture`: did it fail for the right reason?
            let _ = writeln!(io::stdout(), "{flaw:?}: {case}: {}", outcome.detail().unwrap_or_default());
            if !matches!(outcome, Outcome::Failed(_)) {
                unnoticed.push(format!("{flaw:?} goes unnoticed by {case}: {outcome:?}"));
            }
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}

#[test]
fn every_case_can_fail() {
    let proven: BTreeSet<&str> = TABLE.iter().flat_map(|(_, cases)| cases.iter().copied()).collect();
    let unproven: Vec<_> =
        suite::cases().map(|case| case.name).filter(|name| !proven.contains(name)).collect();
    assert!(unproven.is_empty(), "no flaw shows that these can fail: {unproven:?}");
}

/// The suite demands no more than the contract.
#[tokio::test(start_paused = true)]
async fn what_the_contract_allows_is_no_failure() {
    let report = suite::run(Arc::new(FlawedSubject::new(Flaw::RepeatsLiveMessages)), &Selection::all()).await;
    assert_eq!(report.failed(), [""; 0], "{report}");
}
