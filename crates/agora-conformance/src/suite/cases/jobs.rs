//! Groups of the bus, over this transport: each event is handled, retries are bounded, and nothing is dropped unseen.

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::time::Duration;

use agora_core::bus::{Bus, Delivery, Group, Job, Start, Work};
use agora_core::event::DeadLetter;
use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{Framing, TopicSettings};

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::stage::Stage;
use super::super::ticks::{self, Tick};

cases! { "jobs":
    each_event_is_handled_once [Group]
        "Two buses share the events of a log: each is handled by one of them, and none is left.";
    a_dropped_job_comes_again [Group]
        "A job that is dropped without a word comes again.";
    a_retry_comes_again [Group]
        "A job that is to be tried again comes again, with its tries counted.";
    the_last_try_is_a_dead_letter [Group]
        "After the last try an event is a dead letter, with the reason, and the next one is handled.";
    a_rejected_job_is_a_dead_letter [Group]
        "A job that is rejected is a dead letter at once, and does not come again.";
    another_member_goes_on [Group]
        "What a member has not handled when it leaves, another one handles.";
}

struct Scene {
    stage: Stage,
    topic: TopicName,
    group: GroupName,
    a: Bus,
    b: Bus,
}

async fn scene(stage: &Stage, events: u64) -> Result<Scene, Fault> {
    let (topic, group) = (stage.topic("work")?, stage.group("workers")?);
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LOG.framing(Framing::Each))]).await?;
    ticks::publish(stage, &a, &topic, 1..=events).await?;
    Ok(Scene { stage: stage.clone(), topic, group, a, b })
}

impl Scene {
    async fn join(&self, bus: &Bus) -> Result<Group<Tick>, Fault> {
        let pause = Duration::from_millis(20);
        let joining = bus.group(self.topic.as_str(), self.group.as_str());
        let joining = joining.typed::<Tick>().attempts(3).backoff(pause, pause).into_future();
        Ok(self.stage.soon("joining a group", joining).await??)
    }

    async fn job(&self, member: &mut Group<Tick>) -> Result<Job<Tick>, Fault> {
        match self.stage.soon("a job", member.try_next()).await?? {
            Some(Work::Job(job)) => Ok(job),
            other => Err(Fault::broken(format!("a job was due, and this came: {other:?}"))),
        }
    }

    async fn dead_letter(&self, tick: u64, reason: &str) -> Verdict {
        let topic = self.topic.dead_letters(&self.group)?;
        let starting = self.a.subscribe(&topic).typed::<DeadLetter>().start(Start::Earliest);
        let mut letters = self.stage.soon("a subscription to the dead letters", starting).await??;
        match self.stage.soon("a dead letter", letters.try_next()).await?? {
            Some(Delivery::Event(letter)) => {
                let shown = format!("{:?}", letter.event);
                ensure!(
                    shown.contains(reason),
                    "tick {tick} is dead, and not because of `{reason}`: {shown}"
                );
                Ok(())
            }
            other => Err(Fault::broken(format!("a dead letter was due, and this came: {other:?}"))),
        }
    }
}

async fn each_event_is_handled_once(stage: Stage) -> Verdict {
    let scene = scene(&stage, 100).await?;
    let (mut at_a, mut at_b) = (scene.join(&scene.a).await?, scene.join(&scene.b).await?);
    let mut handled = BTreeSet::new();
    while handled.len() < 100 {
        let either = async {
            tokio::select! {
                work = at_a.try_next() => work,
                work = at_b.try_next() => work,
            }
        };
        match stage.soon("a job for one of two", either).await?? {
            Some(Work::Job(job)) => {
                let tick = job.event.0;
                job.ack();
                ensure!(handled.insert(tick), "tick {tick} was handled twice");
            }
            other => return Err(Fault::broken(format!("a job was due, and this came: {other:?}"))),
        }
    }
    stage.never("everything is handled", at_a.try_next()).await?;
    stage.never("everything is handled", at_b.try_next()).await
}

async fn a_dropped_job_comes_again(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    let mut member = scene.join(&scene.a).await?;
    drop(scene.job(&mut member).await?);
    let again = scene.job(&mut member).await?;
    same("the tick", again.event.0, 1)?;
    again.ack();
    stage.never("everything is handled", member.try_next()).await
}

async fn a_retry_comes_again(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    let mut member = scene.join(&scene.a).await?;
    for attempt in 1..=3 {
        let job = scene.job(&mut member).await?;
        same("the tick and its try", (job.event.0, job.attempt()), (1, attempt))?;
        if attempt < 3 { job.retry("not yet") } else { job.ack() }
    }
    stage.never("everything is handled", member.try_next()).await
}

async fn the_last_try_is_a_dead_letter(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    let mut member = scene.join(&scene.a).await?;
    for _ in 1..=3 {
        scene.job(&mut member).await?.retry("the disk is full");
    }
    scene.dead_letter(1, "the disk is full").await?;
    ticks::publish(&stage, &scene.b, &scene.topic, [2]).await?;
    let job = scene.job(&mut member).await?;
    same("the tick", job.event.0, 2)?;
    job.ack();
    Ok(())
}

async fn a_rejected_job_is_a_dead_letter(stage: Stage) -> Verdict {
    let scene = scene(&stage, 2).await?;
    let mut member = scene.join(&scene.a).await?;
    let mut rejected = 0;
    for _ in 1..=2 {
        let job = scene.job(&mut member).await?;
        if job.event.0 == 1 {
            rejected += 1;
            job.reject("makes no sense");
        } else {
            job.ack();
        }
    }
    same("rejected", rejected, 1)?;
    scene.dead_letter(1, "makes no sense").await?;
    stage.never("everything is settled", member.try_next()).await
}

async fn another_member_goes_on(stage: Stage) -> Verdict {
    let scene = scene(&stage, 20).await?;
    let mut first = scene.join(&scene.a).await?;
    let mut handled = BTreeSet::new();
    for _ in 0..5 {
        let job = scene.job(&mut first).await?;
        handled.insert(job.event.0);
        job.ack();
    }
    first.leave(stage.patience()).await?;
    let mut second = scene.join(&scene.b).await?;
    while handled.len() < 20 {
        let job = scene.job(&mut second).await?;
        ensure!(handled.insert(job.event.0), "tick {} was handled twice", job.event.0);
        job.ack();
    }
    Ok(())
}
