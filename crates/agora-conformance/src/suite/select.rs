//! Which cases to run.

use std::fmt;

use strsim::levenshtein;

use super::case::Case;
use super::cases;

/// Some of the cases, or all.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(super) cases: Vec<&'static Case>,
    pub(super) is_whole: bool,
}

impl Selection {
    /// Every case. Only then the subject's minimum counts.
    pub fn all() -> Self {
        Self { cases: cases::all().collect(), is_whole: true }
    }

    /// The cases whose name contains this.
    ///
    /// # Errors
    /// [`UnknownCase`] where there is none, with names that are near.
    pub fn matching(part: &str) -> Result<Self, UnknownCase> {
        let cases: Vec<_> = cases::all().filter(|case| case.name.contains(part)).collect();
        if cases.is_empty() {
            return Err(UnknownCase::new(part));
        }
        Ok(Self { cases, is_whole: false })
    }

    /// Exactly these cases, by name.
    ///
    /// # Errors
    /// [`UnknownCase`] for the first that does not exist.
    pub fn named(names: &[&str]) -> Result<Self, UnknownCase> {
        let find =
            |name: &&str| cases::all().find(|case| case.name == *name).ok_or_else(|| UnknownCase::new(name));
        Ok(Self { cases: names.iter().map(find).collect::<Result<_, _>>()?, is_whole: false })
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }
}

/// No case has such a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCase {
    asked: String,
    near: Vec<&'static str>,
}

impl UnknownCase {
    /// The most names that are suggested.
    const NEAR_MAX: usize = 5;

    fn new(asked: &str) -> Self {
        let mut near: Vec<_> = cases::all().map(|case| (distance(asked, case.name), case.name)).collect();
        near.sort_unstable();
        Self {
            asked: asked.to_owned(),
            near: near.into_iter().take(Self::NEAR_MAX).map(|(_, n)| n).collect(),
        }
    }
}

impl fmt::Display for UnknownCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no case has `{}` in its name; near are: {}", self.asked, self.near.join(", "))
    }
}

impl std::error::Error for UnknownCase {}

/// A word is also near the part of a name behind the dot.
fn distance(asked: &str, name: &str) -> usize {
    let behind = name.split_once('.').map_or(name, |(_, behind)| behind);
    levenshtein(asked, name).min(levenshtein(asked, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_near_are_found() {
        let error = Selection::matching("log.positions_grwo").unwrap_err();
        assert_eq!(error.near[0], "log.positions_grow", "{error}");
        assert_eq!(Selection::named(&["nothing"]).unwrap_err().near.len(), UnknownCase::NEAR_MAX);
    }

    #[test]
    fn names_are_told_apart_and_belong_to_a_theme() {
        let mut names: Vec<_> = cases::all().map(|case| case.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(Selection::all().len(), count);
        assert!(names.iter().all(|name| name.split_once('.').is_some()));
        assert!(cases::all().all(|case| case.asserts.ends_with('.')));
    }
}
