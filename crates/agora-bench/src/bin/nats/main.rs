//! `cargo xtask bench nats`: the raw client of NATS and agora, by turns, on one server: that of
//! `AGORA_NATS_URL`, `nats://host:port` without credentials, or one of the benchmark's own.
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
use agora_core::config::Nats;
use agora_core::transport::Framing;
use agora_nats::NatsTransport;
use agora_testbed::Endpoint;

/// How often each entrant runs.
const ROUNDS: usize = 5;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let server = Endpoint::nats().await.unwrap();
    let address = server.url().trim_start_matches("nats://").to_owned();
    let wanted = agora_bench::wanted();
    for bytes in [100, 512] {
        if wanted("live") {
            live(&address, bytes).await;
        }
        if wanted("log") {
            log(&address, bytes).await;
        }
    }
    if wanted("group") {
        group(&address).await;
    }
    if wanted("latency") {
        latencies(&address).await;
    }
    if wanted("overload") {
        let (a, b) = pair(&address).await;
        overload("Core", a, b).await;
    }
}

async fn transport(address: &str) -> NatsTransport {
    let mut config = Nats::default();
    config.addresses = vec![address.to_owned()];
    NatsTransport::connect(&config, &bus::cluster(), PATIENCE).await.unwrap()
}

async fn pair(address: &str) -> (NatsTransport, NatsTransport) {
    (transport(address).await, transport(address).await)
}

const RAW: &str = "raw, one event a message";
const FRAMES: &str = "raw, 32 events a message";
const AGORA: &str = "agora";
const EACH: &str = "agora, one event a message";

fn aims(times: f64) -> [Aim; 3] {
    [
        Aim { of: AGORA, to: RAW, least: times },
        Aim { of: AGORA, to: FRAMES, least: 0.8 },
        Aim { of: EACH, to: RAW, least: 0.8 },
    ]
}

async fn live(address: &str, bytes: usize) {
    let load = |framing| Load { events: 400_000, bytes, framing, log: false };
    let agora = |framing| async move {
        let (a, b) = pair(address).await;
        bus::one_to_one(a, b, load(framing)).await
    };
    let entrants = [
        Entrant::new(RAW, || raw::core(address, 400_000, bytes, 1)),
        Entrant::new(FRAMES, || raw::core(address, 1_600_000, bytes, BATCH)),
        Entrant::new(AGORA, || agora(Framing::Batch)),
        Entrant::new(EACH, || agora(Framing::Each)),
    ];
    contest(&format!("Core, {bytes} bytes"), ROUNDS, &entrants, &aims(2.0)).await;
}

async fn log(address: &str, bytes: usize) {
    let agora = |framing, events| async move {
        let (a, b) = pair(address).await;
        bus::one_to_one(a, b, Load { events, bytes, framing, log: true }).await
    };
    let entrants = [
        Entrant::new(RAW, || raw::stream(address, 50_000, bytes, 1)),
        Entrant::new(FRAMES, || raw::stream(address, 400_000, bytes, BATCH)),
        Entrant::new(AGORA, || agora(Framing::Batch, 400_000)),
        Entrant::new(EACH, || agora(Framing::Each, 50_000)),
    ];
    contest(
        &format!("JetStream, 1,024 acknowledgements in flight, {bytes} bytes"),
        ROUNDS,
        &entrants,
        &aims(3.0),
    )
    .await;
}

async fn group(address: &str) {
    let agora = |framing, events| async move {
        let (a, b) = pair(address).await;
        bus::group(a, b, Load { events, bytes: 100, framing, log: true }).await
    };
    let entrants = [
        Entrant::new(RAW, || raw::group(address, 50_000, 100, 1)),
        Entrant::new(FRAMES, || raw::group(address, 400_000, 100, BATCH)),
        Entrant::new(AGORA, || agora(Framing::Batch, 400_000)),
        Entrant::new(EACH, || agora(Framing::Each, 50_000)),
    ];
    contest("JetStream, a group: pull and acknowledge, 100 bytes", ROUNDS, &entrants, &aims(3.0)).await;
}

async fn latencies(address: &str) {
    for (title, log) in [("Core", false), ("JetStream", true)] {
        let (mut raws, mut agoras) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            raws.push(raw::latency(address, log).await);
            let (a, b) = pair(address).await;
            agoras.push(bus::latency(a, b, log).await);
        }
        latency::table(title, &raws, &agoras);
    }
}
