//! Groups: members share the records of a log, each of which is handled at least once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::id::{GroupName, TopicName};
use agora_core::transport::{
    Framing, FromGroup, GroupOrder, GroupStart, OutFrame, Settle, TopicSettings, TopicSpec,
};
use bytes::Bytes;

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::member::{Job, LONG, Member, SHORT};
use super::super::node::{Node, numbered};
use super::super::stage::Stage;
use super::live::{check_dress, dressed};

cases! { "group":
    each_record_is_done_by_one [Group]
        "Two members share: every record goes to one of them, and what is acknowledged goes to nobody again.";
    two_groups_get_all [Group]
        "Two groups each get every record.";
    a_waiting_member_is_woken [Group]
        "A member that waits gets what is published.";
    ack_is_final [Group]
        "What was acknowledged is given to nobody, also when the member has gone and another comes.";
    unsettled_comes_again [Group]
        "What is not settled by the end of its lease is given out again, to whoever is there.";
    attempts_are_counted [Group]
        "Each time a record is given out and not settled, its attempts grow by one, from 1.";
    release_gives_at_once [Group]
        "What is released is given out again at once, and not at the end of its lease.";
    hundred_releases [Group]
        "A record that was released a hundred times is there, and is done by one `Ack`.";
    a_key_is_with_one_member [Group]
        "Where the order is by key, the records of a key are with one member at a time, the earlier one first.";
    released_comes_before_the_next [Group]
        "Where the order is by key, a released record comes again before the next one of its key.";
    other_keys_go_on [Group]
        "A record that is held back or not settled does not hold back those of other keys.";
    extend_keeps_it [Group]
        "A lease that is extended does not end, and the record goes to nobody else.";
    void_token_is_refused [Group]
        "A token whose record was given out anew settles nothing: `Conflict`.";
    foreign_token_is_refused [Group]
        "A token that nobody was given settles nothing.";
    double_ack_does_no_harm [Group]
        "A second `Ack` is refused or does nothing, and no other record is done by it.";
    new_group_starts_where_it_is_told [Group]
        "A new group begins with the oldest record, or with what comes, as it is told.";
    goes_on_where_it_stood [Group]
        "A group whose members have all gone goes on where it stood, whatever start the next member asks for.";
    leaving_releases [Group]
        "A member that leaves gives what it holds back at once.";
    dropping_releases [Group]
        "A member that is dropped loses what it holds to others, at the end of the lease at the latest.";
    cancelled_recv_loses_nothing [Group]
        "No record is lost when the future of `recv` is dropped.";
    topics_and_clusters_are_apart [Group]
        "A group of one name on another topic, or in another cluster, is another group.";
    keys_headers_arrive [Group]
        "A member gets keys, headers and places as a reader of the log does.";
    thousand_records_four_members [Group]
        "Four members work at once through a thousand records: each is done, and none twice.";
    retention_is_told [Group]
        "Records that a group had not finished and that retention took are told as `Trimmed`.";
    batch_topics_are_shared [Group, GroupOnBatch]
        "A topic whose messages hold many events is shared like any other.";
    lanes_are_handed_over [Group]
        "Where lanes are shared out, a lane is taken back with a question, and goes on after the answer.";
    close_ends_it [Group]
        "After `close`, a member's `recv` and `settle` fail with `Closed`.";
}

struct Scene {
    stage: Stage,
    node: Node,
    topic: TopicName,
    group: GroupName,
}

impl Scene {
    async fn join(&self, lease: Duration) -> Result<Member, Fault> {
        self.node.join(&self.stage, &self.topic, &self.group, lease).await
    }

    fn order(&self) -> GroupOrder {
        self.node.capabilities().group_order
    }

    /// Cases about records that are leased one by one say nothing of lanes.
    fn by_lease(&self) -> Verdict {
        if self.order() == GroupOrder::Lane {
            return Err(Fault::not_here("this backend shares out lanes, not records"));
        }
        Ok(())
    }

