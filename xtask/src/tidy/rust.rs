//! Rules for Rust sources and their manifests.

use std::path::{Path, PathBuf};

use super::Complaint;

/// Past this many lines a file holds more than one idea.
const LINES_MAX: usize = 600;

/// The engine: simulations of it must repeat to the byte.
const CORE: &str = "crates/agora-core/src";

/// The parts of the engine that decide, and do nothing else: a time goes in, they never ask for it.
const PURE: [&str; 4] = [
    "crates/agora-core/src/codec",
    "crates/agora-core/src/event",
    "crates/agora-core/src/live",
    "crates/agora-core/src/membership",
];

/// Where the engine may ask the operating system what time it is: the clock of the bus, and the default of a setting
/// that a simulation fixes.
const CLOCKS: [&str; 2] = ["crates/agora-core/src/bus/clock.rs", "crates/agora-core/src/memory/config.rs"];

/// A rule on one line of code.
struct Ban {
    /// Does it hold in this file?
    applies: fn(&Path) -> bool,
    /// Does it hold in tests as well?
    tests_too: bool,
    words: &'static [&'static str],
    instead: &'static str,
}

/// Where a hashed collection may be: it can be asked for one thing by its name, and for nothing in turn.
const HASHES: &str = "crates/agora-core/src/group/index.rs";

const BANS: [Ban; 3] = [
    Ban {
        applies: |path| path.starts_with(CORE) && path != Path::new(HASHES),
        tests_too: true,
        words: &["HashMap", "HashSet"],
        instead: "its order of iteration differs from run to run; use BTreeMap or BTreeSet",
    },
    Ban {
        applies: |path| path.starts_with(CORE) && !CLOCKS.iter().any(|clock| path == Path::new(clock)),
        tests_too: false,
        words: &["SystemTime::now", "time::Instant::now", "rand::thread_rng"],
        instead: "a simulation could not repeat it; ask the clock of the bus, or tokio's `Instant` in a task",
    },
    Ban {
        applies: |path| PURE.iter().any(|directory| path.starts_with(directory)),
        tests_too: false,
        words: &["Instant::now", "tokio::spawn", "time::sleep", "fastrand::Rng::new()", ".await"],
        instead: "this part is pure: times and random generators are arguments",
    },
];

/// Without it, tokio draws which branch goes first, and two runs of a seed differ.
const UNBIASED: &str = "`select!` without `biased;`: a simulation could not repeat it";

/// The line that makes the next item one for tests alone.
const TESTS_ONLY: &str = "#[cfg(test)]";

/// Checks a source. `tests_only` says that its module is declared under `#[cfg(test)]`.
pub(super) fn check(path: &Path, text: &str, tests_only: bool) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        complaints.push(Complaint::new(
            0,
            format!("{lines} lines; past {LINES_MAX}, split it (long tests go to `x/tests.rs`)"),
        ));
    }
    let mut in_tests = tests_only;
    let mut before = "";
    for (number, line) in (1..).zip(text.lines()) {
        // By convention the tests of a file are its last item.
        in_tests |= before == TESTS_ONLY && line.starts_with("mod ") && line.ends_with('{');
        let chance = path.starts_with(CORE) && !in_tests && code_of(before).ends_with("select! {");
        if chance && line.trim() != "biased;" {
            complaints.push(Complaint::new(number, UNBIASED));
        }
        before = line;
        let code = code_of(line);
        for ban in BANS.iter().filter(|ban| (ban.applies)(path) && (ban.tests_too || !in_tests)) {
            if let Some(word) = ban.words.iter().find(|word| code.contains(**word)) {
                complaints.push(Complaint::new(number, format!("`{word}`: {}", ban.instead)));
            }
        }
    }
    complaints
}

/// Every package takes the lints of the workspace: without this line it would be free of all of them. One that is a
/// workspace of its own, as a fuzzer has to be, cannot.
pub(super) fn check_manifest(text: &str) -> Vec<Complaint> {
    let has = |section| text.lines().any(|line| line == section);
    if has("[package]") && !has("[workspace]") && !text.contains("[lints]\nworkspace = true\n") {
        return vec![Complaint::new(0, "the lints of the workspace are missing: `[lints] workspace = true`")];
    }
    Vec::new()
}

