//! Plays cases on a subject, one after the other.

use std::sync::Arc;

use agora_core::transport::{Capabilities, Support};
use tokio::time::{Instant, timeout};

use super::case::{Case, Fault, Need, Verdict};
use super::negative;
use super::report::{Entry, Outcome, Report};
use super::select::Selection;
use super::stage::Stage;
use super::subject::Subject;

/// A case may take so many times the subject's patience, then it has failed.
const CASE_PATIENCE: u32 = 8;

/// Plays the selected cases. Each gets a cluster of its own; one that panics or hangs has failed, and the next one runs
/// all the same.
///
/// # Cancel safety
/// Dropped before it returns, the case that runs goes on until its deadline.
pub async fn run(subject: Arc<dyn Subject>, selection: &Selection) -> Report {
    let mut report = Report::new(&*subject, selection.is_whole);
    for case in &selection.cases {
        report.entries.push(judge(&subject, case).await);
    }
    report
}

async fn judge(subject: &Arc<dyn Subject>, case: &'static Case) -> Entry {
    let begun = Instant::now();
    let outcome = match Stage::new(subject.clone()) {
        Ok(stage) => {
            let outcome = outcome(&stage, case).await;
            stage.clear().await;
            outcome
        }
        Err(fault) => of_fault(fault),
    };
    Entry { case, outcome, took: begun.elapsed() }
}

async fn outcome(stage: &Stage, case: &'static Case) -> Outcome {
    let within = stage.patience() * CASE_PATIENCE;
    let playing = play(stage.clone(), case);
    // A task of its own, so that a panic ends the case and not the suite.
    let mut task = tokio::spawn(playing);
    match timeout(within, &mut task).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) if error.is_panic() => Outcome::Failed(format!("it panicked: {}", message(error))),
        Ok(Err(error)) => Outcome::Failed(format!("it was ended: {error}")),
        Err(_) => {
            task.abort();
            Outcome::Failed(format!("it did not end within {within:?}"))
        }
    }
}

async fn play(stage: Stage, case: &'static Case) -> Outcome {
    let capabilities = match stage.capabilities().await {
        Ok(capabilities) => capabilities,
        Err(fault) => return of_fault(fault),
    };
    let absent = absent(case, &capabilities);
    if absent.is_empty() {
        return match (case.run)(stage).await {
            Ok(()) => Outcome::Passed,
            Err(fault) => of_fault(fault),
        };
    }
    for need in &absent {
        let refused: Verdict = negative::refused(&stage, &capabilities, *need).await;
        if let Err(fault) = refused {
            return of_fault(fault);
        }
    }
    Outcome::Unsupported(absent)
}

fn absent(case: &Case, capabilities: &Capabilities) -> Vec<Need> {
    let mut absent = case.needs.to_vec();
    absent.retain(|need| need.support(capabilities) != Support::Yes);
    absent
}

fn of_fault(fault: Fault) -> Outcome {
    match fault {
        Fault::Broken(what) => Outcome::Failed(what),
        Fault::NotHere(why) => Outcome::NotHere(why),
    }
}

fn message(error: tokio::task::JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