    fn by_key(&self) -> Verdict {
        self.by_lease()?;
        if self.order() != GroupOrder::Key {
            return Err(Fault::not_here("groups of this backend promise no order"));
        }
        Ok(())
    }

    async fn keyed(&self, numbers: &[(u64, &'static str)]) -> Verdict {
        for (number, key) in numbers {
            let frame = OutFrame { key: Some(Bytes::from_static(key.as_bytes())), ..numbered(*number) };
            self.node.send(&self.topic, vec![frame]).await?;
        }
        Ok(())
    }
}

/// A log with these many numbers, one event a message.
async fn scene(stage: &Stage, numbers: u64) -> Result<Scene, Fault> {
    let (node, topic, group) = (stage.node("a").await?, stage.topic("work")?, stage.group("workers")?);
    node.open_as(&topic, TopicSettings::LOG.framing(Framing::Each)).await?;
    node.count(&topic, 1..=numbers).await?;
    Ok(Scene { stage: stage.clone(), node, topic, group })
}

async fn each_record_is_done_by_one(stage: Stage) -> Verdict {
    let scene = scene(&stage, 40).await?;
    let (mut a, mut b) = (scene.join(LONG).await?, scene.join(LONG).await?);
    let mut done = BTreeSet::new();
    while done.len() < 40 {
        let either = async {
            tokio::select! {
                job = a.next_job() => job.map(|job| (true, job)),
                job = b.next_job() => job.map(|job| (false, job)),
            }
        };
        let (of_a, job) = stage.soon("a record for one of two", either).await??;
        ensure!(done.insert(job.number), "record {} was given out twice", job.number);
        if of_a { a.ack(&job).await? } else { b.ack(&job).await? }
    }
    same("the records", done, (1..=40).collect())?;
    a.nothing("everything is done").await?;
    b.nothing("everything is done").await
}

async fn two_groups_get_all(stage: Stage) -> Verdict {
    let scene = scene(&stage, 10).await?;
    let mut one = scene.join(LONG).await?;
    let other = stage.group("others")?;
    let mut two = scene.node.join(&stage, &scene.topic, &other, LONG).await?;
    for member in [&mut one, &mut two] {
        for number in 1..=10 {
            let job = member.job().await?;
            same("the record", job.number, number)?;
            member.ack(&job).await?;
        }
    }
    Ok(())
}

async fn a_waiting_member_is_woken(stage: Stage) -> Verdict {
    let scene = scene(&stage, 0).await?;
    let mut member = scene.join(LONG).await?;
    member.nothing("the log is empty").await?;
    for number in 1..=3 {
        let (job, sent) = tokio::join!(member.job(), scene.node.count(&scene.topic, [number]));
        sent?;
        let job = job?;
        same("the record and its attempt", (job.number, job.attempt), (number, 1))?;
        member.ack(&job).await?;
    }
    Ok(())
}

async fn ack_is_final(stage: Stage) -> Verdict {
    let scene = scene(&stage, 5).await?;
    let mut member = scene.join(SHORT).await?;
    for job in member.jobs(5).await? {
        member.ack(&job).await?;
    }
    stage.soon("leaving", member.inbox.leave()).await??;
    let mut next = scene.join(SHORT).await?;
    tokio::time::sleep(SHORT * 2).await;
    next.nothing("everything is done").await?;
    scene.node.count(&scene.topic, [6]).await?;
    same("the record", next.job().await?.number, 6)
}

async fn unsettled_comes_again(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    scene.by_lease()?;
    let mut first = scene.join(SHORT).await?;
    same("the record", first.job().await?.number, 1)?;
    let mut second = scene.join(SHORT).await?;
    let job = second.job().await?;
    same("the record", job.number, 1)?;
    ensure!(job.attempt >= 2, "given out again, and its attempt is {}", job.attempt);
    second.ack(&job).await
}

async fn attempts_are_counted(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    scene.by_lease()?;
    let mut member = scene.join(SHORT).await?;
    for attempt in 1..=3 {
        let job = member.job().await?;
        same("the attempt", job.attempt, attempt)?;
        if attempt == 3 {
            member.ack(&job).await?;
        }
    }
    Ok(())
}

async fn release_gives_at_once(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    let mut member = scene.join(LONG).await?;
    let job = member.job().await?;
    member.settle(&job, Settle::Release).await?;
    let again = member.job().await?;
    same("the record", again.number, 1)?;
    ensure!(again.attempt <= 2, "released once, and its attempt is {}", again.attempt);
    member.ack(&again).await?;
    member.nothing("everything is done").await
}

async fn hundred_releases(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    let mut member = scene.join(LONG).await?;
    for _ in 0..100 {
        let job = member.job().await?;
        same("the record", job.number, 1)?;
        member.settle(&job, Settle::Release).await?;
    }
    let job = member.job().await?;
    member.ack(&job).await?;
    member.nothing("everything is done").await
}

async fn a_key_is_with_one_member(stage: Stage) -> Verdict {
    let scene = scene(&stage, 0).await?;
    scene.by_key()?;
    scene.keyed(&[(1, "k"), (2, "k"), (3, "k")]).await?;
    let (mut a, mut b) = (scene.join(LONG).await?, scene.join(LONG).await?);
    for number in 1..=3 {
        let job = a.job().await?;
        same("the record", job.number, number)?;
        b.nothing("the key is with another member").await?;
        a.ack(&job).await?;
    }
    b.nothing("everything is done").await
}

async fn released_comes_before_the_next(stage: Stage) -> Verdict {
    let scene = scene(&stage, 0).await?;
    scene.by_key()?;
    scene.keyed(&[(1, "k"), (2, "k")]).await?;
    let mut member = scene.join(LONG).await?;
    let job = member.job().await?;
    member.settle(&job, Settle::Release).await?;
    for number in 1..=2 {
        let job = member.job().await?;
        same("the record", job.number, number)?;
        member.ack(&job).await?;
    }
    Ok(())
}

async fn other_keys_go_on(stage: Stage) -> Verdict {
    let scene = scene(&stage, 0).await?;
    scene.by_lease()?;
    scene.keyed(&[(1, "stuck"), (2, "x"), (3, "y"), (4, "x")]).await?;
    let mut stuck = scene.join(LONG).await?;
    same("the record", stuck.job().await?.number, 1)?;
    let mut member = scene.join(LONG).await?;
    let mut done = BTreeSet::new();
    while done.len() < 3 {
        let job = member.job().await?;
        done.insert(job.number);
        member.ack(&job).await?;
    }
    same("the records of other keys", done, BTreeSet::from([2, 3, 4]))
}

async fn extend_keeps_it(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    scene.by_lease()?;
    let lease = SHORT * 2;
    let (mut a, mut b) = (scene.join(lease).await?, scene.join(lease).await?);
    let job = a.job().await?;
    // Three leases long.
    for _ in 0..12 {
        tokio::time::sleep(lease / 4).await;
        a.settle(&job, Settle::Extend).await?;
    }
    b.nothing("the lease was extended").await?;
    a.ack(&job).await?;
    b.nothing("everything is done").await
}

async fn void_token_is_refused(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    scene.by_lease()?;
    let mut first = scene.join(SHORT).await?;
    let late = first.job().await?;
    let mut second = scene.join(LONG).await?;
    let job = second.job().await?;
    same("the record", job.number, 1)?;
    for how in [Settle::Ack, Settle::Extend, Settle::Release] {
        let answer = stage.soon("settling late", first.inbox.settle(late.token, how)).await?;
        same("the error", answer.err().map(|error| error.kind()), Some(ErrorKind::Conflict))?;
    }
    first.nothing("the record is with the second member").await?;
    second.ack(&job).await
}

async fn foreign_token_is_refused(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    let mut member = scene.join(LONG).await?;
    let job = member.job().await?;
    let foreign = agora_core::transport::Token(job.token.0.wrapping_add(1_000_003));
    let answer = stage.soon("settling", member.inbox.settle(foreign, Settle::Ack)).await?;
    same("the error", answer.err().map(|error| error.kind()), Some(ErrorKind::Conflict))?;
    member.ack(&job).await
}

async fn double_ack_does_no_harm(stage: Stage) -> Verdict {
    let scene = scene(&stage, 2).await?;
    let mut member = scene.join(LONG).await?;
    let first = member.job().await?;
    member.ack(&first).await?;
    let again = stage.soon("a second ack", member.inbox.settle(first.token, Settle::Ack)).await?;
    if let Err(error) = again {
        same("the error", error.kind(), ErrorKind::Conflict)?;
    }
    let second = member.job().await?;
    same("the record", second.number, 2)?;
    member.settle(&second, Settle::Release).await?;
    let second = member.job().await?;
    same("the record", second.number, 2)?;
    member.ack(&second).await
}

async fn new_group_starts_where_it_is_told(stage: Stage) -> Verdict {
    let scene = scene(&stage, 3).await?;
    let (early, late) = (stage.group("early")?, stage.group("late")?);
    let (node, topic) = (&scene.node, &scene.topic);
    let mut at_late = node.join_at(&stage, topic, &late, LONG, GroupStart::Latest).await?;
    at_late.nothing("the group begins with what comes").await?;
    node.count(topic, [4]).await?;
    let job = at_late.job().await?;
    same("the record of the late group", job.number, 4)?;
    at_late.ack(&job).await?;
    let mut at_early = node.join_at(&stage, topic, &early, LONG, GroupStart::Earliest).await?;
    let numbers: Vec<_> = at_early.jobs(4).await?.iter().map(|job| job.number).collect();
    same("the records of the early group", numbers, vec![1, 2, 3, 4])
}

async fn goes_on_where_it_stood(stage: Stage) -> Verdict {
    let scene = scene(&stage, 3).await?;
    let mut member = scene.join(LONG).await?;
    let jobs = member.jobs(3).await?;
    for job in &jobs[..2] {
        member.ack(job).await?;
    }
    stage.soon("leaving", member.inbox.leave()).await??;
    scene.node.count(&scene.topic, [4]).await?;
    let (node, topic, group) = (&scene.node, &scene.topic, &scene.group);
    let mut next = node.join_at(&stage, topic, group, LONG, GroupStart::Latest).await?;
    let numbers: BTreeSet<_> = next.jobs(2).await?.iter().map(|job| job.number).collect();
    same("the records that are left", numbers, BTreeSet::from([3, 4]))
}

async fn leaving_releases(stage: Stage) -> Verdict {
    let scene = scene(&stage, 3).await?;
    let mut first = scene.join(LONG).await?;
    first.jobs(3).await?;
    let mut second = scene.join(LONG).await?;
    stage.soon("leaving", first.inbox.leave()).await??;
    let numbers: BTreeSet<_> = second.jobs(3).await?.iter().map(|job| job.number).collect();
    same("the records", numbers, BTreeSet::from([1, 2, 3]))
}

async fn dropping_releases(stage: Stage) -> Verdict {
    let scene = scene(&stage, 3).await?;
    let mut first = scene.join(SHORT).await?;
    first.jobs(3).await?;
    let mut second = scene.join(LONG).await?;
    drop(first);
    let numbers: BTreeSet<_> = second.jobs(3).await?.iter().map(|job| job.number).collect();
    same("the records", numbers, BTreeSet::from([1, 2, 3]))
}

async fn cancelled_recv_loses_nothing(stage: Stage) -> Verdict {
    let scene = scene(&stage, 0).await?;
    let mut member = scene.join(LONG).await?;
    let mut got = Vec::new();
    for number in 1..=50 {
        let _ = tokio::time::timeout(Duration::ZERO, member.inbox.recv(1, &mut got)).await;
        scene.node.count(&scene.topic, [number]).await?;
        let _ = tokio::time::timeout(Duration::ZERO, member.inbox.recv(1, &mut got)).await;
    }
    let mut numbers = BTreeSet::new();
    for one in got {
        if let FromGroup::Message { raw, .. } = one {
            numbers.insert(super::super::node::number_of(&raw.payload)?);
        }
    }
    while numbers.len() < 50 {
        numbers.insert(member.job().await?.number);
    }
    same("the records", numbers, (1..=50).collect())
}

async fn topics_and_clusters_are_apart(stage: Stage) -> Verdict {
    let scene = scene(&stage, 2).await?;
    let each = TopicSettings::LOG.framing(Framing::Each);
    let other = stage.topic("other")?;
    scene.node.open_as(&other, each).await?;
    scene.node.count(&other, 101..=102).await?;
    let x = stage.stranger("x").await?;
    x.open_as(&scene.topic, each).await?;
    x.count(&scene.topic, 201..=202).await?;
    let mut members = vec![scene.join(LONG).await?];
    members.push(scene.node.join(&stage, &other, &scene.group, LONG).await?);
    members.push(x.join(&stage, &scene.topic, &scene.group, LONG).await?);
    // All of them are heard until the last is done: where groups of one name have members in common, one that does not give
    // its lanes back holds up the others.
    let (mut tasks, all_done) = (tokio::task::JoinSet::new(), Arc::new(tokio::sync::Barrier::new(3)));
    for (first, mut member) in [1, 101, 201].into_iter().zip(members) {
        let all_done = Arc::clone(&all_done);
        tasks.spawn(async move {
            for number in first..first + 2 {
                let job = member.next_job().await?;
                same("the record", job.number, number)?;
                member.ack(&job).await?;
            }
            member.nothing("the rest is another group's").await?;
            tokio::select! {
                _ = all_done.wait() => Ok::<_, Fault>(()),
                job = member.next_job() => Err(Fault::broken(format!("another group's: {job:?}"))),
            }
        });
    }
    while let Some(done) = stage.soon("the end of every member's work", tasks.join_next()).await? {
        done.map_err(|ended| Fault::broken(ended.to_string()))??;
    }
    Ok(())
}

async fn keys_headers_arrive(stage: Stage) -> Verdict {
    let scene = scene(&stage, 0).await?;
    let frame = dressed();
    scene.node.send(&scene.topic, vec![frame]).await?;
    let mut member = scene.join(LONG).await?;
    let found = stage.soon("a record", async {
        loop {
            match member.next().await? {
                FromGroup::Message { raw, at, .. } => return Ok((raw, at)),
                FromGroup::Assigned { .. } => {}
                other => return Err(Fault::broken(format!("{other:?}"))),
            }
        }
    });
    let (raw, at) = found.await??;
    check_dress(&stage, &raw)?;
    let mut reader = scene.node.read(&scene.topic, agora_core::transport::LogStart::Earliest).await?;
    same("the place", at, reader.record().await?.at)
}

async fn thousand_records_four_members(stage: Stage) -> Verdict {
    let scene = scene(&stage, 0).await?;
    for call in 0..10 {
        let frames = (1..=100).map(|number| numbered(call * 100 + number)).collect();
        scene.node.send(&scene.topic, frames).await?;
    }
    let (done, mut finished) = tokio::sync::mpsc::channel(1000);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut member, done) = (scene.join(LONG).await?, done.clone());
        tasks.spawn(async move {
            loop {
                let job: Job = member.next_job().await?;
                member.ack(&job).await?;
                if done.send(job.number).await.is_err() {
                    return Ok::<_, Fault>(());
                }
            }
        });
    }
    drop(done);
    let mut seen = BTreeSet::new();
    while seen.len() < 1000 {
        let Some(number) = stage.soon("a record that is done", finished.recv()).await? else {
            let ended = tasks.join_next().await;
            return Err(Fault::broken(format!("the members ended: {ended:?}")));
        };
        ensure!(seen.insert(number), "record {number} was done twice");
    }
    stage.never("everything is done", finished.recv()).await
}

