//! The server is down, dies, stands still.

use std::time::Duration;

use agora_core::ErrorKind;

use super::super::judge::Rules;
use super::super::run::Run;
use super::super::world::ServerFault;
use super::fault_cases;
use crate::suite::{Verdict, ensure};

fault_cases! {
    down_at_start [Live, Log]
        "Connecting succeeds with the link down; what is published waits, or fails by its deadline; all works when the server comes.";
    killed_before_the_ack [Live, Log]
        "A publish that was under way succeeds after the restart, or its outcome is unknown; nothing accepted is lost on a log.";
    killed_many_times [Live, Log]
        "Readers go on after each restart by themselves, with every event or a gap.";
    paused [Live, Log]
        "Publishes wait; nobody is declared failed; afterwards all goes on.";
    reader_outlives_a_restart [Log]
        "A replay that was under way goes on where it stood, whatever state the server kept of it.";
}

async fn down_at_start(run: Run) -> Verdict {
    run.server(ServerFault::Kill).await?;
    let (a, b) = (run.starting(0).await?, run.starting(1).await?);
    a.publish(5)?;
    let refused = a.bus().ready(Duration::from_millis(300)).await;
    let kind = refused.as_ref().err().map(agora_core::Error::kind);
    ensure!(kind == Some(ErrorKind::Unreachable), "a node is ready without a server: {refused:?}");
    ensure!(!a.bus().link().borrow().is_usable(), "the link is usable without a server");
    run.server(ServerFault::Begin).await?;
    a.bus().ready(run.patience()).await?;
    b.bus().ready(run.patience()).await?;
    let _reading = b.read().await?;
    a.publish_all(10).await?;
    run.finish(Rules::default()).await
}

async fn killed_before_the_ack(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(5).await?;
    let publishing = a.publish_on(Duration::from_millis(1))?;
    reading.has(&run, 50).await?;
    run.server(ServerFault::Kill).await?;
    // These are handed over while nobody is there.
    a.publish(20)?;
    run.server(ServerFault::Begin).await?;
    drop(publishing);
    run.finish(Rules::default()).await
}

async fn killed_many_times(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let (at_a, at_b) = (a.read().await?, b.read().await?);
    let publishing = (a.publish_on(Duration::from_millis(2))?, b.publish_on(Duration::from_millis(2))?);
    for _ in 0..3 {
        let (of_a, of_b) = (at_a.events(), at_b.events());
        run.restart().await?;
        at_a.has(&run, of_a + 10).await?;
        at_b.has(&run, of_b + 10).await?;
    }
    drop(publishing);
    run.finish(Rules::default()).await
}

async fn paused(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(5).await?;
    run.server(ServerFault::Pause).await?;
    a.publish(20)?;
    // Longer than it takes to declare a node failed.
    tokio::time::sleep(b.bus().config().membership.fail_after + Duration::from_secs(1)).await;
    run.server(ServerFault::Resume).await?;
    reading.has(&run, 5).await?;
    run.finish(Rules::default()).await?;
    run.nobody_failed()
}

async fn reader_outlives_a_restart(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    a.publish_large(300, 2000)?;
    a.bus().flush(run.patience()).await?;
    let reading = b.replay().await?;
    reading.has(&run, 20).await?;
    reading.hold(true);
    run.restart().await?;
    a.publish_all(20).await?;
    reading.hold(false);
    reading.has(&run, 320).await?;
    run.restart().await?;
    run.finish(Rules::default()).await
}
