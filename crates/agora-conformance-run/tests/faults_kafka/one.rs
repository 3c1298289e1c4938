//! The cases of the suite, and some that only Kafka has, on one broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agora_conformance::faults::{Act, Node, On, Rules, Run};
use agora_conformance::suite::Verdict;
use agora_conformance_run::delete_records;
use agora_conformance_run::faults::{
    KafkaWorld, Round, disk_full, odd, overtaken, play_here, unwritable_letters,
};
use agora_core::transport::{BoxFuture, TopicChange, TopicSpec};
use agora_kafka::names::topic_name;

use crate::directory;

/// The cases that do something to the broker, and not to links only.
const TO_THE_BROKER: [&str; 10] = [
    "down_at_start",
    "killed_before_the_ack",
    "killed_many_times",
    "paused",
    "reader_outlives_a_restart",
    "publish_queue_full",
    "durable_reader_changes_nodes",
    "poison_while_the_server_restarts",
    "group_outlives_restarts",
    "outage_kills_nobody",
];
/// How often something is published, where that does not matter.
const EVERY: Duration = Duration::from_millis(5);
/// It takes the processors from all others.
const CROWDED: &str = "many_members";

/// A topic of many events to a message has no groups on Kafka: the suite of conformance shows that they are refused.
fn is_here(name: &str, on: On) -> bool {
    let is_of_groups = agora_conformance::faults::cases()
        .iter()
        .any(|case| case.name == name && case.on.contains(&On::Each));
    on != On::Log || !is_of_groups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_links_is_survived() {
    let wanted = |name: &str, on| !TO_THE_BROKER.contains(&name) && name != CROWDED && is_here(name, on);
    let round = Round::new(&directory()).of_the_suite(wanted);
    let mut one_lane = On::Each.settings();
    one_lane.lanes = Some(1);
    let round = round
        .with_topic(one_lane, "each-retention", |run, broker| Box::pin(retention(run, broker)))
        .with(On::Each, "unwritable", |run, _| Box::pin(unwritable(run)))
        .with(On::Log, "partitions_added", |run, _| Box::pin(partitions_added(run)))
        .with(On::Each, "partitions_added", |run, _| Box::pin(partitions_added_to_a_group(run)));
    let worlds: Vec<_> = KafkaWorld::shared(4).await.unwrap().into_iter().map(Arc::new).collect();
    round.play(worlds.clone()).await;
    Round::new(&directory()).of_the_suite(|name, _| name == CROWDED).play(worlds.into_iter().take(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_the_broker_is_survived() {
    let wanted = |name: &str, on| TO_THE_BROKER.contains(&name) && is_here(name, on);
    let (one, other) = tokio::try_join!(KafkaWorld::start(), KafkaWorld::start()).unwrap();
    Round::new(&directory()).of_the_suite(wanted).play([one, other].map(Arc::new)).await;
}

async fn retention(run: Run, broker: Arc<KafkaWorld>) -> Verdict {
    let topic = topic_name(run.cluster(), run.topic())?;
    let url = format!("kafka://{}", broker.address().await);
    overtaken(run, async || delete_records(&url, &topic, 5).await.map_err(odd)).await
}

/// More replicas must be in sync than there are: until it is mended, nothing can be stored there.
const TOO_MANY: (&str, &str) = ("min.insync.replicas", "2");

async fn unwritable(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let letters = run.dead_letters()?;
    run.remark("the dead letters cannot be written");
    let own = BTreeMap::from([TOO_MANY].map(|(name, value)| (name.to_owned(), value.to_owned())));
    let spec = TopicSpec { name: letters.clone(), settings: On::Each.settings() };
    let bus = a.bus();
    bus.admin()?.create_topic_with(&spec, &own).await?;
    let mend = async || {
        let own = BTreeMap::from([(TOO_MANY.0.to_owned(), None)]);
        let change = TopicChange { own, ..TopicChange::default() };
        Ok(bus.admin()?.alter_topic(&letters, &change).await?)
    };
    unwritable_letters(run, (a, b), mend).await
}

/// The lanes of a log where nothing else is asked for.
const LANES: u32 = 4;

/// More lanes, while everybody works.
async fn add_lanes(run: &Run, by: &Node) -> Verdict {
    run.remark("the topic gets two partitions more");
    let change = TopicChange { lanes: Some(LANES + 2), ..TopicChange::default() };
    Ok(by.bus().admin()?.alter_topic(run.topic(), &change).await?)
}

async fn partitions_added(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    let publishing = a.publish_on(EVERY)?;
    reading.has(&run, 20).await?;
    add_lanes(&run, &a).await?;
    // Whoever publishes learns of it within seconds. No key of these events belongs to the first of the two.
    uses_lane(&run, &a, LANES + 1).await?;
    let before = reading.events();
    reading.has(&run, before + 20).await?;
    drop(publishing);
    run.finish(Rules::default()).await?;
    run.ensure(reading.gaps() == 0, "partitions were added, and something is missing")
}

async fn partitions_added_to_a_group(run: Run) -> Verdict {
    let (a, b) = run.pair().await?;
    let member = b.join(Arc::new(|_, _| Act::Done)).await?;
    let publishing = a.publish_on(EVERY)?;
    member.has_begun(&run, 20).await?;
    add_lanes(&run, &a).await?;
    uses_lane(&run, &a, LANES + 1).await?;
    let before = member.begun();
    member.has_begun(&run, before + 20).await?;
    drop(publishing);
    run.finish(Rules { handled_again: true, ..Rules::default() }).await
}

/// Waits until something stands in this lane.
async fn uses_lane(run: &Run, by: &Node, lane: u32) -> Verdict {
    let bus = by.bus();
    let used = async {
        loop {
            let described = bus.admin()?.describe_topic(run.topic()).await?;
            if described.lanes.iter().any(|one| one.lane == lane && one.records > 0) {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    run.soon("a lane that was added is used", used).await?
}

/// A disk with room for little more than what a broker makes at its start.
const DISK: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_broker_and_loses_nothing_that_was_accepted() {
    let world = KafkaWorld::on_small_disk(DISK).await.unwrap();
    let case = |run, server| -> BoxFuture<Verdict> { Box::pin(disk_full(run, server, true)) };
    play_here(world, "log-disk_full", On::Log.settings(), &directory(), case).await;
}
