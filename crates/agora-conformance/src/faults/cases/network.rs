//! The network between a node and the server.

use std::time::Duration;

use super::super::judge::Rules;
use super::super::node::{Node, Publishing, Reading};
use super::super::run::Run;
use super::super::world::LinkFault;
use super::fault_cases;
use crate::history::{Change, What};
use crate::suite::{Fault, Verdict, ensure};

fault_cases! {
    ack_lost [Live, Log]
        "An event that was stored, and whose receipt was lost, is read once; its publish succeeds later, or its outcome is unknown.";
    cut_and_healed [Live, Log]
        "During the cut publishes wait; afterwards readers get what they missed, or a gap.";
    cut_past_every_timeout [Live, Log]
        "The link is down while the cut lasts; publishes wait or fail by their deadline; afterwards readers get what they missed, or a gap.";
    cut_one_way [Live, Log]
        "A cut of one way is as good as one of both; afterwards all goes on.";
    reset_often [Live, Log]
        "Connections that are reset in the middle of a frame are made anew; every event arrives once, or is in a gap.";
    half_open [Live, Log]
        "A connection whose other end is gone without a word is noticed, and made anew.";
    late_and_slow [Live, Log]
        "It all takes longer, and nothing else.";
    sliced [Live, Log]
        "How bytes are cut into portions is never seen.";
    refused_for_a_while [Live, Log]
        "A server that takes no connection is tried again until it does.";
}

/// Two nodes that hear each other.
struct Both {
    nodes: (Node, Node),
    readings: (Reading, Reading),
}

impl Both {
    async fn reading(run: &Run) -> Result<Self, Fault> {
        let nodes = run.pair().await?;
        let readings = (nodes.0.read().await?, nodes.1.read().await?);
        Ok(Self { nodes, readings })
    }

    /// The same, each of which has published a little.
    async fn begun(run: &Run) -> Result<Self, Fault> {
        let both = Self::reading(run).await?;
        both.nodes.0.publish_all(5).await?;
        both.nodes.1.publish_all(5).await?;
        Ok(both)
    }

    /// Both publish, as long as what is given back lives.
    fn publish_on(&self, every: u64) -> Result<(Publishing, Publishing), Fault> {
        let every = Duration::from_millis(every);
        Ok((self.nodes.0.publish_on(every)?, self.nodes.1.publish_on(every)?))
    }

    /// Each hears so many more events, of whomever.
    async fn hear(&self, run: &Run, more: usize) -> Verdict {
        let due = (self.readings.0.events() + more, self.readings.1.events() + more);
        self.readings.0.has(run, due.0).await?;
        self.readings.1.has(run, due.1).await
    }
}

async fn ack_lost(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(5).await?;
    reading.has(&run, 5).await?;
    run.link(0, LinkFault::CutToClient).await?;
    a.publish(10)?;
    // On a live topic a node that hears nothing may hold back what it is to send: then there is no receipt to lose.
    let arrives = reading.has(&run, 6);
    let _ = tokio::time::timeout(Duration::from_secs(2), arrives).await;
    run.link(0, LinkFault::Reset).await?;
    run.link(0, LinkFault::Heal).await?;
    run.finish(Rules::default()).await
}

async fn cut_and_healed(run: Run) -> Verdict {
    let both = Both::reading(&run).await?;
    for cut in [0, 1] {
        let publishing = both.publish_on(5)?;
        both.hear(&run, 10).await?;
        run.link(cut, LinkFault::Cut).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        run.link(cut, LinkFault::Heal).await?;
        both.hear(&run, 10).await?;
        drop(publishing);
    }
    run.finish(Rules::default()).await
}

async fn cut_past_every_timeout(run: Run) -> Verdict {
    let both = Both::begun(&run).await?;
    let publishing = both.publish_on(20)?;
    run.link(0, LinkFault::Cut).await?;
    let mut link = both.nodes.0.bus().link();
    let down = async { link.wait_for(|link| !link.is_usable()).await.is_ok() };
    run.soon("the link is down", down).await?;
    // Those on the other side hear of nobody's death sooner than they should, and of it in the end.
    let by = both.nodes.1.life();
    let failed =
        |what: &What| matches!(what, What::Member { by: who, change: Change::Failed, .. } if *who == by);
    run.until("it is held dead", |history| history.entries.iter().any(|entry| failed(&entry.what))).await?;
    run.link(0, LinkFault::Heal).await?;
    both.hear(&run, 10).await?;
    drop(publishing);
    run.finish(Rules::default()).await
}

