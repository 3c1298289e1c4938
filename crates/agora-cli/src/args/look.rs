//! What the commands take that look into logs and groups, and change them.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::duration;

/// `agora peek`
#[derive(Clone, Debug, Args)]
pub(crate) struct Peek {
    /// The log; the dead letters of a group are in TOPIC.GROUP.dead
    pub(crate) topic: String,
    /// Where to begin: earliest, a time (RFC 3339, or 15m for so long ago), or the `position` of an event
    #[arg(long, value_name = "WHERE", default_value = "earliest")]
    pub(crate) from: String,
    /// The lane to look into, where the log has several
    #[arg(long, value_name = "N")]
    pub(crate) lane: Option<u32>,
    /// Show at most so many events
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) count: u64,
    /// Show the last so many events instead of the first
    #[arg(long, value_name = "N", conflicts_with = "count", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) last: Option<u64>,
    /// Only events of this kind
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only events with this key
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Only events with this text in what is shown of their body
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,
}

/// `agora topics`
#[derive(Clone, Debug, Args)]
pub(crate) struct Topics {
    #[command(subcommand)]
    pub(crate) command: Option<TopicsCommand>,
}

/// `agora topics ..`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// List the logs [the default]
    List,
    /// Show what a log holds
    Describe {
        /// The log
        topic: String,
    },
    /// Make a new log
    Create(TopicCreate),
    /// Change the settings of a log, where the backend can
    Alter(TopicAlter),
    /// Delete a log with everything in it, its groups and its cursors
    Delete {
        /// The log
        topic: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// `agora topics create`
#[derive(Clone, Debug, Args)]
pub(crate) struct TopicCreate {
    /// The log
    pub(crate) topic: String,
    /// How long it keeps what was published, such as 12h or 7d [default: the configuration's, else the backend's]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_long)]
    pub(crate) retention: Option<Duration>,
    /// How many lanes it has; a lane is the unit of order [default: the configuration's, else the backend's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) lanes: Option<u32>,
    /// On how many servers it is kept [default: the configuration's, else the backend's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) replicas: Option<u32>,
    /// How events become messages: many a message, or one with the backend's own key [default: the configuration's,
    /// else batch]
    #[arg(long, value_enum)]
    pub(crate) framing: Option<FramingWord>,
    /// A setting of the backend itself, such as min.insync.replicas=2; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,
}

/// `agora topics alter`
#[derive(Clone, Debug, Args)]
pub(crate) struct TopicAlter {
    /// The log
    pub(crate) topic: String,
    /// How long it keeps what was published, such as 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = duration::parse_long)]
    pub(crate) retention: Option<Duration>,
    /// How many lanes it has, more than now; keys may be dealt to other lanes from then on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) lanes: Option<u32>,
    /// A setting of the backend itself, such as min.insync.replicas=2; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) set: Vec<(String, String)>,
    /// A setting of the backend itself that is to be as it is for all logs again; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) unset: Vec<String>,
}

/// Reads a setting of the backend itself.
fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it takes NAME=VALUE, such as min.insync.replicas=2".to_owned()),
    }
}

/// How events become messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FramingWord {
    /// Many events a message
    Batch,
    /// One event a message, with the backend's own key
    Each,
}

/// `agora groups`
#[derive(Clone, Debug, Args)]
pub(crate) struct Groups {
    #[command(subcommand)]
    pub(crate) command: GroupsCommand,
}

/// A group of a log.
#[derive(Clone, Debug, Args)]
pub(crate) struct GroupPlace {
    /// The log
    pub(crate) topic: String,
    /// The group
    pub(crate) group: String,
}

/// `agora groups ..`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// List the groups of a log
    List {
        /// The log
        topic: String,
    },
    /// Show how a group stands
    Describe(GroupPlace),
    /// Make a group before anybody joins it
    Create {
        #[command(flatten)]
        place: GroupPlace,
        /// Where it begins: earliest or latest
        #[arg(long, value_name = "WHERE", value_enum, default_value = "earliest")]
        from: GroupFrom,
    },
    /// Delete a group that has no members
    Delete {
        #[command(flatten)]
        place: GroupPlace,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let a group that has no members go on elsewhere
    Reset {
        #[command(flatten)]
        place: GroupPlace,
        /// Where: earliest, latest, a time (RFC 3339, or 15m for so long ago), or a position
        #[arg(long, value_name = "WHERE")]
        to: String,
        /// The lane of the position, where the log has several
        #[arg(long, value_name = "N")]
        lane: Option<u32>,
        /// Only say what it would change
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Move the dead letters of a group back into its log
    Redrive {
        #[command(flatten)]
        place: GroupPlace,
        /// At most so many [default: all]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
}

/// Where a group that is new begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupFrom {
    /// With the oldest event
    Earliest,
    /// With what is published from now on
    Latest,
}

/// `agora lag`
#[derive(Clone, Debug, Args)]
pub(crate) struct Lag {
    /// Only this log
    pub(crate) topic: Option<String>,
    /// Only this group
    pub(crate) group: Option<String>,
    /// Exit code 1 where a group is more than so many events behind
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
}
