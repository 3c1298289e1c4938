//! Whole histories: they repeat to the byte, lose nothing to cancelled reads, and end well; and other runtimes than
//! the simulation's.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::memory::{LinkFaults, PublishFault, SERVER};

const NODES: [&str; 4] = ["a", "b", "c", "d"];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Trace = Arc<Mutex<String>>;

fn note(trace: &Trace, start: Instant, what: std::fmt::Arguments<'_>) {
    writeln!(trace.lock().unwrap(), "{:?} {what}", start.elapsed()).unwrap();
}

/// Notes all that a node hears, until its end.
async fn listen(name: &'static str, mut inbox: Box<dyn Inbox>, start: Instant, trace: Trace) {
    let mut into = Vec::new();
    loop {
        let result = inbox.recv(3, &mut into).await;
        for inbound in into.drain(..) {
            note(&trace, start, format_args!("{name} hears {}", text(&inbound)));
        }
        if let Err(error) = result {
            return note(&trace, start, format_args!("{name}: {error}"));
        }
    }
}

/// One random fault of any kind.
fn spoil(space: &Space, rng: &mut Rng, has_server: bool) {
    let faults = space.faults();
    let (a, b) = (NODES[rng.usize(..4)], NODES[rng.usize(..4)]);
    let bad = LinkFaults::none()
        .loss(rng.f64() * 0.3)
        .duplication(rng.f64() * 0.3)
        .delay(ms(rng.u64(..5))..=ms(rng.u64(5..40)));
    match rng.u32(..16) {
        0 => faults.everywhere(bad),
        1 => faults.between(a, b, bad),
        2 => faults.one_way(a, b, bad),
        3 => faults.cut(a, b),
        4 => faults.cut_one_way(a, b),
        5 => faults.heal(a, b),
        6 => faults.isolate(a),
        7 => faults.rejoin(a),
        8 => faults.pause(a),
        9 => faults.resume(a),
        10 => faults.fail_publishes(a, rng.u32(..3), rng.usize(..3), PublishFault::UnknownStored),
        11 => faults.slow_results(a, ms(0)..=ms(50)),
        12 if has_server => faults.cut_one_way(SERVER, a),
        13 if has_server => faults.server_down(),
        14 if has_server => faults.server_up(),
        15 => faults.heal_all(),
        _ => faults.calm(),
    }
}

