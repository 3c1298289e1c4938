//! The link, those who are there, and what is said of it all.

use std::time::Duration;

use agora_core::bus::{Bus, MemberChange, Members, Start};
use agora_core::id::{Incarnation, NodeId, NodeName, SourceId};
use agora_core::membership::MemberEvent;
use agora_core::transport::{Hint, Link, Support, TopicSettings, TopicSpec, Transport};
use tokio::sync::mpsc;

use super::super::case::{Fault, Need, Verdict, cases, ensure, same};
use super::super::node::to;
use super::super::stage::Stage;
use super::super::ticks;

cases! { "link":
    capabilities_agree_with_themselves []
        "What is absent says what to use; what is there is given; and nothing stands on what is absent.";
    comes_up []
        "The link comes up by itself, and says so.";
    members_are_seen [Live]
        "Two buses see each other as members, by name and with their tags.";
    clean_leave_is_seen [Live]
        "A bus that is closed is seen to leave, and is not held to have failed.";
    crash_is_seen [Live]
        "A bus that is dropped is seen to fail.";
    hints_come_and_go [Live]
        "Where the backend gives hints, who announces himself is seen, and is gone when he is; where it gives none, it \
         says so.";
    goes_down_and_up_again [Live]
        "A node that is cut off and healed hears what is published afterwards, and is told of what it missed.";
    restart_is_survived [Live]
        "After a restart of the server, a bus goes on without being opened anew.";
    secrets_are_not_shown []
        "A password or token is in no capability, no state of the link and no error.";
}

async fn capabilities_agree_with_themselves(stage: Stage) -> Verdict {
    let a = stage.node("a").await?;
    let can = a.capabilities();
    for need in Need::ALL {
        if let Support::No { instead } = need.support(can) {
            ensure!(
                !instead.trim().is_empty(),
                "`{}` is absent, and nothing says what to use",
                need.as_str()
            );
        }
    }
    ensure!(!can.backend.is_empty(), "the backend has no name");
    ensure!(can.message_bytes_max >= 64 << 10, "a message of {} bytes is too small", can.message_bytes_max);
    same("a store of cursors", a.cursors().is_some(), can.cursors == Support::Yes)?;
    same("administration", a.admin().is_some(), can.admin == Support::Yes)?;
    ensure!(can.group != Support::Yes || can.log == Support::Yes, "groups, and no logs to share");
    ensure!(
        can.group_on_batch != Support::Yes || can.group == Support::Yes,
        "groups on batches, and no groups"
    );
    ensure!(can.lanes != Support::Yes || can.log == Support::Yes, "lanes, and no logs that could have them");
    ensure!(can.live == Support::Yes || can.log == Support::Yes, "neither live topics nor logs");
    Ok(())
}

async fn comes_up(stage: Stage) -> Verdict {
    let a = stage.node("a").await?;
    a.usable().await?;
    let link = a.link().borrow().clone();
    if let Link::Degraded { why, .. } = link {
        ensure!(!why.is_empty(), "the link is degraded, and does not say why");
    }
    Ok(())
}

/// Waits for a change of this kind that is about this node.
async fn change(
    stage: &Stage,
    members: &mut Members,
    what: &str,
    is_it: impl Fn(&MemberEvent) -> bool,
) -> Result<MemberEvent, Fault> {
    let found = async {
        loop {
            match members.next().await {
                Some(MemberChange::Event(event)) if is_it(&event) => return Ok(event),
                Some(_) => {}
                None => return Err(Fault::broken("the changes of the members ended")),
            }
        }
    };
    stage.soon(what, found).await?
}

/// A bus that notices silence fast, so that nobody waits for long.
async fn watchful(stage: &Stage, name: &str) -> Result<Bus, Fault> {
    let mut config = stage.config(name, &[])?;
    config.tags = vec![("role".into(), name.into())];
    config.membership.heartbeat_interval = Duration::from_millis(300);
    config.membership.suspect_after = Duration::from_millis(1200);
    config.membership.fail_after = Duration::from_secs(2);
    config.membership.hint_grace = Duration::from_millis(800);
    stage.bus_of(config).await
}

/// Three that know each other: where peers talk directly, one of two that falls silent proves nothing.
async fn three(stage: &Stage) -> Result<(Bus, Members, Bus, Bus), Fault> {
    let a = watchful(stage, "a").await?;
    let mut members = a.members();
    let (b, c) = (watchful(stage, "b").await?, watchful(stage, "c").await?);
    for _ in 0..2 {
        change(stage, &mut members, "two join", |event| matches!(event, MemberEvent::Joined(_))).await?;
    }
    Ok((a, members, b, c))
}

async fn members_are_seen(stage: Stage) -> Verdict {
    let (a, _members, b, c) = three(&stage).await?;
    let seen = a.members().snapshot();
    for (name, bus) in [("b", &b), ("c", &c)] {
        let member = seen.iter().find(|member| member.info.name.as_str() == name);
        let Some(member) = member else { return Err(Fault::broken(format!("{name} is not seen"))) };
        same("the source", member.info.source, bus.me())?;
        same("the tags", &member.info.tags, &vec![("role".to_owned(), name.to_owned())])?;
    }
    Ok(())
}

