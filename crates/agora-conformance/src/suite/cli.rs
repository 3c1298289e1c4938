//! The program around the suite, for a `main` of two lines.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use agora_core::Result;
use agora_core::transport::BoxFuture;

use super::report::Report;
use super::run::run;
use super::select::Selection;
use super::subject::Subject;
use super::{Case, cases};

/// What to say of the arguments.
pub const USAGE: &str =
    "usage: [--backend NAME|all] [--case PART-OF-A-NAME] [--json] [--junit FILE] [--list]";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Options {
    backend: Option<String>,
    selection: Selection,
    json: bool,
    junit: Option<std::path::PathBuf>,
    list: bool,
}

impl Options {
    /// Reads the arguments, the program's own name left out.
    ///
    /// # Errors
    /// A sentence about the argument that is wrong.
    pub fn read(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { backend: None, selection: Selection::all(), json: false, junit: None, list: false };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} needs a value"));
            match arg.as_str() {
                "--backend" => options.backend = Some(value()?).filter(|name| name != "all"),
                "--case" => {
                    options.selection = Selection::matching(&value()?).map_err(|error| error.to_string())?;
                }
                "--json" => options.json = true,
                "--junit" => options.junit = Some(value()?.into()),
                "--list" => options.list = true,
                _ => return Err(format!("{arg} is not known")),
            }
        }
        Ok(options)
    }
}

/// A subject that is made only when it is asked for: what it needs may be costly.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Its name on the command line.
    pub name: &'static str,
    /// Makes it.
    pub make: fn() -> BoxFuture<Result<Arc<dyn Subject>>>,
}

/// Runs what the command line asks for, and prints it. 0: all is well. 1: something failed, or too little passed, or
/// a subject could not be made. 2: the command line is wrong.
///
/// # Cancel safety
/// As [`run`].
pub async fn main(choices: Vec<Choice>, args: impl IntoIterator<Item = String>) -> ExitCode {
    let options = match Options::read(args) {
        Ok(options) => options,
        Err(why) => return wrong(&why),
    };
    if options.list {
        for Case { name, asserts, .. } in cases() {
            let _ = writeln!(io::stdout(), "{name:<42} {asserts}");
        }
        return ExitCode::SUCCESS;
    }
    let names: Vec<_> = choices.iter().map(|choice| choice.name).collect();
    let asked = |choice: &Choice| options.backend.as_ref().is_none_or(|name| name == choice.name);
    let chosen: Vec<_> = choices.into_iter().filter(asked).collect();
    if chosen.is_empty() {
        let asked = options.backend.unwrap_or_default();
        return wrong(&format!("there is no backend `{asked}`; there are: {}, all", names.join(", ")));
    }
    let mut reports = Vec::new();
    let mut is_well = true;
    for Choice { name, make } in chosen {
        match make().await {
            Ok(subject) => {
                let report = run(subject, &options.selection).await;
                let text = if options.json { report.to_json_lines() } else { format!("{report}\n") };
                let _ = io::stdout().write_all(text.as_bytes());
                is_well &= report.is_success();
                reports.push(report);
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "{name} cannot be judged: {error:#}");
                is_well = false;
            }
        }
    }
    if let Some(path) = &options.junit
        && let Err(error) = std::fs::write(path, junit(&reports))
    {
        let _ = writeln!(io::stderr(), "cannot write {}: {error}", path.display());
        is_well = false;
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All reports in one document.
fn junit(reports: &[Report]) -> String {
    let suites: Vec<_> = reports.iter().map(Report::to_junit).collect();
    super::junit::document(&suites)
}

fn wrong(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{why}\n{USAGE}");
    ExitCode::from(2)
}
