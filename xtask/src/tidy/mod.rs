//! `cargo xtask tidy`: the rules of this project that no other tool knows.
//!
//! Each rule is a pure function from the text of one file to complaints, and a ban names what to use instead.

mod links;
mod rust;
mod text;

use std::fmt;
use std::fs;
use std::path::Path;

use crate::run::{Doing, Failure, Result};
use crate::{mutants, workspace};

/// One rule broken in one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Counted from 1; 0 stands for the file as a whole.
    line: usize,
    what: String,
}

impl Complaint {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, " {}", self.what),
            line => write!(f, "{line}: {}", self.what),
        }
    }
}

/// Checks every file of the repository and prints every complaint.
pub(crate) fn run() -> Result {
    let mut texts = Vec::new();
    let mut test_modules = Vec::new();
    for path in workspace::files()? {
        let bytes = fs::read(workspace::root().join(&path)).doing(format_args!("read {}", path.display()))?;
        // Test vectors and pictures are no text.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if is_rust(&path) {
            test_modules.extend(rust::test_modules(&path, &text));
        }
        texts.push((path, text));
    }
    let mut complaints = 0;
    for (path, text) in &texts {
        // A file belongs to a module for tests, or to one within it.
        let tests_only = test_modules.iter().any(|module| path.with_extension("").starts_with(module));
        for complaint in check(path, text, tests_only) {
            println!("{}:{complaint}", path.display());
            complaints += 1;
        }
    }
    for sentence in links::not_in_index(&texts).into_iter().chain(mutants::complaints()?) {
        println!("{sentence}");
        complaints += 1;
    }
    if complaints > 0 {
        return Err(Failure::new(format!("{complaints} of the project's rules are broken")));
    }
    println!("{} files are tidy", texts.len());
    Ok(())
}

/// What is wrong with one file, by its path from the root.
fn check(path: &Path, text: &str, tests_only: bool) -> Vec<Complaint> {
    // Cargo writes its lock files, and has its own words in them.
    if path.file_name().is_some_and(|name| name == "Cargo.lock") {
        return Vec::new();
    }
    let mut complaints = text::check(path, text);
    if is_rust(path) {
        complaints.extend(rust::check(path, text, tests_only));
    } else if path.extension().is_some_and(|extension| extension == "md") {
        complaints.extend(links::check(path, text, |target| target.exists()));
    } else if path.file_name().is_some_and(|name| name == "Cargo.toml") {
        complaints.extend(rust::check_manifest(text));
    }
    complaints
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}