/// A history of four nodes under random faults, then without them.
async fn history(seed: u64) -> String {
    let start = Instant::now();
    let trace = Trace::default();
    let mut rng = Rng::with_seed(seed);
    let has_server = rng.bool();
    let space = Space::new(SpaceConfig {
        seed,
        echo_via_server: has_server,
        inbox_messages_max: 20,
        ..SpaceConfig::default()
    });
    let mut tasks = JoinSet::new();
    let mut nodes = Vec::new();
    for name in NODES {
        let node = connect(&space, name);
        let inbox = node.subscribe(&topic()).await.unwrap();
        tasks.spawn(listen(name, inbox, start, Arc::clone(&trace)));
        nodes.push(node);
    }
    for number in 0..150 {
        if rng.u32(..4) == 0 {
            spoil(&space, &mut rng, has_server);
        }
        if rng.u32(..40) == 0 {
            let victim = rng.usize(..4);
            space.faults().crash(NODES[victim]);
            nodes[victim] = connect(&space, NODES[victim]);
            if let Ok(inbox) = nodes[victim].subscribe(&topic()).await {
                tasks.spawn(listen(NODES[victim], inbox, start, Arc::clone(&trace)));
            }
        }
        let from = rng.usize(..4);
        let texts: Vec<String> = (0..rng.usize(1..4)).map(|part| format!("{number}.{part}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let result =
            publish_all(&nodes[from], &texts).await.map_err(|failed| (failed.accepted, failed.outcome));
        note(&trace, start, format_args!("{} publishes {texts:?}: {result:?}", NODES[from]));
        sleep(ms(rng.u64(..10))).await;
    }
    space.faults().clear();
    // Longer than the longest delay, so that nothing is on its way and every reader has emptied its inbox.
    sleep(ms(1_000)).await;
    let mut last = Vec::new();
    for node in &nodes {
        last.push(node.subscribe(&topic()).await.unwrap());
    }
    for (node, name) in nodes.iter().zip(NODES) {
        publish(node, name).await;
    }
    for inbox in &mut last {
        assert_eq!(arrived(inbox).await, NODES, "seed {seed}: all is well after clear()");
    }
    for node in &nodes {
        node.close(Instant::now()).await.unwrap();
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    note(&trace, start, format_args!("{:?}", space.faults().counts()));
    drop(tasks);
    Arc::try_unwrap(trace).unwrap().into_inner().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_history_to_the_byte() {
    let run = |seed| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(history(seed))
    };
    let mut all = String::new();
    for seed in 0..60 {
        let (first, second) = (run(seed), run(seed));
        for (one, other) in first.lines().zip(second.lines()) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
        assert_ne!(first, run(seed + 1_000), "seed {seed}: another seed, another history");
        all.push_str(&first);
    }
    for occurs in ["hears dropped", "hears resubscribed", "closed", "Unknown", "NotStored", "Ok(())"] {
        assert!(all.contains(occurs), "no history shows {occurs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reads_that_are_cancelled_at_any_time_lose_nothing() {
    for seed in 0..20 {
        let space = Space::new(SpaceConfig { seed, ..SpaceConfig::default() });
        space.faults().everywhere(LinkFaults::none().delay(ms(1)..=ms(15)));
        let a = connect(&space, "a");
        let mut inbox = a.subscribe(&topic()).await.unwrap();
        let reader = tokio::spawn(async move {
            let (mut rng, mut into) = (Rng::with_seed(seed), Vec::new());
            while into.len() < 300 {
                if let Ok(result) = timeout(ms(rng.u64(..3)), inbox.recv(2, &mut into)).await {
                    result.unwrap();
                }
            }
            let mut numbers: Vec<u32> = into.iter().map(|inbound| text(inbound).parse().unwrap()).collect();
            numbers.sort_unstable();
            numbers
        });
        for number in 0..300 {
            publish(&a, &number.to_string()).await;
            sleep(ms(number % 3)).await;
        }
        assert!(reader.await.unwrap().into_iter().eq(0..300), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_many_threads_every_sender_keeps_its_order() {
    const EACH: usize = 5_000;
    let space = Space::default();
    let listener = connect(&space, "reader");
    let reader = {
        let mut inbox = listener.subscribe(&topic()).await.unwrap();
        tokio::spawn(async move {
            let (mut into, mut next) = (Vec::new(), [0_usize; 4]);
            while next.iter().sum::<usize>() < 4 * EACH {
                inbox.recv(100, &mut into).await.unwrap();
                for inbound in into.drain(..) {
                    let text = text(&inbound);
                    let (node, number) = text.split_once(' ').unwrap();
                    let node = NODES.iter().position(|name| *name == node).unwrap();
                    assert_eq!(number.parse::<usize>().unwrap(), next[node]);
                    next[node] += 1;
                }
            }
        })
    };
    let mut senders = JoinSet::new();
    for name in NODES {
        let node = connect(&space, name);
        senders.spawn(async move {
            for number in 0..EACH {
                publish(&node, &format!("{name} {number}")).await;
            }
        });
    }
    senders.join_all().await;
    timeout(Duration::from_secs(60), reader).await.unwrap().unwrap();
}

#[test]
fn without_faults_a_runtime_without_timers_will_do() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let a = connect(&Space::default(), "a");
        let mut inbox = a.subscribe(&topic()).await.unwrap();
        let reader = tokio::spawn(async move {
            let mut into = Vec::new();
            inbox.recv(1, &mut into).await.map(|()| text(&into[0]))
        });
        tokio::task::yield_now().await;
        publish(&a, "1").await;
        assert_eq!(reader.await.unwrap().unwrap(), "1");
    });
}
