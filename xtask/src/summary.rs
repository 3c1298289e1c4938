//! Adds up the closing lines of test binaries, so that a whole run ends on one total.

use std::fmt;

/// What the tests of one run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// The lines of the tests that were not run, each with its reason.
    pub(crate) skipped: Vec<String>,
    /// The names of the tests that failed.
    pub(crate) failures: Vec<String>,
    /// The lines that follow are names of failures.
    listing: bool,
}

impl Summary {
    /// Takes one line of the output of `cargo test`. Lines that say nothing about a result change nothing.
    pub(crate) fn read_line(&mut self, line: &str) {
        // A binary lists its failures twice: with what they printed, behind an empty line, and then by name alone.
        if let Some(name) = line.strip_prefix("    ").filter(|_| self.listing) {
            self.failures.push(name.trim_end().to_owned());
            return;
        }
        self.listing = line == "failures:";
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.passed += count_before(rest, " passed");
            self.failed += count_before(rest, " failed");
        } else if let Some(test) = line.strip_prefix("test ")
            && test.contains(" ... ignored")
        {
            // `test NAME ... ignored, REASON`
            self.skipped.push(test.trim_end().to_owned());
        }
    }

    /// Takes the whole output of `cargo test`.
    pub(crate) fn of(output: &str) -> Self {
        let mut summary = Self::default();
        output.lines().for_each(|line| summary.read_line(line));
        summary
    }

    /// How many tests were executed.
    pub(crate) fn executed(&self) -> u64 {
        self.passed + self.failed
    }
}

/// The closing line: `12 passed, 0 failed`, and `, 1 skipped` where some were.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if !self.skipped.is_empty() {
            write!(f, ", {} skipped", self.skipped.len())?;
        }
        Ok(())
    }
}

/// The number right before `word`, or 0 where the word is not there.
fn count_before(text: &str, word: &str) -> u64 {
    let Some(end) = text.find(word) else { return 0 };
    let digits = text[..end].rsplit(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test id::tests::order ... ok
test slow::tests::hours ... ignored, takes an hour
test wire::tests::golden ... FAILED

failures:

---- wire::tests::golden stdout ----
    indented words of the test

failures:
    wire::tests::golden

test result: FAILED. 12 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s

   Doc-tests agora_core
test crates/agora-core/src/lib.rs - (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.00s
";

    #[test]
    fn binaries_are_added_up() {
        let summary = Summary::of(OUTPUT);
        assert_eq!((summary.passed, summary.failed, summary.executed()), (13, 1, 14));
        assert_eq!(summary.skipped, ["slow::tests::hours ... ignored, takes an hour"]);
        assert_eq!(summary.failures, ["wire::tests::golden"]);
        assert_eq!(summary.to_string(), "13 passed, 1 failed, 1 skipped");
        // With `-q` there is no line for each test.
        let quiet = OUTPUT.replace("test wire::tests::golden ... FAILED", ".iF.");
        assert_eq!(Summary::of(&quiet), summary);
    }

    #[test]
    fn nothing_executed_is_seen_as_nothing() {
        for output in
            ["", "test result: ok. 0 passed; 0 failed; 0 ignored", "test result: garbled", "error: no"]
        {
            assert_eq!(Summary::of(output), Summary::default(), "{output}");
        }
    }
}
