//! `cargo xtask bench redis`: the raw client of Redis and agora, by turns, on one server of the benchmark's own.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where something is wrong"
)]

mod raw;

use agora_bench::bus::{self, Load};
use agora_bench::contest::{Aim, Entrant, contest};
use agora_bench::overload::overload;
use agora_bench::{BATCH, PATIENCE, latency};
use agora_core::config::{Redis, SecretUrl};
use agora_core::transport::Framing;
use agora_redis::RedisTransport;
use agora_testbed::{Program, RedisServer};

/// How often each entrant runs.
const ROUNDS: usize = 5;

#[tokio::main(worker_threads = 2)]
async fn main() {
    // As the research's baselines: written to a file, which the system flushes.
    let server =
        RedisServer::with(Program::Redis, &["--appendonly", "yes", "--appendfsync", "everysec"]).await;
    let server = server.unwrap();
    let url = server.url();
    let wanted = agora_bench::wanted();
    for bytes in [100, 512] {
        if wanted("live") {
            live(&url, bytes).await;
        }
        if wanted("log") {
            log(&url, bytes).await;
        }
    }
    if wanted("group") {
        group(&url).await;
    }
    if wanted("latency") {
        latencies(&url).await;
    }
    if wanted("overload") {
        let (a, b) = pair(&url).await;
        overload("PUBLISH", a, b).await;
    }
}

async fn transport(url: &str) -> RedisTransport {
    let mut config = Redis::default();
    config.urls = vec![SecretUrl::new(url)];
    RedisTransport::connect(&config, &bus::cluster(), PATIENCE).await.unwrap()
}

async fn pair(url: &str) -> (RedisTransport, RedisTransport) {
    (transport(url).await, transport(url).await)
}

const RAW: &str = "raw, one event a message";
const FRAMES: &str = "raw, 32 events a message";
const AGORA: &str = "agora";
const EACH: &str = "agora, one event a message";

fn aims() -> [Aim; 3] {
    [
        Aim { of: AGORA, to: RAW, least: 3.0 },
        Aim { of: AGORA, to: FRAMES, least: 0.8 },
        Aim { of: EACH, to: RAW, least: 0.8 },
    ]
}

async fn live(url: &str, bytes: usize) {
    let agora = |framing, events| async move {
        let (a, b) = pair(url).await;
        bus::one_to_one(a, b, Load { events, bytes, framing, log: false }).await
    };
    let entrants = [
        Entrant::new(RAW, || raw::pubsub(url, 200_000, bytes, 1)),
        Entrant::new(FRAMES, || raw::pubsub(url, 800_000, bytes, BATCH)),
        Entrant::new(AGORA, || agora(Framing::Batch, 400_000)),
        Entrant::new(EACH, || agora(Framing::Each, 200_000)),
    ];
    contest(&format!("PUBLISH, 4 pipelines of 128, {bytes} bytes"), ROUNDS, &entrants, &aims()).await;
}

async fn log(url: &str, bytes: usize) {
    let agora = |framing, events| async move {
        let (a, b) = pair(url).await;
        bus::one_to_one(a, b, Load { events, bytes, framing, log: true }).await
    };
    let entrants = [
        Entrant::new(RAW, || raw::stream(url, 100_000, bytes, 1)),
        Entrant::new(FRAMES, || raw::stream(url, 400_000, bytes, BATCH)),
        Entrant::new(AGORA, || agora(Framing::Batch, 400_000)),
        Entrant::new(EACH, || agora(Framing::Each, 100_000)),
    ];
    contest(&format!("XADD in pipelines of 128, and XREAD, {bytes} bytes"), ROUNDS, &entrants, &aims()).await;
}

async fn group(url: &str) {
    let agora = |framing, events| async move {
        let (a, b) = pair(url).await;
        bus::group(a, b, Load { events, bytes: 100, framing, log: true }).await
    };
    let entrants = [
        Entrant::new(RAW, || raw::group(url, 100_000, 100, 1)),
        Entrant::new(FRAMES, || raw::group(url, 400_000, 100, BATCH)),
        Entrant::new(AGORA, || agora(Framing::Batch, 400_000)),
        Entrant::new(EACH, || agora(Framing::Each, 100_000)),
    ];
    contest("A group: XREADGROUP and XACK, 100 bytes", ROUNDS, &entrants, &aims()).await;
}

async fn latencies(url: &str) {
    for (title, log) in [("PUBLISH", false), ("XADD and XREAD", true)] {
        let (mut raws, mut agoras) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            raws.push(raw::latency(url, log).await);
            let (a, b) = pair(url).await;
            agoras.push(bus::latency(a, b, log).await);
        }
        latency::table(title, &raws, &agoras);
    }
}
