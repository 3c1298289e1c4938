//! A bus for the time of one command: connected, interrupted, and closed in an orderly way.

use std::time::Duration;

use agora::{Bus, Error, ErrorKind, Link, NodeName, SourceId, TopicKind, TopicName, TopicSettings, Wire};

use crate::args::Global;
use crate::configured::cluster_of;
use crate::failure::Failure;
use crate::io::Interrupt;
use crate::json::Note;
use crate::output::Output;

/// How long a leave may take.
const CLOSE: Duration = Duration::from_secs(3);

/// How a command takes part in the cluster.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Is it a member, or does it only look on? A member is named after its host.
    pub(crate) member: bool,
    pub(crate) tags: Vec<(String, String)>,
    /// The topics that are logs, whatever the configuration says.
    pub(crate) logs: Vec<String>,
    /// The topics whose messages are plain, whatever the configuration says.
    pub(crate) plain: Vec<String>,
    /// A topic that is live, whatever the configuration says.
    pub(crate) live: Option<&'static str>,
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

/// Connects a bus.
pub(crate) async fn connect(global: &Global, part: Part) -> Result<Bus, Failure> {
    let config = &global.config;
    let mut builder = Bus::builder().config(config.clone());
    let mut node = config.model().node.clone();
    if !part.member {
        // The name in a file is that of a service. The command line's goes before this.
        let own = tool_name();
        if global.node.is_none() {
            node = Some(NodeName::new(&own)?);
        }
        builder = builder.observer().node(own);
    }
    for (name, value) in part.tags {
        builder = builder.tag(name, value);
    }
    for topic in &part.logs {
        builder = builder.log(topic);
    }
    for topic in part.plain {
        let kind = part.logs.contains(&topic).then_some(TopicKind::Log);
        let settings = config.topic(&TopicName::new(&topic)?, kind);
        builder = builder.topic(topic, settings.wire(Wire::Plain));
    }
    if let Some(topic) = part.live {
        builder = builder.topic(topic, TopicSettings::LIVE);
    }
    if let Some(timeout) = part.publish_timeout {
        let mut limits = config.model().limits.clone();
        limits.publish_timeout = timeout;
        builder = builder.limits(limits);
    }
    let node = match node {
        Some(node) => node,
        None => agora::host_node_name()?,
    };
    Ok(global.bus.connect(builder, &cluster_of(config)?, &node).await?)
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
