//! A bus for the time of one command: connected, interrupted, and closed in an orderly way.

use std::time::Duration;

use agora::{Bus, Error, ErrorKind, Limits, Link, SourceId};

use crate::args::Global;
use crate::failure::Failure;
use crate::io::Interrupt;
use crate::json::Note;
use crate::output::Output;

/// The backend where none is named: peer to peer, with no server.
pub(crate) const DEFAULT_URL: &str = "zenoh:";
/// How long a leave may take.
const CLOSE: Duration = Duration::from_secs(3);

/// How a command takes part in the cluster.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Is it a member, or does it only look on? A member is named after its host.
    pub(crate) member: bool,
    pub(crate) tags: Vec<(String, String)>,
    /// The topics that are logs.
    pub(crate) logs: Vec<String>,
    pub(crate) publish_timeout: Option<Duration>,
}

/// Connects, does the work, and leaves, whatever came of it: also when it is interrupted, or nobody reads what is
/// written.
pub(crate) async fn with_bus<R>(
    global: &Global,
    part: Part,
    interrupt: &mut Interrupt,
    reader_gone: impl Future<Output = ()>,
    work: impl AsyncFnOnce(&Bus) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let bus = tokio::select! {
        bus = connect(global, part) => bus?,
        () = interrupt.wait() => return Err(Failure::Interrupted),
    };
    let result = tokio::select! {
        result = work(&bus) => result,
        () = interrupt.wait() => Err(Failure::Interrupted),
        () = reader_gone => Err(Failure::OutputClosed),
    };
    let closed = bus.close(CLOSE).await;
    let result = result?;
    closed?;
    Ok(result)
}

async fn connect(global: &Global, part: Part) -> Result<Bus, Failure> {
    let url = global.url.as_deref().unwrap_or(DEFAULT_URL);
    let mut builder = Bus::builder().url(url).connect_timeout(global.connect_timeout);
    if let Some(cluster) = &global.cluster {
        builder = builder.cluster(cluster);
    }
    match &global.node {
        Some(node) => builder = builder.node(node),
        None if part.member => {}
        None => builder = builder.node(tool_name()),
    }
    if !part.member {
        builder = builder.observer();
    }
    for (name, value) in part.tags {
        builder = builder.tag(name, value);
    }
    for topic in part.logs {
        builder = builder.log(topic);
    }
    if let Some(timeout) = part.publish_timeout {
        let mut limits = Limits::default();
        limits.publish_timeout = timeout;
        builder = builder.limits(limits);
    }
    Ok(builder.connect().await?)
}

/// A name that no node of the cluster has: the tool must not be taken for the node of this host.
fn tool_name() -> String {
    let own = format!("cli-{}", std::process::id());
    match agora::host_node_name() {
        Ok(host) if host.as_str().len() + own.len() < 200 => format!("{own}.{host}"),
        _ => own,
    }
}

/// Waits until the node has joined and its link is up.
///
/// # Errors
/// `Unreachable` when that takes longer than `wait`.
pub(crate) async fn joined(bus: &Bus, wait: Duration) -> Result<(), Failure> {
    let all = async {
        bus.ready(wait).await?;
        let mut link = bus.link();
        // Nobody changes it any more: the bus was closed.
        let _ = link.wait_for(|link| *link == Link::Up).await;
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(wait, all).await {
        Ok(joined) => Ok(joined?),
        Err(_) => {
            let why = problem(bus).unwrap_or_else(|| "no answer".to_owned());
            Err(Failure::Error(
                Error::new(ErrorKind::Unreachable, why)
                    .backend(bus.capabilities().backend)
                    .operation("connect")
                    .context("waited", format!("{wait:?}"))
                    .help(
                        "check the address and that somebody listens there; --connect-timeout waits longer",
                    ),
            ))
        }
    }
}

/// As [`joined`]; but a link that is not as it should be is only a warning: the node goes on trying.
pub(crate) async fn joined_or_warned(bus: &Bus, output: &Output, wait: Duration) {
    if joined(bus, wait).await.is_ok() {
        return;
    }
    let why = problem(bus).unwrap_or_else(|| "the backend has not answered yet".to_owned());
    let message = format!("{why}; trying on");
    output.note(&Note::Warning { message: &message }, || format!("warning: {message}"));
}

/// What is wrong with the link.
fn problem(bus: &Bus) -> Option<String> {
    match &*bus.link().borrow() {
        Link::Up => None,
        Link::Degraded { why, .. } | Link::Down { why, .. } => Some(why.clone()),
    }
}

/// What a source is called: the name of the node where it is known, else its identity.
pub(crate) fn name_of(bus: &Bus, source: SourceId) -> String {
    let members = bus.members().snapshot();
    let named = members.iter().find(|member| member.info.source == source);
    named.map_or_else(|| source.node.to_string(), |member| member.info.name.to_string())
}
