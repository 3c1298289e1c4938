//! The cluster at work: it forms, and scenarios 1 to 4.

use std::net::IpAddr;
use std::time::Duration;

use agora::builtin::{AddressBlocked, CertificateRenewed, MailboxChanged, PushDue, PushSubscriptionChanged};
use agora::{Error, ErrorKind, Event};
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::protocol::{Command, Report};
use super::timeline::Timeline;
use crate::failure::Failure;

/// How long the processes may take to start and to find each other.
const JOIN: Duration = Duration::from_secs(30);
/// How long an event may take, on a machine that is very busy.
const ARRIVE: Duration = Duration::from_secs(10);
/// Whose mail it is.
const ACCOUNT: u64 = 7;

/// The first three nodes have parts of their own.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const C: usize = 2;

/// The processes start and find each other.
pub(super) async fn start(
    cluster: &mut Cluster,
    nodes: u8,
    timeline: &mut Timeline<'_>,
) -> Result<(), Failure> {
    for letter in (b'a'..).take(usize::from(nodes)) {
        let name = format!("node-{}", char::from(letter));
        let life = cluster.start(&name)?;
        timeline.did(&name, &format!("started as process {}", cluster.lives[life].pid())).await?;
    }
    let all = cluster.alive();
    let ready = |report: &Report| matches!(report, Report::Ready { .. }).then_some(());
    cluster.each(0, &all, JOIN, "became ready", ready).await?;
    for life in &all {
        // Nothing is published yet, so everything is owed to everyone.
        let others = cluster.others(*life);
        cluster.lives[*life].owed_from = others.into_iter().map(|other| (other, 1)).collect();
    }
    for life in &all {
        let heard = wait_members(cluster, *life, usize::from(nodes) - 1).await?;
        let name = cluster.name(*life);
        timeline.did(&name, &format!("sees {}", heard.join(", "))).await?;
    }
    Ok(())
}

/// Waits until a life has seen so many others join, and returns their names.
async fn wait_members(cluster: &mut Cluster, life: usize, count: usize) -> Result<Vec<String>, Error> {
    let mut seen = Vec::new();
    let joined = |report: &Report| {
        let Report::Member { event, node, .. } = report else { return None };
        if event == "joined" && !seen.contains(node) {
            seen.push(node.clone());
        }
        (seen.len() >= count).then_some(())
    };
    cluster
        .each(0, &[life], JOIN, "saw all the others", joined)
        .await
        .map_err(|error| error.help("multicast on the loopback interface may be forbidden here"))?;
    seen.sort();
    Ok(seen)
}

/// 1: new mail reaches the session that waits for it.
pub(super) async fn mailbox(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    timeline.scenario("A mailbox changes on one node; the IMAP IDLE session is on another").await?;
    idle(cluster, timeline).await?;
    deliver_mail(cluster, timeline, B, 12).await
}

/// A mail client begins to wait on the first node.
pub(super) async fn idle(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    cluster.ask(A, Command::Idle { account: ACCOUNT }).await?;
    let name = cluster.name(A);
    timeline.did(&name, &format!("holds an IDLE session of account {ACCOUNT}")).await
}

/// Mail arrives on a node, and the first node tells its session.
pub(super) async fn deliver_mail(
    cluster: &mut Cluster,
    timeline: &mut Timeline<'_>,
    on: usize,
    message: u32,
) -> Result<(), Failure> {
    let body = json!({
        "account": ACCOUNT, "mailbox": 1, "change": "Added", "state": message, "messages": [message],
    });
    let what = format!("stores message {message} of account {ACCOUNT}, and publishes it");
    publish::<MailboxChanged>(cluster, timeline, on, &what, body, &[A]).await
}

