//! The dependency check: licences, bans and sources, as `deny.toml` states them.

use crate::run::{self, Failure, Result};

/// The release that `deny.toml` is written for. `.ci/run` installs the same one.
const VERSION: &str = "0.20.2";

/// Runs `cargo deny`.
pub(crate) fn check() -> Result {
    if run::output(run::cargo(["deny", "--version"])).is_err() {
        return Err(Failure::new(format!(
            "cargo-deny is not installed: `cargo install --locked cargo-deny --version {VERSION}`"
        )));
    }
    println!(
        "note: security advisories are not checked here: their database is a download of its own; the project's \
         workflow on GitHub checks them with `cargo deny check advisories`"
    );
    run::step(run::cargo(["deny", "--all-features", "check", "licenses", "bans", "sources"]))
}
