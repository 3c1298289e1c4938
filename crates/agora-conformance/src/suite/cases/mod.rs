//! The cases, by theme.

mod admin;
mod bus;
mod close;
mod cursors;
mod group;
mod hostile;
mod jobs;
mod lanes;
mod limits;
mod link;
mod live;
mod log;
mod publish;

use super::case::Case;

/// Every case, theme by theme.
pub fn all() -> impl Iterator<Item = &'static Case> {
    let themes = [
        link::CASES,
        publish::CASES,
        live::CASES,
        limits::CASES,
        log::CASES,
        lanes::CASES,
        cursors::CASES,
        group::CASES,
        admin::CASES,
        bus::CASES,
        jobs::CASES,
        hostile::CASES,
        close::CASES,
    ];
    themes.into_iter().flatten()
}
