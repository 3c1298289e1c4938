//! What came of a run: for people, for programs, and for what collects test results.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::case::{Case, Need};
use super::junit;
use super::subject::Subject;

/// What a case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The promise was kept.
    Passed,
    /// The backend cannot do it, says so, and says what can: that was shown.
    Unsupported(Vec<Need>),
    /// This environment, or what the backend is by nature, left nothing to judge: why.
    NotHere(String),
    /// The promise is broken: what was found.
    Failed(String),
}

impl Outcome {
    /// A stable name, as the JSON shows it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Unsupported(_) => "unsupported",
            Self::NotHere(_) => "not_possible_here",
            Self::Failed(_) => "failed",
        }
    }

    /// What there is to say beside the name.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Passed => None,
            Self::Unsupported(needs) => {
                Some(needs.iter().map(|need| need.as_str()).collect::<Vec<_>>().join(", "))
            }
            Self::NotHere(why) | Self::Failed(why) => Some(why.clone()),
        }
    }
}

/// One case that ran.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The case.
    pub case: &'static Case,
    /// What it came to.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// How many came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Promises that were kept.
    pub passed: usize,
    /// Capabilities that are not there, and were shown to be refused.
    pub unsupported: usize,
    /// Cases with nothing to judge.
    pub not_here: usize,
    /// Promises that are broken.
    pub failed: usize,
}

/// What came of a run. `Display` is the report for people: one line a case, then the totals.
#[derive(Clone, Debug)]
pub struct Report {
    /// Who was judged.
    pub subject: String,
    /// The cases, in the order in which they ran.
    pub entries: Vec<Entry>,
    /// The least number of cases that must pass; `None` where only some were asked for.
    pub minimum: Option<usize>,
}

impl Report {
    pub(super) fn new(subject: &dyn Subject, is_whole: bool) -> Self {
        let minimum = is_whole.then(|| subject.minimum());
        Self { subject: subject.name().to_owned(), entries: Vec::new(), minimum }
    }

    /// How many came to what.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in &self.entries {
            *match entry.outcome {
                Outcome::Passed => &mut totals.passed,
                Outcome::Unsupported(_) => &mut totals.unsupported,
                Outcome::NotHere(_) => &mut totals.not_here,
                Outcome::Failed(_) => &mut totals.failed,
            } += 1;
        }
        totals
    }

    /// Did none fail, and did enough pass?
    pub fn is_success(&self) -> bool {
        let totals = self.totals();
        totals.failed == 0 && !self.too_few()
    }

    fn too_few(&self) -> bool {
        self.minimum.is_some_and(|minimum| self.totals().passed < minimum)
    }

    /// The names of the cases that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Failed(_)));
        failed.map(|entry| entry.case.name).collect()
    }

    /// One JSON object a line: a `case` each, then a `summary`.
    pub fn to_json_lines(&self) -> String {
        let mut lines = String::new();
        for Entry { case, outcome, took } in &self.entries {
            let needs: Vec<_> = case.needs.iter().map(|need| need.as_str()).collect();
            push_line(
                &mut lines,
                json!({
                    "type": "case", "subject": self.subject, "name": case.name, "asserts": case.asserts,
                    "needs": needs, "outcome": outcome.as_str(), "detail": outcome.detail(),
                    "seconds": took.as_secs_f64(),
                }),
            );
        }
        let Totals { passed, unsupported, not_here, failed } = self.totals();
        push_line(
            &mut lines,
            json!({
                "type": "summary", "subject": self.subject, "cases": self.entries.len(), "passed": passed,
                "unsupported": unsupported, "not_possible_here": not_here, "failed": failed,
                "minimum": self.minimum, "success": self.is_success(),
            }),
        );
        lines
    }

    /// A test suite of JUnit's XML.
    pub fn to_junit(&self) -> String {
        junit::suite(self)
    }
}

fn push_line(lines: &mut String, value: Value) {
    lines.push_str(&value.to_string());
    lines.push('\n');
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        for Entry { case, outcome, took } in &self.entries {
            let word = match outcome {
                Outcome::Passed => "ok",
                Outcome::Unsupported(_) => "unsupported",
                Outcome::NotHere(_) => "not here",
                Outcome::Failed(_) => "FAILED",
            };
            write!(f, "  {word:<11}  {:<42} {:>6.2} s", case.name, took.as_secs_f64())?;
            match outcome.detail() {
                Some(detail) => writeln!(f, "  {detail}")?,
                None => writeln!(f)?,
            }
            if let Outcome::Failed(_) = outcome {
                writeln!(f, "               promised: {}", case.asserts)?;
            }
        }
        let Totals { passed, unsupported, not_here, failed } = self.totals();
        write!(
            f,
            "{}: {} ran: {passed} passed, {unsupported} unsupported, {not_here} not possible here, {failed} failed",
            self.subject,
            self.entries.len()
        )?;
        match self.minimum {
            Some(minimum) if self.too_few() => {
                writeln!(f, "; TOO FEW PASSED: at least {minimum} must")
            }
            Some(minimum) => writeln!(f, "; at least {minimum} must pass"),
            None => writeln!(f),
        }
    }
}
