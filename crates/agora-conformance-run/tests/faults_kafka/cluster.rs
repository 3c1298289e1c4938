//! Three brokers, each of which has everything; two must have what is accepted.

use std::sync::Arc;
use std::time::Duration;

use agora_conformance::faults::{Act, GROUP, On, Rules, Run};
use agora_conformance::history::{GroupWhat, History, What};
use agora_conformance::suite::{Fault, Verdict};
use agora_conformance_run::faults::{InTurn, KafkaClusterWorld, Round, ServedTogether, odd, rolling};
use agora_core::bus::Bus;
use agora_core::id::GroupName;
use agora_kafka::names::{group_id, topic_name};
use agora_testbed::KafkaCluster;

use crate::directory;

type World = InTurn<KafkaCluster>;

/// The cases of the suite that are another thing where one broker of three fails.
const OF_ONE: [(&str, On); 9] = [
    ("killed_before_the_ack", On::Live),
    ("killed_many_times", On::Live),
    ("killed_many_times", On::Log),
    ("paused", On::Live),
    ("paused", On::Log),
    ("reader_outlives_a_restart", On::Log),
    ("durable_reader_changes_nodes", On::Log),
    ("poison_while_the_server_restarts", On::Each),
    ("group_outlives_restarts", On::Each),
];
/// Room on the disk of a broker, for everything but the case that fills it.
const DISK: u64 = 128 << 20;
const EVERY: Duration = Duration::from_millis(5);
const AGAIN: Rules = Rules { handled_again: true, ends: false, loses: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_one_of_three_brokers_is_survived() {
    let mut round = Round::new(&directory());
    for on in [On::Live, On::Log] {
        round = round
            .with(on, "leader_killed", |run, world| Box::pin(leader_killed(run, world)))
            .with(on, "leader_stopped", |run, world| Box::pin(leader_stopped(run, world)))
            .with(on, "leader_moved", |run, world| Box::pin(leader_moved(run, world)))
            .with(on, "rolling", |run, world: Arc<World>| Box::pin(rolling(run, world.all())));
    }
    let round = round
        .with(On::Each, "leader_killed", |run, world| Box::pin(leader_of_a_group_killed(run, world)))
        .with(On::Each, "coordinator_killed", |run, world| Box::pin(coordinator_killed(run, world)))
        .with(On::Log, "two_of_three", |run, world| Box::pin(two_of_three(run, world)))
        .of_the_suite(|name, on| OF_ONE.contains(&(name, on)))
        .with(On::Log, "disk_full", |run, world| Box::pin(disk_full(run, world)));
    let servers = KafkaClusterWorld::on_small_disks(DISK).await.unwrap();
    round.play([Arc::new(InTurn::of(Arc::new(servers)))]).await;
}

/// Who leads the first lane of the topic.
async fn leader(run: &Run, world: &World) -> Result<usize, Fault> {
    let topic = topic_name(run.cluster(), run.topic())?;
    world.all().servers().await.leader_of(&topic, 0).await.map_err(odd)
}

/// Waits until another one leads it.
async fn another_leads(run: &Run, world: &World, gone: usize) -> Verdict {
    let topic = topic_name(run.cluster(), run.topic())?;
    let leader = world.all().servers().await.leader_after(&topic, 0, gone).await.map_err(odd)?;
    run.remark(format!("broker {leader} leads"));
    Ok(())
}

/// Kills who leads the first lane of the topic, and waits until another one does. Answers who is gone.
async fn kill_leader(run: &Run, world: &World) -> Result<usize, Fault> {
    let gone = leader(run, world).await?;
    run.remark(format!("broker {gone} leads, and is killed"));
    world.all().servers().await.node(gone).kill().map_err(odd)?;
    another_leads(run, world, gone).await?;
    Ok(gone)
}

/// Begins a broker again, and waits until any other may fail.
async fn begin(world: &World, number: usize) -> Verdict {
    let all = world.all();
    let mut brokers = all.servers().await;
    brokers.node(number).begin().await.map_err(odd)?;
    ServedTogether::ready(&mut *brokers).await.map_err(odd)
}

async fn leader_killed(run: Run, world: Arc<World>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    let publishing = a.publish_on(EVERY)?;
    reading.has(&run, 20).await?;
    let gone = kill_leader(&run, &world).await?;
    let before = reading.events();
    reading.has(&run, before + 100).await?;
    begin(&world, gone).await?;
    drop(publishing);
    run.finish(Rules::default()).await?;
    run.nobody_failed()
}

async fn leader_stopped(run: Run, world: Arc<World>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    let publishing = a.publish_on(EVERY)?;
    reading.has(&run, 20).await?;
    let gone = leader(&run, &world).await?;
    run.remark(format!("broker {gone} leads, and is stopped"));
    world.all().servers().await.node(gone).pause().map_err(odd)?;
    another_leads(&run, &world, gone).await?;
    let before = reading.events();
    reading.has(&run, before + 100).await?;
    run.remark(format!("broker {gone} goes on, and does not know what was"));
    let all = world.all();
    let mut brokers = all.servers().await;
    brokers.node(gone).resume().map_err(odd)?;
    ServedTogether::ready(&mut *brokers).await.map_err(odd)?;
    drop(brokers);
    let before = reading.events();
    reading.has(&run, before + 100).await?;
    drop(publishing);
    run.finish(Rules::default()).await?;
    run.nobody_failed()
}

async fn leader_moved(run: Run, world: Arc<World>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    let publishing = a.publish_on(EVERY)?;
    reading.has(&run, 20).await?;
    let topic = topic_name(run.cluster(), run.topic())?;
    for _ in 0..2 {
        let leader = world.all().servers().await.move_leader(&topic, 0).await.map_err(odd)?;
        run.remark(format!("broker {leader} was told to lead"));
        let before = reading.events();
        reading.has(&run, before + 50).await?;
    }
    drop(publishing);
    run.finish(Rules::default()).await?;
    run.ensure(reading.gaps() == 0, "a leader was moved, and something is missing")
}

async fn leader_of_a_group_killed(run: Run, world: Arc<World>) -> Verdict {
    let (a, b) = run.pair().await?;
    let member = b.join(Arc::new(|_, _| Act::Done)).await?;
    let publishing = a.publish_on(EVERY)?;
    member.has_begun(&run, 20).await?;
    let gone = kill_leader(&run, &world).await?;
    let before = member.begun();
    member.has_begun(&run, before + 100).await?;
    begin(&world, gone).await?;
    drop(publishing);
    run.finish(AGAIN).await
}

async fn coordinator_killed(run: Run, world: Arc<World>) -> Verdict {
    let (a, b) = run.pair().await?;
    let c = run.node(2).await?;
    // So slow that lanes which are asked back are not given back at once.
    let slowly = || Arc::new(|_, _| Act::After(Duration::from_millis(400)));
    let first = (b.join(slowly()).await?, c.join(slowly()).await?);
    let publishing = a.publish_on(Duration::from_millis(50))?;
    first.0.has_begun(&run, 4).await?;
    first.1.has_begun(&run, 4).await?;
    let d = run.node(3).await?;
    let killing = tokio::spawn(kill_in_rebalance(run.clone(), world.clone(), a.bus()));
    let _third = d.join(slowly()).await?;
    let gone = killing.await.map_err(odd)??;
    works_on(&run, 30).await?;
    begin(&world, gone).await?;
    works_on(&run, 30).await?;
    drop(publishing);
    run.finish(AGAIN).await
}

/// So many more events are begun, by whichever member.
async fn works_on(run: &Run, events: usize) -> Verdict {
    let begun = |history: &History| {
        let begins = |what: &What| matches!(what, What::Group(GroupWhat::Begin { .. }));
        history.entries.iter().filter(|entry| begins(&entry.what)).count()
    };
    let mut due = None;
    run.until("the group works", |history| begun(history) >= *due.get_or_insert(begun(history) + events))
        .await
}

/// Waits until the group of a run is being shared out anew, and kills who sees to it.
async fn kill_in_rebalance(run: Run, world: Arc<World>, bus: Bus) -> Result<usize, Fault> {
    let group = GroupName::new(GROUP)?;
    let on_servers = group_id(run.cluster(), &group);
    let gone = world.all().servers().await.coordinator_of(&on_servers).await.map_err(odd)?;
    let rebalances = async {
        loop {
            let described = bus.admin()?.describe_group(run.topic(), &group).await?;
            if described.state.as_deref() == Some("PreparingRebalance") {
                return Ok::<_, Fault>(());
            }
        }
    };
    run.soon("the group is shared out anew", rebalances).await??;
    run.remark(format!("broker {gone}, which coordinates, is killed"));
    world.all().servers().await.node(gone).kill().map_err(odd)?;
    Ok(gone)
}

fn failures(history: &History) -> usize {
    let failed = |what: &What| matches!(what, What::Published(_, Err(_)));
    history.entries.iter().filter(|entry| failed(&entry.what)).count()
}

async fn two_of_three(run: Run, world: Arc<World>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(20).await?;
    reading.has(&run, 20).await?;
    run.remark("brokers 0 and 1 are killed");
    let all = world.all();
    for gone in [0, 1] {
        all.servers().await.node(gone).kill().map_err(odd)?;
    }
    a.publish(20)?;
    run.until("publishes fail in time", |history| failures(history) >= 20).await?;
    a.publish(20)?;
    let mut brokers = all.servers().await;
    for gone in [0, 1] {
        brokers.node(gone).spawn().map_err(odd)?;
    }
    ServedTogether::ready(&mut *brokers).await.map_err(odd)?;
    drop(brokers);
    run.finish(Rules::default()).await
}

async fn disk_full(run: Run, world: Arc<World>) -> Verdict {
    let (a, b) = run.pair().await?;
    let reading = b.read().await?;
    a.publish_all(10).await?;
    reading.has(&run, 10).await?;
    let gone = leader(&run, &world).await?;
    run.remark(format!("the disk of broker {gone}, which leads, is full"));
    world.all().servers().await.node(gone).fill_disk().map_err(odd)?;
    a.publish_large(100, 50_000)?;
    another_leads(&run, &world, gone).await?;
    reading.has(&run, 110).await?;
    a.publish_all(10).await?;
    run.remark("there is room again");
    world.all().servers().await.node(gone).make_room().map_err(odd)?;
    begin(&world, gone).await?;
    run.finish(Rules::default()).await
}
