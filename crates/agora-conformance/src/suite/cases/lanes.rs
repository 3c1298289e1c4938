//! Logs of several lanes: each is an order of its own, equal keys meet in one, and none is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::future::IntoFuture;

use agora_core::ErrorKind;
use agora_core::bus::{Bus, Delivery, Group, Receipt, Start, Subscription, Work};
use agora_core::event::{Event, Key};
use agora_core::id::TopicName;
use agora_core::lane;
use agora_core::transport::{
    Address, Framing, GroupOrder, LogStart, Outcome, ResetTo, TopicSettings, TopicSpec, Transport,
};
use serde::{Deserialize, Serialize};

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::member::LONG;
use super::super::node::numbered;
use super::super::stage::Stage;

cases! { "lanes":
    are_as_many_as_asked_for [Log, Lanes]
        "A log that is made with three lanes has three, for every node, and no fourth one.";
    each_is_an_order_of_its_own [Log, Lanes]
        "What is published on a lane is read on that lane, in its order, and says which it is.";
    equal_keys_meet [Log, Lanes]
        "Events of a key go to one lane, the one that its hash says, and are read in their order.";
    live_begins_now_in_each [Log, Lanes]
        "A live subscription to a log gets nothing old of any lane, and what comes of each.";
    a_cursor_goes_on_in_each [Log, Lanes]
        "A subscription that begins at another's cursor goes on where that one stood in each lane.";
    durable_goes_on_in_each [Log, Lanes, Cursors]
        "A durable subscription goes on where the last one of its name stood in each lane.";
    are_shared_by_a_group [Log, Lanes, Group]
        "Two members of a group handle what stands in every lane, each event once and of a key in order where a key has one.";
    more_are_read [Log, Lanes]
        "A subscription and a publisher that are there when a log gets more lanes use them, and nothing is lost.";
    one_is_reset_alone [Log, Lanes, Group, Admin]
        "A group that is moved to a place in one lane stands in the others where it stood.";
}

const LANES: u32 = 3;
const KEYS: u64 = 12;

/// An event of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Step {
    key: u64,
    number: u64,
}

impl Event for Step {
    const KIND: &'static str = "conformance.step";

    fn key(&self) -> Option<Key<'_>> {
        Some(format!("key {}", self.key).into())
    }
}

fn lane_of(key: u64) -> u32 {
    lane::of_key(format!("key {key}").as_bytes(), LANES)
}

fn log() -> TopicSettings {
    let mut log = TopicSettings::LOG;
    log.lanes = Some(LANES);
    log
}

async fn buses(stage: &Stage, topic: &str) -> Result<(Bus, Bus, TopicName), Fault> {
    let topic = stage.topic(topic)?;
    let (a, b) = stage.two_buses(&[(&topic, log())]).await?;
    Ok((a, b, topic))
}

/// Publishes of each key these numbers, all at once.
async fn publish(
    stage: &Stage,
    bus: &Bus,
    topic: &TopicName,
    numbers: std::ops::Range<u64>,
) -> Result<Vec<(Step, Receipt)>, Fault> {
    let publisher = bus.publisher(topic.as_str())?;
    let steps = numbers.flat_map(|number| (0..KEYS).map(move |key| Step { key, number }));
    let all: Vec<_> = steps.map(|step| (publisher.publish(&step), step)).collect();
    let mut receipts = Vec::new();
    for (publish, step) in all {
        receipts.push((step, stage.soon("a receipt", publish).await??));
    }
    Ok(receipts)
}

async fn subscribe(stage: &Stage, bus: &Bus, topic: &TopicName, start: Start) -> Result<Subscription, Fault> {
    Ok(stage.soon("a subscription is established", bus.subscribe(topic).start(start)).await??)
}

async fn step(stage: &Stage, events: &mut Subscription) -> Result<Step, Fault> {
    match stage.soon("a delivery", events.try_next()).await?? {
        Some(Delivery::Event(event)) => {
            let step = event.decode::<Step>();
            step.map_err(|error| Fault::broken(format!("an event that nobody published: {error}")))
        }
        other => Err(Fault::broken(format!("an event was due, and this came: {other:?}"))),
    }
}

/// Reads of each key these numbers, in their order, each once.
async fn expect(stage: &Stage, events: &mut Subscription, numbers: std::ops::Range<u64>) -> Verdict {
    let mut due: BTreeMap<u64, u64> = (0..KEYS).map(|key| (key, numbers.start)).collect();
    for _ in 0..KEYS * (numbers.end - numbers.start) {
        let found = step(stage, events).await?;
        let due = due.entry(found.key).or_default();
        same(&format!("the number of key {}", found.key), found.number, *due)?;
        *due += 1;
    }
    Ok(())
}

