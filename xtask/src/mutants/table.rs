//! What became of the mutants, for reading.

use std::time::Duration;

use super::patch::Mutant;
use crate::run::{Failure, Result};

/// What became of one mutant.
#[derive(Debug)]
pub(super) enum Outcome {
    /// As it must be: with the test, or the command, that noticed.
    Caught { by: String, took: Duration },
    /// Every command passed: the tests have a hole.
    Survived,
    /// It proved nothing, and why.
    Unfit(String),
}

/// One line of the table.
pub(super) fn row(mutant: &Mutant, outcome: &Outcome) -> String {
    let name = &mutant.name;
    match outcome {
        Outcome::Caught { by, took } => format!("  caught   {:>6.1} s  {name:<28} {by}", took.as_secs_f64()),
        Outcome::Survived => format!("  SURVIVED           {name:<28} {}", mutant.breaks),
        Outcome::Unfit(why) => format!("  UNFIT              {name:<28} {why}"),
    }
}

/// Says how many were caught, and fails unless all were.
pub(super) fn verdict(outcomes: &[(&Mutant, Outcome)]) -> Result {
    let names = |wanted: fn(&Outcome) -> bool| -> Vec<&str> {
        outcomes
            .iter()
            .filter(|(_, outcome)| wanted(outcome))
            .map(|(mutant, _)| mutant.name.as_str())
            .collect()
    };
    let survivors = names(|outcome| matches!(outcome, Outcome::Survived));
    let unfit = names(|outcome| matches!(outcome, Outcome::Unfit(_)));
    let caught = outcomes.len() - survivors.len() - unfit.len();
    println!("\n{caught} of {} mutants caught", outcomes.len());
    let mut faults = Vec::new();
    if !survivors.is_empty() {
        faults.push(format!("survived: {}", survivors.join(", ")));
    }
    if !unfit.is_empty() {
        faults.push(format!("proved nothing: {}", unfit.join(", ")));
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::new(faults.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(name: &str) -> Mutant {
        Mutant { name: name.into(), path: "m.patch".into(), breaks: "order".into(), caught_by: Vec::new() }
    }

    #[test]
    fn whatever_is_not_caught_fails() {
        let caught = || Outcome::Caught { by: "a test".into(), took: Duration::from_millis(1500) };
        let (a, b, c) = (mutant("a"), mutant("b"), mutant("c"));
        assert!(verdict(&[(&a, caught())]).is_ok());
        let failed = verdict(&[(&a, caught()), (&b, Outcome::Survived), (&c, Outcome::Unfit("x".into()))]);
        assert_eq!(failed.unwrap_err().to_string(), "survived: b; proved nothing: c");
        assert!(verdict(&[(&c, Outcome::Unfit("x".into()))]).is_err());
        assert!(row(&a, &caught()).starts_with("  caught      1.5 s  a "));
    }
}
