//! One thing that was looked at: how it stands, what was found, and what to do.

use agora::Error;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;
use crate::text;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// As it should be.
    Green,
    /// It works, and somebody should look at it.
    Yellow,
    /// It does not work.
    Red,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "check")]
pub(super) struct Check {
    pub(super) check: &'static str,
    pub(super) status: Status,
    pub(super) found: String,
    /// What to do; always there where it is not green.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) todo: Option<String>,
}

impl Check {
    pub(super) fn green(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, status: Status::Green, found: found.into(), todo: None }
    }

    pub(super) fn yellow(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, status: Status::Yellow, found: found.into(), todo: Some(todo.into()) }
    }

    pub(super) fn red(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { status: Status::Red, ..Self::yellow(check, found, todo) }
    }

    /// An error is red, and its help is what to do.
    pub(super) fn error(check: &'static str, error: &Error) -> Self {
        let help = error.help_text().unwrap_or("look at the log with -v, and at the backend");
        Self::red(check, error.to_string(), help)
    }
}

/// What was found so far.
pub(super) struct Report<'a> {
    output: &'a mut Output,
    color: bool,
    worst: Status,
}

impl<'a> Report<'a> {
    pub(super) fn new(output: &'a mut Output, color: bool) -> Self {
        Self { output, color, worst: Status::Green }
    }

    /// Prints a check.
    pub(super) async fn add(&mut self, check: Check) -> Result<(), Failure> {
        self.worst = self.worst.max(check.status);
        let color = self.color;
        self.output.say(&check, || human(&check, color)).await
    }

    /// The worst that was found.
    pub(super) fn worst(&self) -> Status {
        self.worst
    }

    pub(super) fn output(&mut self) -> &mut Output {
        self.output
    }
}

fn human(check: &Check, color: bool) -> String {
    let (word, code) = match check.status {
        Status::Green => ("green", 32),
        Status::Yellow => ("yellow", 33),
        Status::Red => ("red", 31),
    };
    let padded = format!("{word:<6}");
    let word = if color { format!("\u{1b}[{code}m{padded}\u{1b}[0m") } else { padded };
    let mut line = format!("{word}  {:<14} {}", check.check, text::harmless(&check.found));
    if let Some(todo) = &check.todo {
        line.push_str(&format!("\n{:24}do: {}", "", text::harmless(todo)));
    }
    line
}