async fn cut_one_way(run: Run) -> Verdict {
    let both = Both::reading(&run).await?;
    let publishing = both.publish_on(5)?;
    for cut in [LinkFault::CutToServer, LinkFault::CutToClient] {
        run.link(0, cut).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        run.link(0, LinkFault::Heal).await?;
        both.hear(&run, 10).await?;
    }
    drop(publishing);
    run.finish(Rules::default()).await
}

async fn reset_often(run: Run) -> Verdict {
    let both = Both::reading(&run).await?;
    let publishing = both.publish_on(3)?;
    // Numbers of bytes that end in the middle of something.
    for (turn, bytes) in [1_u64, 40, 333, 1_001].into_iter().enumerate() {
        let node = u8::from(turn % 2 == 1);
        run.link(node, LinkFault::ResetAfter(bytes)).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        run.link(node, LinkFault::Heal).await?;
        both.hear(&run, 5).await?;
    }
    drop(publishing);
    run.finish(Rules::default()).await
}

async fn half_open(run: Run) -> Verdict {
    let both = Both::begun(&run).await?;
    run.link(0, LinkFault::HalfOpen).await?;
    // Some notice it only when the node is held dead already: then what it published by then is in a gap, and what comes
    // later is not.
    let publishing = both.publish_on(20)?;
    // Both hear of what came after, without anybody's help.
    both.hear(&run, 10).await?;
    drop(publishing);
    run.finish(Rules::default()).await
}

async fn late_and_slow(run: Run) -> Verdict {
    let both = Both::reading(&run).await?;
    for weather in [LinkFault::Late(Duration::from_millis(40)), LinkFault::Slow(50_000)] {
        run.link(0, weather).await?;
        both.nodes.0.publish(100)?;
        both.nodes.1.publish(100)?;
        both.hear(&run, 50).await?;
    }
    run.link(0, LinkFault::Heal).await?;
    run.finish(Rules::default()).await?;
    no_publish_failed(&run)
}

async fn sliced(run: Run) -> Verdict {
    let Both { nodes: (a, b), readings: (at_a, at_b) } = Both::reading(&run).await?;
    run.link(0, LinkFault::Sliced(7)).await?;
    run.link(1, LinkFault::Sliced(1)).await?;
    a.publish(100)?;
    // Byte by byte, it still has to be through before the client holds the connection for dead.
    b.publish_large(5, 1000)?;
    at_b.has(&run, 100).await?;
    at_a.has(&run, 5).await?;
    run.link(0, LinkFault::Heal).await?;
    run.link(1, LinkFault::Heal).await?;
    run.finish(Rules::default()).await?;
    ensure!(at_a.gaps() + at_b.gaps() == 0, "something is missing, and nothing was lost");
    no_publish_failed(&run)
}

fn no_publish_failed(run: &Run) -> Verdict {
    let failed = run.recorder().look(|history| {
        let failed = |what: &What| matches!(what, What::Published(_, Err(_)));
        history.entries.iter().find(|entry| failed(&entry.what)).map(ToString::to_string)
    });
    ensure!(failed.is_none(), "a publish failed, and it was only slow: {failed:?}");
    Ok(())
}

async fn refused_for_a_while(run: Run) -> Verdict {
    let Both { nodes: (a, b), readings: (at_a, at_b) } = Both::reading(&run).await?;
    a.publish_all(5).await?;
    run.link(0, LinkFault::Refuse).await?;
    run.link(0, LinkFault::Reset).await?;
    a.publish(5)?;
    b.publish_all(5).await?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    run.link(0, LinkFault::Accept).await?;
    at_b.has(&run, 5).await?;
    let before = at_a.events();
    let publishing = b.publish_on(Duration::from_millis(20))?;
    at_a.has(&run, before + 1).await?;
    drop(publishing);
    run.finish(Rules::default()).await
}
