//! Configuration: what is read, who wins, what is refused in which words, and what is never shown.
#![allow(clippy::unwrap_used, reason = "a test")]

mod bad;
mod blocks;
mod connect;
mod docs;
mod precedence;
mod secrets;
mod traps;

use agora::config::{Config, LoadOptions};

/// A file in agora's style, or another TOML style.
pub(crate) fn toml(text: &str) -> LoadOptions {
    LoadOptions::new().text("agora.toml", text)
}

pub(crate) fn json(text: &str) -> LoadOptions {
    LoadOptions::new().text("coordinator.json", text)
}

pub(crate) fn env(variables: &[(&str, &str)]) -> LoadOptions {
    LoadOptions::new().environment(variables.iter().copied())
}

pub(crate) fn load(options: LoadOptions) -> Config {
    Config::load(options).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The error, on one line, with its help.
pub(crate) fn refused(options: LoadOptions) -> String {
    match Config::load(options) {
        Ok(config) => panic!("it was read:\n{config}"),
        Err(error) => {
            assert_eq!(error.kind(), agora::ErrorKind::Config, "{error:#}");
            format!("{error:#}")
        }
    }
}