async fn are_as_many_as_asked_for(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("three")?);
    let spec = TopicSpec { name: topic.clone(), settings: log() };
    same("the lanes for the one who made it", a.open(&spec).await?.lanes(), LANES)?;
    // What is asked for later changes nothing of what is there.
    same("the lanes for another", b.open(&TopicSpec::log(topic.clone())).await?.lanes(), LANES)?;
    let nowhere = Address { topic: topic.clone(), lane: LANES };
    let Err(failed) = stage.soon("a publish", a.publish(&nowhere, vec![numbered(1)], stage.by())).await?
    else {
        return Err(Fault::broken("a lane that is not there took a message"));
    };
    same("accepted and outcome", (failed.accepted, failed.outcome), (0, Outcome::NotStored))?;
    same("the error of the publish", failed.error.kind(), ErrorKind::Config)?;
    let opened = stage.soon("opening", b.share().open_log(&topic, LANES, LogStart::Earliest)).await?;
    same("the error of the reader", opened.err().map(|error| error.kind()), Some(ErrorKind::Config))
}

async fn each_is_an_order_of_its_own(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("apart")?);
    a.open_as(&topic, log()).await?;
    b.open_as(&topic, log()).await?;
    for number in 0..60 {
        a.send_to(&topic, u32::try_from(number % 3).unwrap_or_default(), vec![numbered(number)]).await?;
    }
    for lane in 0..LANES {
        let mut reader = b.read_lane(&topic, lane, LogStart::Earliest).await?;
        let records = reader.expect((0..60).filter(|number| number % 3 == u64::from(lane))).await?;
        ensure!(records.iter().all(|record| record.raw.lane == lane), "a record of lane {lane} says another");
        let mut rest = b.read_lane(&topic, lane, LogStart::At(records[9].at)).await?;
        same("records from the tenth on", rest.caught_up().await?.len(), 11)?;
    }
    Ok(())
}

async fn equal_keys_meet(stage: Stage) -> Verdict {
    let (a, b, topic) = buses(&stage, "keys").await?;
    let mut events = subscribe(&stage, &b, &topic, Start::Earliest).await?;
    let mut used = BTreeSet::new();
    for (bus, numbers) in [(&a, 0..5), (&b, 5..10)] {
        for (step, receipt) in publish(&stage, bus, &topic, numbers.clone()).await? {
            same(&format!("the lane of key {}", step.key), receipt.lane, lane_of(step.key))?;
            used.insert(receipt.lane);
        }
        expect(&stage, &mut events, numbers).await?;
    }
    same("the lanes that were used", used, (0..LANES).collect())
}

async fn live_begins_now_in_each(stage: Stage) -> Verdict {
    let (a, b, topic) = buses(&stage, "live").await?;
    publish(&stage, &a, &topic, 0..3).await?;
    let mut events = subscribe(&stage, &b, &topic, Start::Live).await?;
    publish(&stage, &a, &topic, 3..6).await?;
    expect(&stage, &mut events, 3..6).await?;
    stage.never("everything was read", events.try_next()).await
}

async fn a_cursor_goes_on_in_each(stage: Stage) -> Verdict {
    let (a, b, topic) = buses(&stage, "cursor").await?;
    publish(&stage, &a, &topic, 0..4).await?;
    let mut first = subscribe(&stage, &b, &topic, Start::Earliest).await?;
    let mut found = BTreeSet::new();
    for _ in 0..KEYS * 2 {
        found.insert(step(&stage, &mut first).await?);
    }
    let mut second = subscribe(&stage, &b, &topic, Start::Cursor(first.cursor())).await?;
    for _ in 0..KEYS * 2 {
        let step = step(&stage, &mut second).await?;
        ensure!(found.insert(step.clone()), "{step:?} was read before the cursor");
    }
    stage.never("everything was read", second.try_next()).await
}

async fn durable_goes_on_in_each(stage: Stage) -> Verdict {
    let (a, b, topic) = buses(&stage, "durable").await?;
    let start = async |bus: &Bus| -> Result<Subscription, Fault> {
        let starting = bus.subscribe(&topic).durable("reader").start(Start::Live);
        Ok(stage.soon("a durable subscription", starting).await??)
    };
    publish(&stage, &a, &topic, 0..2).await?;
    // Nothing was read of it: what it was owed comes all the same, of each lane.
    start(&b).await?.close().await?;
    publish(&stage, &a, &topic, 2..4).await?;
    let mut second = start(&b).await?;
    expect(&stage, &mut second, 2..4).await?;
    second.close().await?;
    publish(&stage, &a, &topic, 4..5).await?;
    let mut third = start(&b).await?;
    expect(&stage, &mut third, 4..5).await?;
    stage.never("everything was read", third.try_next()).await
}

