//! Real histories, spoiled: the judge does not only bite on what was made for it.

use std::collections::BTreeSet;

use super::judge;
use crate::history::{Change, History, Life, What};
use crate::sim::{Report, run_seed};

/// Loss, no slow reader that would excuse anything, and nodes that end.
const SEEDS: [u64; 3] = [1, 3, 4];

/// How many entries of a kind are tried in a run, spread over it: a run has thousands.
const TRIES: usize = 60;

fn clean(seed: u64) -> Report {
    let report = run_seed(seed).unwrap();
    assert_eq!(report.findings, [], "seed {seed}");
    report
}

/// Places of some of the entries, spread over the run.
fn some_of(history: &History, which: impl Fn(&What) -> bool) -> Vec<usize> {
    let all: Vec<usize> = (0..history.entries.len()).filter(|n| which(&history.entries[*n].what)).collect();
    let step = all.len().div_ceil(TRIES).max(1);
    all.into_iter().step_by(step).collect()
}

/// Demands that the judge notices what `spoil` does to each of some entries.
fn demand(
    report: &Report,
    which: impl Fn(&What) -> bool,
    name: &str,
    spoil: impl Fn(&mut History, usize),
) -> usize {
    let places = some_of(&report.history, which);
    for place in &places {
        let mut history = report.history.clone();
        spoil(&mut history, *place);
        let found = judge(&report.plan, &history);
        let entry = &report.history.entries[*place];
        assert!(!found.is_empty(), "seed {}: {name}, and nobody notices: {entry}", report.plan.seed);
    }
    places.len()
}

/// Events without which a subscription would miss something: it stays to the end, and the event is not the first that
/// it gets of a source, which may be any where it is not yet established.
fn owed_events(history: &History) -> BTreeSet<String> {
    let whats = || history.entries.iter().map(|entry| &entry.what);
    let over: BTreeSet<Life> = whats()
        .filter_map(|what| match what {
            What::Crash(life) | What::Leaving(life) => Some(*life),
            _ => None,
        })
        .collect();
    let (mut brief, mut begun, mut owed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for what in whats() {
        match what {
            What::Subscribe { sub, life, .. } if over.contains(life) => {
                brief.insert(*sub);
            }
            What::Gap { sub, of, topic, .. } => {
                begun.insert((*sub, *of, *topic));
            }
            What::Event { sub, of, topic, .. } => {
                let is_first = begun.insert((*sub, *of, *topic));
                if !is_first && !brief.contains(sub) {
                    owed.insert(what.to_string());
                }
            }
            _ => {}
        }
    }
    for what in whats() {
        if let What::Unsubscribe(sub) | What::Ended(sub, _) = what {
            owed.retain(|line| !line.starts_with(&format!("{sub} ")));
        }
    }
    owed
}

#[test]
fn every_delivery_matters() {
    for seed in SEEDS {
        let report = clean(seed);
        let is_event = |what: &What| matches!(what, What::Event { .. });
        let twice = demand(&report, is_event, "an event comes twice", |history, n| {
            history.entries.insert(n, history.entries[n].clone());
        });
        let owed = owed_events(&report.history);
        let is_owed = |what: &What| is_event(what) && owed.contains(&what.to_string());
        let missing = demand(&report, is_owed, "an event is missing", |history, n| {
            history.entries.remove(n);
        });
        assert!(twice > 10 && missing > 10, "seed {seed} shows little: {twice} and {missing}");
    }
}

#[test]
fn every_receipt_matters() {
    let report = clean(1);
    let is_receipt = |what: &What| matches!(what, What::Published(_, Ok(Some(_))));
    let shifted = demand(&report, is_receipt, "a receipt is off by one", |history, n| {
        if let What::Published(_, Ok(Some(seq))) = &mut history.entries[n].what {
            *seq += 1;
        }
    });
    let missing = demand(&report, is_receipt, "a receipt is missing", |history, n| {
        history.entries.remove(n);
    });
    assert!(shifted > 10 && missing > 10, "{shifted} and {missing}");
}

#[test]
fn every_verdict_matters() {
    let report = clean(3);
    let is_verdict = |what: &What| matches!(what, What::Member { change: Change::Failed, .. });
    let tried = demand(&report, is_verdict, "a verdict is early", |history, n| {
        if let What::Member { silent, .. } = &mut history.entries[n].what {
            *silent = silent.map(|silent| silent / 10);
        }
    });
    assert!(tried > 0, "nobody failed");
}
