//! What the cases of one backend are played with, where they need more of a world than every world has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agora_conformance::faults::{Act, Node, Rules, Run, World, play_on};
use agora_conformance::history::{Durable, Entry, What};
use agora_conformance::suite::{Fault, Verdict};
use agora_core::ErrorKind;
use agora_core::id::{ClusterName, NodeName};
use agora_core::live::Reason;
use agora_core::transport::{BoxFuture, Link, TopicSettings, Transport};

use super::{OneServer, Served, ServedTogether, Servers};

/// The case takes records away from the log.
pub const LOSES: Rules = Rules { handled_again: false, ends: false, loses: true };

/// What goes wrong with the means of a case is no fault of the bus.
pub fn odd(cause: impl std::fmt::Display) -> Fault {
    Fault::Broken(format!("the case itself failed: {cause}"))
}

/// Plays a case that does something to its own world.
///
/// # Panics
/// Where it breaks a promise: what it says is for whoever reads the test.
pub async fn play_here<W: World>(
    world: W,
    name: &str,
    settings: TopicSettings,
    directory: &Path,
    case: impl FnOnce(Run, Arc<W>) -> BoxFuture<Verdict>,
) {
    let world = Arc::new(world);
    let own = world.clone();
    let outcome = play_on(world, name, settings, |run| case(run, own), directory).await;
    outcome.unwrap_or_else(|why| panic!("{why}"));
}

async fn connect(world: &dyn World) -> agora_core::Result<Box<dyn Transport>> {
    world.connect(&ClusterName::new("c")?, &NodeName::new("n0")?).await
}

/// Connecting with this secret is refused at once, by an error that does not show it. A young server may take longer for
/// that than connecting waits: then the link says it, and the next one is refused at once.
///
/// # Panics
/// Where that is not so.
pub async fn is_refused_with(world: &dyn World, secret: &str) {
    let refusal = async {
        loop {
            let transport = match connect(world).await {
                Err(error) => return error,
                Ok(transport) => transport,
            };
            let mut link = transport.link();
            let refused = |link: &Link| matches!(link, Link::Down { why, .. } if why.contains("credentials"));
            let said =
                format!("{:?}", *link.wait_for(refused).await.unwrap_or_else(|_| panic!("it is closed")));
            assert!(!said.contains(secret), "{said}");
        }
    };
    let refusal = tokio::time::timeout(world.patience(), refusal).await;
    let error = refusal.unwrap_or_else(|_| panic!("wrong credentials are taken"));
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error:#}");
    assert!(!format!("{error:#} {error:?}").contains(secret), "{error:?}");
}

/// What comes of connecting is about TLS: an error, or the word of the link.
///
/// # Panics
/// Where that is not so.
pub async fn speaks_of_tls(world: &dyn World) {
    let about_tls = |said: &str| said.to_lowercase().contains("tls");
    let transport = match connect(world).await {
        Err(error) => return assert!(about_tls(&format!("{error:#}")), "{error:#}"),
        Ok(transport) => transport,
    };
    let mut link = transport.link();
    let told = link.wait_for(|link| matches!(link, Link::Down { why, .. } if about_tls(why)));
    let told = tokio::time::timeout(Duration::from_secs(10), told).await.is_ok();
    assert!(told, "it does not say that it is about TLS: {:?}", *transport.link().borrow());
}

/// Servers of a cluster restart one after the other, while something is published and read.
///
/// # Errors
/// What broke a promise.
pub async fn rolling<S: ServedTogether>(run: Run, servers: Arc<Servers<S>>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(5).await?;
    let publishing = a.publish_on(Duration::from_millis(5))?;
    for number in 0..3 {
        run.remark(format!("server {number} is restarted"));
        let mut cluster = servers.servers().await;
        cluster.process(number).restart().await.map_err(odd)?;
        cluster.ready().await.map_err(odd)?;
        drop(cluster);
        let before = reading.events();
        reading.has(&run, before + 5).await?;
    }
    drop(publishing);
    run.finish(Rules::default()).await
}

/// All but the last five records are taken away from a durable reader that was not there. `trim` does it.
///
/// # Errors
/// What broke a promise.
pub async fn overtaken(run: Run, trim: impl AsyncFnOnce() -> Verdict) -> Verdict {
    let (a, b) = run.pair().await?;
    a.publish_all(20).await?;
    let reading = b.resume(Durable(1)).await?;
    reading.has(&run, 20).await?;
    reading.close(&run).await?;
    a.publish_all(20).await?;
    run.remark("all records but 5 are taken away");
    trim().await?;
    let reading = b.resume(Durable(1)).await?;
    reading.misses(&run, Some(Reason::Retention)).await?;
    reading.has(&run, 5).await?;
    run.finish(LOSES).await
}

/// The disk of the server is full for a while. Some must be started again when there is room.
///
/// # Errors
/// What broke a promise.
pub async fn disk_full<S: Served>(run: Run, world: Arc<OneServer<S>>, is_restarted: bool) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(10).await?;
    reading.has(&run, 10).await?;
    run.remark("the disk is full");
    world.process().await.process().fill_disk().map_err(odd)?;
    a.publish_large(100, 50_000)?;
    let failed = |entry: &Entry| matches!(entry.what, What::Published(_, Err(_)));
    run.until("a publish is refused", |history| history.entries.iter().any(failed)).await?;
    run.remark("there is room again");
    world.process().await.process().make_room().map_err(odd)?;
    if is_restarted {
        run.restart().await?;
    }
    run.finish(Rules::default()).await
}

/// The dead letters of a group cannot be written, until `mend` sees to it.
///
/// # Errors
/// What broke a promise.
pub async fn unwritable_letters(
    run: Run,
    (a, b): (Node, Node),
    mend: impl AsyncFnOnce() -> Verdict,
) -> Verdict {
    let script = |n: u64, _: u32| if n == 7 { Act::Reject } else { Act::Done };
    let member = b.join(Arc::new(script)).await?;
    a.publish_all(20).await?;
    // All but the two behind it that share its key.
    member.has_begun(&run, 18).await?;
    // Long enough for a try or two to bury it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    run.remark("the dead letters may be written");
    mend().await?;
    run.read_dead_letters(&a).await?;
    run.finish(Rules { handled_again: true, ..Rules::default() }).await
}
