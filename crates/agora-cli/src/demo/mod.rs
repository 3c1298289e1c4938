//! `agora demo`: a real cluster of three processes or more on this machine, shown at work and at fault.
//!
//! | part | does |
//! |---|---|
//! | [`cluster`] | starts the processes, tells them what to do, and waits for what they report |
//! | [`scenarios`], [`faults`] | the seven scenarios |
//! | [`books`] | compares what was published with what was delivered or named missing |
//! | [`timeline`] | says it, to people or as JSON |
//! | [`node`], [`service`], [`ledger`] | the other side: one node |

mod books;
mod cluster;
mod faults;
mod ledger;
mod life;
mod node;
mod protocol;
mod scenarios;
mod service;
mod timeline;

use std::time::Duration;

use agora::{Error, ErrorKind, MembershipConfig};
use tokio::time::timeout;

use crate::args::{Demo, Global};
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::Interrupt;
use crate::output::Output;
use cluster::{Cluster, Setting};
use timeline::Timeline;

pub(crate) use node::run_node;

/// The topic on which all of it happens.
const TOPIC: &str = "stwt.agora";
/// However slow the machine is, the demo has ended by then.
const LONGEST: Duration = Duration::from_secs(120);
/// How soon zenoh gives up a connection that is silent: before the cluster gives up the node.
const LEASE: &str = "2s";

/// When a silent node is held dead: a little sooner than by default, so that nobody has to wait for it.
fn membership() -> MembershipConfig {
    let mut config = MembershipConfig::default();
    config.heartbeat_interval = Duration::from_millis(500);
    config.suspect_after = Duration::from_millis(1500);
    config.fail_after = Duration::from_secs(3);
    config.hint_grace = Duration::from_millis(750);
    config
}

/// Plays the demo.
pub(crate) async fn run(
    global: &Global,
    args: &Demo,
    color: bool,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let setting = setting(global)?;
    let reader_gone = output.reader_gone();
    let mut timeline = Timeline::new(output, color);
    // Dropping the play kills its processes.
    tokio::select! {
        played = timeout(LONGEST, play(setting, args.nodes, &mut timeline)) => match played {
            Ok(played) => played,
            Err(_) => Err(Failure::Error(
                Error::new(ErrorKind::Timeout, "the demo took too long")
                    .context("waited", format!("{LONGEST:?}"))
                    .help("this machine may be too busy; -v shows what the nodes say"),
            )),
        },
        () = interrupt.wait() => Err(Failure::Interrupted),
        () = reader_gone => Err(Failure::OutputClosed),
    }
}

async fn play(setting: Setting, nodes: u8, timeline: &mut Timeline<'_>) -> Result<u8, Failure> {
    timeline.opening(&setting, nodes).await?;
    let mut cluster = Cluster::new(setting);
    let played = async {
        scenarios::start(&mut cluster, nodes, timeline).await?;
        scenarios::mailbox(&mut cluster, timeline).await?;
        scenarios::push(&mut cluster, timeline).await?;
        scenarios::block(&mut cluster, timeline).await?;
        scenarios::certificate(&mut cluster, timeline).await?;
        faults::stop(&mut cluster, timeline).await?;
        faults::kill(&mut cluster, timeline).await?;
        faults::leave(&mut cluster, timeline).await
    }
    .await;
    if let Err(failure) = played {
        timeline.failed().await?;
        return Err(failure);
    }
    let closing = cluster.close().await;
    let balanced = closing.balances();
    timeline.closing(&closing).await?;
    Ok(if balanced { DONE } else { NEGATIVE })
}

/// How long a node waits for the backend.
fn connect_timeout(global: &Global) -> Duration {
    global.connect_timeout_asked.unwrap_or(agora::CONNECT_TIMEOUT)
}

/// Where the demo plays: a network of its own, unless another backend is named.
fn setting(global: &Global) -> Result<Setting, Failure> {
    if global.config_file.is_some() {
        return Err(Failure::Error(
            Error::new(ErrorKind::Config, "the demo plays on its own, and reads no configuration")
                .operation("demo")
                .help("leave --config out; --url, --cluster and --connect-timeout are taken"),
        ));
    }
    let random = fastrand::u32(0..0x100_0000);
    let cluster = global.cluster.clone().unwrap_or_else(|| format!("demo-{random:06x}"));
    let url = match &global.url {
        Some(url) if url.starts_with("memory:") => {
            return Err(Failure::Error(
                Error::unsupported(
                    "a demo over memory: its nodes are processes, and a space in memory is within one",
                    "leave --url out, or name a backend that connects processes, such as zenoh:",
                )
                .operation("demo"),
            ));
        }
        Some(url) => url.clone(),
        // Only this machine, and a port that no other demo is likely to have; the cluster keeps them apart anyway.
        None => format!(
            "zenoh:?multicast=127.0.0.1&multicast_port={}&listen=127.0.0.1:0&lease={LEASE}",
            fastrand::u16(20_000..60_000)
        ),
    };
    let node = |length: usize| "-v".repeat(length.min(1)) + &"v".repeat(length.saturating_sub(1));
    let verbose = Some(node(usize::from(global.verbose))).filter(|flag| !flag.is_empty());
    Ok(Setting { url, cluster, verbose, connect_timeout: connect_timeout(global) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_the_failure_detector_fit_together() {
        membership().validate().unwrap();
    }

    #[test]
    fn two_demos_do_not_share_a_cluster() {
        let global = Global {
            url: None,
            config_file: None,
            cluster: None,
            node: None,
            connect_timeout_asked: None,
            json: false,
            verbose: 2,
            config: agora::Config::default(),
            connect_timeout: Duration::ZERO,
            bus: crate::Connector::by_url(),
        };
        let (a, b) = (setting(&global).unwrap(), setting(&global).unwrap());
        assert_ne!(a.cluster, b.cluster);
        assert_eq!(a.verbose.as_deref(), Some("-vv"));
        let memory = Global { url: Some("memory:a".into()), ..global.clone() };
        assert_eq!(setting(&memory).unwrap_err().exit(), 4);
        let configured = Global { config_file: Some("agora.toml".into()), ..global };
        assert_eq!(setting(&configured).unwrap_err().exit(), 2);
    }
}
