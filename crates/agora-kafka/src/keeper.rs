//! Keeps an eye on the cluster, and says how the link is.

use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use futures_util::future::join_all;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, sleep};

use crate::brokers::{Brokers, Line, TRY_WAIT, Target};
use crate::link::State;

/// How often the cluster is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// How often it is looked at while something is wrong.
const TROUBLE_INTERVAL: Duration = Duration::from_millis(500);
/// How often it is looked at at the most, where somebody suspects that something is wrong.
const DOUBT_INTERVAL: Duration = Duration::from_millis(100);
/// The pause after a broker has refused the credentials: they do not become right by trying.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// The most brokers that are asked in one round whether they are there; of more, some are drawn.
const ASKED_MAX: usize = 16;
/// The most troubles that are told at once.
const TOLD_MAX: usize = 4;

/// Is it of no use to try again, and an error of the first call?
pub(crate) fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Config | ErrorKind::Unauthorized | ErrorKind::Unsupported)
}

/// The first look at the cluster.
///
/// # Errors
/// No broker has answered, or one has refused.
pub(crate) async fn first(line: &Line, by: Instant) -> Result<State> {
    look(line, by).await
}

/// Looks at the cluster until the brokers are ended.
pub(crate) async fn run(line: Line) {
    let brokers = line.brokers();
    let mut wait = TROUBLE_INTERVAL;
    loop {
        let next = async {
            sleep(DOUBT_INTERVAL).await;
            tokio::select! {
                biased;
                () = brokers.doubt.notified() => {}
                () = sleep(wait) => {}
            }
        };
        tokio::select! {
            biased;
            () = brokers.closed() => return,
            () = next => {}
        }
        let looking = look(&line, Instant::now() + TRY_WAIT * 2);
        let looked = tokio::select! {
            biased;
            () = brokers.closed() => return,
            looked = looking => looked,
        };
        let (state, next_wait) = match looked {
            Ok(State::Up) => (State::Up, LOOK_INTERVAL),
            Ok(state) => (state, TROUBLE_INTERVAL),
            Err(error) => {
                let wait = if is_final(&error) { REFUSED_PAUSE } else { TROUBLE_INTERVAL };
                (State::Down(error.to_string()), wait)
            }
        };
        brokers.tell(state);
        wait = next_wait;
    }
}

/// Asks for the cluster, and each of its brokers whether it is there.
async fn look(line: &Line, by: Instant) -> Result<State> {
    let brokers = line.brokers();
    Box::pin(brokers.refresh_all(line, by)).await?;
    let mut troubles = absent(line).await;
    troubles.extend(leaderless(brokers));
    if troubles.is_empty() {
        return Ok(State::Up);
    }
    let more = troubles.len().saturating_sub(TOLD_MAX);
    troubles.truncate(TOLD_MAX);
    let mut why = troubles.join("; ");
    if more > 0 {
        why.push_str(&format!("; and {more} more"));
    }
    Ok(State::Degraded(why))
}

/// The brokers that the cluster names and that do not answer.
async fn absent(line: &Line) -> Vec<String> {
    let mut nodes: Vec<_> = line.brokers().view().brokers.clone().into_iter().collect();
    fastrand::shuffle(&mut nodes);
    nodes.truncate(ASKED_MAX);
    nodes.sort();
    let by = Instant::now() + TRY_WAIT;
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("agora"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let asked = nodes.iter().map(|(node, address)| {
        let request = &request;
        async move {
            let error = line.call(Target::Node(*node), request, by).await.err()?;
            Some(format!("the broker {node} ({address}) does not answer: {error}"))
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The partitions of this node's topics that nobody leads.
fn leaderless(brokers: &Brokers) -> Vec<String> {
    let view = brokers.view();
    let topics = view.topics.iter().filter_map(|(name, topic)| {
        let partitions = topic.partitions.as_ref().ok()?;
        let lost: Vec<_> = partitions
            .iter()
            .filter(|(_, partition)| partition.leader.is_none())
            .map(|(index, _)| index)
            .collect();
        let first = lost.first()?;
        Some(match lost.len() {
            1 => format!("the partition {first} of the topic {name} has no leader"),
            count => format!("{count} partitions of the topic {name} have no leader"),
        })
    });
    topics.collect()
}
