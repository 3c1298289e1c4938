//! What an operator may ask and do.

use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{
    Admin, Framing, GroupStart, LogStart, ResetTo, Settle, TopicKind, TopicSettings, TopicSpec, Transport,
};
use agora_core::{Error, ErrorKind};

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::member::LONG;
use super::super::node::Node;
use super::super::stage::Stage;

cases! { "admin":
    created_is_listed_and_described [Admin, Log]
        "A log that was made is listed, and described as an empty log.";
    creating_twice_is_a_conflict [Admin, Log]
        "A name that is taken is a `Conflict`, and what is there stays as it is.";
    unknown_is_not_found [Admin, Log]
        "What is not there is `NotFound`, for every call.";
    description_counts [Admin, Log]
        "The description counts the records, and names the first and the last place as a reader sees them.";
    deleted_is_gone [Admin, Log]
        "A log that was deleted is gone with its records, and can be made anew.";
    clusters_are_apart [Admin, Log]
        "The logs of another cluster are not seen, and not touched.";
    settings_are_kept_or_refused [Admin, Log]
        "A setting of a new log is shown in its description, or refused with `Unsupported`; none is ignored.";
    group_is_made_and_deleted [Admin, Group]
        "A group that was made is listed and described, is a `Conflict` when made again, and can be deleted.";
    group_with_members_stays [Admin, Group]
        "A group that has members is neither deleted nor moved: `Conflict`.";
    made_group_keeps_its_start [Admin, Group]
        "A group that was made for what comes begins there, whatever its first member asks for.";
    lag_and_pending_are_counted [Admin, Group]
        "The description of a group counts its members, what is given out, and what is not done.";
    dry_run_changes_nothing [Admin, Group]
        "A dry run says what a reset would change, and changes nothing, also while there are members.";
    reset_to_earliest [Admin, Group]
        "A group that is reset to the earliest gets everything again.";
    reset_to_latest [Admin, Group]
        "A group that is reset to the latest gets what comes, and nothing old.";
    reset_to_a_place_and_a_time [Admin, Group]
        "A group that is reset to a place or a time goes on with the record that stands there.";
    delete_takes_groups_and_cursors_along [Admin, Group, Cursors]
        "A log is deleted with its groups and its cursors.";
}

fn admin(transport: &dyn Transport) -> Result<&dyn Admin, Fault> {
    transport.admin().ok_or_else(|| Fault::broken("`admin` is said to be there, and gives nothing"))
}

fn error<T>(what: &str, answer: Result<T, Error>, due: ErrorKind) -> Verdict {
    match answer {
        Ok(_) => Err(Fault::broken(format!("{what} succeeded, and `{}` was due", due.as_str()))),
        Err(error) => same(what, error.kind(), due),
    }
}

fn each() -> TopicSettings {
    TopicSettings::LOG.framing(Framing::Each)
}

/// A log of one event a message, with these many numbers.
async fn log(stage: &Stage, numbers: u64) -> Result<(Node, TopicName), Fault> {
    let (node, topic) = (stage.node("a").await?, stage.topic("log")?);
    node.open_as(&topic, each()).await?;
    node.count(&topic, 1..=numbers).await?;
    Ok((node, topic))
}

async fn created_is_listed_and_described(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("made")?);
    admin(&*a)?.create_topic(&TopicSpec::log(topic.clone())).await?;
    let listed = admin(&*b)?.topics().await?;
    ensure!(listed.contains(&topic), "{topic} is not listed");
    ensure!(listed.is_sorted(), "the list is not in the order of the names: {listed:?}");
    let found = admin(&*b)?.describe_topic(&topic).await?;
    same("name and kind", (&found.name, found.settings.kind), (&topic, TopicKind::Log))?;
    ensure!(!found.lanes.is_empty(), "a log of no lanes");
    ensure!(
        found.lanes.iter().all(|lane| lane.records == 0 && lane.first.is_none()),
        "{found:?} is not empty"
    );
    b.open_a_log(&topic).await
}

async fn creating_twice_is_a_conflict(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 3).await?;
    let spec = TopicSpec { name: topic.clone(), settings: each() };
    error("creating it again", admin(&*a)?.create_topic(&spec).await, ErrorKind::Conflict)?;
    a.read(&topic, LogStart::Earliest).await?.expect(1..=3).await.map(drop)
}

async fn unknown_is_not_found(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 0).await?;
    let (nowhere, nobody) = (stage.topic("nowhere")?, stage.group("nobody")?);
    let admin = admin(&*a)?;
    let due = ErrorKind::NotFound;
    error("describe_topic", admin.describe_topic(&nowhere).await, due)?;
    error("delete_topic", admin.delete_topic(&nowhere).await, due)?;
    error("groups", admin.groups(&nowhere).await, due)?;
    error("create_group", admin.create_group(&nowhere, &nobody, GroupStart::Earliest).await, due)?;
    for topic in [&nowhere, &topic] {
        error("describe_group", admin.describe_group(topic, &nobody).await, due)?;
        error("delete_group", admin.delete_group(topic, &nobody).await, due)?;
        error("reset_group", admin.reset_group(topic, &nobody, ResetTo::Earliest, true).await, due)?;
    }
    let listed = admin.topics().await?;
    ensure!(!listed.contains(&nowhere), "asking for {nowhere} has made it");
    same("groups of the log", admin.groups(&topic).await?, Vec::new())
}

