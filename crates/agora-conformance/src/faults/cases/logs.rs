//! What only logs can suffer.

use agora_core::ErrorKind;
use agora_core::live::Reason;

use super::super::judge::Rules;
use super::super::run::Run;
use super::fault_cases;
use crate::history::{Durable, LogWhat, What};
use crate::suite::{Verdict, ensure};

fault_cases! {
    deleted_and_made_anew [Log]
        "The places of durable readers are deleted with their log: a reader begins the new one at its beginning.";
    cursor_of_a_log_that_was_replaced [Log]
        "A cursor of a log that was deleted and made anew is told by a gap (`rewritten`), then comes what the new one holds.";
    deleted_under_a_reader [Log]
        "A reader whose log is deleted is told by a gap or an error, never by silence; a new reader works.";
    durable_reader_changes_nodes [Log]
        "A durable reader goes on at another node exactly where it was closed, across a restart of the server.";
}

const NAME: Durable = Durable(1);

async fn deleted_and_made_anew(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    a.publish_all(20).await?;
    let reading = b.resume(NAME).await?;
    reading.has(&run, 20).await?;
    reading.close(&run).await?;
    run.remark("the topic is deleted");
    run.soon("a topic is deleted", b.bus().admin()?.delete_topic(run.topic())).await??;
    // Whoever publishes may have to learn that it is gone: a node that comes now finds or makes it.
    let c = run.node(2).await?;
    c.publish_all(5).await?;
    let reading = b.resume(NAME).await?;
    reading.has(&run, 5).await?;
    ensure!(reading.gaps() <= 1, "one log was deleted, and there are {} gaps", reading.gaps());
    Ok(())
}

async fn cursor_of_a_log_that_was_replaced(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    a.publish_all(20).await?;
    let reading = b.replay().await?;
    reading.has(&run, 20).await?;
    let cursor = reading.close_at(&run).await?;
    run.remark("the topic is deleted");
    run.soon("a topic is deleted", b.bus().admin()?.delete_topic(run.topic())).await??;
    let c = run.node(2).await?;
    // More than the old one held: what stands at the place of the cursor is something else.
    c.publish_all(30).await?;
    let reading = b.go_on(cursor).await?;
    reading.misses(&run, Some(Reason::Rewritten)).await?;
    reading.has(&run, 30).await
}

async fn deleted_under_a_reader(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.replay().await?;
    a.publish_all(10).await?;
    reading.has(&run, 10).await?;
    run.remark("the topic is deleted");
    run.soon("a topic is deleted", a.bus().admin()?.delete_topic(run.topic())).await??;
    let c = run.node(2).await?;
    c.publish_all(5).await?;
    let sub = reading.sub();
    let told = run.until("a reader is told that its log is gone", |history| {
        let tells = |what: &What| match what {
            What::Log(LogWhat::Missing(of, _)) | What::Gap { sub: of, .. } => *of == sub,
            What::Ended(of, Some(_)) => *of == sub,
            _ => false,
        };
        history.entries.iter().any(|entry| tells(&entry.what))
    });
    told.await?;
    let fresh = c.replay().await?;
    fresh.has(&run, 5).await
}

async fn durable_reader_changes_nodes(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    a.publish_all(20).await?;
    let reading = b.resume(NAME).await?;
    reading.has(&run, 20).await?;
    reading.close(&run).await?;
    a.publish_all(20).await?;
    run.restart().await?;
    b.crash().await;
    let c = run.node(2).await?;
    let reading = c.resume(NAME).await?;
    reading.has(&run, 20).await?;
    run.finish(Rules::default()).await?;
    let others = run.recorder().look(|history| {
        let fails = |what: &What| matches!(what, What::Ended(_, Some(kind)) if *kind == ErrorKind::Conflict);
        history.entries.iter().any(|entry| fails(&entry.what))
    });
    ensure!(!others && reading.gaps() == 0, "a reader that was closed well misses something");
    Ok(())
}
