//! Two processes over Zenoh on loopback: the raw client with one event a message, against agora, interleaved in one run.
//!
//! `cargo xtask bench zenoh`. The publisher is this process; the subscriber is this program run again, with its role in
//! the environment. What is timed is the subscriber's: from its first event to its last.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agora_core::bus::{Bus, BusConfig, Delivery, Start};
use agora_core::event::Event;
use agora_core::id::{ClusterName, NodeName};
use agora_zenoh::{ZenohConfig, ZenohTransport};
use serde::{Deserialize, Serialize};
use zenoh::Wait;
use zenoh::qos::CongestionControl;

const ROLE: &str = "AGORA_BENCH_ROLE";
const PORT: &str = "AGORA_BENCH_PORT";
const TOPIC: &str = "bench";
const KEY: &str = "agora-bench/raw";
const EVENTS: u64 = 500_000;
const ROUNDS: usize = 5;
/// Events that a caller has under way before it awaits the last of them.
const STEP: u64 = 8_192;
const WAIT: Duration = Duration::from_secs(60);

/// 100 bytes in the format of bodies.
#[derive(Serialize, Deserialize)]
struct Payload {
    account: u64,
    text: String,
}

impl Event for Payload {
    const KIND: &'static str = "bench.payload";
}

fn payload() -> Payload {
    Payload { account: u64::MAX, text: "x".repeat(90) }
}