/// The directories and files, without `.rs`, of the modules that this source declares for tests alone.
pub(super) fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let lines: Vec<&str> = text.lines().collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == TESTS_ONLY);
    let names = declared.filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'));
    // `a/mod.rs` and `a/lib.rs` hold their modules beside them, `a/b.rs` in `a/b/`.
    let stem = path.with_extension("");
    let home = match path.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => stem.parent().map(Path::to_owned).unwrap_or_default(),
        _ => stem,
    };
    names.map(|name| home.join(name)).collect()
}

/// The line without its comment.
fn code_of(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(Path::new(path), text, false).iter().map(|complaint| complaint.line).collect()
    }

    #[test]
    fn a_file_may_have_600_lines() {
        assert!(lines("crates/a/src/b.rs", &"\n".repeat(600)).is_empty());
        assert_eq!(lines("crates/a/src/b.rs", &"\n".repeat(601)), [0]);
    }

    #[test]
    fn hashed_collections_are_found_in_the_core_also_in_tests() {
        let text =
            "// A HashMap?\nuse std::collections::HashMap;\n#[cfg(test)]\nmod tests {\nHashSet::new();\n";
        assert_eq!(lines("crates/agora-core/src/bus/mod.rs", text), [2, 5]);
        assert!(lines("crates/agora-zenoh/src/lib.rs", text).is_empty());
        assert!(lines(HASHES, text).is_empty());
    }

    #[test]
    fn only_the_clock_asks_for_the_time() {
        let text =
            "std::time::Instant::now();\nSystemTime::now();\n#[cfg(test)]\nmod tests {\nSystemTime::now();\n";
        assert_eq!(lines("crates/agora-core/src/bus/task.rs", text), [1, 2]);
        assert!(lines("crates/agora-core/src/bus/clock.rs", text).is_empty());
        assert!(check(Path::new("crates/agora-core/src/bus/task/tests.rs"), text, true).is_empty());
        let declares = "#[cfg(test)]\nmod tests;\nSystemTime::now();\n";
        assert_eq!(lines("crates/agora-core/src/bus/task.rs", declares), [3]);
    }

    #[test]
    fn modules_for_tests_alone_are_known() {
        let text = "mod code;\n#[cfg(test)]\nmod script;\n#[cfg(test)]\nmod tests {\n}\n";
        for (path, expected) in [("a/b.rs", "a/b/script"), ("a/mod.rs", "a/script"), ("a/lib.rs", "a/script")]
        {
            assert_eq!(test_modules(Path::new(path), text), [PathBuf::from(expected)], "{path}");
        }
    }

    #[test]
    fn pure_parts_neither_wait_nor_ask_for_the_time() {
        let text = "fn f(now: Instant) {}\nlet now = Instant::now();\nready().await;\n";
        assert_eq!(lines("crates/agora-core/src/live/sequencer.rs", text), [2, 3]);
        assert!(lines("crates/agora-core/src/bus/task.rs", text).is_empty());
    }

    #[test]
    fn what_is_drawn_by_tokio_is_found() {
        let text = "let a = tokio::select! {\n    biased;\n};\ntokio::select! {\n    a = b => {}\n}\n";
        assert_eq!(lines("crates/agora-core/src/bus/task.rs", text), [5]);
        assert!(lines("crates/agora-cli/src/main.rs", text).is_empty());
    }

    #[test]
    fn a_package_without_the_lints_is_found() {
        assert_eq!(check_manifest("[package]\nname = \"a\"\n").len(), 1);
        assert!(check_manifest("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n").is_empty());
        assert!(check_manifest("[workspace]\n").is_empty());
        assert!(check_manifest("[package]\nname = \"a\"\n\n[workspace]\n").is_empty());
    }
}
