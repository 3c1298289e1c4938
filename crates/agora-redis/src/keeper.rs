//! The task that keeps the connection for commands, and says how the link is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agora_core::config::RedisMode;
use agora_core::transport::Link;
use agora_core::{Error, ErrorKind, Result};
use redis::{PushKind, cmd};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::call::{Connection, ask, pairs, text};
use crate::dial::{Pushed, Server};
use crate::error::{Failure, error};
use crate::shared::{Shared, pause};

/// How often the server is asked whether it is there, and still what it was.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How often it is looked at who is in charge: of the slots of a cluster, or by the word of the sentinels.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How long it is waited to see that a connection was closed, which shows at once.
const CLOSED_WAIT: Duration = Duration::from_millis(100);
/// The oldest version that is good enough: its streams tell how many entries were ever added.
const VERSION_LEAST: u64 = 7;

/// Connects, watches the connection, and connects anew, until the transport ends. `first` is told how the first try
/// ended that decides anything: connected, or refused for good.
pub(crate) async fn keep(shared: Arc<Shared>, first: oneshot::Sender<Result<()>>) {
    let mut first = Some(first);
    let mut failed = 0;
    loop {
        let lost = Arc::new(Notify::new());
        let why = match connect(&shared, &lost).await {
            Ok(found) => {
                failed = 0;
                if !shared.route.is_cluster() {
                    shared.route.found(&found.server);
                }
                tell(&shared, found.flaw.as_deref());
                if let Some(first) = first.take() {
                    let _ = first.send(Ok(()));
                }
                let why = watch(&shared, found, &lost).await;
                if shared.route.is_cluster() {
                    // The others go on: only where nobody answers any more, the link is down.
                    tracing::debug!(%why, "another server of the cluster is asked from here on");
                    continue;
                }
                why
            }
            Err(failure) => {
                failed += 1;
                let kind = failure.error.kind();
                let is_final =
                    matches!(kind, ErrorKind::Config | ErrorKind::Unauthorized | ErrorKind::Unsupported);
                if is_final && let Some(first) = first.take() {
                    let _ = first.send(Err(failure.error.clone()));
                }
                failure.error
            }
        };
        // Told first: whoever sees that it was interrupted never finds the link up.
        down(&shared, &why);
        shared.route.clear();
        // What was lost a moment ago may be back at once; what cannot be reached is not pressed.
        if failed > 0 {
            tokio::time::sleep(pause(&shared.config, failed)).await;
        }
    }
}

/// Says that the link can be used, and what is wrong with it.
fn tell(shared: &Shared, flaw: Option<&str>) {
    shared.link.send_if_modified(|link| {
        let now = match flaw {
            None => Link::Up,
            Some(flaw) => link.degraded(flaw.to_owned(), SystemTime::now()),
        };
        let changed = !shared.is_closed() && *link != now;
        if changed {
            tracing::info!(link = ?now, "the link to the server can be used");
            *link = now;
        }
        changed
    });
}

fn down(shared: &Shared, why: &Error) {
    shared.link.send_if_modified(|link| {
        if shared.is_closed() {
            return false;
        }
        let now = link.down(why.to_string(), SystemTime::now());
        let changed = *link != now;
        if changed {
            tracing::warn!(%why, "the link to the server is down");
            *link = now;
        }
        changed
    });
}

/// Told of the end of a connection, where the protocol tells it.
pub(crate) fn on_end(lost: &Arc<Notify>) -> Pushed {
    let lost = Arc::clone(lost);
    Arc::new(move |info| {
        if info.kind == PushKind::Disconnection {
            lost.notify_one();
        }
    })
}

/// What the keeper watches.
struct Found {
    server: Server,
    connection: Connection,
    /// What is wrong, where something is, and the link can be used all the same.
    flaw: Option<String>,
}

async fn connect(shared: &Shared, lost: &Arc<Notify>) -> Result<Found, Failure> {
    let mut why = Failure::not_sent(error(ErrorKind::Unreachable, "no server is known"));
    for server in shared.route.candidates(shared).await? {
        match connect_to(shared, &server, lost).await {
            Ok(found) => return Ok(found),
            Err(failure) => {
                why = Failure {
                    error: failure.error.context("server", format!("{}:{}", server.0, server.1)),
                    ..failure
                }
            }
        }
    }
    Err(why)
}

async fn connect_to(shared: &Shared, server: &Server, lost: &Arc<Notify>) -> Result<Found, Failure> {
    let mut connection = shared.dialer.dial(server, Some(on_end(lost))).await?;
    let hello = hello(&mut connection, shared.probe_wait()).await?;
    check(&hello, shared.config.mode)?;
    let mut flaw = None;
    if shared.route.is_cluster() {
        flaw = cluster(shared, server, &mut connection).await?;
    }
    Ok(Found { server: server.clone(), connection, flaw })
}

