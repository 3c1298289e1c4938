//! What the command line takes.

mod look;
mod publish;
mod subscribe;
mod tools;

use std::path::PathBuf;
use std::time::Duration;

use agora::Config;
use clap::{ArgAction, Args, Parser, Subcommand};

pub(crate) use look::{
    FramingWord, GroupFrom, GroupPlace, Groups, GroupsCommand, Lag, Peek, TopicAlter, TopicCreate, Topics,
    TopicsCommand,
};
pub(crate) use publish::Publish;
pub(crate) use subscribe::{Settlement, Subscribe};
pub(crate) use tools::{Completions, ConfigArgs, ConfigCommand, Doctor};

use crate::connector::Connector;
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
    /// The backend, such as `zenoh:`, `nats://host:4222`, `redis://host:6379` or `kafka://host:9092` [default: zenoh:] [env: AGORA_URL]
    #[arg(long, global = true, help_heading = COMMON, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A configuration file; the command line and the variables win over it
    #[arg(long = "config", global = true, help_heading = COMMON, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,
    /// The cluster; nodes of different clusters never hear each other [default: the URL's, or `default`]
    #[arg(long, global = true, help_heading = COMMON, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// The name of this node [default: the host's name for `node`, one of its own for the others]
    #[arg(long, global = true, help_heading = COMMON, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// How long to wait for the backend [default: 5s]
    #[arg(long = "connect-timeout", global = true, help_heading = COMMON, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) connect_timeout_asked: Option<Duration>,
    /// Print JSON, one object a line, errors too
    #[arg(long, global = true, help_heading = COMMON)]
    pub(crate) json: bool,
    /// Log more: -v, -vv, -vvv
    #[arg(short, long, global = true, help_heading = COMMON, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// What the command line, the variables and the file come to.
    #[arg(skip)]
    pub(crate) config: Config,
    /// How long to wait for the backend, as the configuration has it.
    #[arg(skip)]
    pub(crate) connect_timeout: Duration,
    /// Where the bus comes from.
    #[arg(skip)]
    pub(crate) bus: Connector,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a real cluster at work: three processes on this machine, found with no server and no configuration
    Demo(Demo),
    /// Be a member of the cluster until Ctrl-C, and print what happens in it
    Node(Node),
    /// Publish an event, or many
    Publish(Publish),
    /// Print the events of topics
    Subscribe(Subscribe),
    /// Show what a log holds, without a group and without a trace
    Peek(Peek),
    /// Print who is in the cluster
    Members(Members),
    /// List, describe, make and delete logs
    Topics(Topics),
    /// List, describe, make, delete and move groups
    Groups(Groups),
    /// Print how far groups are behind
    Lag(Lag),
    /// Check whether the communication of the cluster works, and say what to do where it does not
    Doctor(Doctor),
    /// Print the effective configuration, and where each value came from
    Config(ConfigArgs),
    /// Print the completions for a shell
    Completions(Completions),
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
