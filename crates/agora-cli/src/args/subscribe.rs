//! What `agora subscribe` takes.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::duration;

/// `agora subscribe`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "With --ack stdin each event of a group is settled by a line on the standard input: `ack ID`, \
                        `retry ID [REASON]` or `reject ID [REASON]`, where ID is the `id` that was printed with it. \
                        What is not settled when the input ends is released to the other members."
)]
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
    /// Where to begin: latest; in a log also earliest, a time (RFC 3339, or 15m for so long ago), or the cursor of an event
    /// [default: latest, for a new group earliest]
    #[arg(long, value_name = "WHERE")]
    pub(crate) from: Option<String>,
    /// Keep the place in a log at the backend under this name, and go on where it was left
    #[arg(long, value_name = "NAME")]
    pub(crate) durable: Option<String>,
    /// Share the events of a log with the other members of this group
    #[arg(long, value_name = "GROUP", conflicts_with = "durable")]
    pub(crate) group: Option<String>,
    /// How the events of a group are settled: when they are printed, or by lines on the standard input
    #[arg(long, value_name = "HOW", value_enum, default_value = "printed", requires = "group")]
    pub(crate) ack: Settlement,
    /// How many events of a group may wait for their line at the same time
    #[arg(long, value_name = "N", default_value = "16", requires = "group", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) in_flight: u16,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this time; with --count it is exit code 1 when the count was not reached
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
}

/// What settles an event of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Settlement {
    /// It was printed
    Printed,
    /// A line on the standard input says so
    Stdin,
}