async fn are_shared_by_a_group(stage: Stage) -> Verdict {
    let (topic, group) = (stage.topic("work")?, stage.group("workers")?);
    let (a, b) = stage.two_buses(&[(&topic, log().framing(Framing::Each))]).await?;
    let join = async |bus: &Bus| -> Result<Group<Step>, Fault> {
        let joining = bus.group(topic.as_str(), group.as_str()).typed::<Step>().into_future();
        Ok(stage.soon("joining a group", joining).await??)
    };
    let (mut first, mut second) = (join(&a).await?, join(&b).await?);
    publish(&stage, &a, &topic, 0..5).await?;
    let is_ordered = a.capabilities().group_order != GroupOrder::None;
    let mut due: BTreeMap<u64, u64> = BTreeMap::new();
    for _ in 0..KEYS * 5 {
        let either = async {
            tokio::select! {
                work = first.try_next() => work,
                work = second.try_next() => work,
            }
        };
        match stage.soon("a job for one of two", either).await?? {
            Some(Work::Job(job)) => {
                let due = due.entry(job.key).or_default();
                if is_ordered {
                    same(&format!("the number of key {}", job.key), job.number, *due)?;
                }
                *due += 1;
                job.ack();
            }
            other => return Err(Fault::broken(format!("a job was due, and this came: {other:?}"))),
        }
    }
    same("what was handled of each key", due, (0..KEYS).map(|key| (key, 5)).collect())
}

async fn more_are_read(stage: Stage) -> Verdict {
    const MORE: u32 = 5;
    let (a, b, topic) = buses(&stage, "more").await?;
    let mut events = subscribe(&stage, &b, &topic, Start::Live).await?;
    publish(&stage, &a, &topic, 0..2).await?;
    expect(&stage, &mut events, 0..2).await?;
    stage.subject().grow(stage.cluster(), &topic, MORE).await?;
    // Every node hears of it in its own time; what is published until then goes by the old number, or the new one.
    let mut number = 2;
    let grown = async {
        loop {
            let lanes = publish(&stage, &a, &topic, number..number + 1).await?;
            number += 1;
            if lanes.iter().any(|(_, receipt)| receipt.lane >= LANES) {
                return Ok::<_, Fault>(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    stage.soon("an event in a lane that is new", grown).await??;
    let last = publish(&stage, &a, &topic, number..number + 1).await?;
    for (step, receipt) in last {
        let due = lane::of_key(format!("key {}", step.key).as_bytes(), MORE);
        same(&format!("the lane of key {}", step.key), receipt.lane, due)?;
    }
    // A reader has no order between the lane that a key had and the one that it has.
    let mut found = BTreeSet::new();
    for _ in 0..KEYS * (number + 1 - 2) {
        let step = step(&stage, &mut events).await?;
        ensure!(found.insert(step.clone()), "{step:?} was delivered twice");
    }
    stage.never("everything was read", events.try_next()).await
}

async fn one_is_reset_alone(stage: Stage) -> Verdict {
    let (a, topic, group) = (stage.node("a").await?, stage.topic("reset")?, stage.group("workers")?);
    a.open_as(&topic, log().framing(Framing::Each)).await?;
    for number in 0..12 {
        a.send_to(&topic, u32::try_from(number % 3).unwrap_or_default(), vec![numbered(number)]).await?;
    }
    let mut member = a.join(&stage, &topic, &group, LONG).await?;
    for job in member.jobs(12).await? {
        member.ack(&job).await?;
    }
    stage.soon("leaving", member.inbox.leave()).await??;
    let records = a.read_lane(&topic, 1, LogStart::Earliest).await?.expect([1, 4, 7, 10]).await?;
    let Some(admin) = a.admin() else { return Err(Fault::broken("`admin` gives nothing")) };
    let to = ResetTo::At { lane: 1, position: records[2].at };
    let reset = admin.reset_group(&topic, &group, to, false).await?;
    same("the lanes that it says", reset.iter().map(|lane| lane.lane).collect(), vec![1])?;
    same("the records that come again", reset[0].records, 2)?;
    let nowhere = ResetTo::At { lane: LANES, position: records[2].at };
    let refused = admin.reset_group(&topic, &group, nowhere, true).await;
    same("the error", refused.err().map(|error| error.kind()), Some(ErrorKind::Config))?;
    let mut again = a.join(&stage, &topic, &group, LONG).await?;
    for number in [7, 10] {
        let job = again.job().await?;
        same("the record", job.number, number)?;
        again.ack(&job).await?;
    }
    again.nothing("everything is done").await
}