async fn description_counts(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 7).await?;
    let records = a.read(&topic, LogStart::Earliest).await?.expect(1..=7).await?;
    let found = admin(&*a)?.describe_topic(&topic).await?;
    same("records", found.lanes.iter().map(|lane| lane.records).sum(), 7)?;
    let lane = found.lanes.iter().find(|lane| lane.lane == 0);
    let Some(lane) = lane else { return Err(Fault::broken("there is no lane 0")) };
    same("the first place", lane.first.map(|(at, _)| at), Some(records[0].at))?;
    same("the last place", lane.last.map(|(at, _)| at), Some(records[6].at))
}

async fn deleted_is_gone(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 3).await?;
    admin(&*a)?.delete_topic(&topic).await?;
    ensure!(!admin(&*a)?.topics().await?.contains(&topic), "{topic} is still listed");
    error("describe_topic", admin(&*a)?.describe_topic(&topic).await, ErrorKind::NotFound)?;
    a.open_as(&topic, each()).await?;
    a.count(&topic, [9]).await?;
    a.read(&topic, LogStart::Earliest).await?.expect([9]).await.map(drop)
}

async fn clusters_are_apart(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 3).await?;
    let x = stage.stranger("x").await?;
    let there = admin(&*x)?;
    ensure!(!there.topics().await?.contains(&topic), "a log of another cluster is listed");
    error("delete_topic", there.delete_topic(&topic).await, ErrorKind::NotFound)?;
    a.read(&topic, LogStart::Earliest).await?.expect(1..=3).await.map(drop)
}

async fn settings_are_kept_or_refused(stage: Stage) -> Verdict {
    let a = stage.node("a").await?;
    let retention = std::time::Duration::from_secs(3600);
    for name in ["retention", "lanes", "replicas"] {
        let mut settings = each();
        match name {
            "retention" => settings.retention = Some(retention),
            "lanes" => settings.lanes = Some(3),
            _ => settings.replicas = Some(7),
        }
        let spec = TopicSpec { name: stage.topic(name)?, settings };
        match admin(&*a)?.create_topic(&spec).await {
            Err(error) => {
                let kind = error.kind();
                // A backend that has the setting may lack the servers for it.
                let is_refusal =
                    matches!(kind, ErrorKind::Unsupported | ErrorKind::Config | ErrorKind::Backend);
                ensure!(is_refusal, "`{name}` is refused with `{}`: {error:#}", kind.as_str());
            }
            Ok(()) => {
                let found = admin(&*a)?.describe_topic(&spec.name).await?;
                let kept = match name {
                    "retention" => found.settings.retention == Some(retention),
                    "lanes" => found.lanes.len() == 3,
                    _ => found.settings.replicas == Some(7),
                };
                ensure!(kept, "`{name}` was accepted, and is not kept: {:?}", found.settings);
            }
        }
    }
    Ok(())
}

async fn group_is_made_and_deleted(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 3).await?;
    let (admin, group) = (admin(&*a)?, stage.group("made")?);
    admin.create_group(&topic, &group, GroupStart::Earliest).await?;
    same("the groups", admin.groups(&topic).await?, vec![group.clone()])?;
    let again = admin.create_group(&topic, &group, GroupStart::Earliest).await;
    error("creating it again", again, ErrorKind::Conflict)?;
    let found = admin.describe_group(&topic, &group).await?;
    same("name, members and lag", (&found.name, found.members.len(), found.lag()), (&group, 0, 3))?;
    admin.delete_group(&topic, &group).await?;
    same("the groups", admin.groups(&topic).await?, Vec::new())
}

async fn group_with_members_stays(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 3).await?;
    let (admin, group) = (admin(&*a)?, stage.group("busy")?);
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    let job = member.job().await?;
    error("delete_group", admin.delete_group(&topic, &group).await, ErrorKind::Conflict)?;
    let moved = admin.reset_group(&topic, &group, ResetTo::Latest, false).await;
    error("reset_group", moved, ErrorKind::Conflict)?;
    member.ack(&job).await?;
    same("the next record", member.job().await?.number, 2)
}

async fn made_group_keeps_its_start(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 3).await?;
    let group = stage.group("late")?;
    admin(&*a)?.create_group(&topic, &group, GroupStart::Latest).await?;
    a.count(&topic, [4]).await?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    same("the first record", member.job().await?.number, 4)
}

