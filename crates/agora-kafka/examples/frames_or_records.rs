//! The two writers against each other, on one broker, in turns: the same frames through rskafka and through the idempotent
//! producer. `cargo run --release -p agora-kafka --example frames_or_records`.
#![allow(clippy::print_stdout, reason = "a program that prints what it measured")]

use std::error::Error;
use std::time::Duration;

use agora_core::config::Kafka;
use agora_core::id::{ClusterName, TopicName};
use agora_core::transport::{Address, Framing, OutFrame, TopicSettings, TopicSpec, Transport};
use agora_kafka::KafkaTransport;
use agora_testbed::KafkaSetup;
use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::time::Instant;

/// How often each of the two has its turn.
const ROUNDS: usize = 5;
const LANES: u32 = 4;
/// How long a call may take.
const WAIT: Duration = Duration::from_secs(30);

/// One measurement: on so many lanes at once, so many calls one after the other, of so many frames of so many bytes.
struct Case {
    name: &'static str,
    lanes: u32,
    calls: usize,
    frames: usize,
    bytes: usize,
}

const CASES: [Case; 8] = [
    Case { name: "1 frame of 200 B", lanes: 1, calls: 300, frames: 1, bytes: 200 },
    Case { name: "1 frame of 6 KB", lanes: 1, calls: 300, frames: 1, bytes: 6 << 10 },
    Case { name: "1 frame of 16 KB", lanes: 1, calls: 100, frames: 1, bytes: 16 << 10 },
    Case { name: "1 frame of 64 KB", lanes: 1, calls: 300, frames: 1, bytes: 64 << 10 },
    Case { name: "2 frames of 8 KB", lanes: 1, calls: 100, frames: 2, bytes: 8 << 10 },
    Case { name: "1 frame of 6 KB, 4 lanes", lanes: 4, calls: 500, frames: 1, bytes: 6 << 10 },
    Case { name: "16 frames of 6 KB, 4 lanes", lanes: 4, calls: 200, frames: 16, bytes: 6 << 10 },
    Case { name: "16 frames of 64 KB, 4 lanes", lanes: 4, calls: 60, frames: 16, bytes: 64 << 10 },
];

/// What one turn has given.
#[derive(Clone, Copy)]
struct Turn {
    megabytes: f64,
    p50: Duration,
    p99: Duration,
    cpu_ms: u64,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The processor time of this process so far, in milliseconds: the ticks of Linux are 10 ms.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}

async fn lane(transport: &KafkaTransport, to: Address, case: &Case) -> Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(case.calls);
    for _ in 0..case.calls {
        // Not the same bytes twice: each call has memory of its own, as frames have.
        let frame = |_| OutFrame::new(Bytes::from(vec![7; case.bytes]));
        let frames = (0..case.frames).map(frame).collect();
        let begun = Instant::now();
        let sent = transport.publish(&to, frames, begun + WAIT).await;
        sent.map_err(|failed| failed.error)?;
        took.push(begun.elapsed());
    }
    Ok(took)
}

async fn turn(transport: &KafkaTransport, topic: &TopicName, case: &Case) -> Result<Turn> {
    let (begun, cpu) = (Instant::now(), cpu_ms());
    let lanes =
        (0..case.lanes).map(|number| lane(transport, Address { topic: topic.clone(), lane: number }, case));
    let mut took: Vec<_> = try_join_all(lanes).await?.into_iter().flatten().collect();
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    let bytes = took.len() * case.frames * case.bytes;
    Ok(Turn { megabytes: bytes as f64 / 1e6 / seconds, p50: at(50), p99: at(99), cpu_ms: cpu_ms() - cpu })
}

fn print(name: &str, mut turns: Vec<Turn>) {
    turns.sort_by(|a, b| a.megabytes.total_cmp(&b.megabytes));
    let Some((least, most, middle)) =
        turns.first().zip(turns.last()).map(|(least, most)| (least, most, turns[turns.len() / 2]))
    else {
        return;
    };
    println!(
        "  {name:8} {:7.1}-{:7.1}-{:7.1} MB/s   a call p50 {:9.3?} p99 {:9.3?}   cpu {:5} ms",
        least.megabytes, middle.megabytes, most.megabytes, middle.p50, middle.p99, middle.cpu_ms
    );
}

#[tokio::main]
async fn main() -> Result<()> {
    let broker = KafkaSetup::new().for_speed().start().await.map_err(|cause| cause.to_string())?;
    let mut config = Kafka::default();
    config.brokers = vec![broker.address()];
    let transport = KafkaTransport::connect(&config, &ClusterName::new("default")?, WAIT).await?;
    let writers = [("rskafka", Framing::Batch), ("records", Framing::Each)];
    let mut topics = Vec::new();
    for (name, framing) in writers {
        let mut settings = TopicSettings::LOG.framing(framing);
        settings.lanes = Some(LANES);
        let spec = TopicSpec { name: TopicName::new(&format!("bench.{name}"))?, settings };
        transport.open(&spec).await?;
        topics.push((name, spec.name));
    }
    for case in &CASES {
        println!("{}: {} calls in turn on {} lanes", case.name, case.calls, case.lanes);
        let mut turns = vec![Vec::new(); topics.len()];
        // The first round is for the broker to warm up.
        for round in 0..=ROUNDS {
            for ((_, topic), turns) in topics.iter().zip(&mut turns) {
                let turn = turn(&transport, topic, case).await?;
                if round > 0 {
                    turns.push(turn);
                }
            }
        }
        for ((name, _), turns) in topics.iter().zip(turns) {
            print(name, turns);
        }
    }
    transport.close(Instant::now() + WAIT).await?;
    Ok(())
}
