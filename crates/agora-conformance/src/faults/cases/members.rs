//! Who is held dead, and who is not.

use std::time::Duration;

use super::super::judge::Rules;
use super::super::run::Run;
use super::super::world::{LinkFault, ServerFault};
use super::fault_cases;
use crate::history::{Change, History, Life, What};
use crate::suite::{Verdict, ensure};

fault_cases! {
    outage_kills_nobody [Live]
        "A server that is down for longer than it takes to declare a node failed: the link is down, and nobody is declared failed.";
    crash_is_noticed_and_return_is_welcomed [Live]
        "A crash is `Failed`; the node's next life is a new member.";
    leave_is_told_at_once [Live]
        "A node that closes its bus is `Left` at once, and never `Failed`.";
    one_who_is_cut_off_accuses_nobody [Live]
        "The others declare the one that is cut off failed, and welcome it back; it declares nobody failed.";
    two_nodes_of_one_name [Live]
        "Two processes under one node name are told by a `Conflict`, and their events stay apart.";
    many_members [Live]
        "A hundred nodes that come at once all see each other.";
}

fn sees(history: &History, by: Life, change: Change, of: Option<Life>) -> bool {
    let is_it = |what: &What| match what {
        What::Member { by: who, change: what, of: whom, .. } => {
            *who == by && *what == change && (of.is_none() || *whom == of)
        }
        _ => false,
    };
    history.entries.iter().any(|entry| is_it(&entry.what))
}

async fn outage_kills_nobody(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let _reading = b.read().await?;
    a.publish_all(3).await?;
    run.server(ServerFault::Kill).await?;
    tokio::time::sleep(a.bus().config().membership.fail_after + Duration::from_secs(2)).await;
    run.server(ServerFault::Begin).await?;
    // Long enough for a verdict that would be wrong.
    tokio::time::sleep(a.bus().config().membership.suspect_after).await;
    run.finish(Rules::default()).await?;
    run.nobody_failed()
}

async fn crash_is_noticed_and_return_is_welcomed(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let (by, of) = (b.life(), a.life());
    run.until("b has seen a join", |history| sees(history, by, Change::Joined, Some(of))).await?;
    a.crash().await;
    run.until("the crash is noticed", |history| sees(history, by, Change::Failed, Some(of))).await?;
    let again = run.node(0).await?;
    let of = again.life();
    let welcomed = |history: &History| {
        sees(history, by, Change::Returned, Some(of)) || sees(history, by, Change::Joined, Some(of))
    };
    run.until("its next life is welcomed", welcomed).await
}

async fn leave_is_told_at_once(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let (by, of) = (b.life(), a.life());
    run.until("b has seen a join", |history| sees(history, by, Change::Joined, Some(of))).await?;
    a.close(run.patience()).await?;
    run.until("the leave is told", |history| sees(history, by, Change::Left, Some(of))).await?;
    let suspected = run.recorder().look(|history| sees(history, by, Change::Suspected, Some(of)));
    ensure!(!suspected, "a leave was told as late as a silence");
    run.nobody_failed()
}

async fn one_who_is_cut_off_accuses_nobody(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let c = run.node(2).await?;
    for by in [a.life(), c.life()] {
        run.until("b is known", |history| sees(history, by, Change::Joined, Some(b.life()))).await?;
    }
    for by in [b.life()] {
        run.until("c is known", |history| sees(history, by, Change::Joined, Some(c.life()))).await?;
    }
    // One way is enough: what it says does not arrive, and it hears all the same.
    run.link(1, LinkFault::CutToServer).await?;
    for by in [a.life(), c.life()] {
        run.until("it is held dead", |history| sees(history, by, Change::Failed, Some(b.life()))).await?;
    }
    run.link(1, LinkFault::Heal).await?;
    for by in [a.life(), c.life()] {
        run.until("it is back", |history| sees(history, by, Change::Returned, Some(b.life()))).await?;
    }
    let accused = run.recorder().look(|history| sees(history, b.life(), Change::Failed, None));
    ensure!(!accused, "one that was cut off has declared others failed");
    Ok(())
}

async fn two_nodes_of_one_name(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let twin = run.node(0).await?;
    let reading = b.read().await?;
    a.publish(50)?;
    twin.publish(50)?;
    reading.has(&run, 100).await?;
    let by = b.life();
    run.until("the conflict is told", |history| sees(history, by, Change::Conflict, None)).await?;
    run.finish(Rules::default()).await
}

async fn many_members(run: Run) -> Verdict {
    const NODES: u8 = 100;
    let mut starting = tokio::task::JoinSet::new();
    for number in 0..NODES {
        // A hundred greet a hundred in one process: a timer that fires a second late is no silence here.
        let mut config = run.config(number)?;
        config.membership.heartbeat_interval = Duration::from_secs(2);
        config.membership.hint_grace = Duration::from_secs(5);
        config.membership.suspect_after = Duration::from_secs(10);
        config.membership.fail_after = Duration::from_secs(20);
        let run = run.clone();
        starting.spawn(async move { run.node_as(number, config).await });
    }
    let nodes = starting.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    run.until("everybody sees everybody", |history| {
        let joined = |what: &What| matches!(what, What::Member { change: Change::Joined, of: Some(_), .. });
        let seen = history.entries.iter().filter(|entry| joined(&entry.what)).count();
        seen >= usize::from(NODES) * usize::from(NODES - 1)
    })
    .await?;
    let reading = nodes[0].read().await?;
    for node in &nodes[1..] {
        node.publish(1)?;
    }
    reading.has(&run, usize::from(NODES) - 1).await?;
    run.nobody_failed()
}
