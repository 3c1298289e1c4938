//! What the commands take that look at the setting itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use crate::duration;

/// `agora doctor`
#[derive(Clone, Debug, Args)]
pub(crate) struct Doctor {
    /// How long to listen for members
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration::parse)]
    pub(crate) wait: Duration,
    /// How many live members there should be; fewer are red
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

/// `agora config`
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ConfigCommand>,
}

/// `agora config ..`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file alone, without variables: exit code 2 where it is wrong
    Check {
        /// The file
        file: PathBuf,
    },
}

/// `agora completions`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "For example: `agora completions bash > ~/.local/share/bash-completion/completions/agora`"
)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}
