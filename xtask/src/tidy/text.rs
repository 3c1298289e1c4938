//! Rules for every text file.

use std::path::Path;

use super::Complaint;

/// What no file may say, and why. Spelled in halves: this file is checked as well.
const BANNED: [(&str, &str); 12] = [
    (concat!("TO", "DO"), "unfinished work belongs in an issue, not in the tree"),
    (concat!("FIX", "ME"), "unfinished work belongs in an issue, not in the tree"),
    (concat!("X", "XX"), "unfinished work belongs in an issue, not in the tree"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/Us", "ers/"), "a path of one machine"),
    (concat!("crates", ".io"), "registries are a setting of the machine, never named here"),
    (concat!("pypi", ".org"), "registries are a setting of the machine, never named here"),
    (concat!("npmjs", ".org"), "registries are a setting of the machine, never named here"),
    (concat!("proxy.golang", ".org"), "registries are a setting of the machine, never named here"),
    (concat!("debian", ".org"), "registries are a setting of the machine, never named here"),
];

pub(super) fn check(path: &Path, text: &str) -> Vec<Complaint> {
    // A patch carries the blank context lines of other files.
    let patch = path.extension().is_some_and(|extension| extension == "patch");
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if !patch && line.trim_end() != line {
            complaints.push(Complaint::new(number, "white space at the end of the line"));
        }
        for (word, why) in BANNED {
            if line.contains(word) {
                complaints.push(Complaint::new(number, format!("`{word}`: {why}")));
            }
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        complaints.push(Complaint::new(0, "the last line does not end"));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(Path::new(path), text).iter().map(|complaint| complaint.line).collect()
    }

    #[test]
    fn each_banned_word_is_found_where_it_stands() {
        for (word, _) in BANNED {
            assert_eq!(lines("a.md", &format!("good\nsays {word} here\n")), [2], "{word}");
        }
        assert!(lines("a.md", "Things to do at home, at work or at the root.\n").is_empty());
    }

    #[test]
    fn white_space_and_unfinished_lines_are_found() {
        assert_eq!(lines("a.rs", "fn a() {}  \n\nb\t\n"), [1, 3]);
        assert_eq!(lines("a.rs", "fn a() {}"), [0]);
        assert!(lines("a.rs", "").is_empty());
        assert!(lines("a.patch", " \n-x\n").is_empty());
    }
}
