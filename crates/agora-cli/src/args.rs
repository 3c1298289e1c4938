//! What the command line takes.

use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::duration;

/// What every command takes stands apart in its help.
const COMMON: &str = "Common options";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "agora",
    version,
    about = "The coordination bus for clustered services: publish, subscribe, and see who is there.",
    after_help = "Exit codes: 0 done; 1 a negative answer, or a count not reached; 2 usage or configuration; \
                  3 unreachable; 4 unsupported; 5 outcome unknown; 130 interrupted.\n\n\
                  Try it: `agora demo` shows a real cluster of three processes on this machine.",
    disable_help_subcommand = true
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The backend: `zenoh:`, `zenoh://host:port,..` [default: zenoh:] [env: AGORA_URL]
    #[arg(long, global = true, help_heading = COMMON, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The cluster; nodes of different clusters never hear each other [default: the URL's, or `default`]
    #[arg(long, global = true, help_heading = COMMON, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// The name of this node [default: the host's name for `node`, one of its own for the others]
    #[arg(long, global = true, help_heading = COMMON, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// How long to wait for the backend
    #[arg(long, global = true, help_heading = COMMON, value_name = "TIME", default_value = "5s", value_parser = duration::parse)]
    pub(crate) connect_timeout: Duration,
    /// Print JSON, one object a line, errors too
    #[arg(long, global = true, help_heading = COMMON)]
    pub(crate) json: bool,
    /// Log more: -v, -vv, -vvv
    #[arg(short, long, global = true, help_heading = COMMON, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a real cluster at work: three processes on this machine, found with no server and no configuration
    Demo(Demo),
    /// Be a member of the cluster until Ctrl-C, and print what happens in it
    Node(Node),
    /// Publish an event
    Publish(Publish),
    /// Print the events of topics
    Subscribe(Subscribe),
    /// Print who is in the cluster
    Members(Members),
    #[cfg(unix)]
    #[command(hide = true)]
    DemoNode(DemoNode),
}

/// `agora demo`
#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// How many nodes, 3 to 9
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u8).range(3..=9))]
    pub(crate) nodes: u8,
}

/// A node of the demo, which its parent drives.
#[cfg(unix)]
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoNode {
    /// The process that started it: it ends when that has ended.
    #[arg(long)]
    pub(crate) parent: i32,
}

/// `agora node`
#[derive(Clone, Debug, Args)]
pub(crate) struct Node {
    /// Print the events of this topic too; may be given several times
    #[arg(long = "topic", value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// A word that the other members see; may be given several times
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// Serve /livez, /readyz and /metrics by HTTP at this address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDR", value_parser = crate::http::address)]
    pub(crate) http: Option<std::net::SocketAddr>,
}

/// `agora publish`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Without --kind the data is plain bytes. See --help for the built-in kinds and their fields.",
          after_long_help = crate::kinds::help())]
pub(crate) struct Publish {
    /// The topic, such as stwt.agora
    pub(crate) topic: String,
    /// The data; `-`, or nothing, reads the standard input to its end
    #[arg(allow_hyphen_values = true)]
    pub(crate) data: Option<String>,
    /// The topic is a log: the backend keeps what is published on it
    #[arg(long)]
    pub(crate) log: bool,
    /// The kind of the event: a built-in one takes its fields as JSON [default: agora.bytes]
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// The key of plain bytes; a built-in event has a key of its own
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Publish one event for each line of the standard input
    #[arg(long, conflicts_with_all = ["data", "count"])]
    pub(crate) lines: bool,
    /// How often to publish it
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// How long to look for somebody who could hear it, before it is published
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse)]
    pub(crate) wait: Duration,
    /// How long the publishing may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
}

/// `agora subscribe`
#[derive(Clone, Debug, Args)]
pub(crate) struct Subscribe {
    /// The topics, such as stwt.agora
    #[arg(required = true, value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// The topics are logs: the backend keeps what is published on them
    #[arg(long)]
    pub(crate) log: bool,
    /// Where to begin: live; with --log also earliest, a time (RFC 3339), or the cursor of an event
    #[arg(long, value_name = "WHERE", default_value = "live")]
    pub(crate) from: String,
    /// Keep the place at the backend under this name, and go on where it was left; needs --log
    #[arg(long, value_name = "NAME", requires = "log")]
    pub(crate) durable: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after this time; with --count it is exit code 1 when the count was not reached
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
}

/// `agora members`
#[derive(Clone, Debug, Args)]
pub(crate) struct Members {
    /// How long to listen for members
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration::parse)]
    pub(crate) wait: Duration,
    /// End as soon as so many live members are seen; exit code 1 when they are not
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a tag looks like NAME=VALUE, such as role=imap".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }
}
