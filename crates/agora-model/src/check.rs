//! Runs one model and reports what was found.

use std::fmt::{self, Debug, Display};
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// A model that can say what is wrong with a state.
pub trait Subject: Model {
    /// What went wrong in this state, or nothing.
    fn explain(&self, state: &Self::State) -> String;
}

/// What an exploration found.
#[derive(Debug)]
pub struct Report {
    name: String,
    states: usize,
    depth: usize,
    took: Duration,
    exhausted: bool,
    findings: Vec<String>,
}

impl Report {
    /// Does every property hold, in every state there is?
    pub fn is_good(&self) -> bool {
        self.exhausted && self.findings.is_empty()
    }

    /// Does every property hold, as far as was looked?
    pub fn is_good_so_far(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {} states, depth {}, {:.1} s, {}",
            if self.findings.is_empty() { "ok " } else { "BAD" },
            self.name,
            self.states,
            self.depth,
            self.took.as_secs_f32(),
            if self.exhausted { "exhausted" } else { "stopped" },
        )?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n    {finding}"))
    }
}

/// Explores `model` breadth first, so that a schedule that is found is a shortest one. Stops at the first violation,
/// or at `states_max`.
pub fn check<M>(name: &str, model: M, states_max: Option<usize>) -> Report
where
    M: Subject + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    if let Some(most) = states_max {
        builder = builder.target_state_count(most);
    }
    let checker = builder.spawn_bfs().join();
    let discoveries = checker.discoveries();
    let mut findings = Vec::new();
    for property in checker.model().properties() {
        match (&property.expectation, discoveries.get(property.name)) {
            (Expectation::Sometimes, None) => findings.push(format!("never: {}", property.name)),
            (Expectation::Always, Some(path)) => {
                let schedule: Vec<_> = path.clone().into_actions().iter().map(|a| format!("{a:?}")).collect();
                findings.push(format!("violated: {}", property.name));
                findings.push(format!("schedule: {}", schedule.join("; ")));
                findings.push(checker.model().explain(path.last_state()));
            }
            _ => {}
        }
    }
    // A violation ends the search early; what was not reached by then is no finding.
    if findings.iter().any(|finding| finding.starts_with("violated")) {
        findings.retain(|finding| !finding.starts_with("never"));
    }
    let exhausted = findings.is_empty() && states_max.is_none_or(|most| checker.state_count() < most);
    Report {
        name: name.into(),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        exhausted,
        findings,
    }
}
