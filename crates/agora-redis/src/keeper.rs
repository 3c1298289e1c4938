//! The task that keeps the connection for commands, and says how the link is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agora_core::config::RedisMode;
use agora_core::transport::Link;
use agora_core::{Error, ErrorKind, Result};
use redis::{PushKind, cmd};
use tokio::sync::{Notify, oneshot};

use crate::call::{Connection, ask, pairs, text};
use crate::dial::{Pushed, Server};
use crate::error::{Failure, error};
use crate::shared::{Shared, pause};

/// How often the server is asked whether it is there, and still what it was.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The oldest version that is good enough: its streams tell how many entries were ever added.
const VERSION_LEAST: u64 = 7;

/// Connects, watches the connection, and connects anew, until the transport ends. `first` is told how the first try
/// ended that decides anything: connected, or refused for good.
pub(crate) async fn keep(shared: Arc<Shared>, first: oneshot::Sender<Result<()>>) {
    let mut first = Some(first);
    let mut failed = 0;
    loop {
        let lost = Arc::new(Notify::new());
        let connected = connect(&shared, &lost).await;
        let why = match connected {
            Ok((server, connection)) => {
                failed = 0;
                shared.route.is_up(server, connection.clone());
                up(&shared);
                if let Some(first) = first.take() {
                    let _ = first.send(Ok(()));
                }
                watch(&shared, connection, &lost).await
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
        shared.route.clear();
        down(&shared, &why);
        // What was lost a moment ago may be back at once; what cannot be reached is not pressed.
        if failed > 0 {
            tokio::time::sleep(pause(&shared.config, failed)).await;
        }
    }
}

fn up(shared: &Shared) {
    shared.link.send_if_modified(|link| {
        let changed = !shared.is_closed() && *link != Link::Up;
        if changed {
            tracing::info!("the link to the server is up");
            *link = Link::Up;
        }
        changed
    });
}

fn down(shared: &Shared, why: &Error) {
    shared.link.send_if_modified(|link| {
        if shared.is_closed() {
            return false;
        }
        let why = why.to_string();
        let since = match &*link {
            Link::Down { since, why: before } if *before == why => return *since > SystemTime::now(),
            Link::Down { since, .. } => *since,
            _ => SystemTime::now(),
        };
        tracing::warn!(%why, "the link to the server is down");
        *link = Link::Down { since, why };
        true
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

async fn connect(shared: &Shared, lost: &Arc<Notify>) -> Result<(Server, Connection), Failure> {
    let server = shared.route.find(shared).await?;
    let mut connection = shared.dialer.dial(&server, Some(on_end(lost))).await?;
    let hello = hello(&mut connection, shared.probe_wait()).await?;
    check(&hello, shared.config.mode)?;
    Ok((server, connection))
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
async fn watch(shared: &Shared, mut connection: Connection, lost: &Notify) -> Error {
    loop {
        tokio::select! {
            () = lost.notified() => return error(ErrorKind::Unreachable, "the server closed the connection"),
            () = shared.doubt.notified() => {}
            () = tokio::time::sleep(PROBE_INTERVAL) => {}
        }
        let said = async {
            let hello = hello(&mut connection, shared.probe_wait()).await?;
            check(&hello, shared.config.mode)
        };
        tokio::select! {
            () = lost.notified() => return error(ErrorKind::Unreachable, "the server closed the connection"),
            said = said => if let Err(failure) = said {
                return failure.of_idempotent();
            }
        }
    }
}
