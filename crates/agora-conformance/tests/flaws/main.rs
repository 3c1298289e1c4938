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
use std::sync::Arc;

use agora_conformance::suite::{self, Outcome, Report, Selection};
use flaw::Flaw;
use subject::FlawedSubject;
use table::TABLE;

async fn judge(flaw: Flaw, cases: &[&str]) -> Report {
    let selection = Selection::named(cases).unwrap_or_else(|error| panic!("{flaw:?}: {error}"));
    suite::run(Arc::new(FlawedSubject::new(flaw)), &selection).await
}

#[tokio::test(start_paused = true)]
async fn every_flaw_is_noticed_by_the_cases_that_are_about_it() {
    let mut unnoticed = Vec::new();
    for (flaw, cases) in TABLE {
        for entry in judge(*flaw, cases).await.entries {
            if !matches!(entry.outcome, Outcome::Failed(_)) {
                unnoticed
                    .push(format!("{flaw:?} goes unnoticed by {}: {:?}", entry.case.name, entry.outcome));
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
