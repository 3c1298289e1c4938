//! Too much, too large, too slow, given up half way.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::limits::BODY_BYTES_MAX;
use agora_core::live::Reason;
use agora_core::transport::{Address, OutFrame, TopicKind, TopicSpec};
use tokio::time::Instant;

use super::super::judge::Rules;
use super::super::run::Run;
use super::super::world::ServerFault;
use super::fault_cases;
use crate::history::{Life, What};
use crate::sim::note::KIND;
use crate::suite::{Fault, Verdict, ensure};

fault_cases! {
    slow_reader_of_a_live_topic [Live]
        "What a slow reader leaves standing beyond the memory of its node is a gap that says how much; others are not held up.";
    slow_reader_of_a_log [Log]
        "A slow reader of a log is late, and gets everything.";
    publish_queue_full [Live, Log]
        "Without a server `try_publish` takes events up to the memory of the node, then says `QueueFull` at once.";
    at_the_limit_and_over [Live, Log]
        "The largest event that the backend takes arrives; a larger one is refused with `TooLarge`, and nothing else suffers.";
    undecodable_and_foreign [Live, Log]
        "A message of other software is handed over as it is, a damaged one is counted, and the others go on.";
    unknown_kinds_and_odd_bodies [Live, Log]
        "An event of a kind that the reader does not know and must not skip, or with a body that it cannot decode, is a gap that says so.";
    cancelled_publishes_and_reads [Live, Log]
        "A publish that was given up may happen, once at most; a read that was given up loses nothing.";
    shutdown_drains [Live, Log]
        "`close` sends what was queued, and the others hear of the end.";
    crash_in_mid_publish [Live, Log]
        "What the crashed node was told to be accepted is read or named in a gap; the others go on.";
}

/// The least that a node may have.
const MEMORY: usize = 8 << 20;

async fn slow_reader_of_a_live_topic(run: Run) -> Verdict {
    let a = run.node(0).await?;
    let mut config = run.config(1)?;
    config.limits.memory_bytes = MEMORY;
    let b = run.starting_as(1, config).await?;
    b.bus().ready(run.patience()).await?;
    run.soon("a hears of b", a.bus().wait_for_others()).await?;
    let (slow, c) = (b.read().await?, run.node(2).await?);
    let prompt = c.read().await?;
    slow.hold(true);
    // Three times the share of the memory that is for what was received.
    a.publish_large(700, 10_000)?;
    a.bus().flush(run.patience()).await?;
    prompt.has(&run, 700).await?;
    slow.hold(false);
    // What comes while it is still behind may be dropped too.
    run.settled(Rules::default()).await;
    run.finish(Rules::default()).await?;
    ensure!(slow.gaps() > 0, "7 MB waited in 2 MiB");
    Ok(())
}

async fn slow_reader_of_a_log(run: Run) -> Verdict {
    let a = run.node(0).await?;
    let mut config = run.config(1)?;
    config.limits.memory_bytes = MEMORY;
    let b = run.starting_as(1, config).await?;
    b.bus().ready(run.patience()).await?;
    let slow = b.replay().await?;
    slow.hold(true);
    a.publish_large(700, 10_000)?;
    a.bus().flush(run.patience()).await?;
    slow.hold(false);
    slow.has(&run, 700).await?;
    run.finish(Rules::default()).await?;
    ensure!(slow.gaps() == 0, "a slow reader of a log misses something");
    Ok(())
}

