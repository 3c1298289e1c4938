//! One setting: what it is called, what it takes, and what it is by default.

use super::takes::Takes;

/// One setting of a section. The documentation's tables are made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// Its name within its section.
    pub name: &'static str,
    /// What it may be.
    pub takes: Takes,
    /// What it is where nobody sets it, as an operator would write it; empty where it is then absent.
    pub default: &'static str,
    /// What it means, in one sentence.
    pub about: &'static str,
}

impl Key {
    pub(super) const fn new(
        name: &'static str,
        takes: Takes,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, takes, default, about }
    }
}