async fn clean_leave_is_seen(stage: Stage) -> Verdict {
    let (_a, mut members, b, _c) = three(&stage).await?;
    let of_b = b.me();
    b.close(stage.patience()).await?;
    drop(b);
    let is_end = |event: &MemberEvent| match event {
        MemberEvent::Left(info) | MemberEvent::Failed(info) => info.source == of_b,
        _ => false,
    };
    let end = change(&stage, &mut members, "the end of b", is_end).await?;
    ensure!(matches!(end, MemberEvent::Left(_)), "a clean leave is taken for a failure");
    Ok(())
}

async fn crash_is_seen(stage: Stage) -> Verdict {
    let (_a, mut members, b, _c) = three(&stage).await?;
    let of_b = b.me();
    drop(b);
    let is_end = |event: &MemberEvent| match event {
        MemberEvent::Left(info) | MemberEvent::Failed(info) => info.source == of_b,
        _ => false,
    };
    let end = change(&stage, &mut members, "the end of b", is_end).await?;
    ensure!(matches!(end, MemberEvent::Failed(_)), "a crash is taken for a clean leave");
    Ok(())
}

async fn hint(stage: &Stage, hints: &mut mpsc::Receiver<Hint>, due: Hint) -> Verdict {
    let found = async {
        loop {
            match hints.recv().await {
                Some(hint) if hint == due => return Ok(()),
                Some(_) => {}
                None => return Err(Fault::broken("the hints ended")),
            }
        }
    };
    stage.soon(&format!("the hint {due:?}"), found).await?
}

async fn hints_come_and_go(stage: Stage) -> Verdict {
    let (a, b) = (stage.node("a").await?, stage.node("b").await?);
    let source = |name: &str| -> Result<SourceId, Fault> {
        Ok(SourceId { node: NodeId::of(&NodeName::new(name)?), incarnation: Incarnation(fastrand::u64(..)) })
    };
    let (of_a, of_b) = (source("a")?, source("b")?);
    let hints = a.announce(of_a).await?;
    same("hints are given", hints.is_some(), a.capabilities().failure_hints)?;
    let Some(mut at_a) = hints else { return Ok(()) };
    let _at_b = b.announce(of_b).await?;
    hint(&stage, &mut at_a, Hint::Seen(of_b)).await?;
    drop(_at_b);
    drop(b);
    hint(&stage, &mut at_a, Hint::Gone(of_b)).await
}

async fn goes_down_and_up_again(stage: Stage) -> Verdict {
    let topic = stage.topic("cut")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 1..=3).await?;
    at_b.expect(1..=3).await?;
    let name = NodeName::new("b")?;
    stage.subject().cut(&name).await?;
    ticks::publish(&stage, &a, &topic, 4..=6).await?;
    stage.subject().heal(&name).await?;
    ticks::publish(&stage, &a, &topic, 7..=9).await?;
    // Each of them, or a gap that covers it; in order all the same.
    let mut due = 4;
    while due <= 9 {
        match at_b.next().await? {
            Some(agora_core::bus::Delivery::Event(event)) => {
                let tick = event.decode::<ticks::Tick>().map_err(|error| Fault::broken(error.to_string()))?.0;
                ensure!(tick == due, "tick {due} vanished without a gap: {tick} came");
                due += 1;
            }
            Some(agora_core::bus::Delivery::Gap(gap)) => match gap.events() {
                Some(events) => due += events,
                None => return Ok(()),
            },
            other => return Err(Fault::broken(format!("{other:?}"))),
        }
    }
    Ok(())
}

async fn restart_is_survived(stage: Stage) -> Verdict {
    let topic = stage.topic("restart")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 1..=3).await?;
    at_b.expect(1..=3).await?;
    stage.subject().restart_server().await?;
    a.ready(stage.patience()).await?;
    b.ready(stage.patience()).await?;
    ticks::publish(&stage, &a, &topic, 4..=6).await?;
    loop {
        match at_b.next().await? {
            Some(agora_core::bus::Delivery::Event(event)) if event.seq() == 6 => return Ok(()),
            Some(_) => {}
            None => return Err(Fault::broken("the subscription ended with the server")),
        }
    }
}

async fn secrets_are_not_shown(stage: Stage) -> Verdict {
    let Some(secret) = stage.subject().secret().map(str::to_owned) else {
        return Err(Fault::not_here("this subject was given no secret"));
    };
    let (a, topic) = (stage.node("a").await?, stage.topic("secret")?);
    let mut shown = vec![format!("{:?}", a.capabilities()), format!("{:?}", a.link().borrow())];
    let nowhere = agora_core::transport::Address { lane: u32::MAX, ..to(&topic) };
    if let Err(failed) = a.publish(&nowhere, Vec::new(), stage.by()).await {
        shown.push(format!("{failed:?}"));
    }
    stage.soon("closing", a.close(stage.by())).await??;
    let node = a.share();
    let errors = [
        node.open(&TopicSpec::live(topic.clone())).await.err(),
        node.subscribe(&topic).await.err(),
        node.open_log(&topic, 0, agora_core::transport::LogStart::Earliest).await.err(),
    ];
    shown.extend(errors.into_iter().flatten().map(|error| format!("{error:?}\n{error:#}")));
    for text in shown {
        ensure!(!text.contains(&secret), "the secret is shown: {}", text.replace(&secret, "<secret>"));
    }
    Ok(())
}