async fn retention_is_told(stage: Stage) -> Verdict {
    let scene = scene(&stage, 10).await?;
    let mut member = scene.join(LONG).await?;
    let job = member.job().await?;
    member.ack(&job).await?;
    stage.subject().trim(stage.cluster(), &scene.topic, 4).await?;
    let (mut is_told, mut missing): (_, BTreeSet<u64>) = (false, (2..=6).collect());
    let mut number = 0;
    while number < 10 {
        match stage.soon("what is left", member.next()).await?? {
            FromGroup::Trimmed { .. } => is_told = true,
            FromGroup::Message { raw, token, .. } => {
                number = super::super::node::number_of(&raw.payload)?;
                // A member may have had them before they went.
                missing.remove(&number);
                let is_right = number < 7 || is_told || missing.is_empty();
                ensure!(is_right, "{missing:?} are gone, and nothing was said before {number}");
                stage.soon("an ack", member.inbox.settle(token, Settle::Ack)).await??;
            }
            FromGroup::Assigned { .. } => {}
            other => return Err(Fault::broken(format!("{other:?}"))),
        }
    }
    Ok(())
}

async fn batch_topics_are_shared(stage: Stage) -> Verdict {
    let (node, topic, group) = (stage.node("a").await?, stage.topic("batch")?, stage.group("workers")?);
    node.open_as(&topic, TopicSettings::LOG).await?;
    node.count(&topic, 1..=5).await?;
    let mut member = node.join(&stage, &topic, &group, LONG).await?;
    for job in member.jobs(5).await? {
        member.ack(&job).await?;
    }
    member.nothing("everything is done").await
}

