//! What can happen to work that is shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::super::judge::Rules;
use super::super::member::{ATTEMPTS_MAX, Act, HANDLER_TIMEOUT, LEASE, Script, read_dead_letters};
use super::super::run::Run;
use super::super::world::LinkFault;
use super::fault_cases;
use crate::history::{GroupWhat, History, What};
use crate::suite::{Verdict, ensure};

fault_cases! {
    handler_fails_and_the_next_succeeds [Each]
        "An event whose handler failed is tried again after a pause; those behind it are handled meanwhile, and none is skipped.";
    handler_panics_or_hangs [Log, Each]
        "A panic, and a handler that takes too long, count as failed tries; the member goes on.";
    poison_goes_to_the_dead_letters [Log, Each]
        "An event that always fails is tried so often, then lies among the dead letters with the reason.";
    poison_while_the_server_restarts [Each]
        "A dead letter that cannot be stored is tried again until it is; the event is acknowledged only then.";
    crash_between_handling_and_ack [Log, Each]
        "What a member had not acknowledged when it crashed is handled by another when its lease has ended.";
    members_join_and_leave [Each]
        "Members that join and leave in the middle of the work lose nothing, and nothing is done twice; where giving back counts as a try (NATS), an event that is given back often may end among the dead letters.";
    member_is_cut_off_past_its_lease [Each]
        "The work of a member that is cut off goes to the others; what it says later of it is void.";
    group_outlives_restarts [Log, Each]
        "The group goes on after each restart of the server; what was under way may be handled again.";
}

fn script(of: impl Fn(u64, u32) -> Act + Send + Sync + 'static) -> Script {
    Arc::new(of)
}

const AGAIN: Rules = Rules { handled_again: true, ends: false, loses: false };

async fn handler_fails_and_the_next_succeeds(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let fails_first = script(|n, attempt| if n % 3 == 0 && attempt == 1 { Act::Fail } else { Act::Done });
    let _member = b.join_for_long(fails_first).await?;
    a.publish(60)?;
    run.finish(Rules::default()).await
}

async fn handler_panics_or_hangs(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let _member = b
        .join_for_long(script(|n, attempt| match (n, attempt) {
            (5, 1) => Act::Panic,
            (9, 1) => Act::Hang,
            (13, 1) => Act::After(HANDLER_TIMEOUT * 2),
            _ => Act::Done,
        }))
        .await?;
    a.publish(40)?;
    run.finish(Rules::default()).await
}

async fn poison_goes_to_the_dead_letters(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let _member = b
        .join_for_long(script(|n, _| match n {
            7 => Act::Fail,
            11 => Act::Reject,
            _ => Act::Done,
        }))
        .await?;
    a.publish(30)?;
    read_dead_letters(&a).await?;
    run.finish(Rules::default()).await?;
    let tries = tries_of(&run, 7);
    ensure!(tries == ATTEMPTS_MAX as usize, "an event that always fails was tried {tries} times");
    Ok(())
}

fn tries_of(run: &Run, n: u64) -> usize {
    run.recorder().look(|history| {
        let is_one = |what: &What| match what {
            What::Group(GroupWhat::Begin { value: Some(value), .. }) => value.n == n && value.life.node == 0,
            _ => false,
        };
        history.entries.iter().filter(|entry| is_one(&entry.what)).count()
    })
}

async fn poison_while_the_server_restarts(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let member = b.join(script(|n, _| if n % 10 == 7 { Act::Reject } else { Act::Done })).await?;
    a.publish_all(30).await?;
    member.has_begun(&run, 7).await?;
    run.restart().await?;
    a.publish_all(30).await?;
    read_dead_letters(&a).await?;
    run.finish(AGAIN).await
}

async fn crash_between_handling_and_ack(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    a.publish_all(20).await?;
    let member = b.join(script(|_, _| Act::After(Duration::from_millis(100)))).await?;
    member.has_begun(&run, 6).await?;
    // From here on nothing of what it says arrives, and then it is gone.
    run.link(1, LinkFault::Cut).await?;
    member.has_begun(&run, 8).await?;
    b.crash().await;
    run.link(1, LinkFault::Reset).await?;
    let c = run.node(2).await?;
    let _other = c.join(script(|_, _| Act::Done)).await?;
    run.finish(AGAIN).await
}

async fn members_join_and_leave(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let c = run.node(2).await?;
    let slowly = || script(|_, _| Act::After(Duration::from_millis(20)));
    let first = b.join_for_long(slowly()).await?;
    // A member reads ahead: for those who join later there must be something left.
    let publishing = a.publish_on(Duration::from_millis(8))?;
    first.has_begun(&run, 20).await?;
    let second = c.join_for_long(slowly()).await?;
    second.has_begun(&run, 10).await?;
    first.leave(&run, run.patience()).await?;
    let third = b.join_for_long(slowly()).await?;
    third.has_begun(&run, 1).await?;
    second.leave(&run, run.patience()).await?;
    drop(publishing);
    // Where a backend counts what is given back as a try, an event that was given back often ends there.
    read_dead_letters(&a).await?;
    run.finish(Rules::default()).await
}

async fn member_is_cut_off_past_its_lease(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let c = run.node(2).await?;
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = is_cut.clone();
    // Works for as long as it is cut off, but for no longer than a handler may.
    a.publish_all(40).await?;
    let _zombie = {
        let member = b.join(script(move |_, _| {
            if cut.load(Relaxed) {
                Act::After(HANDLER_TIMEOUT / 2)
            } else {
                Act::After(Duration::from_millis(50))
            }
        }));
        let member = member.await?;
        member.has_begun(&run, 5).await?;
        member
    };
    run.link(1, LinkFault::Cut).await?;
    is_cut.store(true, Relaxed);
    let other = c.join(script(|_, _| Act::Done)).await?;
    other.has_begun(&run, 1).await?;
    tokio::time::sleep(LEASE + Duration::from_millis(500)).await;
    run.link(1, LinkFault::Heal).await?;
    is_cut.store(false, Relaxed);
    run.finish(AGAIN).await
}

async fn group_outlives_restarts(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let c = run.node(2).await?;
    let slowly = || script(|_, _| Act::After(Duration::from_millis(5)));
    let _members = (b.join(slowly()).await?, c.join(slowly()).await?);
    let publishing = a.publish_on(Duration::from_millis(5))?;
    for _ in 0..2 {
        works_on(&run).await?;
        run.restart().await?;
        works_on(&run).await?;
    }
    drop(publishing);
    run.finish(AGAIN).await
}

/// Ten more events are begun, by whomever.
async fn works_on(run: &Run) -> Verdict {
    let begun = |history: &History| {
        let begins = |what: &What| matches!(what, What::Group(GroupWhat::Begin { .. }));
        history.entries.iter().filter(|entry| begins(&entry.what)).count()
    };
    let before = run.recorder().look(begun);
    run.until("the group works", |history| begun(history) >= before + 10).await
}
