//! From what is wrong to an error that says where.

use agora_core::config::Problem;
use agora_core::{Error, ErrorKind};
use strsim::levenshtein;

use super::origin::Origin;

/// An error of this module: what is wrong, and where it stands.
pub(super) fn error(message: impl Into<String>, from: &Origin) -> Error {
    Error::new(ErrorKind::Config, message).operation("config").context("from", from)
}

/// The error of one key.
pub(super) fn of_key(key: &str, from: &Origin, problem: Problem) -> Error {
    let also: [&Origin; 0] = [];
    of_keys(key, Some(from), &also, problem)
}

/// The error of several keys that do not fit together.
pub(super) fn of_keys(key: &str, from: Option<&Origin>, also: &[&Origin], problem: Problem) -> Error {
    let mut error = Error::new(ErrorKind::Config, format!("`{key}` {}", problem.what)).operation("config");
    if let Some(from) = from {
        error = error.context("from", from);
    }
    for origin in also.iter().filter(|origin| Some(**origin) != from) {
        error = error.context("and from", origin);
    }
    if let Some(found) = problem.found {
        error = error.context("found", found);
    }
    if let Some(allowed) = problem.allowed {
        error = error.context("allowed", allowed);
    }
    match problem.help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// A key that nobody knows, those that are known, and which of them may have been meant.
pub(super) fn unknown<'a>(
    key: &str,
    name: &str,
    from: &Origin,
    known: impl IntoIterator<Item = &'a str>,
) -> Error {
    let known: Vec<&str> = known.into_iter().collect();
    let mut help = String::new();
    if let Some(near) = nearest(name, &known) {
        help = format!("did you mean `{near}`? ");
    }
    help.push_str(&format!("known are {}", known.join(", ")));
    error(format!("unknown key `{}`", short(key)), from).help(help)
}

/// A key is shown, but not at any length.
pub(super) fn short(key: &str) -> String {
    key.chars().take(80).collect()
}

/// The word that is nearest, where one is near enough to have been meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let word: String = word.chars().take(40).collect();
    let near = known.iter().map(|candidate| (levenshtein(&word, &candidate.replace('-', "_")), *candidate));
    near.min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not_offered() {
        let known = ["addresses", "user", "password", "ping_interval"];
        for (word, expected) in [
            ("adresses", Some("addresses")),
            ("ping-interval", Some("ping_interval")),
            ("pingInterval", Some("ping_interval")),
            ("usr", Some("user")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
