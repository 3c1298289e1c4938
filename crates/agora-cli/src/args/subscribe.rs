//! What `agora subscribe` takes.

use std::time::Duration;

use clap::Args;

use crate::duration;

/// `agora subscribe`
#[derive(Clone, Debug, Args)]
pub(crate) struct Subscribe {
    /// The topics, such as stwt.agora
    #[arg(required = true, value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// The topics are logs: the backend keeps what is published on them
    #[arg(long)]
    pub(crate) log: bool,
    /// The messages of the topics are plain payloads: print them as they are
    #[arg(long)]
    pub(crate) raw: bool,
    /// Where to begin: latest; in a log also earliest, a time (RFC 3339, or 15m ago), or the cursor of an event
    #[arg(long, value_name = "WHERE", default_value = "latest")]
    pub(crate) from: String,
    /// Keep the place in a log at the backend under this name, and go on where it was left
    #[arg(long, value_name = "NAME")]
    pub(crate) durable: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this time; with --count it is exit code 1 when the count was not reached
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
}