/// 2: a device is registered on one node, and pushed to from another.
pub(super) async fn push(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    timeline.scenario("A push subscription changes on one node; another serves the push").await?;
    cluster.ask(C, Command::ServePush).await?;
    let name = cluster.name(C);
    timeline.did(&name, "holds the connection to the push service").await?;
    let body = json!({"account": ACCOUNT, "subscription": "phone", "change": "Created", "expires_ms": null});
    let what = format!("registers the device \"phone\" of account {ACCOUNT}, and publishes it");
    let others = cluster.others(A);
    publish::<PushSubscriptionChanged>(cluster, timeline, A, &what, body, &others).await?;
    let body = json!({"account": ACCOUNT, "subscriptions": [], "topics": ["Email"], "state": 12});
    let what = format!("has a push due for account {ACCOUNT}, and publishes it");
    publish::<PushDue>(cluster, timeline, B, &what, body, &[C]).await
}

/// 3: an address is blocked on one node, and refused by all.
pub(super) async fn block(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    timeline.scenario("An address is blocked on one node, and refused by the others").await?;
    let address = IpAddr::from([203, 0, 113, 9]);
    let others = cluster.others(C);
    for life in &others {
        connect(cluster, timeline, *life, address, true).await?;
    }
    let reason = "guessing passwords";
    let body = json!({"address": address, "prefix_bits": null, "reason": reason, "expires_ms": null});
    let what = format!("blocks {address} ({reason}), and publishes it");
    publish::<AddressBlocked>(cluster, timeline, C, &what, body, &others).await?;
    for life in others {
        connect(cluster, timeline, life, address, false).await?;
    }
    Ok(())
}

async fn connect(
    cluster: &mut Cluster,
    timeline: &mut Timeline<'_>,
    life: usize,
    address: IpAddr,
    expected: bool,
) -> Result<(), Failure> {
    let answer = cluster.ask(life, Command::Connect { address }).await?;
    let name = cluster.name(life);
    if answer != (Report::Connection { address, accepted: expected }) {
        return Err(wrong(format!("{name} did not treat {address} as it should: {answer:?}")));
    }
    let word = if expected { "accepts" } else { "REFUSES" };
    timeline.did(&name, &format!("{word} a connection from {address}")).await
}

/// 4: a certificate is renewed on one node, and served by all.
pub(super) async fn certificate(cluster: &mut Cluster, timeline: &mut Timeline<'_>) -> Result<(), Failure> {
    timeline
        .scenario("A TLS certificate is renewed, and picked up by all: its identity travels, never its key")
        .await?;
    let body = json!({
        "names": ["mail.example.org"],
        "serial": "04a1c2",
        "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "not_after_ms": 1_790_000_000_000_u64,
    });
    let what = "has stored certificate 04a1c2, and publishes its serial and fingerprint";
    let others = cluster.others(A);
    publish::<CertificateRenewed>(cluster, timeline, A, what, body, &others).await
}

/// Publishes an event on one life, and waits until it made others do something.
async fn publish<E: Event>(
    cluster: &mut Cluster,
    timeline: &mut Timeline<'_>,
    on: usize,
    what: &str,
    body: Value,
    seen_by: &[usize],
) -> Result<(), Failure> {
    let mark = cluster.mark();
    let name = cluster.name(on);
    timeline.did(&name, what).await?;
    cluster.tell(on, Command::Publish { kind: E::KIND.to_owned(), body }).await?;
    let source = cluster.lives[on].incarnation.clone().unwrap_or_default();
    let wanted = |report: &Report| match report {
        Report::Did { kind, from, did, sent_us, at_us } if kind == E::KIND && *from == source => {
            Some((*at_us, did.clone(), at_us.saturating_sub(*sent_us)))
        }
        _ => None,
    };
    let did = cluster.each(mark, seen_by, ARRIVE, "saw it", wanted).await?;
    let mut did: Vec<_> = did.into_iter().collect();
    did.sort_by_key(|(_, (at, _, _))| *at);
    for (life, (at_us, text, after)) in did {
        let name = cluster.name(life);
        timeline.saw(at_us, &name, &text, after).await?;
    }
    Ok(())
}

/// Something that the scenario shows did not happen.
pub(super) fn wrong(message: String) -> Failure {
    Failure::Error(Error::new(ErrorKind::Backend, message))
}