/// Learns who is in charge of what, and sees to it that every master can be reached. Answers what is wrong.
async fn cluster(
    shared: &Shared,
    server: &Server,
    connection: &mut Connection,
) -> Result<Option<String>, Failure> {
    let mut flaw = shared.route.learn(shared, server, connection).await?;
    let lines = shared.route.lines();
    for master in shared.route.masters() {
        if lines.iter().any(|(server, _)| *server == master) {
            continue;
        }
        match shared.dialer.dial(&master, None).await {
            Ok(connection) => drop(shared.route.keep(master, connection)),
            // What is refused here is refused everywhere.
            Err(failure) if failure.error.kind() == ErrorKind::Unauthorized => return Err(failure),
            Err(failure) => {
                flaw =
                    Some(format!("the master {}:{} cannot be reached: {}", master.0, master.1, failure.error))
            }
        }
    }
    Ok(flaw)
}

/// What a server says of itself.
pub(crate) struct Hello {
    version: String,
    mode: String,
    role: String,
}

/// Asks a server what it is. `HELLO` without a version changes nothing, and needs no right beyond the connection.
pub(crate) async fn hello(connection: &mut Connection, wait: Duration) -> Result<Hello, Failure> {
    let mut hello = Hello { version: String::new(), mode: String::new(), role: String::new() };
    for (name, value) in pairs(ask(connection, &cmd("HELLO"), wait).await?)? {
        match text(name)?.as_str() {
            "version" => hello.version = text(value)?,
            "mode" => hello.mode = text(value)?,
            "role" => hello.role = text(value)?,
            _ => {}
        }
    }
    Ok(hello)
}

/// Is this a server that can be used in this mode, now?
fn check(hello: &Hello, mode: RedisMode) -> Result<(), Failure> {
    let major = hello.version.split('.').next().and_then(|major| major.parse::<u64>().ok());
    if major.is_none_or(|major| major < VERSION_LEAST) {
        let old = error(ErrorKind::Unsupported, "the server is too old").context("version", &hello.version);
        return Err(Failure::not_sent(old.help("use Redis 7 or newer, or Valkey")));
    }
    let wants = if mode == RedisMode::Cluster { "cluster" } else { "standalone" };
    if hello.mode != wants {
        let other = error(ErrorKind::Config, "the server is run in another mode than the configuration says");
        return Err(Failure::not_sent(
            other
                .context("server", &hello.mode)
                .context("expected", wants)
                .help("set `redis.mode` to what the servers are: \"single\", \"cluster\" or \"sentinel\""),
        ));
    }
    if mode != RedisMode::Cluster && hello.role != "master" {
        let mut failure = Failure::not_sent(
            error(ErrorKind::Unreachable, "the server is a replica, which takes no writes")
                .help("name the primary, or use sentinels: `redis+sentinel://host,host/NAME`"),
        );
        failure.moved = true;
        return Err(failure);
    }
    Ok(())
}

/// Watches a connection until it is of no use any more. Answers why.
async fn watch(shared: &Shared, mut found: Found, lost: &Notify) -> Error {
    let closed = || error(ErrorKind::Unreachable, "the server closed the connection");
    let mut looked = Instant::now();
    loop {
        tokio::select! {
            () = lost.notified() => return closed(),
            () = shared.doubt.notified() => {}
            () = tokio::time::sleep(PROBE_INTERVAL) => {}
        }
        let is_due = shared.route.take_moved() || looked.elapsed() >= LOOK_INTERVAL || found.flaw.is_some();
        let said = look(shared, &mut found, is_due);
        tokio::select! {
            () = lost.notified() => return closed(),
            said = said => if let Err(failure) = said {
                return failure.of_idempotent();
            }
        }
        if is_due {
            looked = Instant::now();
        }
    }
}

/// One look at the server, and where it is time at who is in charge.
async fn look(shared: &Shared, found: &mut Found, mut is_due: bool) -> Result<(), Failure> {
    let hello = hello(&mut found.connection, shared.probe_wait()).await?;
    check(&hello, shared.config.mode)?;
    if shared.route.is_sentinel() && is_due {
        // A primary that was cut off from everybody else still says that it is one. Where no sentinel answers, nothing
        // better is known.
        if let Ok(primary) = shared.route.ask_sentinels(shared).await
            && primary != found.server
        {
            return Err(Failure::not_sent(error(
                ErrorKind::Unreachable,
                "the sentinels call another server the primary",
            )));
        }
    }
    if shared.route.is_cluster() {
        is_due |= forget_closed(shared).await;
        if is_due {
            found.flaw = cluster(shared, &found.server, &mut found.connection).await?;
        }
        tell(shared, found.flaw.as_deref());
    }
    Ok(())
}

/// Gives up connections that were closed. One that is only slow has work under way, and whoever waits for that has a
/// deadline. Answers whether there were some.
async fn forget_closed(shared: &Shared) -> bool {
    let probes = shared.route.lines().into_iter().map(|(server, mut line)| async move {
        let ping = cmd("PING");
        match tokio::time::timeout(CLOSED_WAIT, line.connection.send_packed_command(&ping)).await {
            Ok(Err(_)) => Some((server, line.clone())),
            Ok(Ok(_)) | Err(_) => None,
        }
    });
    let closed: Vec<_> = futures_util::future::join_all(probes).await.into_iter().flatten().collect();
    closed.iter().for_each(|(server, line)| shared.route.give_up(server, line));
    !closed.is_empty()
}
