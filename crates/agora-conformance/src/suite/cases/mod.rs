//! The cases, by theme.

mod cursors;
mod live;
mod log;
mod publish;

use super::case::Case;

/// Every case, theme by theme.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [publish::CASES, live::CASES, log::CASES, cursors::CASES].into_iter().flatten()
}