fn main() {
    let port = || std::env::var(PORT).unwrap().parse().unwrap();
    match std::env::var(ROLE).as_deref() {
        Ok("raw") => raw_subscriber(port()),
        Ok("agora") => runtime().block_on(agora_subscriber(port())),
        _ => measure(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What the subscriber tells: events that arrived, events in gaps, and nanoseconds.
#[derive(Clone, Copy)]
struct Outcome {
    arrived: u64,
    missing: u64,
    nanos: u64,
}

impl Outcome {
    fn per_second(self) -> f64 {
        self.arrived as f64 / (self.nanos as f64 / 1e9)
    }
}

fn measure() {
    let (mut raw, mut agora) = (Vec::new(), Vec::new());
    println!("{EVENTS} events of 100 bytes, two processes, {ROUNDS} rounds; thousand events a second");
    for round in 1..=ROUNDS {
        for (role, outcomes) in [("raw", &mut raw), ("agora", &mut agora)] {
            let outcome = run(role);
            println!(
                "round {round}  {role:<6} {:>8.0}   arrived {}, in gaps {}, lost unnamed {}",
                outcome.per_second() / 1e3,
                outcome.arrived,
                outcome.missing,
                EVENTS.saturating_sub(outcome.arrived + outcome.missing),
            );
            outcomes.push(outcome);
        }
    }
    let summary = |outcomes: &[Outcome]| {
        let mut rates: Vec<f64> = outcomes.iter().map(|o| o.per_second() / 1e3).collect();
        rates.sort_by(f64::total_cmp);
        (rates[0], rates[rates.len() / 2], rates[rates.len() - 1])
    };
    let ((_, raw_median, raw_best), (least, median, most)) = (summary(&raw), summary(&agora));
    let verdict = if least <= raw_best && median <= raw_best {
        "indistinguishable: below the spread"
    } else {
        "clear of the spread"
    };
    println!(
        "raw    median {raw_median:.0}, agora median {median:.0} ({least:.0} to {most:.0}): {:.2}x, {verdict}",
        median / raw_median
    );
}

fn run(role: &str) -> Outcome {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Subscriber::start(role, port);
    child.expect("listening");
    match role {
        "raw" => raw_publisher(port, &mut child),
        _ => runtime().block_on(agora_publisher(port, &mut child)),
    }
    child.outcome()
}

/// The other process; killed when it is dropped.
struct Subscriber {
    process: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Subscriber {
    fn start(role: &str, port: u16) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut process = Command::new(program)
            .env(ROLE, role)
            .env(PORT, port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { process, lines }
    }

    fn expect(&mut self, word: &str) {
        let line = self.lines.recv_timeout(WAIT).expect("the subscriber is silent");
        assert_eq!(line, word);
    }

    fn outcome(&mut self) -> Outcome {
        let line = self.lines.recv_timeout(WAIT).expect("the subscriber did not finish");
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        Outcome { arrived: numbers[0], missing: numbers[1], nanos: numbers[2] }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn zenoh_config(port: u16, listens: bool) -> zenoh::Config {
    let (listen, connect) = if listens { (vec![port], vec![]) } else { (vec![0], vec![port]) };
    let endpoints = |ports: Vec<u16>| {
        ports.iter().map(|p| format!("\"tcp/127.0.0.1:{p}\"")).collect::<Vec<_>>().join(",")
    };
    let mut config = zenoh::Config::default();
    config.insert_json5("scouting/multicast/enabled", "false").unwrap();
    config.insert_json5("listen/endpoints", &format!("[{}]", endpoints(listen))).unwrap();
    config.insert_json5("connect/endpoints", &format!("[{}]", endpoints(connect))).unwrap();
    config
}

fn raw_subscriber(port: u16) {
    let session = zenoh::open(zenoh_config(port, true)).wait().unwrap();
    let (send, done) = std::sync::mpsc::channel();
    let (mut count, mut began) = (0u64, None);
    let subscriber = session
        .declare_subscriber(KEY)
        .callback_mut(move |sample| {
            let began = *began.get_or_insert_with(Instant::now);
            count += 1;
            std::hint::black_box(sample.payload().len());
            // The last message says that it is the last: with congestion control Block none is dropped here.
            if sample.payload().len() == 1 {
                let _ = send.send((count - 1, began.elapsed()));
            }
        })
        .wait()
        .unwrap();
    say("listening");
    let (arrived, took) = done.recv_timeout(WAIT).unwrap();
    say(&format!("{arrived} 0 {}", took.as_nanos()));
    drop(subscriber);
}

fn raw_publisher(port: u16, _: &mut Subscriber) {
    let session = zenoh::open(zenoh_config(port, false)).wait().unwrap();
    let publisher =
        session.declare_publisher(KEY).congestion_control(CongestionControl::Block).wait().unwrap();
    let deadline = Instant::now() + WAIT;
    while !publisher.matching_status().wait().unwrap().matching() {
        assert!(Instant::now() < deadline, "the subscriber was not found");
        std::thread::yield_now();
    }
    let bytes = [7u8; 100];
    for _ in 0..EVENTS {
        publisher.put(bytes.as_slice()).wait().unwrap();
    }
    publisher.put([0u8; 1].as_slice()).wait().unwrap();
    // The session closes behind what it has queued; the subscriber tells when all of it arrived.
    drop(publisher);
    session.close().wait().unwrap();
}

async fn agora_bus(port: u16, listens: bool) -> Bus {
    let url = match listens {
        true => format!("zenoh:?multicast=off&listen=127.0.0.1:{port}"),
        false => format!("zenoh://127.0.0.1:{port}?listen=127.0.0.1:0"),
    };
    let cluster = ClusterName::new("bench").unwrap();
    let node = NodeName::new(if listens { "subscriber" } else { "publisher" }).unwrap();
    let config = ZenohConfig::from_url(&url).unwrap();
    let transport = ZenohTransport::connect(&config, &cluster, WAIT).await.unwrap();
    Bus::open(transport, BusConfig::new(cluster, node)).unwrap()
}

async fn agora_subscriber(port: u16) {
    let bus = agora_bus(port, true).await;
    let mut events = bus.subscribe(TOPIC).start(Start::Live).await.unwrap();
    say("listening");
    let (mut arrived, mut missing, mut began) = (0, 0, None);
    while arrived + missing < EVENTS {
        match events.try_next().await.unwrap().unwrap() {
            Delivery::Event(event) => {
                began.get_or_insert_with(Instant::now);
                std::hint::black_box(event.body().len());
                arrived += 1;
            }
            Delivery::Gap(gap) => missing += gap.events().unwrap_or(0),
            Delivery::Foreign(_) => {}
        }
    }
    let took = began.map_or(Duration::ZERO, |began| began.elapsed());
    say(&format!("{arrived} {missing} {}", took.as_nanos()));
}

async fn agora_publisher(port: u16, _: &mut Subscriber) {
    let bus = agora_bus(port, false).await;
    let mut members = bus.members();
    while members.snapshot().is_empty() {
        let _ = tokio::time::timeout(WAIT, members.next()).await.expect("the subscriber was not found");
    }
    let publisher = bus.publisher(TOPIC).unwrap();
    let event = payload();
    let mut left = EVENTS;
    while left > 0 {
        let step = left.min(STEP);
        let mut last = None;
        for _ in 0..step {
            last = Some(publisher.publish(&event));
        }
        if let Some(last) = last {
            last.await.unwrap();
        }
        left -= step;
    }
    bus.close(WAIT).await.unwrap();
}