async fn publish_queue_full(run: Run) -> Verdict {
    let mut config = run.config(0)?;
    config.limits.memory_bytes = MEMORY;
    let a = run.starting_as(0, config).await?;
    a.bus().ready(run.patience()).await?;
    let b = run.node(1).await?;
    run.soon("a hears of b", a.bus().wait_for_others()).await?;
    let _reading = b.read().await?;
    a.publish_all(3).await?;
    run.server(ServerFault::Kill).await?;
    let full = loop {
        let begun = Instant::now();
        let outcome = a.try_publish(20_000);
        let took = begun.elapsed();
        ensure!(took < Duration::from_secs(1), "try_publish has waited: {took:?}");
        match outcome {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    ensure!(full.kind() == ErrorKind::QueueFull, "the queue is full, and this is said: {full:#}");
    run.server(ServerFault::Begin).await?;
    a.bus().flush(run.patience()).await?;
    run.finish(Rules::default()).await
}

async fn at_the_limit_and_over(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    // The frame around one event takes less than this.
    let fits = BODY_BYTES_MAX.min(a.bus().capabilities().message_bytes_max) - 1024;
    a.publish_large(3, fits)?;
    reading.has(&run, 3).await?;
    // One more byte than anybody takes. It must not take others along.
    a.publish(3)?;
    a.publish_large(1, BODY_BYTES_MAX + 1)?;
    a.publish(3)?;
    reading.has(&run, 9).await?;
    run.finish(Rules::default()).await?;
    let refused = run.recorder().look(|history| {
        let is_refused = |what: &What| matches!(what, What::Published(_, Err(ErrorKind::TooLarge)));
        history.entries.iter().filter(|entry| is_refused(&entry.what)).count()
    });
    ensure!(refused == 1, "one event is too large, and {refused} were refused for it");
    Ok(())
}

async fn undecodable_and_foreign(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(3).await?;
    let stranger = run.transport(7).await?;
    let mut link = stranger.link();
    let up = async { link.wait_for(|link| link.is_usable()).await.is_ok() };
    ensure!(run.soon("a stranger is connected", up).await?, "the link of the stranger has ended");
    stranger.open(&TopicSpec { name: run.topic().clone(), settings: run.settings() }).await?;
    let to = Address { topic: run.topic().clone(), lane: 0 };
    // Of other software; a frame that is cut off; one whose checksum is wrong; nothing at all; a lot of nothing.
    let mut damaged = b"AGRA\x01\x00".to_vec();
    damaged.extend([0xff; 200]);
    let hostile: [&[u8]; 5] = [b"{\"of\":\"other software\"}", b"AGRA", &damaged, b"", &[0; 5000]];
    for payload in hostile {
        let frame = OutFrame::new(payload.to_vec());
        let publishing = stranger.publish(&to, vec![frame], Instant::now() + run.patience());
        run.soon("a stranger publishes", publishing).await??;
    }
    a.publish_all(3).await?;
    reading.has(&run, 6).await?;
    let by = Instant::now() + Duration::from_secs(2);
    let _ = stranger.close(by).await;
    run.finish(Rules::default()).await?;
    let foreign = run.recorder().look(|history| {
        history.entries.iter().filter(|entry| matches!(entry.what, What::Foreign(_))).count()
    });
    ensure!(foreign > 0, "no message of other software was handed over");
    Ok(())
}

async fn cancelled_publishes_and_reads(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read_impatiently().await?;
    for _ in 0..50 {
        a.publish_cancelled()?;
        a.publish(1)?;
        // Let the reader give up a wait or two in between.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    reading.has(&run, 50).await?;
    run.finish(Rules::default()).await
}

async fn shutdown_drains(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish(500)?;
    a.close(run.patience()).await?;
    reading.has(&run, 500).await?;
    ensure!(reading.gaps() == 0, "a node left in an orderly way, and something of it is missing");
    let failed = failures_of(&run, a.life());
    ensure!(failed == 0, "{failed} publishes failed in an orderly shutdown");
    let refused = b.bus().publisher(run.topic().as_str())?;
    drop(refused);
    run.finish(Rules::default()).await
}

fn failures_of(run: &Run, life: Life) -> usize {
    run.recorder().look(|history| {
        let failed = |what: &What| matches!(what, What::Published(value, Err(_)) if value.life == life);
        history.entries.iter().filter(|entry| failed(&entry.what)).count()
    })
}

async fn crash_in_mid_publish(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let c = run.node(2).await?;
    let (at_b, at_c) = (b.read().await?, c.read().await?);
    let publishing = a.publish_on(Duration::from_millis(1))?;
    at_b.has(&run, 30).await?;
    a.publish(50)?;
    a.crash().await;
    drop(publishing);
    b.publish_all(5).await?;
    if run.settings().kind == TopicKind::Live {
        // What it published last may never have left it, and nobody knows: its tail is missing.
        at_b.misses(&run, Some(Reason::SourceFailed)).await?;
        at_c.misses(&run, Some(Reason::SourceFailed)).await?;
    }
    // The same node comes back, in a new life.
    let again = run.node(0).await?;
    again.publish_all(5).await?;
    let (of_b, of_c) = (at_b.events(), at_c.events());
    again.publish_all(5).await?;
    at_b.has(&run, of_b + 5).await?;
    at_c.has(&run, of_c + 5).await?;
    run.finish(Rules::default()).await?;
    if run.settings().kind == TopicKind::Live && at_b.gaps() > 1 {
        return Err(Fault::broken(format!("one node crashed, and there are {} gaps", at_b.gaps())));
    }
    Ok(())
}

async fn unknown_kinds_and_odd_bodies(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(3).await?;
    a.publish_odd("somebody.else", b"whatever").await?;
    a.publish_odd(KIND, &[0xff; 40]).await?;
    a.publish_odd(KIND, b"").await?;
    a.publish_all(3).await?;
    reading.has(&run, 6).await?;
    reading.misses(&run, Some(Reason::UnknownKind)).await?;
    reading.misses(&run, Some(Reason::Undecodable)).await?;
    run.finish(Rules { loses: true, ..Rules::default() }).await
}