async fn lag_and_pending_are_counted(stage: Stage) -> Verdict {
    let (a, topic) = log(&stage, 5).await?;
    let group = stage.group("counted")?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    let jobs = member.jobs(2).await?;
    // A backend may note what was given out a moment later.
    let noted = async {
        loop {
            let found = admin(&*a)?.describe_group(&topic, &group).await?;
            if found.pending() >= 2 {
                return Ok::<_, Fault>(found);
            }
        }
    };
    let before = stage.soon("that two are given out", noted).await??;
    same("members and lag", (before.members.len(), before.lag()), (1, 5))?;
    member.ack(&jobs[0]).await?;
    let after = admin(&*a)?.describe_group(&topic, &group).await?;
    same("lag and pending", (after.lag(), after.pending()), (4, before.pending() - 1))?;
    stage.soon("leaving", member.inbox.leave()).await??;
    let left = admin(&*a)?.describe_group(&topic, &group).await?;
    same("members and lag", (left.members.len(), left.lag()), (0, 4))
}

/// A group that has done these many of ten, and has no members.
async fn worked(stage: &Stage, done: usize) -> Result<(Node, TopicName, GroupName), Fault> {
    let (a, topic) = log(stage, 10).await?;
    let group = stage.group("worked")?;
    let mut member = a.join(stage, &topic, &group, LONG).await?;
    for _ in 0..done {
        let job = member.job().await?;
        member.settle(&job, Settle::Ack).await?;
    }
    stage.soon("leaving", member.inbox.leave()).await??;
    Ok((a, topic, group))
}

async fn dry_run_changes_nothing(stage: Stage) -> Verdict {
    let (a, topic, group) = worked(&stage, 4).await?;
    let before = admin(&*a)?.describe_group(&topic, &group).await?;
    let wanted = admin(&*a)?.reset_group(&topic, &group, ResetTo::Earliest, true).await?;
    same("records that would come again", wanted.iter().map(|lane| lane.records).sum(), 4)?;
    let wanted = admin(&*a)?.reset_group(&topic, &group, ResetTo::Latest, true).await?;
    same("records that would be passed over", wanted.iter().map(|lane| lane.records).sum(), -6)?;
    let after = admin(&*a)?.describe_group(&topic, &group).await?;
    same("the lanes of the group", after.lanes, before.lanes)?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    admin(&*a)?.reset_group(&topic, &group, ResetTo::Earliest, true).await?;
    same("the next record", member.job().await?.number, 5)
}

async fn reset_to_earliest(stage: Stage) -> Verdict {
    let (a, topic, group) = worked(&stage, 4).await?;
    let changed = admin(&*a)?.reset_group(&topic, &group, ResetTo::Earliest, false).await?;
    same("records that come again", changed.iter().map(|lane| lane.records).sum(), 4)?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    let numbers: Vec<_> = member.jobs(10).await?.iter().map(|job| job.number).collect();
    same("the records", numbers, (1..=10).collect())
}

async fn reset_to_latest(stage: Stage) -> Verdict {
    let (a, topic, group) = worked(&stage, 4).await?;
    let changed = admin(&*a)?.reset_group(&topic, &group, ResetTo::Latest, false).await?;
    same("records that are passed over", changed.iter().map(|lane| lane.records).sum(), -6)?;
    a.count(&topic, [11]).await?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    same("the next record", member.job().await?.number, 11)
}

async fn reset_to_a_place_and_a_time(stage: Stage) -> Verdict {
    let (a, topic, group) = worked(&stage, 4).await?;
    let records = a.read(&topic, LogStart::Earliest).await?.expect(1..=10).await?;
    admin(&*a)?.reset_group(&topic, &group, ResetTo::At { lane: 0, position: records[7].at }, false).await?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    same("the next record", member.job().await?.number, 8)?;
    stage.soon("leaving", member.inbox.leave()).await??;
    let Some(time) = records[0].raw.time else { return Ok(()) };
    admin(&*a)?.reset_group(&topic, &group, ResetTo::Time(time), false).await?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    same("the next record", member.job().await?.number, 1)
}

async fn delete_takes_groups_and_cursors_along(stage: Stage) -> Verdict {
    let (a, topic, group) = worked(&stage, 4).await?;
    let gone = || Fault::broken("`cursors` is said to be there, and gives nothing");
    let (fence, _) = a.cursors().ok_or_else(gone)?.take(&topic, "reader").await?;
    a.cursors().ok_or_else(gone)?.save(&topic, "reader", fence, b"of the old log", &[]).await?;
    admin(&*a)?.delete_topic(&topic).await?;
    a.open_as(&topic, each()).await?;
    same("the groups of the new log", admin(&*a)?.groups(&topic).await?, Vec::new())?;
    let (_, saved) = a.cursors().ok_or_else(gone)?.take(&topic, "reader").await?;
    same("the cursor of the new log", saved, None)?;
    a.count(&topic, [21]).await?;
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    same("the first record", member.job().await?.number, 21)
}