async fn lanes_are_handed_over(stage: Stage) -> Verdict {
    let (node, topic, group) = (stage.node("a").await?, stage.topic("lanes")?, stage.group("workers")?);
    if node.capabilities().group_order != GroupOrder::Lane {
        return Err(Fault::not_here("this backend shares out records, not lanes"));
    }
    let usual = TopicSpec { name: topic.clone(), settings: TopicSettings::LOG.framing(Framing::Each) };
    let mut two = usual.clone();
    two.settings.lanes = Some(2);
    let info = match node.open(&two).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => node.open(&usual).await?,
        info => info?,
    };
    let mut first = node.join(&stage, &topic, &group, LONG).await?;
    let mut mine = BTreeSet::new();
    while mine.len() < info.lanes() as usize {
        if let FromGroup::Assigned { lanes } = stage.soon("all lanes", first.next()).await?? {
            mine.extend(lanes);
        }
    }
    let mut second = node.join(&stage, &topic, &group, LONG).await?;
    let lanes = loop {
        if let FromGroup::Revoking { lanes, done } = stage.soon("a question", first.next()).await?? {
            stage.never("the lane was not given back yet", second.next()).await?;
            let _ = done.send(());
            break lanes;
        }
    };
    loop {
        if let FromGroup::Assigned { lanes: found } = stage.soon("the lane", second.next()).await?? {
            // A backend may ask all of them back and share them out anew.
            let is_given_back = !found.is_empty() && found.iter().all(|lane| lanes.contains(lane));
            ensure!(is_given_back, "{lanes:?} were given back, and {found:?} are handed over");
            return Ok(());
        }
    }
}

async fn close_ends_it(stage: Stage) -> Verdict {
    let scene = scene(&stage, 1).await?;
    let mut member = scene.join(LONG).await?;
    let job = member.job().await?;
    stage.soon("closing", scene.node.close(stage.by())).await??;
    let settled = stage.soon("settling", member.inbox.settle(job.token, Settle::Ack)).await?;
    same("settling", settled.err().map(|error| error.kind()), Some(ErrorKind::Closed))?;
    let ended = stage.soon("`recv`", member.inbox.recv(1, &mut Vec::new())).await?;
    same("`recv`", ended.err().map(|error| error.kind()), Some(ErrorKind::Closed))
}
