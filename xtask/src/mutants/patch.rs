//! A mutant as a file: a patch with a header that says what it breaks and what must notice.
//!
//! ```text
//! # mutant: skip-dedup
//! # breaks: Delivers a frame once more when it arrives once more.
//! # caught-by: test -p agora-core --lib live::receiver
//! --- a/crates/agora-core/src/live/receiver.rs
//! +++ b/crates/agora-core/src/live/receiver.rs
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Doing, Failure, Result};

/// One deliberate breakage.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    /// The name of the file, without `.patch`.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// What the broken engine does wrong, in one sentence.
    pub(super) breaks: String,
    /// The mutant is caught if one of these fails.
    pub(super) caught_by: Vec<Command>,
}

/// A cargo command line that builds and then runs something of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Command {
    verb: Verb,
    /// For cargo.
    options: Vec<String>,
    /// For the program, behind `--`.
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Test,
    Run,
}

impl Command {
    /// Reads the words after `cargo`. Words are separated by white space; there are no quotes.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let verb = match words.next().as_deref() {
            Some("test") => Verb::Test,
            Some("run") => Verb::Run,
            _ => return Err(format!("`caught-by: {text}` must begin with `test` or `run`")),
        };
        let options = words.by_ref().take_while(|word| word != "--").collect();
        Ok(Self { verb, options, arguments: words.collect() })
    }

    /// The command that only builds: its failure is no catch.
    pub(super) fn build(&self) -> Vec<String> {
        let verb: &[&str] = match self.verb {
            Verb::Test => &["test", "--no-run"],
            Verb::Run => &["build"],
        };
        verb.iter().map(|word| (*word).to_owned()).chain(self.options.iter().cloned()).collect()
    }

    /// The whole command.
    pub(super) fn words(&self) -> Vec<String> {
        let verb = match self.verb {
            Verb::Test => "test",
            Verb::Run => "run",
        };
        let mut words = vec![verb.to_owned()];
        words.extend(self.options.iter().cloned());
        if !self.arguments.is_empty() {
            words.push("--".to_owned());
            words.extend(self.arguments.iter().cloned());
        }
        words
    }

    /// Does it print test results, of which there must be some?
    pub(super) fn is_test(&self) -> bool {
        self.verb == Verb::Test
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cargo {}", self.words().join(" "))
    }
}

/// Every patch of the directory, in alphabetical order. A directory that is not there holds none.
pub(super) fn read_all(directory: &Path) -> Result<Vec<Mutant>> {
    let mut paths = BTreeSet::new();
    if directory.is_dir() {
        for entry in fs::read_dir(directory).doing(format_args!("list {}", directory.display()))? {
            let path = entry.doing(format_args!("list {}", directory.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "patch") {
                paths.insert(path);
            }
        }
    }
    paths.into_iter().map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Result<Mutant> {
    let text = fs::read_to_string(path).doing(format_args!("read {}", path.display()))?;
    parse(path, &text).map_err(|why| Failure::new(format!("{}: {why}", path.display())))
}

fn parse(path: &Path, text: &str) -> std::result::Result<Mutant, String> {
    let (mut name, mut breaks, mut caught_by) = (None, None, Vec::new());
    // The header ends where the patch begins: a changed line of a script may well start with `#`.
    for line in text.lines().take_while(|line| !line.starts_with("--- ") && !line.starts_with("diff ")) {
        let Some((field, value)) = line.strip_prefix("# ").and_then(|line| line.split_once(": ")) else {
            continue;
        };
        let value = value.trim();
        match field {
            "mutant" if name.is_none() => name = Some(value.to_owned()),
            "breaks" if breaks.is_none() => breaks = Some(value.to_owned()),
            "caught-by" => caught_by.push(Command::parse(value)?),
            _ => return Err(format!("the header has `{field}` where it cannot be")),
        }
    }
    let missing = |field| format!("the header has no `# {field}: ...`");
    let mutant = Mutant {
        name: name.ok_or_else(|| missing("mutant"))?,
        path: path.to_owned(),
        breaks: breaks.ok_or_else(|| missing("breaks"))?,
        caught_by,
    };
    if mutant.caught_by.is_empty() {
        return Err(missing("caught-by"));
    }
    if path.file_stem().is_none_or(|stem| stem != mutant.name.as_str()) {
        return Err(format!("the mutant `{}` must be in `{0}.patch`", mutant.name));
    }
    Ok(mutant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
# mutant: skip-dedup
# breaks: Delivers twice.
# caught-by: test -p agora-core --lib live
# caught-by: run -p agora-conformance --bin sim -- --seeds 0..9
--- a/x.py
+++ b/x.py
@@ -1 +1 @@
-# colour: red
+# colour: blue
";

    #[test]
    fn a_header_is_read() {
        let mutant = parse(Path::new("mutants/skip-dedup.patch"), PATCH).unwrap();
        assert_eq!((mutant.name.as_str(), mutant.breaks.as_str()), ("skip-dedup", "Delivers twice."));
        let [test, run] = mutant.caught_by.as_slice() else { panic!("{:?}", mutant.caught_by) };
        assert_eq!(test.words().join(" "), "test -p agora-core --lib live");
        assert_eq!(test.build().join(" "), "test --no-run -p agora-core --lib live");
        assert_eq!(run.to_string(), "cargo run -p agora-conformance --bin sim -- --seeds 0..9");
        assert_eq!(run.build().join(" "), "build -p agora-conformance --bin sim");
        assert!(test.is_test() && !run.is_test());
    }

    #[test]
    fn a_wrong_header_is_refused() {
        for (from, to, why) in [
            ("# mutant: skip-dedup\n", "", "no `# mutant: ...`"),
            ("# breaks: Delivers twice.\n", "", "no `# breaks: ...`"),
            ("# caught-by", "# cought-by", "`cought-by` where it cannot be"),
            ("test -p", "nextest -p", "must begin with `test` or `run`"),
            ("skip-dedup", "skip", "must be in `skip.patch`"),
            ("# breaks", "# mutant", "`mutant` where it cannot be"),
        ] {
            let said = parse(Path::new("mutants/skip-dedup.patch"), &PATCH.replace(from, to)).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let none: String = PATCH.lines().filter(|line| !line.contains("caught-by")).collect();
        assert!(parse(Path::new("mutants/skip-dedup.patch"), &none).is_err());
    }
}
